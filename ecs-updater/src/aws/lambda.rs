//! Lambda: one function that is called and answers
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>).

use std::time::Duration;

use jiff::Timestamp;
use models::clean;
use models::function::FunctionArn;
use models::hook::HookAnswer;
use serde_json::Value;

use super::client::{Aws, Lambda};
use super::signed::{self, Answer, MOST_SHOWN, Path, Signed, domain, send};

/// The right to it; the operation itself is `Invoke`.
const INVOKE_FUNCTION: &str = "lambda:InvokeFunction";
/// The longest that a function runs (Lambda developer guide, "Lambda quotas"), and some for the way.
const LONGEST_CALL: Duration = Duration::from_secs(15 * 60 + 15);

impl Aws {
    /// Calls a function once and waits for its answer. Whatever becomes of it is an answer too, so that a call which is not
    /// made, or is refused, is never taken for a word of the function.
    pub(crate) async fn invoke(
        &self,
        function: &FunctionArn,
        payload: &str,
        within: Duration,
        now: Timestamp,
    ) -> HookAnswer {
        let Lambda { config, gate } = &self.lambda;
        let region = function.region();
        let url = url(config.endpoint_url(), region, function);
        let signed = Signed {
            service: "lambda",
            operation: "Invoke",
            method: "POST",
            region,
            url: &url,
            headers: &[("content-type", "application/json"), ("x-amz-invocation-type", "RequestResponse")],
            body: payload,
            path: Path::EncodedAgain,
            within: within.min(LONGEST_CALL),
            gate: Some(gate.clone()),
        };
        match send(config, signed, now).await {
            Ok(answer) => read(&answer),
            Err(error) if error.is_late() => HookAnswer::Silent,
            Err(error) if error.is_too_long() => HookAnswer::Error { detail: error.to_string() },
            Err(error) => HookAnswer::NotAsked { detail: error.to_string() },
        }
    }
}

/// The function's ARN stands in the path, with its colons encoded, as the SDK has it.
fn url(endpoint: Option<&str>, region: &str, function: &FunctionArn) -> String {
    let name = function.to_string().replace(':', "%3A").replace('$', "%24");
    let path = format!("2015-03-31/functions/{name}/invocations");
    signed::url(endpoint, &format!("lambda.{region}.{}", domain(region)), &path)
}

/// Tells the function's own answer from its error, and from what Lambda says without it.
fn read(answer: &Answer) -> HookAnswer {
    let body = String::from_utf8_lossy(&answer.body);
    match answer.status {
        200..=299 => match answer.header("x-amz-function-error") {
            Some(kind) => HookAnswer::Error { detail: format!("{} ({})", words(&body), clean::cut(kind, 40)) },
            None => HookAnswer::read(&answer.body),
        },
        // Throttled; the function is being made ready; a fault of AWS's.
        status @ (429 | 500..=599) => HookAnswer::NotAsked { detail: refusal(answer, status, &body) },
        // Made ready, which takes minutes (`ResourceConflictException`).
        status @ 409 => HookAnswer::NotAsked { detail: refusal(answer, status, &body) },
        status => HookAnswer::Refused { detail: refusal(answer, status, &body) },
    }
}

/// Returns what a refusal says: `lambda:InvokeFunction: … (AccessDeniedException, status 403)`.
fn refusal(answer: &Answer, status: u16, body: &str) -> String {
    // `AccessDeniedException:http://internal.amazon.com/…`
    let code = answer.header("x-amzn-errortype").and_then(|kind| kind.split(':').next()).unwrap_or("without a code");
    format!("{INVOKE_FUNCTION}: {} ({}, status {status})", words(body), clean::cut(code, 100))
}

/// Returns the words of an error: of Lambda's (`message`, `Message`), or of a function's (`errorMessage`).
fn words(body: &str) -> String {
    let said: Option<Value> = serde_json::from_str(body).ok();
    let field = |name: &str| said.as_ref()?.get(name)?.as_str().map(str::to_owned);
    let message = ["errorMessage", "message", "Message"].into_iter().find_map(field);
    clean::cut(message.as_deref().unwrap_or("no message"), MOST_SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_function_is_called() {
        let table = [
            (
                "arn:aws:lambda:eu-west-1:111122223333:function:ready:live",
                None,
                "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/\
                 arn%3Aaws%3Alambda%3Aeu-west-1%3A111122223333%3Afunction%3Aready%3Alive/invocations",
            ),
            (
                "arn:aws-cn:lambda:cn-north-1:111122223333:function:ready",
                None,
                "https://lambda.cn-north-1.amazonaws.com.cn/2015-03-31/functions/\
                 arn%3Aaws-cn%3Alambda%3Acn-north-1%3A111122223333%3Afunction%3Aready/invocations",
            ),
            (
                "arn:aws:lambda:eu-west-1:111122223333:function:ready:$LATEST",
                Some("http://127.0.0.1:1/"),
                "http://127.0.0.1:1/2015-03-31/functions/\
                 arn%3Aaws%3Alambda%3Aeu-west-1%3A111122223333%3Afunction%3Aready%3A%24LATEST/invocations",
            ),
        ];
        for (arn, endpoint, wanted) in table {
            let function: FunctionArn = arn.parse().unwrap();
            assert_eq!(url(endpoint, function.region(), &function), wanted);
        }
    }

    #[test]
    fn whose_word_an_answer_is() {
        let said = |status, headers: &[(&str, &str)], body: &str| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            read(&Answer::new(status, headers, body.as_bytes().to_vec())).to_string()
        };
        let unhandled = [("X-Amz-Function-Error", "Unhandled")];
        /// Status, headers, body, and what is made of them.
        type Row<'a> = (u16, &'a [(&'a str, &'a str)], &'a str, &'a str);
        let table: [Row<'_>; 8] = [
            (200, &[], r#"{"answer": "ok"}"#, "said ok"),
            (
                200,
                &unhandled,
                r#"{"errorMessage": "2026-11-23 Task timed out after 3.00 seconds"}"#,
                "failed: 2026-11-23 Task timed out after 3.00 seconds (Unhandled)",
            ),
            (200, &unhandled, r#"{"answer": "ok"}"#, "failed: no message (Unhandled)"),
            (200, &[], "null", "failed: its answer is not a JSON object: null"),
            (
                403,
                &[("x-amzn-errortype", "AccessDeniedException")],
                r#"{"Message": "not authorized"}"#,
                "could not be called: lambda:InvokeFunction: not authorized (AccessDeniedException, status 403)",
            ),
            (
                404,
                &[("x-amzn-ErrorType", "ResourceNotFoundException:http://internal.amazon.com/x/")],
                r#"{"Type": "User", "Message": "Function not found"}"#,
                "could not be called: lambda:InvokeFunction: Function not found (ResourceNotFoundException, status 404)",
            ),
            (
                429,
                &[("x-amzn-errortype", "TooManyRequestsException")],
                r#"{"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded", "message": "Rate Exceeded."}"#,
                "could not be reached: lambda:InvokeFunction: Rate Exceeded. (TooManyRequestsException, status 429)",
            ),
            (
                502,
                &[],
                "<html>",
                "could not be reached: lambda:InvokeFunction: no message (without a code, status 502)",
            ),
        ];
        for (status, headers, body, wanted) in table {
            assert_eq!(said(status, headers, body), wanted);
        }
    }
}
