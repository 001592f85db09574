//! `signpost`: the way back to the other partition set without the update repository, and which set is booted next.
//!
//! The host API does not offer it; it needs the host's root. A superpowered host container is root, is in the host's
//! PID namespace, and has the host's root filesystem at `/.bottlerocket/rootfs`. To run a program there it has to
//! change its root, which is irrevocable for a process: so this program starts itself once more, with
//! [`ON_HOST`] as its first argument, and that process changes its root and becomes `signpost`.
//!
//! `signpost` refuses unless the other set has been booted successfully before.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::process::Command;
use tokio::time::timeout;

use crate::client::excerpt;

/// Hidden first argument: `ON_HOST ROOT PROGRAM ARGUMENT…` changes the root and becomes the program.
pub const ON_HOST: &str = "__on-host";

/// Where a superpowered host container has the host's root filesystem.
pub const HOST_ROOT: &str = "/.bottlerocket/rootfs";

/// Exit status of the [`ON_HOST`] process when it could not become the program; no program of the host uses it.
const NOT_STARTED: i32 = 113;

/// Why the host does not boot the other set next.
#[derive(Debug, thiserror::Error)]
pub enum SignpostError {
    /// We are not the host's root.
    #[error(
        "this needs the host's root, and {lacking}; run it in a superpowered host container \
         (settings.host-containers.NAME.superpowered = true), such as the admin container"
    )]
    NoRights {
        /// What is missing.
        lacking: String,
    },
    /// `signpost` said no: the other set was never booted successfully, or it was overwritten by a prepare.
    #[error("signpost refused: {detail}")]
    Refused {
        /// Its own words.
        detail: String,
    },
    /// It could not be started.
    #[error("signpost could not be started on the host: {detail}")]
    NotStarted {
        /// What kept it from starting.
        detail: String,
    },
    /// This program could not start itself.
    #[error("cannot start a process")]
    Spawn(#[source] io::Error),
    /// It failed otherwise.
    #[error("signpost failed: {detail}")]
    Failed {
        /// Its own words.
        detail: String,
    },
    /// It did not end in time or was killed; it may have done its work.
    #[error("whether signpost did its work is not known: it {detail}")]
    Unsure {
        /// What happened.
        detail: String,
    },
}

/// Makes the inactive partition set the next to boot, on the host whose root filesystem is at `root`.
///
/// # Errors
/// [`SignpostError`].
pub async fn rollback_to_inactive(root: &Path, limit: Duration) -> Result<(), SignpostError> {
    signpost(root, "rollback-to-inactive", limit).await.map(drop)
}

/// Takes it back: the running partition set is the next to boot again.
///
/// # Errors
/// [`SignpostError`].
pub async fn cancel_rollback(root: &Path, limit: Duration) -> Result<(), SignpostError> {
    signpost(root, "cancel-upgrade", limit).await.map(drop)
}

/// Returns whether the next boot takes the inactive partition set.
///
/// # Errors
/// [`SignpostError`].
pub async fn inactive_is_next(root: &Path, limit: Duration) -> Result<bool, SignpostError> {
    let status = signpost(root, "status", limit).await?;
    let named = |name: &str| status.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    match (named("Active:"), named("Next:")) {
        (Some(active), Some(next)) if next != "None" => Ok(active != next),
        _ => Err(SignpostError::Failed { detail: excerpt(&format!("its status is {status:?}")) }),
    }
}

/// Runs it on the host and returns what it prints.
async fn signpost(root: &Path, verb: &str, limit: Duration) -> Result<String, SignpostError> {
    let output = on_host(root, &["signpost", verb], limit).await?;
    let detail =
        excerpt(&format!("{} {}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout)));
    match output.status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Some(NOT_STARTED) => Err(SignpostError::NotStarted { detail }),
        Some(_) if detail.contains("not valid to roll back") => Err(SignpostError::Refused { detail }),
        Some(_) => Err(SignpostError::Failed { detail }),
        None => Err(SignpostError::Unsure { detail: format!("was killed: {}", output.status) }),
    }
}

/// Runs a program of the host, in the host's root filesystem at `root`. What takes too long is killed, but for `signpost`,
/// which may be in the middle of a write.
///
/// # Errors
/// [`SignpostError`], where it was not run or did not end in time.
pub(crate) async fn on_host(root: &Path, words: &[&str], limit: Duration) -> Result<Output, SignpostError> {
    check_rights(root)?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(ON_HOST)
        .arg(root)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(words.first() != Some(&"signpost"));
    match timeout(limit, command.output()).await {
        Ok(output) => output.map_err(SignpostError::Spawn),
        Err(_) => Err(SignpostError::Unsure { detail: format!("was still running after {limit:?}") }),
    }
}

/// Whether this process may do it: it is root, and has the host's root filesystem at `root`.
///
/// # Errors
/// [`SignpostError::NoRights`].
pub fn check_rights(root: &Path) -> Result<(), SignpostError> {
    let lacking = if !geteuid().is_root() {
        format!("this process runs as user {}", geteuid())
    } else if !root.join("usr").exists() {
        format!("there is no root filesystem of the host at {}", root.display())
    } else {
        return Ok(());
    };
    Err(SignpostError::NoRights { lacking })
}

/// Does the work of the [`ON_HOST`] process, with the arguments after it. Returns only when it failed.
pub fn become_program_on_host(mut arguments: impl Iterator<Item = OsString>) -> i32 {
    let (Some(root), Some(program)) = (arguments.next().map(PathBuf::from), arguments.next()) else {
        return NOT_STARTED;
    };
    let error = match std::os::unix::fs::chroot(&root).and_then(|()| std::env::set_current_dir("/")) {
        Ok(()) => exec(&program, arguments),
        Err(error) => error,
    };
    eprintln!("{}: {error}", Path::new(&program).display());
    NOT_STARTED
}

fn exec(program: &OsStr, arguments: impl Iterator<Item = OsString>) -> io::Error {
    // The container's own PATH means nothing there.
    std::process::Command::new(program).args(arguments).env_clear().env("PATH", "/usr/bin:/usr/sbin:/bin:/sbin").exec()
}
