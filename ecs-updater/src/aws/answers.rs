//! What an answer must be before the SDK reads it: no longer than a real one, so that a false service does not fill this
//! machine's memory, and whole, because the SDK takes XML that is cut off for a shorter answer.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited, StreamBody};
use hyper::body::Frame;
use xmlparser::{ElementEnd, Token, Tokenizer};

use super::no_way;

/// The most bytes that an answer may have. The longest real one describes a thousand EC2 instances; with fifty tags each,
/// as long as EC2 takes them, it has some 30 MB.
const MOST: usize = 64 << 20;

/// By these words an error says that an answer was too long.
pub(super) const TOO_LONG: &str = "the answer is longer than any real one";

/// By these words an error says that an answer was cut off or broken.
pub(super) const NOT_WHOLE: &str = "the answer is not whole";

/// An answer was longer than [`MOST`]; the rest of it was not read.
#[derive(Debug, thiserror::Error)]
#[error("{TOO_LONG}: more than {} MiB", MOST >> 20)]
pub(super) struct TooLong;

/// An answer in XML did not end where its first element does. The decoder of the SDK ends silently at the end of the text
/// and at the first thing that is no XML (`next_start_element` of aws-smithy-xml 0.64): an instance without its tags, or
/// fewer instances than there are.
#[derive(Debug, thiserror::Error)]
#[error("{NOT_WHOLE}: its XML ends or breaks off after {read} of {all} bytes")]
struct NotWhole {
    read: usize,
    all: usize,
}

/// Returns the client with each answer checked: one that is longer than any real one, or that is XML and not whole, is an
/// error of the answer.
pub fn checked(client: SharedHttpClient) -> SharedHttpClient {
    SharedHttpClient::new(CheckedClient(client))
}

#[derive(Debug)]
struct CheckedClient(SharedHttpClient);

impl HttpClient for CheckedClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(CheckedConnector(self.0.http_connector(settings, components)))
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.validate_base_client_config(components, config)
    }

    fn validate_final_config(&self, components: &RuntimeComponents, config: &ConfigBag) -> Result<(), BoxError> {
        self.0.validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

#[derive(Debug)]
struct CheckedConnector(SharedHttpConnector);

impl HttpConnector for CheckedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let uri = request.uri().to_owned();
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await.map_err(|error| no_way::named(&uri, error))?;
            *answer.body_mut() = match read(answer.take_body()).await {
                Ok(text) => SdkBody::from(text),
                Err(error) => failing(error),
            };
            Ok(answer)
        })
    }
}

/// # Errors
/// The body is too long, is XML and not whole, or could not be read.
async fn read(body: SdkBody) -> Result<Bytes, BoxError> {
    let too_long = |error: BoxError| if error.is::<LengthLimitError>() { TooLong.into() } else { error };
    let text = Limited::new(body, MOST).collect().await.map_err(too_long)?.to_bytes();
    check_xml(&text)?;
    Ok(text)
}

/// A body that cannot be read: the SDK takes the error for one of the answer, as if the transport had found it.
fn failing(error: BoxError) -> SdkBody {
    let frames = futures_util::stream::once(async move { Err::<Frame<Bytes>, BoxError>(error) });
    SdkBody::from_body_1_x(StreamBody::new(frames))
}

/// Checks that a text which begins like XML goes on so until the end of its first element.
fn check_xml(text: &[u8]) -> Result<(), NotWhole> {
    if text.trim_ascii_start().first() != Some(&b'<') {
        return Ok(());
    }
    let not_whole = |read| NotWhole { read, all: text.len() };
    let xml = std::str::from_utf8(text).map_err(|error| not_whole(error.valid_up_to()))?;
    let mut open = 0_usize;
    let mut has_ended = false;
    let mut read = 0;
    for token in Tokenizer::from(xml) {
        let token = token.map_err(|_| not_whole(read))?;
        read = token.span().end();
        if let Token::ElementEnd { end, .. } = token {
            match end {
                ElementEnd::Open => open += 1,
                ElementEnd::Close(..) => open = open.checked_sub(1).ok_or_else(|| not_whole(read))?,
                ElementEnd::Empty => {}
            }
            has_ended = open == 0;
        }
    }
    if has_ended { Ok(()) } else { Err(not_whole(read)) }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_sdk_ecs::config::{Credentials, SharedCredentialsProvider};
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use aws_smithy_types::retry::RetryConfig;
    use bytes::Bytes;
    use hyper::body::Body;
    use models::ids::{ClusterName, HostId};

    use super::*;
    use crate::aws::{Aws, ErrorKind};

    /// A body of spaces without an end, as from a service that does not stop.
    struct Endless;

    impl Body for Endless {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 1 << 16])))))
        }
    }

    /// Answers each request alike.
    #[derive(Debug)]
    struct Fake(fn() -> (u16, SdkBody));

    impl HttpClient for Fake {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            SharedHttpConnector::new(Self(self.0))
        }
    }

    impl HttpConnector for Fake {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let (status, body) = (self.0)();
            HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), body)))
        }
    }

    fn aws(answer: fn() -> (u16, SdkBody)) -> Aws {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .retry_config(RetryConfig::disabled())
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "secret", None, None, "test")))
            .http_client(checked(SharedHttpClient::new(Fake(answer))))
            .build();
        Aws::reading(&config)
    }

    #[tokio::test]
    async fn an_answer_without_an_end_is_given_up() {
        for answer in [|| (200, SdkBody::from_body_1_x(Endless)), || (500, SdkBody::from_body_1_x(Endless))] {
            let error = aws(answer).describe_clusters(&["web".into()]).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::NoAnswer);
            assert!(error.to_string().contains("longer than any real one: more than 64 MiB"), "{error}");
            assert!(error.advice().contains("--endpoint-url"), "{}", error.advice());
        }
    }

    #[tokio::test]
    async fn an_answer_in_one_piece_is_limited_too_and_a_real_one_is_read() {
        let error =
            aws(|| (200, SdkBody::from(vec![b' '; MOST + 1]))).describe_clusters(&["web".into()]).await.unwrap_err();
        assert!(error.to_string().contains("longer than any real one"), "{error}");
        let name: ClusterName = "web".into();
        let answer = aws(|| (200, SdkBody::from("{\"clusters\":[{\"clusterName\":\"web\"}]}")));
        assert!(answer.describe_clusters(std::slice::from_ref(&name)).await.unwrap().tags.contains_key(&name));
    }

    /// Cut anywhere, broken anywhere: never a shorter answer.
    #[test]
    fn xml_is_whole_or_not_read() {
        let whole = "<?xml version=\"1.0\"?>\n<R xmlns=\"x\"><set><item><id>i-1</id><tags/></item></set></R>\n";
        assert!(check_xml(whole.as_bytes()).is_ok());
        assert!(check_xml(b"<Only/>").is_ok());
        let end = whole.trim_end().len();
        for cut in 1..end {
            assert!(check_xml(&whole.as_bytes()[..cut]).is_err(), "cut at {cut}: {}", &whole[..cut]);
        }
        for broken in ["<R><set><item></set", "<R><a>1</a>< <b>2</b></R>", "<R></R></R>", "<R>\u{fffd}<", "<R><a></R"] {
            assert!(check_xml(broken.as_bytes()).is_err(), "{broken}");
        }
        assert!(check_xml(b"<R>\xff</R>").is_err());
        for other in ["", "{\"a\": 1}", "{\"a\":", "no XML"] {
            assert!(check_xml(other.as_bytes()).is_ok(), "{other}");
        }
    }

    #[tokio::test]
    async fn an_instance_is_not_taken_for_untagged_because_its_tags_were_cut_off() {
        const CUT: &str =
            "<DescribeInstancesResponse><reservationSet><item><instancesSet><item><instanceId>i-1</instanceId>";
        let id: HostId = "i-1".into();
        let error = aws(|| (200, SdkBody::from(CUT))).describe_instances(&[id]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NoAnswer);
        assert!(error.to_string().contains("the answer is not whole"), "{error}");
    }
}
