//! A command of SSM, and how far it is on each host.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::ids::MachineNo;
use crate::documents::{Output, Script};

/// A command that SSM accepted.
#[derive(Debug, Clone)]
pub struct Command {
    /// A UUID.
    pub id: String,
    /// Name of the document.
    pub document: String,
    /// Its version, as the caller named it.
    pub version: String,
    /// Parameters, as they were sent.
    pub parameters: BTreeMap<String, Vec<String>>,
    /// The caller's comment.
    pub comment: String,
    /// When SSM accepted it.
    pub sent_at: Timestamp,
    /// `TimeoutSeconds`: for the delivery.
    pub delivery_timeout: SignedDuration,
    /// The document's own time-out.
    pub execution_timeout: SignedDuration,
    /// What runs on the host.
    pub script: Script,
    /// One for each host.
    pub invocations: BTreeMap<MachineNo, Invocation>,
    /// How many more of these may fail.
    pub(super) most_errors: usize,
    /// Hosts that wait until others are done.
    pub(super) queued: VecDeque<MachineNo>,
}

/// A command on one host.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// How far it is.
    pub status: InvocationStatus,
    /// From when on the API shows it.
    pub visible_at: Timestamp,
    /// When it began on the host.
    pub started_at: Option<Timestamp>,
    /// When SSM learned that it had ended.
    pub ended_at: Option<Timestamp>,
    /// What the document left; shown once it has ended.
    pub output: Option<Output>,
    /// The host went down under it.
    pub(super) interrupted: bool,
}

/// Status and details of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvocationStatus {
    /// Not yet sent to the host.
    Pending,
    /// Sent, or under way.
    InProgress,
    /// A delivery failed; SSM tries again.
    Delayed,
    /// Exit code 0.
    Success,
    /// Another exit code.
    Failed,
    /// The host did not take it in time.
    DeliveryTimedOut,
    /// It did not end in time.
    ExecutionTimedOut,
    /// The host is gone.
    Undeliverable,
    /// Cancelled before it ran.
    Cancelled,
    /// Never sent: too many others had failed.
    Terminated,
}

impl InvocationStatus {
    /// Returns the field `Status`.
    pub fn status(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Delayed => "Delayed",
            Self::Success => "Success",
            Self::Failed | Self::Undeliverable => "Failed",
            Self::DeliveryTimedOut | Self::ExecutionTimedOut => "TimedOut",
            Self::Cancelled | Self::Terminated => "Cancelled",
        }
    }

    /// Returns the field `StatusDetails`.
    pub fn details(self) -> &'static str {
        match self {
            Self::DeliveryTimedOut => "DeliveryTimedOut",
            Self::ExecutionTimedOut => "ExecutionTimedOut",
            Self::Undeliverable => "Undeliverable",
            Self::Terminated => "Terminated",
            Self::Pending | Self::InProgress | Self::Delayed | Self::Success | Self::Failed | Self::Cancelled => {
                self.status()
            }
        }
    }

    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::InProgress | Self::Delayed => false,
            Self::Success
            | Self::Failed
            | Self::DeliveryTimedOut
            | Self::ExecutionTimedOut
            | Self::Undeliverable
            | Self::Cancelled
            | Self::Terminated => true,
        }
    }

    /// Whether it counts towards `MaxErrors` (docs/facts/ssm.md#answers).
    pub(super) fn is_an_error(self) -> bool {
        match self {
            Self::Failed | Self::ExecutionTimedOut => true,
            Self::Pending
            | Self::InProgress
            | Self::Delayed
            | Self::Success
            | Self::DeliveryTimedOut
            | Self::Undeliverable
            | Self::Cancelled
            | Self::Terminated => false,
        }
    }
}

/// How many hosts a command runs on at once, and how many may fail before it goes to no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateControl {
    /// `MaxConcurrency`.
    pub at_once: usize,
    /// `MaxErrors`.
    pub most_errors: usize,
}

/// What is sent.
#[derive(Debug, Clone)]
pub struct Sending {
    /// Name of the document.
    pub document: String,
    /// Its version, as the caller names it.
    pub version: String,
    /// How many hosts at once, and how many may fail.
    pub rates: RateControl,
    pub parameters: BTreeMap<String, Vec<String>>,
    pub comment: String,
    /// For the delivery.
    pub delivery_timeout: SignedDuration,
    /// For the execution.
    pub execution_timeout: SignedDuration,
    /// What runs.
    pub script: Script,
    /// The hosts.
    pub machines: Vec<MachineNo>,
}

/// What `DescribeInstanceInformation` says of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ping {
    Online,
    ConnectionLost,
}

impl Ping {
    /// As SSM writes it. `Inactive` is for hosts that were deregistered, which is not modelled.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Online => "Online",
            Self::ConnectionLost => "ConnectionLost",
        }
    }
}

/// Both streams in one, as a listing shows them.
pub(super) fn combined_output(output: &Output) -> String {
    if output.stderr.is_empty() {
        return output.stdout.clone();
    }
    format!("{}\n----------ERROR-------\n{}", output.stdout, output.stderr)
}
