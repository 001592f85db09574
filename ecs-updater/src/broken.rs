//! Deliberate mistakes, for the tests of the tests: each must be noticed by the simulator's rules. Compiled with the
//! feature `broken` only, which nothing that ships turns on, and inert until a test makes one on its thread.

#[cfg(feature = "broken")]
mod mistakes {
    use std::cell::Cell;

    /// A mistake that this program could make.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Mistake {
        /// One instance more than the budget is taken out of service.
        BudgetOffByOne,
        /// The budgets of groups are not read.
        GroupBudgetIgnored,
        /// Groups are begun whatever their order.
        OrderIgnored,
        /// The reboot is sent without another look at the tasks.
        NoLookBeforeReboot,
        /// DRAINING is set without another look at status, tags and budget.
        NoLookBeforeDrain,
        /// The claim is written after DRAINING.
        ClaimAfterDrain,
        /// The claim is removed before ACTIVE.
        ReleaseBeforeActive,
        /// An instance counts as healthy when ECS calls its agent connected.
        VerifyByAgentConnectedOnly,
        /// Versions that failed are not marked.
        ForgetFailedVersions,
        /// An instance counts as drained when ECS counts no running task.
        DrainedByCount,
        /// The boot is not compared: whatever boot the host is in, it is asked to reboot.
        RebootWithoutBootId,
        /// Whatever is DRAINING without a claim is made ACTIVE.
        ActivateForeignDrains,
        /// A drain may take forever.
        NoDrainTimeout,
        /// ACTIVE is set as soon as the new boot is there.
        ActiveBeforeVerify,
        /// The `version-lock` that staging changed is forgotten instead of put back.
        ForgetSavedLock,
        /// A reboot that was refused is not undone on the host: the new version stays the next to boot.
        LeaveActivated,
        /// A version that failed is marked after everything was undone, instead of before.
        MarkFailedLast,
        /// An instance that fell back is put into service as soon as that is seen.
        NoVerifyAfterFallBack,
        /// Another boot is called an update, whatever version it runs.
        UpdatedUnseen,
        /// What is on the inactive set counts as staged, whatever version it is.
        StagedVersionIgnored,
        /// Versions are installed that are skipped, or above the maximum.
        LimitsIgnored,
        /// Nothing is watched before a release goes on.
        BakeIgnored,
        /// More is begun whatever alarms and services say.
        HealthIgnored,
        /// A release goes to all at once, whatever its canaries and checkpoints.
        StagesIgnored,
        /// Drains follow each other at once.
        SoakIgnored,
        /// Functions of the user's are not asked.
        HooksIgnored,
        /// Releases of any age are installed.
        AgeIgnored,
        /// `MinSize` of a group is held without a tag that says what it was.
        MinSizeNotTagged,
        /// `MinSize` of a group is not put back.
        MinSizeKept,
        /// Instances go back from a release whether or not it is skipped.
        SkipNotWritten,
        /// An instance that is not healthy on its old version is taken forward again to the one that it came back from.
        ForwardAfterTheWayBack,
        /// What Auto Scaling groups do with instances is not read.
        GroupsIgnored,
        /// Instances are drained although the scale-in that this may cause takes tasks with it.
        ScaleInIgnored,
        /// A person's exclusion is not read.
        ExclusionIgnored,
        /// The last look before DRAINING is at the budget alone: whatever the tags say by then.
        NoLookAtTags,
        /// A claim that cannot be read is taken for none.
        MalformedClaimOverwritten,
        /// Instances are drained whether or not their tasks have room elsewhere.
        DrainWithoutRoom,
        /// Instances are drained while others that drain with tasks of the same services get nowhere.
        SlowDrainsOvertaken,
        /// Tasks with scale-in protection hold nothing.
        ProtectedTasksIgnored,
        /// Standalone tasks are stopped under `standalone_tasks = "wait"` too.
        StandaloneTasksStopped,
        /// A call without an answer counts as refused by AWS.
        NoAnswerCounts,
        /// Requests are sent whether or not the lease is still ours.
        FenceIgnored,
    }

    impl Mistake {
        /// All of them.
        pub const ALL: [Self; 42] = [
            Self::HealthIgnored,
            Self::BakeIgnored,
            Self::StagesIgnored,
            Self::SoakIgnored,
            Self::HooksIgnored,
            Self::BudgetOffByOne,
            Self::GroupBudgetIgnored,
            Self::OrderIgnored,
            Self::NoLookBeforeReboot,
            Self::NoLookBeforeDrain,
            Self::ClaimAfterDrain,
            Self::ReleaseBeforeActive,
            Self::VerifyByAgentConnectedOnly,
            Self::ForgetFailedVersions,
            Self::DrainedByCount,
            Self::RebootWithoutBootId,
            Self::ActivateForeignDrains,
            Self::NoDrainTimeout,
            Self::ActiveBeforeVerify,
            Self::ForgetSavedLock,
            Self::LeaveActivated,
            Self::MarkFailedLast,
            Self::NoVerifyAfterFallBack,
            Self::UpdatedUnseen,
            Self::StagedVersionIgnored,
            Self::LimitsIgnored,
            Self::AgeIgnored,
            Self::SkipNotWritten,
            Self::ForwardAfterTheWayBack,
            Self::GroupsIgnored,
            Self::ScaleInIgnored,
            Self::MinSizeNotTagged,
            Self::MinSizeKept,
            Self::ExclusionIgnored,
            Self::NoLookAtTags,
            Self::MalformedClaimOverwritten,
            Self::DrainWithoutRoom,
            Self::SlowDrainsOvertaken,
            Self::ProtectedTasksIgnored,
            Self::StandaloneTasksStopped,
            Self::NoAnswerCounts,
            Self::FenceIgnored,
        ];
    }

    thread_local! {
        static MADE: Cell<Option<Mistake>> = const { Cell::new(None) };
    }

    /// Makes this mistake on this thread from now on; none with `None`.
    pub fn make(mistake: Option<Mistake>) {
        MADE.set(mistake);
    }

    pub(crate) fn is_made(mistake: Mistake) -> bool {
        MADE.get() == Some(mistake)
    }
}

#[cfg(feature = "broken")]
pub(crate) use mistakes::is_made;
#[cfg(feature = "broken")]
pub use mistakes::{Mistake, make};

/// Whether a test makes this mistake: never, without the feature.
#[cfg(feature = "broken")]
macro_rules! broken {
    ($mistake:ident) => {
        crate::broken::is_made(crate::broken::Mistake::$mistake)
    };
}

/// Whether a test makes this mistake: never, without the feature.
#[cfg(not(feature = "broken"))]
macro_rules! broken {
    ($mistake:ident) => {
        false
    };
}
