//! What the planner says: a step, a hold or a wait for every instance, and when to look again.

use jiff::{SignedDuration, Timestamp};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::hook::Ask;
use crate::ids::{BootId, GroupName, HostId, TaskArn};
use crate::reason::{FailReason, HoldReason};

/// What to do now, and what is waited for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[must_use]
pub struct Plan {
    /// The steps, in the order in which they matter: what is out of service comes first.
    pub steps: Vec<PlannedStep>,
    /// Where every instance of the snapshot stands, in the snapshot's order.
    pub standings: Vec<Standing>,
    /// When to look again although nothing else happens; `None` when nothing is under way any more.
    pub wake_at: Option<Timestamp>,
    /// In a dry run: the bakes that a run would wait for.
    #[serde(default)]
    pub bakes: Vec<Bakes>,
    /// The user's functions that are to be asked now.
    #[serde(default)]
    pub asks: Vec<Ask>,
}

impl Plan {
    /// Where the instance stands; `None` for one that was not in the snapshot.
    pub fn standing(&self, host: &HostId) -> Option<&Standing> {
        let at = self.standings.binary_search_by(|standing| standing.host.cmp(host)).ok()?;
        self.standings.get(at)
    }
}

/// How many bakes a run would wait for, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bakes {
    /// The group that a release makes its way through by itself; `None`: the rest of the cluster.
    pub group: Option<GroupName>,
    pub bakes: usize,
}

/// One step on one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// The instance.
    pub host: HostId,
    pub step: Step,
}

/// The next thing to do with an instance. A step carries what it expects; the executor checks that again just before
/// it acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Ask SSM whether it reaches the host.
    Reach,
    /// Visit the host and report.
    Inspect(Inspect),
    /// Have SSM say which boot and version run on a host that is reached by its bridge.
    Confirm,
    /// List the tasks on the instance, and describe their services.
    LookAtTasks,
    /// Ask EC2 for the status checks.
    LookAtChecks,
    /// Claim, then write the version to the inactive partition set. The instance stays in service.
    Stage(Stage),
    /// Claim, check the budget and the tasks again, then set DRAINING.
    Drain(Drain),
    /// Ask ECS to stop tasks that no service replaces.
    StopTasks(StopTasks),
    /// Claim with the boot id, check that DRAINING still stands and every task has stopped, then activate and reboot.
    /// For a rollback the claim stays `revert` and the version is the old one.
    Reboot(Reboot),
    /// Remember on the instance that the version failed there.
    MarkFailed(MarkFailed),
    /// Claim, then write and activate the old version; the reboot is a step of its own.
    Revert(Revert),
    /// Undo an activation and put the lock back, without a reboot.
    Cancel(Cancel),
    /// Put the instance back in service, remove the claim, and be done with it.
    Finish(End),
    /// Be done with it and leave everything as it is, claim included.
    Leave(End),
}

/// A visit that reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspect {
    /// Whether the host reads its update repository first.
    pub refresh: bool,
}

/// What to write to the inactive partition set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The running version.
    pub from: Version,
    /// The version to write.
    pub to: Version,
    /// `version-lock` as the host is to have it afterwards.
    pub lock: Option<String>,
}

/// The update that an instance is taken out of service for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// The running version.
    pub from: Version,
    /// The staged version.
    pub to: Version,
    /// Whether an instance must be launched for its tasks.
    #[serde(default)]
    pub scale_out: bool,
}

/// The tasks to stop on an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopTasks {
    /// Tasks that no service replaces.
    pub tasks: Vec<TaskArn>,
}

/// A reboot into a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reboot {
    /// The version to boot into.
    pub to: Version,
    /// The boot in which the command is to act.
    pub boot: BootId,
}

/// A version that failed on an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkFailed {
    pub version: Version,
}

/// The way back to the old version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revert {
    /// The boot that is unhealthy.
    pub boot: BootId,
    /// `version-lock` as the host is to have it afterwards.
    pub lock: Option<String>,
    /// What is missing, for the report.
    pub why: String,
}

/// An activation that is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// The boot in which it was activated.
    pub boot: BootId,
    /// `version-lock` as the host is to have it afterwards.
    pub lock: Option<String>,
}

impl Step {
    /// Its name, as in its serialized form.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reach => "reach",
            Self::Inspect(_) => "inspect",
            Self::Confirm => "confirm",
            Self::LookAtTasks => "look_at_tasks",
            Self::LookAtChecks => "look_at_checks",
            Self::Stage(_) => "stage",
            Self::Drain(_) => "drain",
            Self::StopTasks(_) => "stop_tasks",
            Self::Reboot(_) => "reboot",
            Self::MarkFailed(_) => "mark_failed",
            Self::Revert(_) => "revert",
            Self::Cancel(_) => "cancel",
            Self::Finish(_) => "finish",
            Self::Leave(_) => "leave",
        }
    }
}

/// How this run ends with an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case")]
pub enum End {
    /// It runs the new version and is in service.
    Updated {
        /// The version before.
        from: Version,
        /// The version that runs.
        to: Version,
    },
    /// It is back on the old version and in service.
    RolledBack {
        /// The version that runs again.
        from: Version,
        /// The version that failed.
        to: Version,
        /// What failed.
        why: FailReason,
    },
    /// The update failed.
    Failed {
        /// What failed.
        why: FailReason,
    },
    /// A reason not to go on with it.
    Held {
        /// The reason.
        why: HoldReason,
    },
    /// It runs what it should; only a claim of an earlier run was left on it.
    Current,
    /// The machine is gone.
    Gone,
    /// Its Auto Scaling group ends it.
    ScaledIn {
        /// Name of the group.
        group: String,
        /// `LifecycleState`.
        state: String,
    },
}

/// Where an instance stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The instance.
    pub host: HostId,
    pub phase: Phase,
    /// Why nothing is done about it now, where that is so.
    pub hold: Option<HoldReason>,
    /// The running version, where known.
    pub from: Option<Version>,
    /// Where it goes, where that is known.
    pub to: Option<Version>,
    /// The order of its turn, from 1, where it has one to come.
    pub turn: Option<usize>,
}

/// The phases of an instance's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its host was not heard yet in this run.
    Unseen,
    /// Nothing to do.
    Current,
    /// A newer version is to be written.
    Outdated,
    /// The new version is being written; in service.
    Staging,
    /// The new version is written; in service.
    Staged,
    /// Out of service, tasks are leaving.
    Draining,
    /// Out of service, no task left.
    Drained,
    /// The reboot was asked for.
    Rebooting,
    /// In a new boot; version, agent and checks are looked at.
    Verifying,
    /// Healthy as its bridge says, which ECS or SSM has yet to confirm.
    Confirming,
    /// Going back to the old version.
    Reverting,
    /// There is a reason to leave it alone.
    Held,
    /// This run is done with it.
    Settled,
}

impl Phase {
    /// All, in the order of a life.
    pub const ALL: [Self; 13] = [
        Self::Unseen,
        Self::Current,
        Self::Outdated,
        Self::Staging,
        Self::Staged,
        Self::Draining,
        Self::Drained,
        Self::Rebooting,
        Self::Verifying,
        Self::Confirming,
        Self::Reverting,
        Self::Held,
        Self::Settled,
    ];

    /// For people and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unseen => "unseen",
            Self::Current => "current",
            Self::Outdated => "outdated",
            Self::Staging => "staging",
            Self::Staged => "staged",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Rebooting => "rebooting",
            Self::Verifying => "verifying",
            Self::Confirming => "confirming",
            Self::Reverting => "reverting",
            Self::Held => "held",
            Self::Settled => "settled",
        }
    }

    /// Whether we are in the middle of something with it.
    pub fn is_under_way(self) -> bool {
        match self {
            Self::Staging
            | Self::Draining
            | Self::Drained
            | Self::Rebooting
            | Self::Verifying
            | Self::Confirming
            | Self::Reverting => true,
            Self::Unseen | Self::Current | Self::Outdated | Self::Staged | Self::Held | Self::Settled => false,
        }
    }
}

/// A command that is sent to a host, whichever way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum HostCommand {
    Inspect {
        /// Whether to refresh the update status first.
        refresh: bool,
    },
    /// Writes `version` to the inactive set.
    Stage {
        version: Version,
        /// `version-lock` afterwards; `None`: as found.
        lock: Option<String>,
    },
    /// Activates `version` and reboots.
    Reboot {
        version: Version,
        /// The boot in which to act.
        boot: BootId,
    },
    /// Undoes: with a version, writes and activates that one.
    Revert {
        /// The version to go back to; `None`: only undo an activation and put the lock back.
        version: Option<Version>,
        /// `version-lock` afterwards; `None`: as found.
        lock: Option<String>,
        /// The boot in which to act.
        boot: BootId,
    },
}

impl HostCommand {
    /// The name of the document, and of the step in the report.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Inspect { .. } => "inspect",
            Self::Stage { .. } => "stage",
            Self::Reboot { .. } => "reboot",
            Self::Revert { .. } => "revert",
        }
    }
}

/// How long a rollout will take, and what that rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The whole.
    pub duration: SignedDuration,
    /// What was assumed, a sentence each.
    pub rests_on: Vec<String>,
}
