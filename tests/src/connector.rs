//! The AWS SDK's `HttpClient`, in process: calls reach the simulated Region without a socket, so that a whole night
//! passes on tokio's paused clock in a moment.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use crate::region::Region;
use crate::wire::{Request, Response};

impl Region {
    /// An HTTP client for the AWS SDK that ends in this Region, whatever endpoint the SDK means to call.
    pub fn http_client(self: &Arc<Self>) -> SharedHttpClient {
        SharedHttpClient::new(Client { region: Arc::clone(self) })
    }
}

#[derive(Debug, Clone)]
struct Client {
    region: Arc<Region>,
}

#[derive(Debug, Clone)]
struct Connector {
    region: Arc<Region>,
    read_timeout: Option<Duration>,
}

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector { region: Arc::clone(&self.region), read_timeout: settings.read_timeout() })
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (region, read_timeout) = (Arc::clone(&self.region), self.read_timeout);
        let request = Request {
            target: request.headers().get("x-amz-target").map(str::to_owned),
            body: Bytes::copy_from_slice(request.body().bytes().unwrap_or_default()),
            ..Request::default()
        };
        HttpConnectorFuture::new(async move {
            let answer = match read_timeout {
                Some(limit) => tokio::time::timeout(limit, region.call(request))
                    .await
                    .map_err(|_| ConnectorError::timeout("the simulated Region did not answer in time".into()))?,
                None => region.call(request).await,
            };
            match answer {
                Some(response) => sdk_response(response),
                None => Err(ConnectorError::io("connection reset by the simulated Region".into())),
            }
        })
    }
}

fn sdk_response(response: Response) -> Result<HttpResponse, ConnectorError> {
    let answer = http::Response::builder()
        .status(response.status)
        .header("content-type", response.content_type)
        .header("x-amzn-requestid", response.request_id)
        .body(SdkBody::from(response.body))
        .map_err(|error| ConnectorError::other(error.into(), None))?;
    HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
}
