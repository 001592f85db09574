//! Until when a rollout waits by itself.

use jiff::Timestamp;

use super::HoldReason;

impl HoldReason {
    /// Returns until when a release is watched, or nothing is drained, before a rollout goes on.
    pub fn watched_until(&self) -> Option<Timestamp> {
        if let Self::Baking { until, .. } | Self::Soaking { until } = self { Some(*until) } else { None }
    }
}
