//! What is reported: the host, and how its claim stands. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use models::attributes::{BRIDGE, BridgeReport, Handled, Heartbeat};
use models::claim::{BadClaim, whole_seconds};
use models::host::{CommandStatus, ErrorCode, HostReport, ReportedError, UpdateState};

use super::facts::{Facts, Tags};
use super::memory::{Memory, error};

/// What keeps the agent itself from its work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Troubles {
    /// The journal cannot be written; nothing is begun without it.
    pub(super) journal: Option<String>,
    /// The host API does not answer, and has not for a while.
    pub(super) host: Option<String>,
    /// The metadata service shows no tags.
    pub(super) tags: Option<String>,
    /// The last reading of the update repository failed.
    pub(super) refresh: Option<ReportedError>,
    /// The host's status has shown that failure: what it shows from now on is from after it.
    pub(super) refresh_shown: bool,
}

impl Troubles {
    /// Takes in how a refresh ended.
    pub(super) fn refreshed(&mut self, error: Option<ReportedError>) {
        (self.refresh, self.refresh_shown) = (error, false);
    }

    /// A refresh that the host's status shows as failed stands no longer beside a later command that worked: each reads
    /// the update repository first (docs/facts/host-api.md#trap-3). A success that the status showed already when the
    /// refresh failed says nothing.
    pub(super) fn forget_refresh(&mut self, seen: &HostReport) {
        let last = seen.update.as_ref().and_then(|update| update.last.as_ref());
        match last.map(|last| &last.status) {
            Some(CommandStatus::Failed) => self.refresh_shown = true,
            Some(CommandStatus::Success) if self.refresh_shown => self.refreshed(None),
            Some(CommandStatus::Success | CommandStatus::Unknown(_) | CommandStatus::Missing) | None => {}
        }
    }
}

/// The report of this moment.
pub(super) fn report(
    facts: &Facts,
    memory: &Memory,
    troubles: &Troubles,
    heartbeat: SignedDuration,
    now: Timestamp,
) -> BridgeReport {
    let seen = facts.report().cloned();
    let taken = memory.claim.as_ref();
    let out_of_service = taken.is_some_and(|taken| taken.claim.step.takes_out_of_service());
    let mut report = HostReport {
        v: 1,
        boot_id: facts.boot.id.clone(),
        booted_at: facts.boot.at,
        target_state: facts.target_state.clone(),
        inactive: memory.inactive(facts).filter(|_| facts.may_roll_back).map(|version| version.to_string().into()),
        wrote: taken.and_then(|taken| taken.wrote.as_ref()).map(ToString::to_string),
        error: trouble(facts, memory, troubles),
        ..seen.unwrap_or_default()
    };
    // The host API knows nothing of it.
    if memory.is_switched(facts) {
        let update = report.update.get_or_insert_default();
        update.state = UpdateState::Ready;
        update.staged.clone_from(&report.inactive);
    }
    if let Some(agent) = report.agent.as_mut().filter(|_| !out_of_service) {
        // They come and go all day, and matter to nobody here.
        agent.tasks = None;
    }
    BridgeReport {
        heartbeat: Heartbeat {
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            at: whole_seconds(now),
            interval: heartbeat,
        },
        report,
        handled: taken.map(|taken| Handled {
            step: taken.claim.step,
            run: taken.claim.run.clone(),
            since: whole_seconds(taken.claim.since),
            attempt: taken.claim.attempt,
            progress: taken.progress,
        }),
        available_cut: false,
    }
}

/// The first thing that a person should know.
fn trouble(facts: &Facts, memory: &Memory, troubles: &Troubles) -> Option<ReportedError> {
    if let Tags::Known { claim: Some(Err(BadClaim { error: wrong, .. })), .. } = &facts.tags {
        return Some(error("claim", ErrorCode::BadParameter, &wrong.to_string()));
    }
    let journal = || troubles.journal.as_ref().map(|detail| error("journal", ErrorCode::Failed, detail));
    let of_claim = || memory.claim.as_ref().and_then(|taken| taken.error.clone());
    let tags = || troubles.tags.as_ref().map(|detail| error("metadata", ErrorCode::Refused, detail));
    let host = || troubles.host.as_ref().map(|detail| error("os", ErrorCode::ApiDown, detail));
    let lost = || memory.lost.as_ref().map(|detail| error("journal", ErrorCode::Unsure, detail));
    journal().or_else(of_claim).or_else(tags).or_else(host).or_else(|| troubles.refresh.clone()).or_else(lost)
}

/// What of a report counts as a change: not the time, but for where the host can go back to, which stands beside it; and of the tasks only whether there are any.
pub(super) fn essence(report: &BridgeReport) -> BTreeMap<&'static str, String> {
    let mut report = report.clone();
    if let Some(tasks) = report.report.agent.as_mut().and_then(|agent| agent.tasks.as_mut()) {
        *tasks = (*tasks).min(1);
    }
    let mut attributes = report.encode();
    attributes.insert(BRIDGE, report.report.inactive.unwrap_or_default().into());
    attributes
}

#[cfg(test)]
mod tests {
    use models::host::{CommandType, ReportedCommand, ReportedUpdate};

    use super::*;

    #[test]
    fn an_error_of_an_earlier_refresh_does_not_stand_beside_a_later_success() {
        use CommandStatus::{Failed, Success};
        let table: [(&[CommandStatus], bool); 4] = [
            (&[Failed, Success], false),
            (&[Failed, Failed], true),
            // The refresh was never begun, or the status is from before it.
            (&[Success, Success], true),
            (&[], true),
        ];
        for (shown, stands) in table {
            let mut troubles = Troubles::default();
            troubles.refreshed(Some(error("refresh", ErrorCode::Failed, "no route")));
            for status in shown {
                let last = ReportedCommand { r#type: CommandType::Prepare, status: status.clone() };
                let update = ReportedUpdate { last: Some(last), ..ReportedUpdate::default() };
                troubles.forget_refresh(&HostReport { update: Some(update), ..HostReport::default() });
            }
            assert_eq!(troubles.refresh.is_some(), stands, "{shown:?}");
        }
    }
}
