//! Where the bytes go.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::problem::SocketProblem;

/// A future that a trait object returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What HTTP can be spoken over.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// Opens connections to one server.
pub trait Connect: Send + Sync {
    /// Opens one connection. `ConnectionRefused` is repeated by the caller, any other error is not.
    fn connect(&self) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>>;

    /// Where the connections go, for messages.
    fn peer(&self) -> String;

    /// Looks for what would keep a connection from coming about; done before each new one.
    ///
    /// # Errors
    /// [`SocketProblem`] that tells the person what to do.
    fn check(&self) -> Result<(), SocketProblem> {
        Ok(())
    }

    /// Finds the reason for a failed connection, `Ok` where nothing better is known than the error itself.
    ///
    /// # Errors
    /// [`SocketProblem`] that tells the person what to do.
    fn explain(&self, _error: &io::Error) -> Result<(), SocketProblem> {
        self.check()
    }
}

/// TCP, for the ECS agent's introspection port.
#[derive(Debug, Clone, Copy)]
pub struct Tcp(pub SocketAddr);

impl Connect for Tcp {
    fn connect(&self) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async { Ok(Box::new(TcpStream::connect(self.0).await?) as Box<dyn ByteStream>) })
    }

    fn peer(&self) -> String {
        self.0.to_string()
    }
}

/// Connections made by a function; see [`from_fn`].
pub struct FromFn<F> {
    peer: String,
    open: F,
}

/// Connections made by a function, such as one that returns one end of `tokio::io::duplex` and has the other served.
pub fn from_fn<F, S>(peer: impl Into<String>, open: F) -> FromFn<F>
where
    F: Fn() -> io::Result<S> + Send + Sync,
    S: ByteStream + 'static,
{
    FromFn { peer: peer.into(), open }
}

impl<F, S> Connect for FromFn<F>
where
    F: Fn() -> io::Result<S> + Send + Sync,
    S: ByteStream + 'static,
{
    fn connect(&self) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async { Ok(Box::new((self.open)()?) as Box<dyn ByteStream>) })
    }

    fn peer(&self) -> String {
        self.peer.clone()
    }
}
