//! `[alarms]`: what CloudWatch has under a name.

use jiff::SignedDuration;
use serde::Deserialize;

/// A CloudWatch alarm as it is at the start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmSpec {
    /// Whether it is made of other alarms.
    #[serde(default)]
    pub composite: bool,
    #[serde(default)]
    pub state: AlarmState,
    /// For how long it has been in that state.
    #[serde(default = "a_day")]
    pub lasts: SignedDuration,
}

/// `StateValue`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    #[default]
    Ok,
    Alarm,
    InsufficientData,
}

impl AlarmState {
    /// CloudWatch's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

fn a_day() -> SignedDuration {
    SignedDuration::from_hours(24)
}
