//! What a run remembers of its own acts on one instance.

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::visit::{Visit, VisitEnd};
use crate::claim::{BadClaim, Claim, ClaimStep, Transport};
use crate::hook::Asked;
use crate::ids::{BootId, ContainerInstanceArn, TaskArn};
use crate::plan::End;
use crate::report::Verdict;

/// What this run knows of its own acts. It paces and words things; safety never rests on it, since it dies with the
/// run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunMemory {
    /// The way by which the host was first reached.
    pub transport: Option<Transport>,
    /// When this run set it DRAINING.
    pub drained_at: Option<Timestamp>,
    /// Whether an instance must be launched for the tasks that this run drains from it.
    #[serde(default)]
    pub scale_out: bool,
    /// How often this run staged on it.
    pub stages: u32,
    /// The version that this run staged on it last, or tried to.
    pub staged_to: Option<Version>,
    /// The boot of the newest report, and when this run first heard of it.
    pub boot: Option<SeenBoot>,
    /// The last write to its inactive set, where it did not end well: the host's own status may call a version
    /// staged that is not what was written (docs/facts/host-api.md#trap-1 and #trap-2), so it is not believed until a
    /// write ends well.
    #[serde(default)]
    pub failed_stage: Option<Box<Visit>>,
    /// The reboot command that this run sent to it last.
    pub reboot: Option<Box<SentReboot>>,
    /// `since` of the claim `reboot` or `revert` that this run wrote first, and not another before it.
    pub began: Option<Timestamp>,
    /// The claim that stands, and when this run first saw it.
    #[serde(default)]
    pub claim_seen: Option<SeenClaim>,
    /// The claim that was shown to be a lie last.
    #[serde(default)]
    pub disproved: Option<Box<BadClaim>>,
    /// How many boots of the host this run has claimed a reboot for.
    pub reboot_claims: u32,
    /// `since` of the claim `reboot` whose activation this run has undone, or tried to.
    pub undone: Option<Timestamp>,
    /// The reboot that this run has called off with the host's bridge, while it is not known to be off.
    pub called_off: Option<Box<CalledOff>>,
    /// The claim for a reboot that this run has asked EC2 to replace, which takes the reboot back. EC2's answer may be lost
    /// and the request carried out all the same.
    #[serde(default)]
    pub calling_off: Option<Box<Claim>>,
    /// How often this run undid an activation or put a lock back.
    pub cancels: u32,
    /// When this run wrote or removed one of its tags on it last. EC2's answers may be older than that for a while.
    pub tags_written_at: Option<Timestamp>,
    /// Standalone tasks that this run asked ECS to stop.
    pub stopped_tasks: Vec<TaskArn>,
    /// What went wrong on the way to the state it is in, kept for the report.
    pub trouble: Option<String>,
    /// The call that AWS refused on it alone because a right is missing.
    #[serde(default)]
    pub denied: Option<DeniedCall>,
    /// The step that AWS refuses on it.
    pub refused: Option<Box<RefusedStep>>,
    /// How this run has named it by a tag of its container instance.
    #[serde(default)]
    pub naming: Option<Box<Naming>>,
    /// Until when the tag of its container instance was last known to name another host.
    #[serde(default)]
    pub misnamed_at: Option<Timestamp>,
    /// The boot that SSM told of last, on a host that is reached by its bridge.
    #[serde(default)]
    pub told_by_ssm: Option<Box<ToldBoot>>,
    /// When it was last seen healthy, and last seen unhealthy.
    pub last_seen: LastSeen,
    /// The function that was asked last about it.
    #[serde(default)]
    pub hook: Option<Box<Asked>>,
    /// The end that is being carried out; a part of it may have been refused so far.
    pub ending: Option<Box<End>>,
    /// Set once this run is done with it.
    pub verdict: Option<Box<Verdict>>,
}

/// When an instance was last seen in these states by this run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSeen {
    /// ECS called its agent connected.
    pub connected: Option<Timestamp>,
    /// ECS did not.
    pub disconnected: Option<Timestamp>,
    /// It was in service.
    #[serde(default)]
    pub in_service: Option<Timestamp>,
    /// No command would have reached its host.
    pub unreachable: Option<Timestamp>,
    /// EC2 called it impaired.
    pub impaired: Option<Timestamp>,
    /// It was healthy in its boot, while a function of the user's was asked whether it is.
    #[serde(default)]
    pub well: Option<Timestamp>,
}

/// A boot and when this run first heard of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenBoot {
    /// The boot id.
    pub id: BootId,
    /// When this run first heard of it.
    pub at: Timestamp,
}

/// A boot as SSM tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldBoot {
    /// The boot id.
    pub id: BootId,
    /// The version that runs in it.
    pub version: Option<Version>,
}

/// What became of the tag that names an instance's host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Naming {
    /// The container instance that was to be tagged; another one has no tag yet.
    pub on: ContainerInstanceArn,
    /// How often that was tried since ECS last showed the tag.
    pub tries: u32,
    /// When it was tried last.
    pub at: Timestamp,
    /// What AWS said, where it was not done.
    pub refused: Option<String>,
}

/// When this run first saw what a claim asks for, or one of the same step that somebody has replaced by it. A claim that asks
/// for the same again keeps its `since`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenClaim {
    pub step: ClaimStep,
    pub since: Timestamp,
    pub at: Timestamp,
}

impl SeenClaim {
    pub(super) fn is_of(&self, claim: &Claim) -> bool {
        (self.step, self.since) == (claim.step, claim.since)
    }
}

/// A call that AWS refused on one instance because a right is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeniedCall {
    /// Such as `ec2:CreateTags`.
    pub operation: SmolStr,
    /// How often it had been done in this run by then, on any instance.
    pub done: u64,
}

/// A step that AWS refuses on an instance, and nothing but that since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedStep {
    /// The name of the step that was refused last.
    pub step: SmolStr,
    /// When it was refused first.
    pub since: Timestamp,
    /// When it was refused last.
    pub at: Timestamp,
    /// AWS's own words.
    pub detail: String,
}

/// The newest reboot command of this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentReboot {
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When an earlier one was sent that may still reboot the host, or has; `None` where each is known to have done
    /// nothing.
    pub earlier: Option<Timestamp>,
    /// How it ended and when that was seen; `None` while it is under way. Its answer is often lost with the boot: then
    /// the end is [`VisitEnd::Unsure`].
    pub end: Option<(Timestamp, VisitEnd)>,
}

impl SentReboot {
    /// When a command was last sent that may have rebooted the host, or still may.
    pub fn may_act_since(&self) -> Option<Timestamp> {
        let did_nothing = self.end.as_ref().is_some_and(|(_, end)| end.did_nothing());
        if did_nothing { self.earlier } else { Some(self.sent_at) }
    }
}

/// A claim that asked a host bridge for a reboot and was taken back. The bridge may not have seen that yet, and a reboot
/// that it has asked its host for cannot be stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalledOff {
    pub claim: Claim,
    /// When it was taken back.
    pub at: Timestamp,
}
