//! The API socket, and what can be wrong with it.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::{FileStat, Mode, SFlag, stat};
use nix::unistd::{AccessFlags, eaccess, getegid, geteuid};
use tokio::net::UnixStream;

use super::{BoxFuture, ByteStream, Connect};

/// Where every host container finds the host API.
pub const API_SOCKET: &str = "/run/api.sock";

/// The group of the API socket on a Bottlerocket host, `api`; fixed in the image.
const API_GROUP: u32 = 274;

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

/// Why a Unix socket cannot be used, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum SocketProblem {
    /// There is nothing at the path.
    #[error(
        "there is no {}: the host API exists only on Bottlerocket, and inside a container only in a host container; \
         run this as a host container (settings.host-containers), or name another socket with --socket", .path.display()
    )]
    Missing {
        /// The socket's path.
        path: PathBuf,
    },
    /// Something else is at the path. Docker makes an empty directory where a bind mount's source is missing.
    #[error("{} is {kind}, not a socket: was it mounted before the host API had started?", .path.display())]
    NotASocket {
        /// The socket's path.
        path: PathBuf,
        /// What is there.
        kind: &'static str,
    },
    /// The file's mode keeps us out.
    #[error(
        "{} belongs to {owner}:{group} with mode {mode:04o} and may not be written by {uid}:{gid}: run as root or \
         with the supplementary group {API_GROUP} (`api` on the host)", .path.display()
    )]
    NotWritable {
        /// The socket's path.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// Its group id.
        group: u32,
        /// Its permission bits.
        mode: u32,
        /// Our effective user id.
        uid: u32,
        /// Our effective group id.
        gid: u32,
    },
    /// The mode allows it, and yet it was denied.
    #[error(
        "{} may be written by its mode, and yet the connection was denied, as SELinux does: host containers run with \
         the label control_t and may use it, ordinary containers (container_t) may not; run this as a host container",
        .path.display()
    )]
    Denied {
        /// The socket's path.
        path: PathBuf,
    },
    /// It cannot even be looked at.
    #[error("cannot examine {}", .path.display())]
    Unreadable {
        /// The socket's path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}
