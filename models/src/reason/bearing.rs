//! What it means for the rollout that an instance is held: a wish, or something that goes wrong.

use super::HoldCode;

/// What a hold says of a rollout that does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearing {
    /// A person's wish for this instance, or its update wave, which its owner follows.
    Wish,
    /// A person's wish for the whole cluster: whatever else would hold an instance, nothing was to be begun.
    WishForAll,
    /// Nothing is to be updated in place, as far as is known.
    NothingWanted,
    /// It is outdated, or that is not known, and nobody asked for it to stay so.
    Hindrance,
}

impl HoldCode {
    /// Returns what the hold means. A new reason is a [`Bearing::Hindrance`] unless a person said so.
    #[expect(clippy::too_many_lines, reason = "a table of all codes")]
    pub fn bearing(self) -> Bearing {
        match self {
            Self::Excluded
            | Self::DrainedBySomebodyElse
            | Self::VersionLocked
            | Self::WaveNotOpen
            | Self::NotSelected
            | Self::TooYoung
            | Self::VersionSkipped
            | Self::AboveMaxVersion
            | Self::SkipLifted
            | Self::EarlierGroup
            | Self::Baking
            | Self::Soaking
            | Self::ReactivatedBySomebody
            | Self::Released => Bearing::Wish,
            Self::OutsideWindow | Self::Frozen | Self::Paused | Self::ApprovalChanged | Self::Finishing => {
                Bearing::WishForAll
            }
            Self::NotBottlerocket
            | Self::External
            | Self::UnsupportedVariant
            | Self::NoInPlaceUpdates
            | Self::NotRunning
            | Self::UnknownToEc2
            | Self::NotActive
            | Self::ManagedByAws
            | Self::ScaledIn
            | Self::Withdrawn
            | Self::AheadOfTarget
            | Self::DowngradeOffered => Bearing::NothingWanted,
            Self::HostLockedDown
            | Self::NotDescribed
            | Self::AgentDisconnected
            | Self::HostUnreachable
            | Self::NotNamed
            | Self::InspectFailed
            | Self::MalformedClaim
            | Self::VersionFailedBefore
            | Self::VersionFailedElsewhere
            | Self::NoVersionBefore
            | Self::TagsFull
            | Self::RefreshFailed
            | Self::NotInService
            | Self::LoadBalancerCheck
            | Self::InstanceRefresh
            | Self::ScaleInEndsTasks
            | Self::ScaleInPaced
            | Self::TargetNotOffered
            | Self::ReleaseAgeUnknown
            | Self::StandaloneTasks
            | Self::ProtectedTasks
            | Self::DrainCannotEnd
            | Self::NoRoom
            | Self::BudgetUsedUp
            | Self::DrainsPaced
            | Self::SlowDrainFirst
            | Self::StoppedMachineFirst
            | Self::OtherZoneFirst
            | Self::InTwoGroups
            | Self::CanaryFirst
            | Self::NoCanary
            | Self::CanaryFailed
            | Self::CheckpointFirst
            | Self::BakeUnknown
            | Self::CanaryLost
            | Self::AlarmFiring
            | Self::AlarmUnknown
            | Self::ServiceUnsteady
            | Self::HookWaiting
            | Self::HookFailed
            | Self::StoppedAfterFailures
            | Self::OutOfTime
            | Self::ClusterGivenUp
            | Self::Interrupted
            | Self::NotPermitted => Bearing::Hindrance,
        }
    }

    /// Whether an instance that is held so is still to be begun in its group, by this run or a later one, so that groups with a
    /// higher order wait for it: it waits for its turn, a time, or the proof of its release, not for its own sake.
    pub fn keeps_later_groups(self) -> bool {
        matches!(
            self,
            Self::BudgetUsedUp
                | Self::DrainsPaced
                | Self::ScaleInPaced
                | Self::SlowDrainFirst
                | Self::StoppedMachineFirst
                | Self::OtherZoneFirst
                | Self::EarlierGroup
                | Self::CanaryFirst
                | Self::NoCanary
                | Self::CanaryFailed
                | Self::CanaryLost
                | Self::CheckpointFirst
                | Self::Baking
                | Self::BakeUnknown
                | Self::Soaking
                | Self::OutsideWindow
                | Self::Frozen
                | Self::HookWaiting
        )
    }

    /// Whether an instance that is held so may yet be current: nobody could look at it.
    pub fn leaves_it_open(self) -> bool {
        matches!(
            self,
            Self::NotDescribed
                | Self::AgentDisconnected
                | Self::HostUnreachable
                | Self::NotNamed
                | Self::InspectFailed
                | Self::MalformedClaim
                | Self::RefreshFailed
                | Self::NotPermitted
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::reason::HoldReason;

    use super::*;

    /// The wishes of the documents, and no others.
    #[test]
    fn what_a_person_wished() {
        let with = |bearing: Bearing| -> Vec<&str> {
            let codes = HoldReason::CODES.iter().copied();
            codes.filter(|code| HoldCode::find(code).unwrap().bearing() == bearing).collect()
        };
        assert_eq!(
            with(Bearing::Wish),
            [
                "excluded",
                "drained_by_somebody_else",
                "version_locked",
                "wave_not_open",
                "too_young",
                "version_skipped",
                "above_max_version",
                "skip_lifted",
                "earlier_group",
                "baking",
                "soaking",
                "not_selected",
                "released",
                "reactivated_by_somebody",
            ]
        );
        assert_eq!(with(Bearing::WishForAll), ["outside_window", "frozen", "paused", "approval_changed", "finishing"]);
        assert_eq!(HoldCode::find("gone"), None);
    }

    #[test]
    fn only_what_could_not_be_looked_at_is_open() {
        for code in HoldReason::CODES.iter().map(|code| HoldCode::find(code).unwrap()) {
            assert!(!code.leaves_it_open() || code.bearing() == Bearing::Hindrance, "{code:?}");
        }
    }
}
