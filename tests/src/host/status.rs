//! The update status as `thar-be-updates` writes it (`thar-be-updates/src/status.rs`): field order and spelling are
//! those of the wire.

use std::fmt;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::image::Image;
use super::partitions::Disk;

/// What the status says of a partition set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetStatus {
    /// What the status believes is written there; for the staging set that is what was chosen at the refresh, whatever
    /// prepare wrote (docs/facts/host-api.md#trap-1 and #trap-2).
    pub image: Image,
    /// Whether the next boot takes it.
    pub next_to_boot: bool,
}

/// The update state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateState {
    /// Nothing chosen, or the last refresh failed.
    Idle,
    /// An update is chosen.
    Available,
    /// A prepare succeeded.
    Staged,
    /// An activate succeeded.
    Ready,
}

/// The four update commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    /// Read the repository.
    Refresh,
    /// Write the chosen update.
    Prepare,
    /// Boot it next.
    Activate,
    /// Do not boot it next.
    Deactivate,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refresh => "refresh",
            Self::Prepare => "prepare",
            Self::Activate => "activate",
            Self::Deactivate => "deactivate",
        })
    }
}

/// `cmd_status` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandOutcome {
    /// Exit status 0.
    Success,
    /// Any other.
    Failed,
}

/// How the last command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandResult {
    /// Which it was.
    pub cmd_type: Command,
    /// How it ended.
    pub cmd_status: CommandOutcome,
    /// RFC 3339, with as many groups of three digits as it takes (docs/facts/host-api.md#trap-16).
    pub timestamp: String,
    /// The worker's exit status.
    pub exit_status: Option<i32>,
    /// The worker's stderr.
    pub stderr: Option<String>,
}

impl CommandResult {
    /// The result of a worker that ended at `at`.
    pub(super) fn new(command: Command, at: Timestamp, exit_status: i32, stderr: String) -> Self {
        let cmd_status = if exit_status == 0 { CommandOutcome::Success } else { CommandOutcome::Failed };
        Self {
            cmd_type: command,
            cmd_status,
            timestamp: written(at),
            exit_status: Some(exit_status),
            stderr: Some(stderr),
        }
    }
}

fn written(at: Timestamp) -> String {
    match at.subsec_nanosecond() {
        0 => format!("{at:.0}"),
        nanos if nanos % 1_000_000 == 0 => format!("{at:.3}"),
        nanos if nanos % 1_000 == 0 => format!("{at:.6}"),
        _ => format!("{at:.9}"),
    }
}

/// The status file, and so the answer to `GET /updates/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Where the state machine stands.
    pub update_state: UpdateState,
    /// Versions that are offered to this host, newest first, the running one and older ones among them.
    pub available_updates: Vec<Version>,
    /// What the last successful refresh chose.
    pub chosen_update: Option<Image>,
    /// The set that runs.
    pub active_partition: Option<SetStatus>,
    /// The set that an update was prepared on, in this boot.
    pub staging_partition: Option<SetStatus>,
    /// The last command that ended.
    pub most_recent_command: Option<CommandResult>,
}

impl Status {
    /// The status before the first command of a boot.
    pub(super) fn initial(running: &Image, disk: &Disk) -> Self {
        Self {
            update_state: UpdateState::Idle,
            available_updates: Vec::new(),
            chosen_update: None,
            active_partition: Some(SetStatus {
                image: running.clone(),
                next_to_boot: disk.next() == Some(disk.active_index()),
            }),
            staging_partition: None,
            most_recent_command: None,
        }
    }

    /// Says which of the two sets boots next.
    pub(super) fn set_staging_next(&mut self, next: bool) {
        if let Some(staging) = &mut self.staging_partition {
            staging.next_to_boot = next;
        }
        if let Some(active) = &mut self.active_partition {
            active.next_to_boot = !next;
        }
    }
}
