//! Why a request has no answer.

use std::io;
use std::time::Duration;

use super::problem::SocketProblem;

/// Whether the server may have acted on a request that has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It never reached the server.
    No,
    /// It may have.
    Maybe,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The socket cannot be used as it is.
    #[error(transparent)]
    Socket(#[from] SocketProblem),
    /// The connection was refused again and again though the address exists: a stale socket
    /// (docs/facts/host-api.md#trap-9).
    #[error(
        "connections to {peer} were refused {tries} times, so nothing listens behind it: either the server there is \
         down (`systemctl status apiserver` on the host), or the socket is a stale bind mount from before the server \
         restarted, which only a restart of this container fixes (mount the directory, not the file)"
    )]
    Refused {
        /// The address.
        peer: String,
        /// How often it was tried.
        tries: u32,
    },
    /// The connection failed otherwise.
    #[error("cannot connect to {peer}")]
    Connect {
        /// The address.
        peer: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// No connection within the limit.
    #[error("no connection within {limit:?}")]
    ConnectTimeout {
        /// [`Limits::connect`](super::Limits::connect).
        limit: Duration,
    },
    /// HTTP could not be started on the connection.
    #[error("the connection cannot carry HTTP")]
    Handshake {
        /// What hyper said.
        source: hyper::Error,
    },
    /// The connection closed before the request was written.
    #[error("the connection was closed before the request was sent")]
    NotSent {
        /// What hyper said.
        source: hyper::Error,
    },
    /// The connection closed, or what came is no HTTP, after the request was written.
    #[error("the answer broke off")]
    BrokenOff {
        /// What hyper said.
        source: hyper::Error,
    },
    /// Nothing came from the server for too long.
    #[error("the server was silent for {limit:?}")]
    Silent {
        /// [`Limits::read`](super::Limits::read).
        limit: Duration,
    },
    /// The whole took too long.
    #[error("the answer was not complete after {limit:?}")]
    TooLong {
        /// [`Limits::total`](super::Limits::total).
        limit: Duration,
    },
    /// The body is longer than any real one.
    #[error("the answer is longer than {} MiB", .limit / (1024 * 1024))]
    TooBig {
        /// [`BODY_LIMIT`](super::BODY_LIMIT), in bytes.
        limit: usize,
    },
    /// The target is no path and query.
    #[error("{target:?} cannot be requested")]
    BadRequest {
        /// Path and query.
        target: String,
        /// What is wrong with it.
        source: http::Error,
    },
}

impl TransportError {
    /// Whether the server may have acted on the request.
    pub fn sent(&self) -> Sent {
        match self {
            Self::Socket(_)
            | Self::Refused { .. }
            | Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Handshake { .. }
            | Self::NotSent { .. }
            | Self::BadRequest { .. } => Sent::No,
            Self::BrokenOff { .. } | Self::Silent { .. } | Self::TooLong { .. } | Self::TooBig { .. } => Sent::Maybe,
        }
    }
}
