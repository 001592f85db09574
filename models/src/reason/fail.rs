//! Why an update failed.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::build::DOCS;

reasons!(
    /// Why the update of an instance failed.
    FailReason {
        /// The image could not be written.
        StageFailed {
            /// Where and why.
            detail: String,
        } = "stage_failed", "the update could not be written to the inactive partition set: {detail}; it stayed in service";
        /// The tasks did not leave in time.
        DrainTimedOut {
            /// What was left.
            left: String,
        } = "drain_timed_out", "its tasks did not leave in time ({left}); it was set ACTIVE again";
        /// The host refused to activate or reboot.
        RebootRefused {
            /// Where and why.
            detail: String,
        } = "reboot_refused", "the host did not reboot: {detail}; it was set ACTIVE again";
        /// The reboot command had no effect.
        RebootTimedOut = "reboot_timed_out", "the host is still in its old boot after the reboot time-out; it was set ACTIVE again";
        /// Nothing was heard of it since the reboot.
        NeverCameBack {
            /// What was seen.
            detail: String,
        } = "never_came_back", "nothing was heard from the host since its reboot ({detail}); it is left DRAINING, or as ECS shows it now, and counts against max_unavailable. If its console (aws ec2 get-console-output --latest) shows no boot, terminate it so that another takes its place. If it runs, check whether its SSM agent or host bridge does: the next run goes on once it answers. More at {DOCS}/operations.md#why-an-update-failed";
        /// The boot loader went back.
        FellBackAtBoot {
            /// The version that did not boot.
            version: Version,
        } = "fell_back_at_boot", "{version} did not boot and the boot loader fell back; marked in its EC2 tag ecs-updater:failed and not tried again";
        /// New version, not healthy.
        Unhealthy {
            version: Version,
            /// What was missing.
            detail: String,
        } = "unhealthy", "it was not healthy on {version} ({detail}) and was rolled back; marked in its EC2 tag ecs-updater:failed and not tried again";
        /// Hosts without the version had the same trouble.
        TroubleElsewhere {
            /// What is wrong with it.
            detail: String,
        } = "trouble_elsewhere", "{detail}, and hosts that do not run the new version have had the same trouble for an hour longer than its time-out: no version is marked as failed; it is left DRAINING, or as ECS shows it now, with its claim: the next run goes on once that trouble is over";
        /// Only its bridge says that it has rebooted, which another host may have written.
        Unconfirmed {
            /// What its bridge says.
            detail: String,
        } = "unconfirmed", "its host bridge says that {detail}, but neither ECS nor SSM confirms it (ECS has not shown its agent disconnected since the claim): no version is marked as failed and nothing is rolled back; it is left DRAINING, or as ECS shows it now, with its claim: {DOCS}/operations.md#an-instance-left-draining says what to do (bridge_policy = \"own-host\" needs no confirmation)";
        /// The way back failed.
        RollbackFailed {
            /// Where and why.
            detail: String,
        } = "rollback_failed", "the rollback failed: {detail}; it is left DRAINING: {DOCS}/operations.md#an-instance-left-draining says how to put it back into service";
        /// The old version is not healthy either.
        UnhealthyAfterRollback {
            /// What is missing.
            detail: String,
        } = "unhealthy_after_rollback", "back on its old version it is not healthy ({detail}); it is left DRAINING: replace it, or {DOCS}/operations.md#an-instance-left-draining says how to put it back into service";
        /// A function of the user's has said that it may not go on, or has not said that it may.
        HookFailed {
            /// Which hook, what it said or why it did not, and how the instance is left.
            detail: String,
        } = "hook_failed", "the function of {detail}; no version is marked as failed";
        /// Its Auto Scaling group has set it aside in the middle.
        NotInService {
            /// How it stands, and what is to be done.
            detail: String,
        } = "not_in_service", "{detail}; it is left DRAINING, or as ECS shows it now, with its claim: the next run goes on once it is InService";
        /// An act of ours that AWS refused.
        ActRefused {
            /// Where and why.
            detail: String,
        } = "act_refused", "AWS refused a step: {detail}";
    }
);

impl FailReason {
    /// The code of [`FailReason::NeverCameBack`].
    pub const NEVER_CAME_BACK: &str = "never_came_back";

    /// Whether the host, its tasks or its rights are to blame, and not the version.
    pub fn is_of_its_own(&self) -> bool {
        match self {
            Self::StageFailed { .. }
            | Self::DrainTimedOut { .. }
            | Self::RebootRefused { .. }
            | Self::RebootTimedOut
            | Self::TroubleElsewhere { .. }
            | Self::Unconfirmed { .. }
            | Self::NotInService { .. }
            | Self::HookFailed { .. }
            | Self::ActRefused { .. } => true,
            Self::NeverCameBack { .. }
            | Self::FellBackAtBoot { .. }
            | Self::Unhealthy { .. }
            | Self::RollbackFailed { .. }
            | Self::UnhealthyAfterRollback { .. } => false,
        }
    }
}
