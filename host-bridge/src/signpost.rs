//! `signpost`: the way back to the other partition set without the update repository, and which set is booted next.
//!
//! The host API does not offer it; it needs the host's root. A superpowered host container is root, is in the host's
//! PID namespace, and has the host's root filesystem at `/.bottlerocket/rootfs`. To run a program there it has to
//! change its root, which is irrevocable for a process: so this program starts itself once more, with
//! [`ON_HOST`] as its first argument, and that process changes its root and becomes `signpost`.
//!
//! `signpost` refuses unless the other set has been booted successfully before.
//!
//! One that takes too long is not killed, since it may be in the middle of a write, and may still do its work. Until it has
//! ended no other one is begun here. So what the next one reads is what stands, and what it undoes stays undone.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use crate::client::excerpt;

/// Hidden first argument: `ON_HOST ROOT PROGRAM ARGUMENT…` changes the root and becomes the program.
pub const ON_HOST: &str = "__on-host";

/// Where a superpowered host container has the host's root filesystem.
pub const HOST_ROOT: &str = "/.bottlerocket/rootfs";

/// Exit status of the [`ON_HOST`] process when it could not become the program; no program of the host uses it.
const NOT_STARTED: i32 = 113;

/// Held by the `signpost` that runs, until it has ended.
static TURN: Mutex<()> = Mutex::const_new(());

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
    Ok(other_set(root, limit).await?.is_next)
}

/// The inactive partition set, by `signpost status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherSet {
    /// The next boot takes it.
    pub is_next: bool,
    /// What is written there has booted: nothing was written since.
    pub has_booted: bool,
}

/// Returns how the inactive partition set stands.
///
/// # Errors
/// [`SignpostError`].
pub async fn other_set(root: &Path, limit: Duration) -> Result<OtherSet, SignpostError> {
    let status = signpost(root, "status", limit).await?;
    read_other_set(&status)
        .ok_or_else(|| SignpostError::Failed { detail: excerpt(&format!("its status is {status:?}")) })
}

fn read_other_set(status: &str) -> Option<OtherSet> {
    let named = |name: &str| status.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let (active, next) = (named("Active:")?, named("Next:").filter(|next| *next != "None")?);
    let flags = match active {
        "Set A" => named("Set B:"),
        "Set B" => named("Set A:"),
        _ => None,
    };
    let has_booted = flags?.split_whitespace().any(|flag| flag == "successful=true");
    Some(OtherSet { is_next: next != active, has_booted })
}

/// Runs it on the host and returns what it prints.
async fn signpost(root: &Path, verb: &str, limit: Duration) -> Result<String, SignpostError> {
    let output = in_turn(command(root, &["signpost", verb])?, limit).await?;
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

/// Runs a command once the earlier ones have ended. It goes on where it is no longer waited for, and keeps its turn until its end.
///
/// # Errors
/// [`SignpostError::Spawn`], and [`SignpostError::Unsure`] where it or an earlier one has not ended in time.
async fn in_turn(mut command: Command, limit: Duration) -> Result<Output, SignpostError> {
    let unsure = |detail| SignpostError::Unsure { detail };
    let until = Instant::now() + limit;
    let waited = |_| unsure(format!("waited {limit:?} for an earlier one, which is still running"));
    let turn = timeout_at(until, TURN.lock()).await.map_err(waited)?;
    let run = tokio::spawn(async move {
        let output = command.output().await;
        drop(turn);
        output
    });
    match timeout_at(until, run).await {
        Ok(Ok(output)) => output.map_err(SignpostError::Spawn),
        Ok(Err(lost)) => Err(unsure(format!("was not followed to its end: {lost}"))),
        Err(_) => Err(unsure(format!("was still running after {limit:?}"))),
    }
}

/// Runs a program of the host that changes nothing, in the host's root filesystem at `root`. What takes too long is killed.
///
/// # Errors
/// [`SignpostError`], where it was not run or did not end in time.
pub(crate) async fn on_host(root: &Path, words: &[&str], limit: Duration) -> Result<Output, SignpostError> {
    match timeout(limit, command(root, words)?.kill_on_drop(true).output()).await {
        Ok(output) => output.map_err(SignpostError::Spawn),
        Err(_) => Err(SignpostError::Unsure { detail: format!("was still running after {limit:?}") }),
    }
}

fn command(root: &Path, words: &[&str]) -> Result<Command, SignpostError> {
    check_rights(root)?;
    let mut command = Command::new("/proc/self/exe");
    command.arg(ON_HOST).arg(root).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_that_is_late_has_ended_before_the_next_begins() {
        let directory = tempfile::tempdir().unwrap();
        let (pipe, next) = (directory.path().join("pipe"), directory.path().join("next"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::write(&next, "A").unwrap();
        let shell = |script: String| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command
        };
        let slow = || shell(format!("read line < {}; printf B > {}", pipe.display(), next.display()));
        let look = || shell(format!("cat {}", next.display()));
        let (short, long) = (Duration::from_millis(100), Duration::from_mins(1));
        for (command, words) in [(slow(), "still running after 100ms"), (look(), "waited 100ms for an earlier one")] {
            let error = in_turn(command, short).await.unwrap_err();
            assert!(matches!(error, SignpostError::Unsure { .. }) && error.to_string().contains(words), "{error}");
        }
        let looked = tokio::spawn(in_turn(look(), long));
        tokio::task::yield_now().await;
        tokio::task::spawn_blocking(move || std::fs::write(pipe, "end\n")).await.unwrap().unwrap();
        assert_eq!(looked.await.unwrap().unwrap().stdout, b"B");
    }

    #[test]
    fn the_other_set_is_read_from_the_status() {
        let status = |b: &str, active: &str, next: &str| {
            format!(
                "OS disk: /dev/nvme0n1\nSet A:   boot=/dev/a priority=1 tries_left=0 successful=true\n\
                 Set B:   boot=/dev/b priority=2 {b}\nActive:  {active}\nNext:    {next}\n"
            )
        };
        let set = |is_next, has_booted| Some(OtherSet { is_next, has_booted });
        let (booted, written) = ("tries_left=0 successful=true", "tries_left=1 successful=false");
        assert_eq!(read_other_set(&status(booted, "Set A", "Set A")), set(false, true));
        assert_eq!(read_other_set(&status(booted, "Set A", "Set B")), set(true, true));
        assert_eq!(read_other_set(&status(written, "Set A", "Set B")), set(true, false));
        assert_eq!(read_other_set(&status(written, "Set B", "Set B")), set(false, true));
        for strange in [status(booted, "Set A", "None"), status(booted, "Set C", "Set A"), String::new()] {
            assert_eq!(read_other_set(&strange), None, "{strange}");
        }
    }
}
