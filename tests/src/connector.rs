//! The AWS SDK's `HttpClient`, in process: calls reach the simulated Region without a socket, so that a whole night
//! passes on tokio's paused clock in a moment.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use ecs_updater::aws::checked;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::region::Region;
use crate::wire::{Aim, Caller, Request, Response};

impl Region {
    /// An HTTP client for the AWS SDK that ends in this Region, whatever endpoint the SDK means to call. Answers are checked
    /// as those of AWS are.
    pub fn http_client(self: &Arc<Self>) -> SharedHttpClient {
        self.client(None, Caller::Updater)
    }

    /// As [`Region::http_client`], for one of several processes that call. What it has sent is carried out even while
    /// the process stands still, as on a real network.
    pub fn http_client_of(self: &Arc<Self>, process: u32) -> SharedHttpClient {
        self.client(Some(process), Caller::Updater)
    }

    /// As [`Region::http_client_of`], for a person who carries out a wish by a command that is no run.
    pub fn http_client_of_person(self: &Arc<Self>, process: u32) -> SharedHttpClient {
        self.client(Some(process), Caller::Person)
    }

    fn client(self: &Arc<Self>, process: Option<u32>, by: Caller) -> SharedHttpClient {
        checked(SharedHttpClient::new(Client { region: Arc::clone(self), process, by }))
    }
}

#[derive(Debug, Clone)]
struct Client {
    region: Arc<Region>,
    process: Option<u32>,
    by: Caller,
}

#[derive(Debug, Clone)]
struct Connector {
    region: Arc<Region>,
    process: Option<u32>,
    by: Caller,
    read_timeout: Option<Duration>,
}

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            region: Arc::clone(&self.region),
            process: self.process,
            by: self.by,
            read_timeout: settings.read_timeout(),
        })
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (region, process, by, read_timeout) = (Arc::clone(&self.region), self.process, self.by, self.read_timeout);
        HttpConnectorFuture::new(async move {
            let clock = region.clock();
            let call = answer(region, process, Request { by, ..received(request).await? });
            let answer = match read_timeout {
                Some(limit) => tokio::time::timeout(limit, call)
                    .await
                    .map_err(|_| ConnectorError::timeout("the simulated Region did not answer in time".into()))?,
                None => call.await,
            };
            match answer {
                Some(response) => sdk_response(response, clock.now()),
                None => Err(ConnectorError::io("connection reset by the simulated Region".into())),
            }
        })
    }
}

/// The request as the Region receives it. Its body is read to the end, as a network takes it: the SDK watches how fast it
/// goes, and would give up a call whose body nobody reads after five seconds.
async fn received(request: HttpRequest) -> Result<Request, ConnectorError> {
    let uri = request.uri().parse::<http::Uri>().unwrap_or_default();
    let Aim { target, is_cbor, rest, function } = Aim::read(|name| request.headers().get(name), request.method(), &uri);
    let body = ByteStream::new(request.into_body()).collect().await;
    let body = body.map_err(|error| ConnectorError::io(error.into()))?.into_bytes();
    Ok(Request { target, is_cbor, rest, function, body, ..Request::default() })
}

/// `None` when the connection breaks.
fn answer(
    region: Arc<Region>,
    process: Option<u32>,
    request: Request,
) -> Pin<Box<dyn Future<Output = Option<Response>> + Send>> {
    match process {
        None => Box::pin(async move { region.call(request).await }),
        Some(process) => {
            let sent = tokio::spawn(async move { region.call_by(process, request).await });
            Box::pin(async move { sent.await.ok().flatten() })
        }
    }
}

fn sdk_response(response: Response, now: Timestamp) -> Result<HttpResponse, ConnectorError> {
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
    let date = date.map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut answer = http::Response::builder().status(response.status);
    for (name, value) in response.more_headers() {
        answer = answer.header(name, value);
    }
    let answer = answer
        .header("content-type", response.content_type)
        .header("date", date)
        .header("x-amzn-requestid", response.request_id)
        .body(SdkBody::from(response.body))
        .map_err(|error| ConnectorError::other(error.into(), None))?;
    HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
}
