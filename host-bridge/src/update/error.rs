//! Why an update operation did not do what it was asked to.

use models::host::{ErrorCode, ReportedError, UpdateState};
use semver::Version;

use crate::client::{Action, ChangeError, ClientError, excerpt};

/// Why an update operation did not do what it was asked to. Every variant but [`UpdateError::Unsure`] means that the
/// part it names did not happen.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The host tried, and its worker says why it failed.
    #[error("{at} failed on the host: {}", or_silence(.detail))]
    Failed {
        /// The command.
        at: Action,
        /// The worker's or server's own words.
        detail: String,
    },
    /// The host's state does not allow it.
    #[error("{at} is not possible: {detail}")]
    Refused {
        /// The command.
        at: Action,
        /// What is in the way.
        detail: String,
    },
    /// Another client held the update lock until the deadline, or the host API was blocked.
    #[error(
        "{at} was not begun, because another update command ran on the host the whole time, or its API was blocked"
    )]
    Busy {
        /// The command.
        at: Action,
    },
    /// It was begun, and how it ended is not known. It may still happen.
    #[error("whether {at} worked is not known: {why}")]
    Unsure {
        /// The command.
        at: Action,
        /// What keeps us from knowing.
        why: Unsure,
    },
    /// Prepare said Success and wrote nothing (docs/facts/host-api.md#trap-1).
    #[error(
        "the host reported a successful prepare of {wanted}, but wrote nothing: `version-lock` changed since the refresh"
    )]
    WroteNothing {
        /// The version asked for.
        wanted: Version,
    },
    /// The host chose again at prepare time (docs/facts/host-api.md#trap-2).
    #[error("the host wrote {wrote} instead of {wanted}: it chooses again when it prepares")]
    WroteOther {
        /// The version asked for.
        wanted: Version,
        /// The version on the inactive set now.
        wrote: Version,
    },
    /// The wanted version is not offered to this host.
    #[error("{wanted} is not offered to this host, which has {}", or_nothing(.available))]
    NotOffered {
        /// The version asked for.
        wanted: Version,
        /// What is offered, newest first.
        available: Vec<String>,
    },
    /// No version was named, and the host has chosen none.
    #[error("no update is offered to this host")]
    NoUpdate,
    /// The wanted version is the running one.
    #[error("the host runs {running} already")]
    AlreadyRunning {
        /// The version.
        running: Version,
    },
    /// The wanted version is older than the running one. A host offers that by itself when its release was
    /// withdrawn (docs/facts/host-api.md#trap-4).
    #[error("{wanted} is older than the running {running}, and downgrades were not allowed")]
    Downgrade {
        /// The version asked for, or chosen by the host.
        wanted: Version,
        /// The running version.
        running: Version,
    },
    /// The host has chosen another version, and its `version-lock` was not to be touched.
    #[error("the host chose {}, not {wanted}, and its version-lock is left alone", or_none(.chosen))]
    ChoseOther {
        /// The version asked for.
        wanted: Version,
        /// What the host chose.
        chosen: Option<Version>,
    },
    /// The pin was set, and yet the host did not choose that version (docs/facts/host-api.md#trap-7).
    #[error("`version-lock` is set to {wanted}, but the host still chose {}", or_none(.chosen))]
    NotChosen {
        /// The pinned version.
        wanted: Version,
        /// What the host chose at the last look.
        chosen: Option<Version>,
    },
    /// The image was built without in-place updates (docs/facts/host-api.md#trap-10).
    #[error("the image of this host was built without in-place updates")]
    NoInPlaceUpdates {
        /// The command.
        at: Action,
    },
    /// The update dispatcher failed before it did anything (docs/facts/host-api.md#trap-10).
    #[error(
        "{at} was not begun, because the host's update dispatcher failed ({detail}): its run directory cannot be \
         written, its partition table cannot be read, or its status file is damaged"
    )]
    DispatcherFailed {
        /// The command.
        at: Action,
        /// The server's own words.
        detail: String,
    },
    /// The host is under API lockdown: nobody can set `version-lock` (docs/facts/host-api.md#trap-11).
    #[error("the host is under API lockdown, so its version-lock cannot be set: {detail}")]
    HostLockedDown {
        /// The server's own words.
        detail: String,
    },
    /// `version-lock` cannot be read.
    #[error("the host does not tell its settings: {detail}")]
    SettingsUnavailable {
        /// The server's own words.
        detail: String,
    },
    /// `version-lock` was not changed.
    #[error("`version-lock` could not be set to {lock}")]
    Lock {
        /// The wanted value.
        lock: String,
        /// What the change ended with.
        source: ChangeError,
    },
    /// The operation itself worked, but `version-lock` could not be put back.
    #[error("`version-lock` could not be put back to {lock}")]
    LockNotRestored {
        /// What it should be.
        lock: String,
        /// What the change ended with.
        source: ChangeError,
    },
    /// The host API gave no usable answer before the command was begun.
    #[error("{at} could not be asked for")]
    Api {
        /// The command.
        at: Action,
        /// What became of the request.
        source: ClientError,
    },
}

/// What keeps us from knowing how a command ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsure {
    /// The deadline passed while it ran.
    #[error("it was still running at the deadline")]
    Deadline,
    /// Nobody holds the update lock, and there is no result: the worker was killed, or the request got lost.
    #[error("its worker is gone without a result")]
    WorkerGone,
    /// Another client's command has replaced the result.
    #[error("another client's command has replaced its result")]
    Overtaken,
    /// It said Success, and the state is not the one it leads to: another client was there.
    #[error("it succeeded, but the host is in state {0}")]
    State(UpdateState),
    /// The host itself does not know.
    #[error("the host itself does not know ({0})")]
    HostUnsure(String),
}

impl UpdateError {
    pub(super) fn refused(at: Action, detail: String) -> Self {
        Self::Refused { at, detail }
    }

    /// The kind, as it stands in reports.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Failed { .. }
            | Self::NotChosen { .. }
            | Self::SettingsUnavailable { .. }
            | Self::Lock { .. }
            | Self::LockNotRestored { .. } => ErrorCode::Failed,
            Self::Refused { .. } | Self::Downgrade { .. } => ErrorCode::Refused,
            Self::Busy { .. } => ErrorCode::Busy,
            Self::Unsure { .. } => ErrorCode::Unsure,
            Self::WroteNothing { .. } => ErrorCode::WroteNothing,
            Self::WroteOther { .. } => ErrorCode::WroteOther,
            Self::NotOffered { .. } | Self::ChoseOther { .. } | Self::NoUpdate => ErrorCode::NotOffered,
            Self::AlreadyRunning { .. } => ErrorCode::OtherBoot,
            Self::HostLockedDown { .. } => ErrorCode::HostLockedDown,
            Self::NoInPlaceUpdates { .. } => ErrorCode::NoInPlaceUpdates,
            Self::DispatcherFailed { .. } => ErrorCode::DispatcherFailed,
            Self::Api { source, .. } => source.code(),
        }
    }

    /// The part of the visit that stopped, as it stands in reports.
    pub fn at(&self) -> &'static str {
        let action = match self {
            Self::Failed { at, .. }
            | Self::Refused { at, .. }
            | Self::Busy { at }
            | Self::Unsure { at, .. }
            | Self::NoInPlaceUpdates { at }
            | Self::DispatcherFailed { at, .. }
            | Self::Api { at, .. } => *at,
            Self::WroteNothing { .. } | Self::WroteOther { .. } => Action::Prepare,
            Self::NotOffered { .. }
            | Self::ChoseOther { .. }
            | Self::NoUpdate
            | Self::AlreadyRunning { .. }
            | Self::Downgrade { .. } => return "choose",
            Self::NotChosen { .. }
            | Self::HostLockedDown { .. }
            | Self::SettingsUnavailable { .. }
            | Self::Lock { .. }
            | Self::LockNotRestored { .. } => return "pin",
        };
        match action {
            Action::Refresh => "refresh",
            Action::Prepare => "prepare",
            Action::Activate => "activate",
            Action::Deactivate => "deactivate",
        }
    }

    /// As it stands in a [`HostReport`](models::host::HostReport).
    pub fn report(&self) -> ReportedError {
        ReportedError { at: self.at().to_owned(), code: self.code(), detail: excerpt(&chain(self)) }
    }
}

/// An error with all its causes, on one line. For the end of the way: everybody else passes the error on.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn or_silence(detail: &str) -> &str {
    match detail {
        "" => "it gave no reason",
        detail => detail,
    }
}

fn or_none(version: &Option<Version>) -> String {
    version.as_ref().map_or_else(|| "nothing".to_owned(), Version::to_string)
}

fn or_nothing(versions: &[String]) -> String {
    match versions {
        [] => "nothing to choose from (see `settings.updates` on update waves)".to_owned(),
        versions => versions.join(", "),
    }
}
