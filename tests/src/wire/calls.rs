//! The log of calls.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::request::{Caller, Signature};
use super::service::Service;

/// One AWS call that reached the simulated Region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When it arrived.
    pub at: Timestamp,
    pub service: Service,
    pub operation: String,
    /// Its parameters, cut.
    pub summary: String,
    /// How it went.
    pub outcome: Outcome,
    /// Who made it.
    pub by: Caller,
    /// What it was signed with, where that is known.
    pub signature: Option<Signature>,
    /// How long it took.
    pub latency: SignedDuration,
}

impl Call {
    /// Returns its name as in IAM and in reports: `service:Operation`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.service.prefix(), self.operation)
    }
}

/// How a call went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// HTTP 200.
    Success,
    /// AWS's error code, or the HTTP status where there is none.
    Error(String),
    /// The connection broke.
    Reset,
}

impl Outcome {
    /// Whether it was refused for its rate alone.
    pub fn is_throttling(&self) -> bool {
        match self {
            Self::Error(code) => code == "ThrottlingException" || code == "RequestLimitExceeded",
            Self::Success | Self::Reset => false,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.latency.as_millis();
        write!(f, "{:.3} {} {ms} ms ", self.at, self.name())?;
        match &self.outcome {
            Outcome::Success => write!(f, "ok {}", self.summary),
            Outcome::Error(code) => write!(f, "{code} {}", self.summary),
            Outcome::Reset => write!(f, "connection reset {}", self.summary),
        }
    }
}
