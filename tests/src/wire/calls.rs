//! The log of calls.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::{Caller, Service};

/// One AWS call that reached the simulated Region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When it arrived.
    pub at: Timestamp,
    /// The service.
    pub service: Service,
    /// The operation.
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
    /// `service:Operation`, as in IAM and in reports.
    pub fn name(&self) -> String {
        format!("{}:{}", self.service.prefix(), self.operation)
    }
}

/// What the signature of a call says of its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The access key's id.
    pub access_key: String,
    /// The Region that the signature is for.
    pub region: String,
}

impl Signature {
    /// Reads an `Authorization` header of Signature Version 4:
    /// `AWS4-HMAC-SHA256 Credential=AKIA…/20261123/eu-central-1/ecs/aws4_request, SignedHeaders=…`.
    pub fn read(authorization: &str) -> Option<Self> {
        let (_, rest) = authorization.split_once("Credential=")?;
        let mut scope = rest.split([',', ' ']).next()?.split('/');
        let access_key = scope.next()?.to_owned();
        Some(Self { access_key, region: scope.nth(1)?.to_owned() })
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
