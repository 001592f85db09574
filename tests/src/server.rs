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
use crate::wire::{Aim, Request, Signature};

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
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let Aim { target, is_cbor, rest, function } = Aim::read(header, head.method.as_str(), &head.uri);
    let signature = header("authorization").and_then(Signature::read);
    let body = Limited::new(body, MOST_BYTES).collect().await.map_err(Unanswered::Read)?.to_bytes();
    let request = Request { target, is_cbor, rest, function, body, signature, ..Request::default() };
    let response = region.call(request).await.ok_or(Unanswered::Reset)?;
    let mut answer = hyper::Response::builder().status(response.status);
    for (name, value) in response.more_headers() {
        answer = answer.header(name, value);
    }
    Ok(answer
        .header("content-type", response.content_type)
        .header("x-amzn-requestid", response.request_id)
        .body(Full::from(response.body))?)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::Scenario;

    async fn exchange(address: std::net::SocketAddr, operation: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\
             X-Amz-Target: AmazonEC2ContainerServiceV20141113.{operation}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn answers_over_tcp_until_it_is_stopped() {
        let text = "[[instances]]\ncluster = \"web\"\n\
            [[fault]]\noperation = \"ecs:DescribeClusters\"\nreset = \"before\"";
        let region = Region::start_scaled(&Scenario::parse(text).unwrap(), 100).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(serve(Arc::clone(&region), listener, async {
            stopped.await.unwrap();
        }));
        let answer = exchange(address, "ListContainerInstances", "{\"cluster\":\"web\"}").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("content-type: application/x-amz-json-1.1"), "{answer}");
        assert!(answer.contains(":container-instance/web/"), "{answer}");
        let answer = exchange(address, "ListTasks", "{\"cluster\":\"odd\"}").await;
        assert!(answer.contains("ClusterNotFoundException"), "{answer}");
        assert_eq!(exchange(address, "DescribeClusters", "{}").await, "", "the scenario breaks it");
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
        assert_eq!(region.calls().len(), 3);
    }
}
