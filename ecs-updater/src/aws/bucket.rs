//! S3: one object.

use std::time::Duration;

use aws_config::SdkConfig;
use jiff::Timestamp;
use models::clean;
use xmlparser::{ElementEnd, Token, Tokenizer};

use super::signed::{self, MOST_SHOWN, Path, Signed, domain, send};

const PUT_OBJECT: &str = "s3:PutObject";
/// One request.
const WITHIN: Duration = Duration::from_secs(10);
/// The longest code of a refusal.
const LONGEST_CODE: usize = 100;

/// An object, and where it is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'a> {
    pub(crate) bucket: &'a str,
    /// Letters, digits and the characters `/ _ . -`, so that nothing in it has to be encoded.
    pub(crate) key: &'a str,
    pub(crate) content_type: &'static str,
    pub(crate) body: &'a str,
}

/// Why an object is not there, as far as is known.
#[derive(Debug, thiserror::Error)]
#[error("{PUT_OBJECT}: {0}")]
pub(crate) struct NotStored(String);

/// Puts an object into its bucket; one of the same name is replaced.
///
/// `now` is the time of the signature.
///
/// # Errors
/// It is not there, or that is not known.
pub(crate) async fn put_object(config: &SdkConfig, object: Object<'_>, now: Timestamp) -> Result<(), NotStored> {
    let region = config.region().ok_or_else(|| NotStored("no Region is set".to_owned()))?.as_ref();
    let url = url(config.endpoint_url(), region, object);
    let signed = Signed {
        service: "s3",
        operation: "PutObject",
        method: "PUT",
        region,
        url: &url,
        headers: &[("content-type", object.content_type)],
        body: object.body,
        path: Path::AsItIs,
        within: WITHIN,
        gate: None,
    };
    let answer = send(config, signed, now).await.map_err(|error| NotStored(error.to_string()))?;
    match answer.status {
        200..=299 => Ok(()),
        status => Err(NotStored(refusal(status, &String::from_utf8_lossy(&answer.body)))),
    }
}

/// A bucket's own host, or with an endpoint that is named a path there.
fn url(endpoint: Option<&str>, region: &str, Object { bucket, key, .. }: Object<'_>) -> String {
    let host = format!("s3.{region}.{}", domain(region));
    // TLS has no certificate for a bucket whose name has a dot.
    if endpoint.is_none() && !bucket.contains('.') {
        return signed::url(None, &format!("{bucket}.{host}"), key);
    }
    signed::url(endpoint, &host, &format!("{bucket}/{key}"))
}

/// Returns what a refusal says: its status, and of its body the code and the message alone. In other elements S3 sends back
/// what it was sent, such as a session's token and the id of an access key.
fn refusal(status: u16, body: &str) -> String {
    let text = |element, most| text_of(body, element).map(|text| clean::cut(&unescaped(text), most));
    match (text("Code", LONGEST_CODE), text("Message", MOST_SHOWN)) {
        (Some(code), Some(message)) => format!("status {status}: {message} ({code})"),
        (Some(said), None) | (None, Some(said)) => format!("status {status}: {said}"),
        (None, None) => format!("status {status}"),
    }
}

/// Returns the text of the first element of this name that has one.
fn text_of<'a>(xml: &'a str, element: &str) -> Option<&'a str> {
    let mut is_inside = false;
    for token in Tokenizer::from(xml) {
        let token = token.ok()?;
        if let Token::ElementStart { local, .. } = token {
            is_inside = local.as_str() == element;
        } else if let Token::ElementEnd { end: ElementEnd::Close(..) | ElementEnd::Empty, .. } = token {
            is_inside = false;
        } else if let Token::Text { text } = token
            && is_inside
        {
            return Some(text.as_str());
        }
    }
    None
}

/// Returns the text with the characters that XML writes by a name.
fn unescaped(text: &str) -> String {
    let named = [("&quot;", "\""), ("&apos;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    named.into_iter().fold(text.to_owned(), |text, (name, char)| text.replace(name, char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_an_object_goes() {
        let of = |bucket, endpoint, region| {
            url(endpoint, region, Object { bucket, key: "a/b.json", content_type: "", body: "" })
        };
        for (bucket, endpoint, region, wanted) in [
            ("runs", None, "eu-west-1", "https://runs.s3.eu-west-1.amazonaws.com/a/b.json"),
            ("runs", None, "cn-north-1", "https://runs.s3.cn-north-1.amazonaws.com.cn/a/b.json"),
            ("my.runs", None, "eu-west-1", "https://s3.eu-west-1.amazonaws.com/my.runs/a/b.json"),
            ("runs", Some("http://127.0.0.1:1/"), "eu-west-1", "http://127.0.0.1:1/runs/a/b.json"),
        ] {
            assert_eq!(of(bucket, endpoint, region), wanted);
        }
    }

    #[test]
    fn of_a_refusal_only_its_code_and_its_message_are_shown() {
        let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Token-0>FwoGZXIvYXdzEA</Token-0><Code>ExpiredToken</Code>\
            <Message>The provided token\n has &quot;expired&quot; &amp;lt;\u{202e}.</Message><AWSAccessKeyId>ASIAEXAMPLE</AWSAccessKeyId>\
            <RequestId>1</RequestId></Error>";
        let expected = "status 400: The provided token  has \"expired\" &lt;\u{fffd}. (ExpiredToken)";
        assert_eq!(refusal(400, body), expected);
        let table = [
            ("", "status 403"),
            ("token=FwoGZXIvYXdzEA", "status 403"),
            ("<Error><Token-0>FwoGZXIvYXdzEA</Token-0></Error>", "status 403"),
            ("<Error><Code/><Message>no</Message></Error>", "status 403: no"),
            ("<Error><Code>AccessDenied</Code><Mess", "status 403: AccessDenied"),
        ];
        for (body, expected) in table {
            assert_eq!(refusal(403, body), expected, "{body}");
        }
    }
}
