//! The rules, and what it is to break one.

use std::fmt;

use jiff::Timestamp;
use models::ids::HostId;
use serde::Deserialize;

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Rule {
    /// An instance was taken out of service although the budget was used up.
    Budget,
    /// An instance was drained, or written on, without a well-formed claim on it. The one exception is the tag of its
    /// container instance with the ARN of its own EC2 instance.
    Claim,
    /// Somebody else's drain was undone.
    ForeignDrain,
    /// A host was rebooted with a task on it that is not STOPPED.
    TasksOnReboot,
    /// At the end an instance that was drained is not ACTIVE, and the report does not name it.
    LeftBehind,
    /// At the end there is a claim on an instance in service. One that somebody else wrote is not the caller's to remove
    /// where it is malformed, or where its epoch is above the lease's.
    ClaimLeft,
    /// A version that failed on an instance was activated there again.
    FailedVersion,
    /// A host is to boot a version that its policy skips, that is above its maximum or too young, and that nobody has named
    /// on the command line; the way back is none of them. Or an instance was drained for such a version, or to go back from a
    /// release that is not skipped, or it was to boot that release again.
    Unwanted,
    /// A process wrote on an instance although another one has taken the lease on its cluster since; or an epoch does
    /// not say who came last.
    SingleRun,
    /// An instance was set ACTIVE after a reboot although its agent has not come up in the new boot.
    Unverified,
    /// A host was rebooted that the caller itself has put back into service, or left there.
    RebootInService,
    /// An instance was drained although somebody had excluded it.
    Excluded,
    /// An instance was drained although somebody had paused its cluster.
    Paused,
    /// An instance was drained, set ACTIVE or rebooted that its Auto Scaling group ends or has set aside.
    OutOfGroup,
    /// A task was lost since a group ended its instance, in a scale-in that hosts caused which the caller had emptied.
    TaskScaledIn,
    /// `MinSize` of an Auto Scaling group was changed without a tag of the group that says what it was, or kept at the end of a run
    /// that could have put it back.
    MinSize,
    /// An instance was drained while ECS would place its tasks on a machine that does not run.
    PlacedOnDead,
    /// An instance was drained, or claimed to be staged, that is not selected; or one that is in two groups was drained.
    Selected,
    /// An instance was drained, or claimed to be staged, while one of a group with a lower order was under way.
    Order,
    /// An instance was drained for a release whose canaries are not all updated and watched.
    Canary,
    /// An instance was drained too soon after another one.
    Soak,
    /// An instance was drained for a release while an alarm fired that holds it.
    Alarm,
    /// An instance was drained, rebooted or set ACTIVE without the word of the function that has to allow it.
    Hook,
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When it was broken.
    pub at: Timestamp,
    pub rule: Rule,
    /// The machine; the cluster where it is about its lease; the Auto Scaling group where it is about its size.
    pub instance: HostId,
    /// In words.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} {:?} on {}: {}", self.at, self.rule, self.instance, self.detail)
    }
}
