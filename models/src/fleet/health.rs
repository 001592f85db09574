//! How what runs on a cluster does, by CloudWatch's word and by ECS's.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::ServiceName;

/// What is known of the health of what runs on a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What CloudWatch said last of the alarms that hold a rollout, by name; `None` before its first answer. An alarm that it
    /// does not have is left out.
    pub alarms: Option<BTreeMap<String, Alarm>>,
    /// When it gave that answer.
    pub heard_at: Option<Timestamp>,
    /// Set while CloudWatch does not say.
    pub silence: Option<Silence>,
    /// The services whose tasks this run's drains moved, and when one of these tasks was last seen leaving.
    pub moved: BTreeMap<ServiceName, Timestamp>,
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    pub state: AlarmState,
    /// Since when it is in this state (`StateTransitionedTimestamp`), where CloudWatch says so.
    pub since: Option<Timestamp>,
}

/// `StateValue` of an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmState {
    Ok,
    /// It fires.
    Alarm,
    /// There is not enough data to tell.
    InsufficientData,
    /// A state that is newer than this program.
    Other(String),
}

/// That CloudWatch does not say how alarms are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// When it was first asked in vain.
    pub since: Timestamp,
    /// Whether it refuses, which no wait changes.
    pub is_refusal: bool,
    /// What came instead of an answer.
    pub detail: String,
}
