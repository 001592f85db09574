//! HTTP/1.1 on one byte stream: the socket of [`crate::host_server`], or a pipe in memory, on which a simulation's clock
//! may stand still.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

use crate::host::{NoAnswer, Request, Response};

/// More than the host API takes, which says so itself.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// As the host API's server has it: what is longer is answered 431.
const MOST_HEAD_BYTES: usize = 128 * 1024;
const MOST_HEADERS: usize = 96;
/// Of what is written and not read yet. Each connection allocates it twice, and agents make one every few seconds.
const BUFFER: usize = 8 * 1024;

/// One HTTP request, read whole.
#[derive(Debug)]
pub struct Asked {
    /// Method, target and headers.
    pub head: http::request::Parts,
    pub body: Bytes,
}

impl Asked {
    /// A header, where it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// As a host takes it.
    pub fn to_host(&self) -> Request {
        Request {
            method: self.head.method.to_string(),
            path_and_query: self.head.uri.to_string(),
            content_type: self.header("content-type").map(str::to_owned),
            body: self.body.to_vec(),
        }
    }
}

/// Answers the requests on a stream until it is closed; `None` breaks it. With `idle`, which needs a running clock, a
/// connection that asks nothing for so long is closed.
pub async fn serve<A, F>(stream: impl AsyncRead + AsyncWrite + Unpin, idle: Option<Duration>, answer: A)
where
    A: Fn(Asked) -> F,
    F: Future<Output = Option<Response>>,
{
    let mut server = hyper::server::conn::http1::Builder::new();
    server.max_buf_size(MOST_HEAD_BYTES).max_headers(MOST_HEADERS);
    if let Some(idle) = idle {
        server.timer(TokioTimer::new()).header_read_timeout(idle);
    }
    let service = service_fn(|request| answered(request, &answer));
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection was closed");
    }
}

/// What a host's answer is on a connection, for [`serve`] and [`pipe`]: where it never comes the connection stays open, and
/// who asked gives up by a time-out.
pub async fn on_the_wire(answer: Result<Response, NoAnswer>) -> Option<Response> {
    match answer {
        Ok(response) => Some(response),
        Err(NoAnswer::Refused) => None,
        Err(NoAnswer::Silence { .. }) => std::future::pending().await,
    }
}

/// The client's end of a pipe whose other end is served. Call it inside a runtime.
pub fn pipe<A, F>(answer: A) -> DuplexStream
where
    A: Fn(Asked) -> F + Send + Sync + 'static,
    F: Future<Output = Option<Response>> + Send + 'static,
{
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    tokio::spawn(serve(theirs, None, answer));
    ours
}

async fn answered<F>(
    request: hyper::Request<Incoming>,
    answer: &impl Fn(Asked) -> F,
) -> io::Result<hyper::Response<Full<Bytes>>>
where
    F: Future<Output = Option<Response>>,
{
    let (head, body) = request.into_parts();
    let is_head = head.method == http::Method::HEAD;
    let body = Limited::new(body, MOST_BYTES).collect().await.map_err(io::Error::other)?.to_bytes();
    let response = answer(Asked { head, body }).await.ok_or(io::ErrorKind::ConnectionReset)?;
    let mut answer = hyper::Response::builder().status(response.status);
    if is_head {
        answer = answer.header("content-length", response.body.len());
    }
    if let Some(kind) = response.content_type {
        answer = answer.header("content-type", kind);
    }
    answer.body(Full::from(response.body)).map_err(io::Error::other)
}
