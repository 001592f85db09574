//! A limit on what one answer may hold: a server in the place of AWS must not fill this machine's memory.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

/// The most bytes that an answer may have. The longest real one describes a thousand EC2 instances; with fifty tags each,
/// as long as EC2 takes them, it has some 30 MB.
const MOST: usize = 64 << 20;

/// By these words an error says that an answer was too long.
pub(super) const TOO_LONG: &str = "the answer is longer than any real one";

/// An answer was longer than [`MOST`]; the rest of it was not read.
#[derive(Debug, thiserror::Error)]
#[error("{TOO_LONG}: more than {} MiB", MOST >> 20)]
struct TooLong;

/// A client that gives up an answer which is longer than any real one.
#[derive(Debug)]
pub(super) struct LimitedClient(SharedHttpClient);

impl LimitedClient {
    pub(super) fn over(client: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Self(client))
    }
}

impl HttpClient for LimitedClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(LimitedConnector(self.0.http_connector(settings, components)))
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
struct LimitedConnector(SharedHttpConnector);

impl HttpConnector for LimitedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move { answer.await.map(|answer| answer.map(limited)) })
    }
}

fn limited(body: SdkBody) -> SdkBody {
    body.map(|body| {
        let too_long = |error: BoxError| if error.is::<LengthLimitError>() { TooLong.into() } else { error };
        SdkBody::from_body_1_x(Limited::new(body, MOST).map_err(too_long))
    })
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
    use hyper::body::{Body, Frame};
    use models::ids::ClusterName;

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
            .http_client(LimitedClient::over(SharedHttpClient::new(Fake(answer))))
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
}
