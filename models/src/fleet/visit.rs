//! Commands of this run on a host, and how they ended.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::{ErrorCode, ReportedError};
use crate::plan::HostCommand;

/// A command that was sent to the host in this run and has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandInFlight {
    pub command: HostCommand,
    /// When it was sent.
    pub sent_at: Timestamp,
}

/// How the newest command of this run on a host ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    pub command: HostCommand,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When its end was seen.
    pub at: Timestamp,
    pub end: VisitEnd,
}

/// The ends of a command on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum VisitEnd {
    /// It did all that it was asked to.
    Done,
    /// The host did not, and says why.
    Error(ReportedError),
    /// It never reached the host.
    NotDelivered {
        /// The way's own words.
        detail: String,
    },
    /// It reached the host; what became of it is unknown.
    Unsure {
        /// The way's own words.
        detail: String,
    },
    /// What came back is no report.
    Malformed {
        /// What is wrong with it.
        detail: String,
    },
}

impl VisitEnd {
    /// Whether the command is known to have done nothing that a reboot could come of: it never arrived, or the host refused
    /// and said so.
    pub fn did_nothing(&self) -> bool {
        match self {
            Self::NotDelivered { .. } => true,
            // Before the activation, whatever became of it.
            Self::Error(error) if error.at == "refresh" => true,
            Self::Error(error) => error.code != ErrorCode::Unsure,
            Self::Done | Self::Unsure { .. } | Self::Malformed { .. } => false,
        }
    }
}
