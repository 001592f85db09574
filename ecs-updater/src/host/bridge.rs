//! Commands to hosts as claims: the claim is written by the executor before anything else, the agent on the host reads
//! it from its metadata service, acts, and reports in the attributes of its container instance, which come with every
//! look at the cluster. So nothing is sent here and nothing is polled: a command is a claim whose report is awaited.
//!
//! | command | claim | its end |
//! |---|---|---|
//! | inspect | none | the report that stands |
//! | stage | `stage`, or the `drain` that stands | done or failed, and the version shows as staged |
//! | reboot | `reboot` | in another boot, or failed |
//! | revert | `revert` | the same: the agent goes back and reboots in one |
//! | cancel | `cancel` | done or failed |

use jiff::{SignedDuration, Timestamp};
use models::attributes::Progress;
use models::claim::Claim;
use models::fleet::{FleetSnapshot, Instance, SeenBridge, VisitEnd};
use models::host::{ErrorCode, ReportedError};
use models::ids::HostId;
use models::plan::HostCommand;
use models::policy::Policy;
use models::time::after;

use super::Ended;

/// An agent reads its claim every 5 s, each second while the instance is out of service, and waits up to a minute after an
/// outage of its metadata service.
const TAKE_UP: SignedDuration = SignedDuration::from_mins(2);
/// An undone activation or a lock put back: a refresh of the settings, seconds.
const SHORT: SignedDuration = SignedDuration::from_mins(5);
/// From the end on the host to the attributes: a throttled report is tried again within half a minute.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// The claims whose reports are awaited.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    claims: Vec<Await>,
}

#[derive(Debug)]
struct Await {
    host: HostId,
    command: HostCommand,
    claim: Claim,
    since: Timestamp,
    deadline: Timestamp,
}

impl Awaited {
    /// Whether no report is awaited.
    pub(crate) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// The hosts whose reports are awaited.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &HostId> {
        self.claims.iter().map(|awaited| &awaited.host)
    }

    /// Awaits the end of a command, for which `claim` stands on the instance.
    pub(crate) fn follow(&mut self, host: HostId, command: HostCommand, claim: Claim, policy: &Policy, now: Timestamp) {
        let timeouts = &policy.timeouts;
        let allowed = match &command {
            HostCommand::Inspect { .. } | HostCommand::Revert { version: None, .. } => SHORT,
            HostCommand::Stage { .. } => timeouts.stage,
            HostCommand::Reboot { .. } => timeouts.reboot,
            HostCommand::Revert { version: Some(_), .. } => timeouts.stage.saturating_add(timeouts.reboot),
        };
        let deadline = after(after(now, allowed), MARGIN);
        self.claims.retain(|awaited| awaited.host != host);
        self.claims.push(Await { host, command, claim, since: now, deadline });
    }

    /// Takes out what has ended, as the newest look shows it.
    pub(crate) fn ended(&mut self, fleet: &FleetSnapshot, now: Timestamp) -> Vec<Ended> {
        let mut ended = Vec::new();
        self.claims.retain(|awaited| {
            let Some(instance) = fleet.instances.get(&awaited.host).filter(|one| one.run.verdict.is_none()) else {
                return false;
            };
            let Some(end) = awaited.end(instance, now) else { return true };
            ended.push(Ended {
                host: awaited.host.clone(),
                command: awaited.command.clone(),
                sent_at: awaited.since,
                end,
                report: None,
            });
            false
        });
        ended
    }
}

impl Await {
    fn end(&self, instance: &Instance, now: Timestamp) -> Option<VisitEnd> {
        match progress_of(&self.command, &self.claim, instance.heard_bridge()) {
            ClaimProgress::Ended(end) => Some(end),
            ClaimProgress::TakenUp if now < self.deadline => None,
            ClaimProgress::Unheard
                if now < self.deadline && (now < after(self.since, TAKE_UP) || self.may_come_late()) =>
            {
                None
            }
            ClaimProgress::TakenUp => {
                let detail = "its host bridge did not say in time how it ended".to_owned();
                Some(VisitEnd::Unsure { detail })
            }
            ClaimProgress::Unheard => {
                let detail = format!("its host bridge did not take up the claim{}", last_heard(instance));
                let is_open = self.may_come_late();
                Some(if is_open { VisitEnd::Unsure { detail } } else { VisitEnd::NotDelivered { detail } })
            }
        }
    }

    /// While a claim asks for a reboot, an agent that was away can still take it up: that it did not yet says nothing.
    fn may_come_late(&self) -> bool {
        match &self.command {
            HostCommand::Reboot { .. } | HostCommand::Revert { version: Some(_), .. } => true,
            HostCommand::Inspect { .. } | HostCommand::Stage { .. } | HostCommand::Revert { version: None, .. } => {
                false
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum ClaimProgress {
    Unheard,
    TakenUp,
    Ended(VisitEnd),
}

fn progress_of(command: &HostCommand, claim: &Claim, seen: Option<&SeenBridge>) -> ClaimProgress {
    let Some((seen, handled)) = seen.and_then(|seen| Some((seen, seen.handled(claim)?))) else {
        return ClaimProgress::Unheard;
    };
    let report = &seen.report.report;
    match (handled.progress, command) {
        (Progress::Doing, _) => ClaimProgress::TakenUp,
        // A `drain` was done before; the agent writes the version again as soon as it sees that it is gone.
        (Progress::Done, HostCommand::Stage { version, .. }) if report.staged().as_ref() != Some(version) => {
            ClaimProgress::TakenUp
        }
        (Progress::Done, _) | (Progress::FellBack, HostCommand::Reboot { .. }) => ClaimProgress::Ended(VisitEnd::Done),
        (Progress::Failed | Progress::FellBack, _) => {
            let unsaid = || ReportedError { code: ErrorCode::Missing, ..ReportedError::default() };
            ClaimProgress::Ended(VisitEnd::Error(report.error.clone().unwrap_or_else(unsaid)))
        }
    }
}

/// Whether the bridge has said that it could not do what this claim asks for: it does not try again.
pub(crate) fn has_given_up(instance: &Instance, claim: &Claim) -> bool {
    instance.bridge_progress(claim) == Some(Progress::Failed)
}

/// Why no command would be taken up on this instance, `None` where one would.
pub(crate) fn unreachable_reason(instance: &Instance, now: Timestamp) -> Option<String> {
    match &instance.bridge {
        None => Some("no host bridge has ever reported from it".to_owned()),
        Some(Err(error)) => Some(format!("its host bridge cannot be understood: {error}")),
        Some(Ok(_)) if instance.live_bridge(now).is_none() => {
            Some(format!("its host bridge is silent{}", last_heard(instance)))
        }
        Some(Ok(_)) => None,
    }
}

fn last_heard(instance: &Instance) -> String {
    instance
        .heard_bridge()
        .map(|seen| format!("; its last report is of {}", seen.report.heartbeat.at))
        .unwrap_or_default()
}

/// The end of an inspection: what the report that stands says.
pub(crate) fn inspected(instance: &Instance, refresh: bool, now: Timestamp) -> VisitEnd {
    if let Some(detail) = unreachable_reason(instance, now) {
        return VisitEnd::NotDelivered { detail };
    }
    let Some(seen) = instance.heard_bridge() else {
        return VisitEnd::Unsure { detail: "it has no report".to_owned() };
    };
    let report = &seen.report.report;
    // An error beside a claim is that claim's, and a lost journal has kept the agent from nothing.
    let of_its_own = report.error.as_ref().filter(|_| seen.report.handled.is_none());
    match of_its_own.filter(|error| error.code != ErrorCode::Unsure) {
        Some(error) => VisitEnd::Error(error.clone()),
        None if refresh && report.update.is_none() => VisitEnd::Error(ReportedError {
            at: "refresh".to_owned(),
            code: ErrorCode::Busy,
            detail: "it has not read its update repository since it booted".to_owned(),
        }),
        None => VisitEnd::Done,
    }
}
