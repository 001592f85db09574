//! HTTP/1.1 over any byte stream: the API socket in life, an in-memory pipe in tests and simulation.
//!
//! One connection is kept while it is fresh; the real server closes an idle one after about 5 s, and a request that
//! meets the close is in doubt. So a connection that was idle for [`Limits::idle`] is not used again, and a request
//! is repeated, once, only if the server certainly did not process it: it never left this process, or it is a GET.
//! For every other failure [`TransportError::sent`] tells the caller whether the server may have acted.
//!
//! Dropping a request drops its connection with it, so an answer is never taken for that of another request.

mod connect;
mod error;
mod problem;
mod unix;

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

pub use connect::{BoxFuture, ByteStream, Connect, FromFn, Tcp, from_fn};
pub use error::{Sent, TransportError};
pub use problem::SocketProblem;
pub use unix::{API_SOCKET, UnixSocket};

/// How long each part of a request may take, and how often a refused connection is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// To get a connection, with the repeats after a refusal. The socket is local: a healthy server accepts in
    /// milliseconds, and a restarting one is back in a second or two.
    pub connect: Duration,
    /// How often a refused connection is tried: `apiserver` restarts when its own settings change.
    pub tries: u32,
    /// Without a byte from the server. `GET /settings` on a small host under load takes seconds.
    pub read: Duration,
    /// For the whole request. Every endpoint answers at once or starts its work in the background, so this is for
    /// a server that drips.
    pub total: Duration,
    /// A connection idle for this long is closed rather than used: the server closes at about 5 s, and 3 s leaves
    /// room for a slow scheduler.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            tries: 4,
            read: Duration::from_secs(15),
            total: Duration::from_secs(60),
            idle: Duration::from_secs(3),
        }
    }
}

/// An answer with a body longer than this is given up: the largest real one (all settings) is far below 10 MB.
pub const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// Between two tries; the default four take 1.5 s.
const CONNECT_PAUSE: Duration = Duration::from_millis(500);

/// One request.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// GET, POST, PUT, PATCH or DELETE.
    pub method: Method,
    /// Path and query, such as `/settings?prefix=updates`.
    pub target: String,
    /// A JSON body, sent with its content type.
    pub json: Option<Bytes>,
    /// Further headers; they take the place of our own of the same name.
    pub headers: HeaderMap,
}

impl Call {
    /// A GET without further headers.
    pub fn get(target: impl Into<String>) -> Self {
        Self { target: target.into(), ..Self::default() }
    }
}

/// The answer to a [`Call`], whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The body, empty where there was none.
    pub body: Bytes,
}

/// Sends requests to one server.
pub struct Transport {
    connect: Box<dyn Connect>,
    limits: Limits,
    idle: Mutex<Option<Idle>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Drives the connection; it ends with the value.
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Transport {
    /// Nothing is opened before the first request.
    pub fn new(connect: impl Connect + 'static, limits: Limits) -> Self {
        Self { connect: Box::new(connect), limits, idle: Mutex::new(None) }
    }

    /// Where requests go, for messages.
    pub fn peer(&self) -> String {
        self.connect.peer()
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// [`TransportError`]; its [`sent`](TransportError::sent) says whether the server may have acted on the request.
    pub async fn send(&self, call: &Call) -> Result<Answer, TransportError> {
        let total = self.limits.total;
        let started = Instant::now();
        let result = match timeout(total, self.send_untimed(call)).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::TooLong { limit: total }),
        };
        match &result {
            Ok(answer) => debug!(
                "{} {} -> {}, {} B in {:?}",
                call.method,
                call.target,
                answer.status.as_u16(),
                answer.body.len(),
                started.elapsed()
            ),
            Err(error) => debug!("{} {} -> {error}", call.method, call.target),
        }
        result
    }

    async fn send_untimed(&self, call: &Call) -> Result<Answer, TransportError> {
        if let Some(connection) = self.take_idle() {
            match self.exchange(connection, call).await {
                Err(error) if repeatable(&error, call) => debug!("the kept connection was closed: {error}"),
                done => return done,
            }
        }
        let connection = self.open().await?;
        self.exchange(connection, call).await
    }

    fn take_idle(&self) -> Option<Connection> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        (idle.since.elapsed() < self.limits.idle && !idle.connection.sender.is_closed()).then_some(idle.connection)
    }

    fn keep(&self, connection: Connection) {
        let idle = Idle { connection, since: Instant::now() };
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(idle);
    }

    async fn open(&self) -> Result<Connection, TransportError> {
        self.connect.check()?;
        let limit = self.limits.connect;
        let stream = match timeout(limit, self.connect_patiently()).await {
            Ok(stream) => stream?,
            Err(_) => return Err(TransportError::ConnectTimeout { limit }),
        };
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|source| TransportError::Handshake { source })?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!("the connection ended: {error}");
            }
        })
        .abort_handle();
        Ok(Connection { sender, driver })
    }

    async fn connect_patiently(&self) -> Result<Box<dyn ByteStream>, TransportError> {
        let mut tries = 1;
        loop {
            let error = match self.connect.connect().await {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            };
            match error.kind() {
                // A full backlog; the connect time-out ends it.
                std::io::ErrorKind::WouldBlock => {}
                std::io::ErrorKind::ConnectionRefused if tries < self.limits.tries => tries += 1,
                std::io::ErrorKind::ConnectionRefused => {
                    return Err(TransportError::Refused { peer: self.connect.peer(), tries });
                }
                _ => {
                    self.connect.explain(&error)?;
                    return Err(TransportError::Connect { peer: self.connect.peer(), source: error });
                }
            }
            sleep(CONNECT_PAUSE).await;
        }
    }

    async fn exchange(&self, mut connection: Connection, call: &Call) -> Result<Answer, TransportError> {
        let limit = self.limits.read;
        connection.sender.ready().await.map_err(|source| TransportError::NotSent { source })?;
        let request = request(call)?;
        let answer = self
            .read_within(connection.sender.try_send_request(request))
            .await
            .ok_or(TransportError::Silent { limit })?;
        let (head, mut body) = match answer {
            Ok(answer) => answer.into_parts(),
            Err(mut error) => {
                let never_left = error.take_message().is_some();
                let source = error.into_error();
                return Err(if never_left {
                    TransportError::NotSent { source }
                } else {
                    TransportError::BrokenOff { source }
                });
            }
        };
        let mut bytes = BytesMut::new();
        while let Some(frame) = self.read_within(body.frame()).await.ok_or(TransportError::Silent { limit })? {
            let frame = frame.map_err(|source| TransportError::BrokenOff { source })?;
            if let Some(data) = frame.data_ref() {
                if bytes.len() + data.len() > BODY_LIMIT {
                    return Err(TransportError::TooBig { limit: BODY_LIMIT });
                }
                bytes.extend_from_slice(data);
            }
        }
        self.keep(connection);
        Ok(Answer { status: head.status, body: bytes.freeze() })
    }

    async fn read_within<F: Future>(&self, work: F) -> Option<F::Output> {
        timeout(self.limits.read, work).await.ok()
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("peer", &self.peer()).field("limits", &self.limits).finish()
    }
}

fn repeatable(error: &TransportError, call: &Call) -> bool {
    match error {
        TransportError::NotSent { .. } => true,
        // The server closed while the request was on its way: harmless to ask twice, not to act twice.
        TransportError::BrokenOff { .. } => call.method == Method::GET,
        _ => false,
    }
}

fn request(call: &Call) -> Result<Request<Full<Bytes>>, TransportError> {
    let mut request = Request::builder()
        .method(&call.method)
        .uri(&call.target)
        .header(HOST, HeaderValue::from_static("localhost"))
        .header(USER_AGENT, HeaderValue::from_static(concat!("host-bridge/", env!("CARGO_PKG_VERSION"))));
    if call.json.is_some() {
        request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let mut request = request
        .body(Full::new(call.json.clone().unwrap_or_default()))
        .map_err(|source| TransportError::BadRequest { target: call.target.clone(), source })?;
    for (name, value) in &call.headers {
        request.headers_mut().insert(name, value.clone());
    }
    Ok(request)
}
