//! The API socket.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::{FileStat, Mode, SFlag, stat};
use nix::unistd::{AccessFlags, eaccess, getegid, geteuid};
use tokio::net::UnixStream;

use super::connect::{BoxFuture, ByteStream, Connect};
use super::problem::SocketProblem;

/// Where every host container finds the host API.
pub const API_SOCKET: &str = "/run/api.sock";

/// Connections to a Unix socket, checked before use.
#[derive(Debug, Clone)]
pub struct UnixSocket(PathBuf);

impl UnixSocket {
    /// Nothing is looked at before the first connection.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl Connect for UnixSocket {
    fn connect(&self) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async { Ok(Box::new(UnixStream::connect(&self.0).await?) as Box<dyn ByteStream>) })
    }

    fn peer(&self) -> String {
        self.0.display().to_string()
    }

    fn check(&self) -> Result<(), SocketProblem> {
        let found = stat(&self.0).map_err(|errno| match errno {
            Errno::ENOENT | Errno::ENOTDIR => SocketProblem::Missing { path: self.0.clone() },
            other => SocketProblem::Unreadable { path: self.0.clone(), source: other.into() },
        })?;
        let kind = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT;
        if kind != SFlag::S_IFSOCK {
            return Err(SocketProblem::NotASocket { path: self.0.clone(), kind: kind_name(kind) });
        }
        match eaccess(&self.0, AccessFlags::W_OK) {
            Ok(()) => Ok(()),
            Err(Errno::EACCES) => Err(not_writable(&self.0, &found)),
            Err(other) => Err(SocketProblem::Unreadable { path: self.0.clone(), source: other.into() }),
        }
    }

    fn explain(&self, error: &io::Error) -> Result<(), SocketProblem> {
        self.check()?;
        match error.kind() {
            io::ErrorKind::PermissionDenied => Err(SocketProblem::Denied { path: self.0.clone() }),
            _ => Ok(()),
        }
    }
}

fn not_writable(path: &Path, found: &FileStat) -> SocketProblem {
    SocketProblem::NotWritable {
        path: path.to_owned(),
        owner: found.st_uid,
        group: found.st_gid,
        mode: (Mode::from_bits_truncate(found.st_mode)).bits(),
        uid: geteuid().as_raw(),
        gid: getegid().as_raw(),
    }
}

fn kind_name(kind: SFlag) -> &'static str {
    match kind {
        SFlag::S_IFREG => "a file",
        SFlag::S_IFDIR => "a directory",
        SFlag::S_IFIFO => "a pipe",
        SFlag::S_IFCHR | SFlag::S_IFBLK => "a device",
        _ => "something else",
    }
}
