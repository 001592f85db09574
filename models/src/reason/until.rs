//! Codes that others name, and until when a rollout waits by itself.

use jiff::Timestamp;

use super::HoldReason;

impl HoldReason {
    /// The code of [`HoldReason::Finishing`].
    pub const FINISHING: &str = "finishing";
    /// The code of a firing alarm.
    pub const ALARM_FIRING: &str = "alarm_firing";

    /// Returns until when a release is watched, or nothing is drained, before a rollout goes on.
    pub fn watched_until(&self) -> Option<Timestamp> {
        if let Self::Baking { until, .. } | Self::Soaking { until } = self { Some(*until) } else { None }
    }
}
