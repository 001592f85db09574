//! What can be wrong with a Unix socket.

use std::io;
use std::path::PathBuf;

/// The group of the API socket on a Bottlerocket host, `api`; fixed in the image.
const API_GROUP: u32 = 274;

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
