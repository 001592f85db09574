//! The smallest HTTP server that can misbehave: it reads requests from a stream and writes whatever bytes it is told.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// Reads one request; `None` when the client has closed.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse().unwrap()))
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let mut first = head.lines().next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
    Some(Request { method, target, head, body })
}

/// A whole answer, without a content type, as the real server sends its errors.
pub(crate) fn answer(status: u16, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = if status == 204 { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let mut bytes = format!("HTTP/1.1 {status} Whatever\r\n{length}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// What a server does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Writes these bytes, and takes the next request.
    Bytes(Vec<u8>),
    /// Writes these bytes, and closes.
    Last(Vec<u8>),
    /// Never says anything.
    Hang,
}

pub(crate) fn text(status: u16, body: &str) -> Reply {
    Reply::Bytes(answer(status, body))
}

/// Serves one connection until the client closes it.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, mut handle: impl FnMut(Request) -> Reply) {
    while let Some(request) = read_request(&mut stream).await {
        match handle(request) {
            Reply::Bytes(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Reply::Last(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Reply::Hang => std::future::pending().await,
        }
    }
}
