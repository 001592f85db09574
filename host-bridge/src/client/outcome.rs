//! What the endpoints answer, and why a request has no outcome.

use models::host::{CommandType, ErrorCode, UpdateStatus};

use crate::transport::{Sent, TransportError};

/// The answer to `GET /updates/status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusAnswer {
    /// 200 with the status.
    Known(Box<UpdateStatus>),
    /// 404: no refresh since the boot; the status lives on a tmpfs.
    Uninitialized,
    /// 423: an update command runs.
    Locked,
    /// 500, with the server's words.
    ServerError(String),
}

/// The four update commands, as requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read the update repository.
    Refresh,
    /// Write the chosen update to the inactive set.
    Prepare,
    /// Make the written set the next to boot.
    Activate,
    /// Undo activate.
    Deactivate,
}

impl Action {
    /// The last part of the path.
    pub fn endpoint(self) -> &'static str {
        match self {
            Self::Refresh => "refresh-updates",
            Self::Prepare => "prepare-update",
            Self::Activate => "activate-update",
            Self::Deactivate => "deactivate-update",
        }
    }

    /// How the status names it.
    pub fn command(self) -> CommandType {
        match self {
            Self::Refresh => CommandType::Refresh,
            Self::Prepare => CommandType::Prepare,
            Self::Activate => CommandType::Activate,
            Self::Deactivate => CommandType::Deactivate,
        }
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.command().as_str())
    }
}

/// The answer to `POST /actions/…-update`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionAnswer {
    /// 204: the work has begun, not ended.
    Started,
    /// 423: another command runs.
    Locked,
    /// 409: the update state does not allow it.
    NotAllowed,
    /// 404 with the server's words: `Previously chosen Update no longer exists`, or
    /// `No update image applied to staging partition`.
    NothingThere(String),
    /// 500 with the server's words; docs/facts/host-api.md#trap-10 tells them apart.
    ServerError(String),
}

/// The answer to `POST /actions/reboot`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebootAnswer {
    /// 204. The shutdown may take up to 300 s to begin.
    Accepted,
    /// 500 with the server's words, such as that of an inhibitor.
    Refused(String),
}

/// The update settings of a host. What is missing or of an unexpected type is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateSettings {
    /// `latest` or a version.
    pub version_lock: Option<String>,
    /// Whether update waves are passed over.
    pub ignore_waves: Option<bool>,
}

/// The answer to `GET /settings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingsAnswer {
    /// 200 with the settings.
    Known(UpdateSettings),
    /// 500 with the words of a host under API lockdown (docs/facts/host-api.md#trap-11).
    LockedDown(String),
    /// 500 with the server's words.
    ServerError(String),
}

/// The answer to `PATCH /settings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatchAnswer {
    /// 204: in the transaction, not in force.
    Pending,
    /// 400 with the server's reason: an unknown field or a bad value.
    Rejected(String),
    /// 500 with the words of a host under API lockdown (docs/facts/host-api.md#trap-11).
    LockedDown(String),
}

/// The answer to `POST /tx/commit_and_apply`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitAnswer {
    /// 200 with the changed keys. They are applied *after* the answer (docs/facts/host-api.md#trap-7).
    Committed(Vec<String>),
    /// 422: the transaction has no changes.
    NothingPending,
}

/// Why a request has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer.
    #[error("{request} has no answer")]
    Transport {
        /// Method and target.
        request: String,
        /// What became of it.
        source: TransportError,
    },
    /// 408: the server's one worker is blocked, and it has done nothing (docs/facts/host-api.md#trap-12).
    #[error("{request} was answered 408: the host API's one worker is blocked")]
    Blocked {
        /// Method and target.
        request: String,
    },
    /// 404 without a body: a wrong method or an unknown path, so the host is older or newer than this program.
    #[error("this host's API has no {request}")]
    NoSuchEndpoint {
        /// Method and target.
        request: String,
    },
    /// A status code that the endpoint is not known to answer.
    #[error("{request} was answered {status}{}", with_colon(.body))]
    Unexpected {
        /// Method and target.
        request: String,
        /// The status code.
        status: u16,
        /// The first part of the body.
        body: String,
    },
    /// The body is not what the endpoint promises.
    #[error("the answer to {request} cannot be read, it begins with {body:?}")]
    Malformed {
        /// Method and target.
        request: String,
        /// The first part of the body.
        body: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl ClientError {
    /// The kind of failure, as it stands in reports.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Blocked { .. } => ErrorCode::Busy,
            Self::Transport { .. } | Self::NoSuchEndpoint { .. } | Self::Unexpected { .. } | Self::Malformed { .. } => {
                ErrorCode::ApiDown
            }
        }
    }

    /// Whether the server may have acted on the request.
    pub fn sent(&self) -> Sent {
        match self {
            Self::Transport { source, .. } => source.sent(),
            Self::Blocked { .. } | Self::NoSuchEndpoint { .. } => Sent::No,
            Self::Unexpected { .. } | Self::Malformed { .. } => Sent::Maybe,
        }
    }
}

/// Why settings were not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The server does not take the change.
    #[error("the host does not take the setting: {reason}")]
    Rejected {
        /// The server's reason.
        reason: String,
    },
    /// The host is under API lockdown (docs/facts/host-api.md#trap-11).
    #[error("the host is under API lockdown: {reason}")]
    LockedDown {
        /// The server's words.
        reason: String,
    },
    /// The transaction was empty at the commit, so somebody else committed or deleted it.
    #[error("the transaction {transaction} was gone at its commit")]
    Lost {
        /// Its name.
        transaction: String,
    },
    /// It took too long.
    #[error("the transaction was not completed within {limit:?}")]
    TooLong {
        /// The time it was given.
        limit: std::time::Duration,
    },
    /// A request of the transaction has no outcome.
    #[error("the transaction was not completed")]
    Client(#[from] ClientError),
}

fn with_colon(text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!(": {text}"),
    }
}
