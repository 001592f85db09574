//! Where an instance is in the life that its Auto Scaling group gives it (docs/facts/auto-scaling.md).

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::time::after;

/// How long an answer of EC2 Auto Scaling is good for planning. Just before an instance is drained, rebooted or set ACTIVE
/// it is asked again.
pub const GROUPS_FRESH: SignedDuration = SignedDuration::from_mins(5);

/// In the place of a state: EC2 takes the Spot instance back.
pub(super) const SPOT: &str = "Spot interruption";

/// What EC2 Auto Scaling says of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenLifecycle {
    /// When it was asked.
    pub at: Timestamp,
    /// `None` where it belongs to no group.
    pub member: Option<GroupMember>,
}

/// An instance of an Auto Scaling group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMember {
    pub group: SmolStr,
    /// `LifecycleState`, such as `InService`.
    pub state: SmolStr,
}

/// Where an instance is in the life that its group gives it, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    InService,
    /// Its group ends it, and nothing ends that.
    Terminating,
    /// In the warm pool: not a part of the cluster.
    Warm,
    /// On its way in or out, set aside, or kept; what is to be done is said by these words.
    Away(&'static str),
}

impl GroupMember {
    /// Returns where the instance is. A state that is newer than this program is no reason to touch it.
    pub fn place(&self) -> Place {
        match self.state.as_str() {
            "InService" => Place::InService,
            "Terminating" | "Terminating:Wait" | "Terminating:Proceed" | "Terminated" | SPOT => Place::Terminating,
            state if state == "Warmed" || state.starts_with("Warmed:") => Place::Warm,
            "Standby" | "EnteringStandby" => Place::Away(
                "somebody has set it aside: end the standby (aws autoscaling exit-standby) when that work is done",
            ),
            "Detaching" | "Detached" => Place::Away("somebody takes it out of the group"),
            "Pending" | "Pending:Wait" | "Pending:Proceed" => {
                Place::Away("the group is still bringing it into service: if that lasts, see its lifecycle hooks")
            }
            "Terminating:Retained" => Place::Away(
                "a termination hook was abandoned and the group keeps the machine: see what it is kept for, and terminate \
                 it (aws autoscaling terminate-instance-in-auto-scaling-group)",
            ),
            "ReplacingRootVolume"
            | "ReplacingRootVolume:Wait"
            | "ReplacingRootVolume:Proceed"
            | "RootVolumeReplaced" => Place::Away("an instance refresh replaces its root volume"),
            _ => Place::Away("this program does not know that state: see what the group does with it"),
        }
    }
}

impl SeenLifecycle {
    /// Whether the answer is good for planning.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now < after(self.at, GROUPS_FRESH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All states of the API, and one that it does not have.
    #[test]
    fn states_by_what_becomes_of_an_instance() {
        let place = |state: &str| GroupMember { group: "web".into(), state: state.into() }.place();
        assert_eq!(place("InService"), Place::InService);
        for state in ["Terminating", "Terminating:Wait", "Terminating:Proceed", "Terminated"] {
            assert_eq!(place(state), Place::Terminating, "{state}");
        }
        for state in [
            "Warmed:Pending",
            "Warmed:Pending:Wait",
            "Warmed:Pending:Proceed",
            "Warmed:Pending:Retained",
            "Warmed:Terminating",
            "Warmed:Terminating:Wait",
            "Warmed:Terminating:Proceed",
            "Warmed:Terminating:Retained",
            "Warmed:Terminated",
            "Warmed:Stopped",
            "Warmed:Running",
            "Warmed:Hibernated",
        ] {
            assert_eq!(place(state), Place::Warm, "{state}");
        }
        for state in [
            "Pending",
            "Pending:Wait",
            "Pending:Proceed",
            "Quarantined",
            "Terminating:Retained",
            "Detaching",
            "Detached",
            "EnteringStandby",
            "Standby",
            "ReplacingRootVolume",
            "ReplacingRootVolume:Wait",
            "ReplacingRootVolume:Proceed",
            "RootVolumeReplaced",
            "Levitating",
            "inservice",
            "",
        ] {
            assert!(matches!(place(state), Place::Away(_)), "{state}");
        }
    }
}
