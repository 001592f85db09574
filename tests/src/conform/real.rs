//! A real host API on its Unix socket: one request a connection, and the whole answer as it came.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::ConformError;
use crate::host::Request;

/// For one request. A server whose worker is blocked answers 408 after 7 s (docs/facts/host-api.md#trap-12).
const LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at a command that runs, and two tries of a request that was answered 408.
const PAUSE: Duration = Duration::from_millis(250);
const TRIES: u32 = 20;

/// The host API at a path.
#[derive(Debug)]
pub(super) struct Real {
    socket: PathBuf,
    patience: Duration,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    /// The header `content-length`, where there is one.
    pub(super) length: Option<usize>,
    pub(super) body: String,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RealError {
    #[error("{path} cannot be reached")]
    Connect { path: PathBuf, source: io::Error },
    #[error("{request} broke off")]
    Broken { request: String, source: io::Error },
    #[error("{request} has no answer within {LIMIT:?}")]
    Silent { request: String },
    #[error("the answer to {request} is no HTTP: {begins:?}")]
    NoHttp { request: String, begins: String },
}

impl Answer {
    /// Its body, where that is JSON.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }
}

impl Real {
    pub(super) fn new(socket: &Path, patience: Duration) -> Self {
        Self { socket: socket.to_owned(), patience }
    }

    /// Asks, and once more where the one worker of the server was blocked.
    pub(super) async fn ask(&self, request: &Request) -> Result<Answer, RealError> {
        let mut tries = 1;
        loop {
            let answer = self.ask_once(request).await?;
            if answer.status != 408 || tries == TRIES {
                return Ok(answer);
            }
            tries += 1;
            sleep(PAUSE).await;
        }
    }

    /// Waits until no update command runs.
    pub(super) async fn settled(&self) -> Result<(), ConformError> {
        let begun = Instant::now();
        while self.ask(&Request::get("/updates/status")).await?.status == 423 {
            if begun.elapsed() >= self.patience {
                return Err(ConformError::Endless { patience: self.patience });
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn ask_once(&self, request: &Request) -> Result<Answer, RealError> {
        let title = || format!("{} {}", request.method, request.path_and_query);
        let exchange = timeout(LIMIT, self.exchange(request)).await;
        let bytes = exchange.map_err(|_| RealError::Silent { request: title() })??;
        read(&bytes).ok_or_else(|| RealError::NoHttp {
            request: title(),
            begins: String::from_utf8_lossy(&bytes).chars().take(80).collect(),
        })
    }

    async fn exchange(&self, request: &Request) -> Result<Vec<u8>, RealError> {
        let mut stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| RealError::Connect { path: self.socket.clone(), source })?;
        let Request { method, path_and_query, content_type, body } = request;
        let mut head = format!("{method} {path_and_query} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        if let Some(kind) = content_type {
            head.push_str(&format!("content-type: {kind}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let broken = |source| RealError::Broken { request: format!("{method} {path_and_query}"), source };
        stream.write_all(head.as_bytes()).await.map_err(broken)?;
        stream.write_all(body).await.map_err(broken)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.map_err(broken)?;
        Ok(bytes)
    }
}

/// Reads an answer that ends with its connection.
fn read(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let headers: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    let header = |name: &str| headers.iter().find(|(own, _)| own == name).map(|(_, value)| (*value).to_owned());
    Some(Answer {
        status,
        content_type: header("content-type"),
        length: header("content-length").and_then(|length| length.parse().ok()),
        body: String::from_utf8_lossy(&bytes[end + 4..]).into_owned(),
    })
}
