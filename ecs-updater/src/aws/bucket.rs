//! S3: one object. A request that is signed here, by what the SDK itself signs with, since the client of S3 would carry a
//! hundred operations into the program for one.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use jiff::Timestamp;
use models::clean;
use xmlparser::{ElementEnd, Token, Tokenizer};

const PUT_OBJECT: &str = "s3:PutObject";
/// One request.
const WITHIN: Duration = Duration::from_secs(10);
/// How much of a refusal is shown.
const MOST_SHOWN: usize = 300;
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
    let wrong = |error: &dyn std::error::Error| NotStored(chain(error));
    let region = config.region().ok_or_else(|| NotStored("no Region is set".to_owned()))?.as_ref().to_owned();
    let provider = config.credentials_provider().ok_or_else(|| NotStored("no credentials were found".to_owned()))?;
    let credentials = provider.provide_credentials().await.map_err(|error| wrong(&error))?;
    let url = url(config.endpoint_url(), &region, object);
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&region)
        .name("s3")
        .time(SystemTime::from(now))
        .settings(settings)
        .build()
        .map_err(|error| wrong(&error))?
        .into();
    let own = [("content-type", object.content_type)];
    let signable =
        SignableRequest::new("PUT", url.as_str(), own.into_iter(), SignableBody::Bytes(object.body.as_bytes()));
    let signed = sign(signable.map_err(|error| wrong(&error))?, &parameters).map_err(|error| wrong(&error))?;
    let mut request = HttpRequest::new(SdkBody::from(object.body));
    request.set_method("PUT").map_err(|error| wrong(&error))?;
    let (endpoint, path) = split(&url);
    request.set_uri(path).map_err(|error| wrong(&error))?;
    for (name, value) in own.into_iter().chain(signed.output().headers()) {
        request.headers_mut().insert(name.to_owned(), value.to_owned());
    }
    send(config, endpoint, request).await
}

/// A bucket's own host, or with an endpoint that is named a path there.
fn url(endpoint: Option<&str>, region: &str, Object { bucket, key, .. }: Object<'_>) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    match endpoint {
        Some(endpoint) => format!("{}/{bucket}/{key}", endpoint.trim_end_matches('/')),
        // TLS has no certificate for a bucket whose name has a dot.
        None if bucket.contains('.') => format!("https://s3.{region}.{domain}/{bucket}/{key}"),
        None => format!("https://{bucket}.s3.{region}.{domain}/{key}"),
    }
}

/// The scheme with the host, and the path.
fn split(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    url.split_at(url[host..].find('/').map_or(url.len(), |at| host + at))
}

async fn send(config: &SdkConfig, endpoint: &str, request: HttpRequest) -> Result<(), NotStored> {
    let client = config.http_client().ok_or_else(|| NotStored("there is no HTTP client".to_owned()))?;
    let operation = Operation::builder()
        .service_name("s3")
        .operation_name("PutObject")
        .http_client(client)
        .endpoint_url(endpoint)
        .no_auth()
        .no_retry()
        .timeout_config(TimeoutConfig::builder().connect_timeout(WITHIN).operation_timeout(WITHIN).build())
        .serializer(|request: HttpRequest| Ok(request))
        .deserializer::<_, Infallible>(|response: &HttpResponse| {
            let body = response.body().bytes().map(|body| String::from_utf8_lossy(body).into_owned());
            Ok((response.status().as_u16(), body.unwrap_or_default()))
        });
    let operation = match config.sleep_impl() {
        Some(sleep) => operation.sleep_impl(sleep),
        None => operation,
    };
    match operation.build().invoke(request).await {
        Ok((200..=299, _)) => Ok(()),
        Ok((status, body)) => Err(NotStored(refusal(status, &body))),
        Err(error) => Err(NotStored(chain(&error))),
    }
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

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    clean::cut(&causes.map(ToString::to_string).collect::<Vec<_>>().join(": "), MOST_SHOWN)
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
