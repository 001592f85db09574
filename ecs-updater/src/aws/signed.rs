//! One request that is signed here, with the SDK's own signer: for services from which the program needs one operation.
//! Their whole client would bring in a hundred.

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
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use jiff::Timestamp;
use models::clean;

use super::answers::TooLong;
use super::calls::Gatekeeper;

/// How much of an error is shown.
pub(super) const MOST_SHOWN: usize = 300;

/// To the connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Until there are credentials, which the SDK's clients bound by themselves.
const CREDENTIALS_WITHIN: Duration = Duration::from_secs(30);

/// A request, and how it is sent.
pub(super) struct Signed<'a> {
    /// As the service is called in a signature.
    pub(super) service: &'static str,
    pub(super) operation: &'static str,
    pub(super) method: &'static str,
    pub(super) region: &'a str,
    /// With a path in which nothing is left to be encoded.
    pub(super) url: &'a str,
    pub(super) headers: &'a [(&'static str, &'a str)],
    pub(super) body: &'a str,
    pub(super) path: Path,
    /// How long one call may take. It is never sent a second time.
    pub(super) within: Duration,
    /// What stands before it.
    pub(super) gate: Option<Gatekeeper>,
}

/// How a service wants the path of a request signed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path {
    /// As it is: S3.
    AsItIs,
    /// Encoded once more: all others.
    EncodedAgain,
}

/// What a service answers.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    #[cfg(test)]
    pub(super) fn new(status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        Self { status, headers, body }
    }

    /// Returns a header by its name in small letters.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// The request could not be made.
    #[error("{0}")]
    NotMade(String),
    /// It was not sent, or was not answered.
    #[error("{}", chain(.0))]
    Sent(Box<SdkError<Infallible, HttpResponse>>),
}

impl Unanswered {
    /// Whether there was one that is longer than any real one, so that what was asked for may be done.
    pub(super) fn is_too_long(&self) -> bool {
        let Self::Sent(error) = self else { return false };
        let causes =
            std::iter::successors(Some(&**error as &(dyn std::error::Error + 'static)), |cause| cause.source());
        causes.into_iter().any(|cause| cause.is::<TooLong>())
    }

    /// Whether the time of the call was over.
    pub(super) fn is_late(&self) -> bool {
        matches!(self, Self::Sent(error) if matches!(**error, SdkError::TimeoutError(_)))
    }
}

/// Sends a request; `now` is the time of the signature.
///
/// # Errors
/// There is no answer.
pub(super) async fn send(config: &SdkConfig, signed: Signed<'_>, now: Timestamp) -> Result<Answer, Unanswered> {
    let request = made(config, &signed, now).await?;
    let client = config.http_client().ok_or_else(|| Unanswered::NotMade("there is no HTTP client".to_owned()))?;
    let operation = Operation::builder()
        .service_name(signed.service)
        .operation_name(signed.operation)
        .http_client(client)
        .endpoint_url(split(signed.url).0)
        .no_auth()
        .no_retry()
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(signed.within.min(CONNECT_WITHIN))
                .operation_timeout(signed.within)
                .build(),
        )
        .serializer(|request: HttpRequest| Ok(request))
        .deserializer::<_, Infallible>(|response: &HttpResponse| {
            let headers = response.headers().iter();
            Ok(Answer {
                status: response.status().as_u16(),
                headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
                body: response.body().bytes().map(<[u8]>::to_vec).unwrap_or_default(),
            })
        });
    let operation = match config.sleep_impl() {
        Some(sleep) => operation.sleep_impl(sleep),
        None => operation,
    };
    let operation = match signed.gate {
        Some(gate) => operation.interceptor(gate),
        None => operation,
    };
    operation.build().invoke(request).await.map_err(|error| Unanswered::Sent(Box::new(error)))
}

/// Makes the request with its signature.
async fn made(config: &SdkConfig, signed: &Signed<'_>, now: Timestamp) -> Result<HttpRequest, Unanswered> {
    let wrong = |error: &dyn std::error::Error| Unanswered::NotMade(chain(error));
    let provider =
        config.credentials_provider().ok_or_else(|| Unanswered::NotMade("no credentials were found".to_owned()))?;
    let within = signed.within.min(CREDENTIALS_WITHIN);
    let credentials = tokio::time::timeout(within, provider.provide_credentials())
        .await
        .map_err(|_| Unanswered::NotMade(format!("no credentials within {} s", within.as_secs())))?
        .map_err(|error| wrong(&error))?;
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    match signed.path {
        Path::AsItIs => {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        Path::EncodedAgain => {}
    }
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(signed.region)
        .name(signed.service)
        .time(SystemTime::from(now))
        .settings(settings)
        .build()
        .map_err(|error| wrong(&error))?
        .into();
    let body = SignableBody::Bytes(signed.body.as_bytes());
    let signable = SignableRequest::new(signed.method, signed.url, signed.headers.iter().copied(), body);
    let output = sign(signable.map_err(|error| wrong(&error))?, &parameters).map_err(|error| wrong(&error))?;
    let mut request = HttpRequest::new(SdkBody::from(signed.body));
    request.set_method(signed.method).map_err(|error| wrong(&error))?;
    request.set_uri(split(signed.url).1).map_err(|error| wrong(&error))?;
    for (name, value) in signed.headers.iter().copied().chain(output.output().headers()) {
        request.headers_mut().insert(name.to_owned(), value.to_owned());
    }
    Ok(request)
}

/// Returns where a request goes: to an endpoint that is named, or else to AWS's host.
pub(super) fn url(endpoint: Option<&str>, host: &str, path: &str) -> String {
    match endpoint {
        Some(endpoint) => format!("{}/{path}", endpoint.trim_end_matches('/')),
        None => format!("https://{host}/{path}"),
    }
}

/// Returns the domain of AWS's endpoints in a Region.
pub(super) fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// The scheme with the host, and the path.
fn split(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    url.split_at(url[host..].find('/').map_or(url.len(), |at| host + at))
}

/// An error and its causes, cut.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    clean::cut(&causes.map(ToString::to_string).collect::<Vec<_>>().join(": "), MOST_SHOWN)
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};
    use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

    use super::*;

    /// Says nothing, and never ends.
    #[derive(Debug)]
    struct Mute;

    impl ProvideCredentials for Mute {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_that_never_come_are_not_waited_for_without_end() {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Mute))
            .build();
        let signed = Signed {
            service: "lambda",
            operation: "Invoke",
            method: "POST",
            region: "eu-west-1",
            url: "http://127.0.0.1:1/",
            headers: &[],
            body: "",
            path: Path::EncodedAgain,
            within: Duration::from_secs(900),
            gate: None,
        };
        let error = send(&config, signed, "2026-11-23T03:00:00Z".parse().unwrap()).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.is_late()), ("no credentials within 30 s", false));
    }
}
