//! What the agent remembers, in its journal: what it has begun and how that ended. Values and their changes; pure.
//!
//! [`Memory::observe`] folds one look at the world into it, [`Memory::begin`] what is about to be done, and
//! [`Memory::end`] how that went. Between any two of them the agent may die: what was begun and has no end is done
//! again, and everything it does looks first and does what is left to do.

mod observe;
mod record;

use jiff::{SignedDuration, Timestamp};
use models::attributes::Progress;
use models::claim::Claim;
use models::host::{ErrorCode, ReportedError};
use models::ids::{BootId, ClusterName, ContainerInstanceArn};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use crate::client::excerpt;

/// All that outlives the agent and the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The claim that stands, as it was taken up.
    pub claim: Option<TakenUp>,
    /// The new version that is on trial: from the reboot into it until it is confirmed, or left again.
    pub trial: Option<Trial>,
    /// What the agent's last prepare wrote, by the worker's own word.
    pub written: Option<Placed>,
    /// What is on the inactive set because the host came from it.
    pub came_from: Option<Placed>,
    /// What `version-lock` is to be again: recorded before it is pinned, until the host shows it.
    pub lock_owed: Option<String>,
    /// Undoing what nobody asks for any more failed; no try before then.
    pub tidy_not_before: Option<Timestamp>,
    /// The boot in which the agent activated something; in that boot it is for the agent to undo.
    pub activated_in: Option<BootId>,
    /// The boot in which `signpost` was to make the other set the next to boot; in that boot it is for the agent to undo.
    pub switched_in: Option<BootId>,
    /// The reboot that the host was asked for last, wanted still or not: nothing can stop it.
    pub going_down: Option<GoingDown>,
    /// The last boot in which the ECS agent was seen registered.
    pub ecs_agent_in: Option<BootId>,
    /// Where the reports go, so that they do also while the ECS agent is dead.
    pub target: Option<Target>,
    /// Why an earlier memory was lost, until a claim is taken up.
    pub lost: Option<String>,
}

/// A host that was asked to reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoingDown {
    /// The boot that it was asked in.
    pub boot: BootId,
    /// The time of the request.
    pub asked: Timestamp,
}

/// A container instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub cluster: ClusterName,
    /// Its ARN.
    pub container_instance: ContainerInstanceArn,
}

/// A version on the inactive set, as known in one boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    pub version: Version,
    /// In which boot this is known.
    pub boot: BootId,
}

/// A claim that was taken up, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenUp {
    pub claim: Claim,
    /// How far it is.
    pub progress: Progress,
    /// What is or was in its way.
    pub error: Option<ReportedError>,
    /// What was written for it.
    pub wrote: Option<Version>,
    /// How often it was tried without success.
    pub failures: u32,
    /// No try before then.
    pub not_before: Option<Timestamp>,
    /// For a revert: the next boot is the old version's.
    pub switched: bool,
    /// The reboot is about to be asked for, in the boot of the claim.
    pub asking: bool,
    /// When it was asked for.
    pub reboot_asked: Option<Timestamp>,
    /// Since when the reboot waits because AWS takes the host away.
    #[serde(default)]
    pub away_since: Option<Timestamp>,
}

impl TakenUp {
    fn new(claim: Claim) -> Self {
        Self {
            claim,
            progress: Progress::Doing,
            error: None,
            wrote: None,
            failures: 0,
            not_before: None,
            switched: false,
            asking: false,
            reboot_asked: None,
            away_since: None,
        }
    }

    fn is_doing(&self) -> bool {
        self.progress == Progress::Doing
    }
}

/// A new version on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The claim that asked for the reboot: where from, where to.
    pub claim: Claim,
    /// The boot that it left.
    pub left: BootId,
    /// Whether the ECS agent was registered in that boot. Where it was not, that it is not now proves nothing.
    pub armed: bool,
    /// The agent's own way back, once begun.
    pub falling_back: Option<FallingBack>,
}

/// The agent's own way back to the old version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FallingBack {
    /// The boot that it is to leave.
    pub boot: BootId,
    /// What was missing.
    pub why: String,
    /// What keeps it from going back.
    pub error: Option<ReportedError>,
    /// How often it was tried without success.
    pub failures: u32,
    /// No try before then.
    pub not_before: Option<Timestamp>,
    /// The next boot is the old version's.
    pub switched: bool,
    /// When the reboot was asked for.
    pub reboot_asked: Option<Timestamp>,
}

/// How an act went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What was written to the inactive set.
    pub wrote: Option<Version>,
    /// A reboot was asked for, and the host may be going down.
    pub reboot_asked: bool,
    /// What it ended with; `None` for success.
    pub error: Option<ReportedError>,
}

impl Memory {
    /// Returns the version on the host's inactive set, where the host came from it and nothing was written since.
    pub fn inactive(&self, facts: &Facts) -> Option<&Version> {
        let came = self.came_from.as_ref().filter(|placed| Some(&placed.boot) == facts.boot.id.as_ref())?;
        facts.report().is_none_or(|report| report.staged().is_none()).then_some(&came.version)
    }

    /// Whether the host's inactive set holds this version because the host came from it, and nothing was written since.
    pub fn inactive_is(&self, version: &Version, facts: &Facts) -> bool {
        self.inactive(facts) == Some(version)
    }

    /// Whether the agent has made the other set the next to boot, in this boot and past the host API.
    pub fn is_switched(&self, facts: &Facts) -> bool {
        self.switched_in.is_some() && self.switched_in == facts.boot.id
    }

    /// Whether the agent itself wrote this version in this boot, and the host still shows it.
    pub fn wrote(&self, version: &Version, facts: &Facts) -> bool {
        let written = self.written.as_ref();
        written.is_some_and(|placed| placed.version == *version && Some(&placed.boot) == facts.boot.id.as_ref())
            && facts.shows_staged(version)
    }
}

impl TakenUp {
    fn finish(&mut self, progress: Progress, error: Option<ReportedError>) {
        self.progress = progress;
        self.error = error;
        self.not_before = None;
    }
}

/// Where an act has stopped because AWS takes the host away.
pub(super) const GROUP: &str = "group";

/// How long a claimed reboot waits while AWS takes the host away. After that the claim has failed, and a run has to ask again:
/// the run that wrote it may be gone, its window over and its version skipped.
pub(super) const AWAY: SignedDuration = SignedDuration::from_mins(15);

/// An error of the agent's own, as it stands in reports.
pub(super) fn error(at: &str, code: ErrorCode, detail: &str) -> ReportedError {
    ReportedError { at: at.to_owned(), code, detail: excerpt(detail) }
}
