//! A limit on what one answer may hold: whoever answers in the place of AWS must not fill this machine's memory.

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

/// An answer was longer than [`MOST`]; the rest of it was not read.
#[derive(Debug, thiserror::Error)]
#[error("the answer is longer than {} MiB", MOST >> 20)]
pub(super) struct TooLong;

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
