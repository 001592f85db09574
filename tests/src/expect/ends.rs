//! How a run or a host ends, as a scenario writes it.

use std::fmt;

use ecs_updater::exit::ExitStatus;
use models::reason::{FailReason, HoldReason};
use models::report::{InstanceReport, Outcome};
use serde::Deserialize;

/// An exit status by its name: `success`, `failures`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Exit(pub ExitStatus);

/// The place of a host in the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct HostIndex(pub usize);

/// Outcome and reason of a host: `"held: standalone_tasks"`, `"updated"`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostEnd {
    pub outcome: Outcome,
    /// The reason's code.
    pub reason: Option<String>,
}

/// What a metric comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum MetricEnd {
    Exactly(i64),
    More { at_least: i64 },
}

impl MetricEnd {
    /// Whether a value is as wanted; `None`: the metric is not there.
    pub fn is(self, value: Option<i64>) -> bool {
        match self {
            Self::Exactly(wanted) => value == Some(wanted),
            Self::More { at_least } => value >= Some(at_least),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{:?}", self.0).to_lowercase())
    }
}

impl TryFrom<String> for Exit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let all = ExitStatus::ALL.map(Self);
        let known = || all.map(|exit| exit.to_string()).join(", ");
        let found = all.into_iter().find(|exit| exit.to_string() == text);
        found.ok_or_else(|| format!("{text:?} is no exit status, which is one of {}", known()))
    }
}

impl TryFrom<String> for HostIndex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("{text:?} is no index of a host"))
    }
}

impl TryFrom<String> for HostEnd {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (word, reason) = match text.split_once(": ") {
            Some((word, reason)) => (word, Some(reason)),
            None => (text.as_str(), None),
        };
        let outcomes = || Outcome::ALL.map(Outcome::as_str).join(", ");
        let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word);
        let outcome = outcome.ok_or_else(|| format!("{word:?} is no outcome, which is one of {}", outcomes()))?;
        let codes = || HoldReason::CODES.iter().chain(FailReason::CODES).chain(&["gone", "under_way"]).copied();
        if let Some(reason) = reason.filter(|reason| !codes().any(|code| code == *reason)) {
            let codes: Vec<&str> = codes().collect();
            return Err(format!("{reason:?} is no reason, which is one of {}", codes.join(", ")));
        }
        Ok(Self { outcome, reason: reason.map(str::to_owned) })
    }
}

impl HostEnd {
    /// What a report says of an instance.
    pub fn of(instance: &InstanceReport) -> Self {
        Self { outcome: instance.outcome, reason: instance.reason.clone() }
    }
}

impl fmt::Display for HostEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.outcome.as_str())?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}
