//! The simulated Region on TCP, for any AWS client with an endpoint setting. HTTP/1.1 without TLS: meant for the
//! loopback interface.

use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::region::Region;
use crate::wire::Request;

/// No request of the modelled operations comes near this.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Why a request has no answer: its connection is closed.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("failed to read the request")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the scenario breaks this connection")]
    Reset,
    #[error("failed to build the answer")]
    Answer(#[from] http::Error),
}

/// Answers connections until `stop` is ready; then the open ones are closed.
///
/// # Errors
/// The listener's, when it can accept no more.
pub async fn serve(region: Arc<Region>, listener: TcpListener, stop: impl Future<Output = ()>) -> io::Result<()> {
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                connections.spawn(talk(Arc::clone(&region), stream));
            }
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::warn!(%error, "a connection ended badly");
                }
            }
        }
    }
}

async fn talk(region: Arc<Region>, stream: TcpStream) {
    let service = service_fn(move |request| answer(Arc::clone(&region), request));
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection was closed");
    }
}

async fn answer(
    region: Arc<Region>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, Unanswered> {
    let (head, body) = request.into_parts();
    let target = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = Limited::new(body, MOST_BYTES).collect().await.map_err(Unanswered::Read)?.to_bytes();
    let response = region.call(Request { target, body }).await.ok_or(Unanswered::Reset)?;
    Ok(hyper::Response::builder()
        .status(response.status)
        .header("content-type", response.content_type)
        .header("x-amzn-requestid", response.request_id)
        .body(Full::from(response.body))?)
}
