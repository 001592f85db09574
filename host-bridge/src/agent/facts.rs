//! What one look at the world shows.

use jiff::Timestamp;
use models::claim::{BadClaim, Claim, FailedVersions, Transport};
use models::host::{AgentState, HostReport, TargetState, UpdateState};
use semver::Version;

use crate::inspect::{Boot, Seen};

/// One look at the world.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Which boot this is.
    pub boot: Boot,
    /// The host, as of the last look that was answered in this boot.
    pub host: Option<Seen>,
    /// Whether the last look at the host was answered.
    pub host_answers: bool,
    /// The tags on the instance.
    pub tags: Tags,
    /// Where AWS takes the host, as of the last look; `None` where that is not known.
    pub target_state: Option<TargetState>,
    /// Whether the agent may use the host's root, for `signpost`.
    pub may_roll_back: bool,
    /// When the host was last asked to read its update repository by the agent in this boot.
    pub refreshed_at: Option<Timestamp>,
}

/// The EC2 tags that matter to the agent.
#[expect(clippy::large_enum_variant, reason = "an agent has one")]
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Tags {
    /// The metadata service does not answer, or does not serve tags. That a claim is gone is never concluded from this.
    #[default]
    Unknown,
    /// What stands there.
    Known {
        /// `ecs-updater:claim`.
        claim: Option<Result<Claim, BadClaim>>,
        /// `ecs-updater:failed`.
        failed: FailedVersions,
        /// `ecs-updater:version-lock`.
        lock: Option<String>,
    },
}

impl Tags {
    /// The claim that the agent is to follow, where there is one that is understood.
    pub fn claim(&self) -> Option<&Claim> {
        match self {
            Self::Known { claim: Some(Ok(claim)), .. } => {
                Some(claim).filter(|claim| claim.transport == Transport::Bridge)
            }
            Self::Known { .. } | Self::Unknown => None,
        }
    }
}

impl Facts {
    /// The host's own words.
    pub fn report(&self) -> Option<&HostReport> {
        self.host.as_ref().map(|seen| &seen.report)
    }

    /// Whether the step of the claim is to be done in the present boot.
    pub fn is_meant_by(&self, claim: &Claim) -> bool {
        self.boot.id.as_ref().is_some_and(|boot| claim.is_for(boot))
    }

    /// When the kernel started, by the host's clock.
    pub fn booted_at(&self) -> Option<Timestamp> {
        self.boot.at.and_then(|at| Timestamp::from_second(at).ok())
    }

    /// The ECS agent's state.
    pub fn agent_state(&self) -> Option<&AgentState> {
        Some(&self.report()?.agent.as_ref()?.state)
    }

    /// The `version-lock` to put back, by the tag.
    pub fn saved_lock(&self) -> Option<&str> {
        match &self.tags {
            Tags::Known { lock, .. } => lock.as_deref(),
            Tags::Unknown => None,
        }
    }
    /// Whether the host shows this version on its inactive set.
    pub(super) fn shows_staged(&self, version: &Version) -> bool {
        let Some(report) = self.report() else { return false };
        match report.state() {
            Some(UpdateState::Staged | UpdateState::Ready) => report.staged().as_ref() == Some(version),
            Some(UpdateState::Idle | UpdateState::Available | UpdateState::Unknown(_) | UpdateState::Missing)
            | None => false,
        }
    }
}
