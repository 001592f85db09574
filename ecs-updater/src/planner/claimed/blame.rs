//! Is it the version's fault? Not while hosts without it have the same trouble.

use jiff::Timestamp;
use models::fleet::{Instance, VisitEnd};
use models::host::AgentState;
use models::plan::{Phase, PlannedStep};
use models::reason::FailReason;
use models::time::after;

use super::{Claimed, leave};
use crate::planner::need::Next;
use crate::planner::outage::{self, Trouble};
use crate::planner::times::{MAX_PEERS_ASKED, SHARED_TROUBLE};

/// No fewer hosts than these say anything about a version that they do not run.
const FEWEST_PEERS: usize = 2;

/// What is known of a trouble among the hosts without the version.
enum Elsewhere {
    /// At least half of them have it.
    Shared,
    Not,
    /// They are to be looked at first.
    Unknown(Vec<PlannedStep>),
}

impl<'a> Claimed<'a> {
    /// Gives the instance up, as `blame` says, after its deadline; but while hosts without the version have the same
    /// trouble it is waited for, and then left with its claim.
    pub(super) fn unless_shared(
        self,
        phase: Phase,
        deadline: Timestamp,
        missing: impl FnOnce() -> String,
        blame: impl FnOnce() -> Next<'a>,
    ) -> Next<'a> {
        let peers = self.peers();
        let mut looks = Vec::new();
        for trouble in self.troubles() {
            match self.elsewhere(trouble, &peers) {
                Elsewhere::Shared if self.cx.now < after(deadline, SHARED_TROUBLE) => return self.visit_at_pace(phase),
                Elsewhere::Shared => return leave(FailReason::TroubleElsewhere { detail: missing() }),
                Elsewhere::Unknown(steps) => looks.extend(steps),
                Elsewhere::Not => {}
            }
        }
        if looks.is_empty() { blame() } else { Next::LookAtOthers(phase, looks) }
    }

    fn troubles(self) -> Vec<Trouble> {
        let Self { instance, .. } = self;
        let report = instance.report.as_ref().map(|seen| &seen.report);
        let agent = report.and_then(|report| report.agent.as_ref()).map(|agent| &agent.state);
        let is_in_new_boot = self.heard().is_some_and(|heard| !self.claim.is_for(heard.boot));
        let without_agent = matches!(agent, Some(AgentState::Unregistered | AgentState::Down)) && is_in_new_boot;
        let end = instance.visit.as_ref().map(|visit| &visit.end);
        let silent = matches!(end, Some(VisitEnd::NotDelivered { .. } | VisitEnd::Unsure { .. }) | None);
        let checks = instance.ec2.as_ref().and_then(|ec2| ec2.checks.as_ref());
        let impaired = checks.is_some_and(|checks| !checks.not_impaired());
        let all = [
            (Trouble::Agent, !instance.agent_connected || without_agent),
            (Trouble::Silence, silent),
            (Trouble::Checks, impaired),
        ];
        all.into_iter().filter_map(|(trouble, has)| has.then_some(trouble)).collect()
    }

    /// Returns the hosts that are not known to run the new version and that no reboot of ours explains: those of the
    /// zone, or of the cluster where the zone has too few.
    fn peers(self) -> Vec<&'a Instance> {
        let Self { instance, claim, cx } = self;
        let is_peer = |other: &&Instance| {
            let runs = other.report.as_ref().and_then(|seen| seen.report.running());
            let is_meant = other.host != instance.host && outage::is_comparable(other) && !outage::reboots(other);
            is_meant && runs.as_ref() != Some(&claim.to)
        };
        let everywhere: Vec<&Instance> = cx.snapshot.instances.values().filter(is_peer).collect();
        let zone = everywhere.iter().copied().filter(|other| other.zone == instance.zone).collect();
        let zone = connected_before(zone);
        if zone.len() >= FEWEST_PEERS { zone } else { connected_before(everywhere) }
    }

    fn elsewhere(self, trouble: Trouble, peers: &[&'a Instance]) -> Elsewhere {
        let look = outage::look(trouble);
        let most = if look.is_some() { MAX_PEERS_ASKED } else { usize::MAX };
        let peers = &peers[..peers.len().min(most)];
        if peers.len() < FEWEST_PEERS {
            return Elsewhere::Not;
        }
        let known: Vec<(&Instance, Option<bool>)> =
            peers.iter().map(|peer| (*peer, outage::has(peer, trouble, self.cx))).collect();
        // What AWS refuses to say is not asked again and again.
        let unknown = known.iter().filter(|(peer, has)| has.is_none() && peer.run.refused.is_none());
        let steps: Vec<PlannedStep> = unknown
            .filter_map(|(peer, _)| Some(PlannedStep { host: peer.host.clone(), step: look.clone()? }))
            .collect();
        let having = known.iter().filter(|(_, has)| *has == Some(true)).count();
        if having * 2 >= peers.len() {
            Elsewhere::Shared
        } else if steps.is_empty() {
            Elsewhere::Not
        } else {
            Elsewhere::Unknown(steps)
        }
    }
}

/// Leaves out the hosts whose agents this run has not seen connected, unless it has seen none: what was lost long ago says
/// nothing about what is lost now.
fn connected_before(peers: Vec<&Instance>) -> Vec<&Instance> {
    let connected: Vec<&Instance> =
        peers.iter().copied().filter(|peer| peer.run.last_seen.connected.is_some()).collect();
    if connected.is_empty() { peers } else { connected }
}
