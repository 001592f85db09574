//! How long each step of an update may take, and the SSM documents that carry it out.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// How long each step may take before it counts as failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// From the first attempt to look at a host to giving it up as unreachable. A refresh takes seconds; the rest
    /// is for an SSM agent that reconnects.
    pub inspect: SignedDuration,
    /// One download and write of an image. `apiclient` itself allows 10 minutes.
    pub stage: SignedDuration,
    /// From DRAINING to the last task's end. The P99 seen in the field is 10 minutes.
    pub drain: SignedDuration,
    /// From the reboot command to the host's first word from a new boot. Shutdown may take 5 minutes to begin, and
    /// a failed boot with its fallback takes two boots.
    pub reboot: SignedDuration,
    /// From the new boot to a registered ECS agent and sound status checks.
    pub verify: SignedDuration,
    /// From the last task's leave to the steadiness of the service that it belongs to.
    #[serde(default = "steady")]
    pub steady: SignedDuration,
}

/// For policies that were written before there was a time for it.
fn steady() -> SignedDuration {
    Timeouts::default().steady
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            inspect: SignedDuration::from_mins(3),
            stage: SignedDuration::from_mins(15),
            drain: SignedDuration::from_mins(20),
            reboot: SignedDuration::from_mins(15),
            verify: SignedDuration::from_mins(10),
            steady: SignedDuration::from_mins(10),
        }
    }
}

/// Names of the four SSM documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Documents {
    pub inspect: String,
    /// Writes the update to the inactive set.
    pub stage: String,
    /// Activates and reboots.
    pub reboot: String,
    pub revert: String,
}

impl Default for Documents {
    fn default() -> Self {
        Self {
            inspect: "EcsUpdater-Inspect".into(),
            stage: "EcsUpdater-Stage".into(),
            reboot: "EcsUpdater-Reboot".into(),
            revert: "EcsUpdater-Revert".into(),
        }
    }
}
