//! How a command ends: its exit code, and what the person does next.

use models::host::{ErrorCode, ReportedError};
use semver::Version;

use crate::client::{ClientError, excerpt};
use crate::collect::CollectError;
use crate::introspection::IntrospectionError;
use crate::signpost::SignpostError;
use crate::transport::{Sent, TransportError};
use crate::update::{UpdateError, chain};

/// What a command did.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Done {
    /// In a sentence or two.
    pub(super) message: String,
    /// What the person does next.
    pub(super) next: String,
}

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error(transparent)]
    Update(#[from] UpdateError),
    #[error("the host cannot be examined")]
    Look(#[source] ClientError),
    #[error("an update command runs on the host")]
    UpdateRunning,
    #[error("whether an update command runs on the host is not known, because its API is blocked (408)")]
    ApiBlocked,
    #[error(
        "there is no activation to cancel, but the next boot takes the other partition set anyway: `signpost` made it the next, and {running} runs"
    )]
    OtherSetNext { running: String },
    #[error("{} on this host: {}", count(*.running), .names)]
    TasksRunning { running: usize, names: String },
    #[error("whether tasks run on this host is not known")]
    TasksUnknown(#[source] IntrospectionError),
    #[error("the host refused to reboot: {detail}")]
    RebootRefused { detail: String },
    #[error("the reboot could not be asked for")]
    Reboot(#[source] ClientError),
    #[error("whether the host reboots is not known")]
    RebootUnsure(#[source] ClientError),
    #[error(transparent)]
    Signpost(#[from] SignpostError),
    #[error("interrupted; what the host has begun goes on there{lock}")]
    Interrupted { lock: String },
    #[error(transparent)]
    Collect(#[from] CollectError),
    #[error("the host did not answer in time, and nothing was written")]
    CollectTooLong,
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
}

/// The exit codes; clap uses 2 for wrong usage as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Unsure = 3,
    Refused = 4,
}

impl Exit {
    /// As it stands in the JSON.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Unsure => "unsure",
            Self::Refused => "refused",
        }
    }
}

/// The exit code of every ending.
pub(super) fn exit(ending: &Result<Done, CommandError>) -> Exit {
    let error = match ending {
        Ok(Done { .. }) => return Exit::Done,
        Err(error) => error,
    };
    match error {
        CommandError::Update(error) => match error {
            UpdateError::Failed { .. }
            | UpdateError::WroteNothing { .. }
            | UpdateError::WroteOther { .. }
            | UpdateError::NotChosen { .. }
            | UpdateError::NoInPlaceUpdates { .. }
            | UpdateError::DispatcherFailed { .. }
            | UpdateError::HostLockedDown { .. }
            | UpdateError::SettingsUnavailable { .. }
            | UpdateError::Lock { .. }
            | UpdateError::LockNotRestored { .. }
            | UpdateError::Api { .. } => Exit::Failed,
            UpdateError::Unsure { .. } => Exit::Unsure,
            UpdateError::Refused { .. }
            | UpdateError::Busy { .. }
            | UpdateError::NotOffered { .. }
            | UpdateError::ChoseOther { .. }
            | UpdateError::NoUpdate
            | UpdateError::AlreadyRunning { .. }
            | UpdateError::Downgrade { .. } => Exit::Refused,
        },
        CommandError::Signpost(error) => match error {
            SignpostError::NoRights { .. }
            | SignpostError::NotStarted { .. }
            | SignpostError::Spawn(_)
            | SignpostError::Failed { .. } => Exit::Failed,
            SignpostError::Unsure { .. } => Exit::Unsure,
            SignpostError::Refused { .. } => Exit::Refused,
        },
        CommandError::Look(_)
        | CommandError::Reboot(_)
        | CommandError::RebootRefused { .. }
        | CommandError::Collect(_)
        | CommandError::CollectTooLong
        | CommandError::Runtime(_) => Exit::Failed,
        CommandError::RebootUnsure(_) | CommandError::Interrupted { .. } => Exit::Unsure,
        CommandError::UpdateRunning
        | CommandError::ApiBlocked
        | CommandError::OtherSetNext { .. }
        | CommandError::TasksRunning { .. }
        | CommandError::TasksUnknown(_) => Exit::Refused,
    }
}

impl CommandError {
    pub(super) fn of_reboot(error: ClientError) -> Self {
        match error.sent() {
            Sent::No => Self::Reboot(error),
            Sent::Maybe => Self::RebootUnsure(error),
        }
    }

    /// As it stands in the JSON.
    pub(super) fn report(&self) -> ReportedError {
        let (at, code) = match self {
            Self::Update(error) => return error.report(),
            Self::Look(error) => ("os", error.code()),
            Self::UpdateRunning | Self::ApiBlocked => ("reboot", ErrorCode::Busy),
            Self::OtherSetNext { .. } => ("deactivate", ErrorCode::Refused),
            Self::TasksRunning { .. } => ("reboot", ErrorCode::TasksRunning),
            Self::TasksUnknown(_) => ("reboot", ErrorCode::Refused),
            Self::RebootRefused { .. } => ("reboot", ErrorCode::Failed),
            Self::Reboot(error) => ("reboot", error.code()),
            Self::RebootUnsure(_) => ("reboot", ErrorCode::Unsure),
            Self::Signpost(SignpostError::Refused { .. }) => ("rollback", ErrorCode::Refused),
            Self::Signpost(SignpostError::Unsure { .. }) => ("rollback", ErrorCode::Unsure),
            Self::Signpost(_) => ("rollback", ErrorCode::Failed),
            Self::Interrupted { .. } => ("interrupt", ErrorCode::Unsure),
            Self::Collect(_) | Self::CollectTooLong => ("collect", ErrorCode::Failed),
            Self::Runtime(_) => ("start", ErrorCode::Failed),
        };
        ReportedError { at: at.to_owned(), code, detail: excerpt(&chain(self)) }
    }

    /// What the person does next.
    pub(super) fn next(&self) -> String {
        match self {
            Self::Update(error) => next_after(error),
            Self::Look(source) | Self::Reboot(source) => about_api(source),
            Self::UpdateRunning => "wait until `host-bridge status` shows a state, or reboot with --force".to_owned(),
            Self::ApiBlocked => "try again, or reboot with --force".to_owned(),
            Self::OtherSetNext { .. } => {
                "`signpost cancel-upgrade` as root on the host stays on the running set; the other one can then be booted \
                 only after it was written again"
                    .to_owned()
            }
            Self::TasksRunning { .. } => {
                "set the container instance to DRAINING and try again when its tasks are gone, or reboot with --force"
                    .to_owned()
            }
            Self::TasksUnknown(IntrospectionError::Down { .. }) => {
                "if this host runs no ECS tasks, `host-bridge reboot --force`".to_owned()
            }
            Self::TasksUnknown(_) => {
                "look at the ECS agent on the host (`systemctl status ecs`), or reboot with --force".to_owned()
            }
            Self::RebootRefused { .. } => {
                "see what inhibits the reboot (`systemd-inhibit --list` on the host), then try again".to_owned()
            }
            Self::RebootUnsure(_) => {
                "wait 5 minutes, then compare the boot id in `host-bridge status --output json`".to_owned()
            }
            Self::Signpost(error) => match error {
                SignpostError::NoRights { .. } => {
                    "run this in a superpowered host container, or go back with `host-bridge rollback --to V`"
                }
                SignpostError::Refused { .. } | SignpostError::Failed { .. } | SignpostError::NotStarted { .. } => {
                    "go back through the update repository: `host-bridge rollback --to V`"
                }
                SignpostError::Spawn(_) => "try again",
                SignpostError::Unsure { .. } => "run `signpost status` as root on the host before you reboot",
            }
            .to_owned(),
            Self::Interrupted { .. } => "`host-bridge status` shows what became of it".to_owned(),
            Self::Collect(_) => "name another file with --to".to_owned(),
            Self::CollectTooLong => "try again with a longer --timeout".to_owned(),
            Self::Runtime(_) => "free some memory or file descriptors, and try again".to_owned(),
        }
    }
}

fn next_after(error: &UpdateError) -> String {
    match error {
        UpdateError::Failed { detail, .. } if detail.contains("not been marked valid") => {
            "nothing usable is staged: `host-bridge stage` writes it again".to_owned()
        }
        UpdateError::Failed { .. } => {
            "the state is as before; if the host reaches its update repository (settings.updates), try again".to_owned()
        }
        UpdateError::Refused { .. } => "`host-bridge check` shows where the host stands".to_owned(),
        UpdateError::Busy { .. } => "find out who updates this host, or try again with a longer --timeout".to_owned(),
        UpdateError::Unsure { .. } => {
            "`host-bridge status` shows what became of it; the same command may then be repeated".to_owned()
        }
        UpdateError::WroteNothing { .. } => {
            "do not activate it: `host-bridge stage` refreshes and writes again".to_owned()
        }
        UpdateError::WroteOther { wrote, .. } => {
            format!("`host-bridge stage --version V` writes the wanted one; `activate` would boot {wrote}")
        }
        UpdateError::NotOffered { .. } | UpdateError::NoUpdate => {
            "wait for the wave of this host to open, or set `apiclient set updates.ignore-waves=true` and try again"
                .to_owned()
        }
        UpdateError::ChoseOther { .. } | UpdateError::NotChosen { .. } => {
            "look at `apiclient get settings.updates`: does another program change it? Then try again".to_owned()
        }
        UpdateError::AlreadyRunning { .. } => "nothing to do".to_owned(),
        UpdateError::Downgrade { wanted, running } => format!(
            "to go back to {wanted}, add --allow-downgrade; to stay, `apiclient set updates.version-lock={running}`"
        ),
        UpdateError::NoInPlaceUpdates { .. } => "replace the instance by one with a newer image".to_owned(),
        UpdateError::DispatcherFailed { .. } => {
            "see `journalctl -u apiserver` on the host; a reboot makes a new run directory and a new status file"
                .to_owned()
        }
        UpdateError::HostLockedDown { .. } => {
            "`host-bridge stage` without --version writes what the host has chosen by itself; \
             `host-bridge rollback --inactive` goes back without settings"
                .to_owned()
        }
        UpdateError::SettingsUnavailable { .. } => {
            "see `systemctl status apiserver` on the host; `host-bridge stage` without --version needs no settings"
                .to_owned()
        }
        UpdateError::Lock { .. } => "look at `apiclient get settings.updates`, and try again".to_owned(),
        UpdateError::LockNotRestored { lock, .. } => format!("`apiclient set updates.version-lock={lock}`"),
        UpdateError::Api { source, .. } => about_api(source),
    }
}

fn about_api(error: &ClientError) -> String {
    match error {
        ClientError::Transport { source: TransportError::Socket(_), .. } => "fix the access as described above",
        ClientError::Transport { source: TransportError::Refused { .. }, .. } => "restart this container, or apiserver",
        ClientError::Blocked { .. } => "the host is short of CPU, or a long request runs; try again",
        ClientError::Transport { .. } => "see `systemctl status apiserver` on the host, and try again",
        ClientError::NoSuchEndpoint { .. } | ClientError::Unexpected { .. } | ClientError::Malformed { .. } => {
            "see whether --socket names a Bottlerocket API socket, and whether there is a newer host-bridge"
        }
    }
    .to_owned()
}

fn count(tasks: usize) -> String {
    match tasks {
        1 => "1 ECS task runs".to_owned(),
        tasks => format!("{tasks} ECS tasks run"),
    }
}

/// "1.27.0", or that there is none.
pub(super) fn or_none(version: Option<&Version>) -> String {
    version.map_or_else(|| "none".to_owned(), Version::to_string)
}
