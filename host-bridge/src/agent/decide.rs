//! From facts to the one act that is due: pure, synchronous, deterministic.
//!
//! # Confirm or fall back
//! After a reboot that it made, the new version is *on trial*. It passes when the ECS agent registers in the new boot, or
//! when the updater removes or changes the claim. It fails when neither has happened [`Limits::confirm`] after the
//! boot, and the ECS agent is found down or unregistered *then*. Why so:
//!
//! - **ECS agent dead**: nobody can use the host, and its tasks are gone: nothing is lost by another reboot.
//! - **Network dead**: the ECS agent cannot register, the updater cannot be heard, and nobody else could bring the host
//!   back. The inactive set still has the old version, and booting it needs no network.
//! - **Updater gone**: the claim stands, but the ECS agent registers. The host works, and the next run of the updater
//!   finds the claim and ends it: no fall-back.
//! - **All well but slow**: an agent that registers after 29 minutes has passed. One that registers while the way back
//!   is prepared stops it; what was activated is undone. Once passed, only the updater decides about the version, by
//!   a `revert` claim.
//! - **No evidence**: where the introspection port gave no readable answer, or the ECS agent was not registered before
//!   the update either, its silence proves nothing, and the agent only reports.
//!
//! The limit counts from the kernel's start, both by the host's own clock, so that a clock that is set right in between
//! moves both; and it is above the updater's own verification time, which reverts by claim, with the tag
//! `ecs-updater:failed`.
//!
//! The agent goes back once: the way back is in the journal before it begins, and in the boot after it there is no trial.
//! The version stays in `ecs-updater:failed` by the updater's hand, which sees the old version in a new boot.
//!
//! # No reboot while tasks run
//! Asked of the ECS agent just before. An agent that is *down* (nothing listens) knows of no task: the updater has seen
//! every task STOPPED before it claims the reboot, which the agent must have told it, and no agent, no new task. One
//! that gives an answer that cannot be read may have tasks, so that nothing is rebooted.

#![deny(clippy::wildcard_enum_match_arm)]

use jiff::Timestamp;
use models::attributes::Progress;
use models::claim::{Claim, ClaimStep, FailedVersions, Transport};
use models::host::{AgentState, ErrorCode, UpdateState};
use models::time::after;
use semver::Version;

use super::act::{Act, Limits, Waits};
use super::facts::{Facts, Tags};
use super::memory::{AWAY, Memory, TakenUp, Trial, error};

/// Returns what is due.
pub fn decide(facts: &Facts, memory: &Memory, limits: &Limits, now: Timestamp) -> Act {
    Decision { facts, memory, limits, now }.act()
}

/// All that one decision rests on.
#[derive(Clone, Copy)]
struct Decision<'a> {
    facts: &'a Facts,
    memory: &'a Memory,
    limits: &'a Limits,
    now: Timestamp,
}

impl Decision<'_> {
    fn act(self) -> Act {
        let Self { facts, memory, .. } = self;
        let Some(boot) = &facts.boot.id else { return Act::Wait(Waits::BootUnknown) };
        if let Some(trial) = memory.trial.as_ref().filter(|trial| trial.left != *boot)
            && memory.ecs_agent_in.as_ref() != Some(boot)
            && let Some(act) = self.on_trial(trial)
        {
            return act;
        }
        let Tags::Known { claim, failed, lock } = &facts.tags else { return Act::Wait(Waits::TagsUnknown) };
        match (claim, &memory.claim) {
            (Some(Err(_)), _) => Act::Wait(Waits::ClaimUnreadable),
            (Some(Ok(claim)), _) if claim.transport == Transport::Ssm => self.refresh_when_due(Waits::ClaimOfOthers),
            (Some(Ok(_)), Some(taken)) => self.claimed(taken, failed, lock.as_deref()),
            (Some(Ok(_)) | None, _) => self.unclaimed(),
        }
    }

    /// `None` where the trial asks for nothing and the claim may have its way.
    fn on_trial(self, trial: &Trial) -> Option<Act> {
        let Self { facts, memory, limits, now } = self;
        let from = &trial.claim.from;
        // What was taken back is not taken forward again by itself; the updater judges it.
        if trial.claim.to < *from {
            return None;
        }
        let back = trial.falling_back.as_ref();
        if back.is_none() {
            let running = facts.report()?.running()?;
            if running == *from || !trial.armed {
                return None;
            }
            let booted = facts.booted_at()?;
            let deadline = after(booted, limits.confirm);
            if now < deadline {
                return None;
            }
        }
        let lacking = match facts.agent_state() {
            Some(AgentState::Down) => "does not answer",
            Some(AgentState::Unregistered) => "is not registered",
            // No evidence.
            Some(AgentState::Registered | AgentState::Unknown(_) | AgentState::Missing) | None => return None,
        };
        if !facts.host_answers {
            return Some(Act::Wait(Waits::HostUnknown));
        }
        if let Some(until) = back.and_then(|back| back.not_before).filter(|until| now < *until) {
            return Some(Act::Wait(Waits::Again(until)));
        }
        if let Some(until) = self.asked_until(back.and_then(|back| back.reboot_asked)) {
            return Some(Act::Wait(Waits::GoingDown(until)));
        }
        let minutes = limits.confirm.as_mins();
        let why = back.map_or_else(
            || format!("{minutes} min after the boot of {} its ECS agent {lacking}", trial.claim.to),
            |back| back.why.clone(),
        );
        Some(Act::FallBack {
            from: from.clone(),
            lock: memory.lock_owed.clone().or_else(|| facts.saved_lock().map(str::to_owned)),
            inactive: memory.inactive_is(from, facts),
            switched: back.is_some_and(|back| back.switched),
            why,
        })
    }

    /// Until when the host may still go down for a reboot that it was asked for. What is done meanwhile may be cut off, and
    /// an activation that is undone would make the reboot look like a boot that failed.
    fn going_down(self) -> Option<Timestamp> {
        let down = self.memory.going_down.as_ref().filter(|down| Some(&down.boot) == self.facts.boot.id.as_ref())?;
        self.asked_until(Some(down.asked))
    }

    /// Until when a reboot that was asked for then is waited for; `None` once that is over.
    fn asked_until(self, asked: Option<Timestamp>) -> Option<Timestamp> {
        asked.map(|asked| after(asked, self.limits.reboot_again)).filter(|until| self.now < *until)
    }

    fn claimed(self, taken: &TakenUp, failed: &FailedVersions, lock: Option<&str>) -> Act {
        let Self { facts, memory, now, .. } = self;
        let claim = &taken.claim;
        if !facts.host_answers {
            return Act::Wait(Waits::HostUnknown);
        }
        if let Some(until) = taken.not_before.filter(|until| now < *until) {
            return Act::Wait(Waits::Again(until));
        }
        let staged = facts.shows_staged(&claim.to) || self.goes_back_alone(claim);
        match taken.progress {
            Progress::Doing => {}
            // A reboot in between lost it: the status lives on a tmpfs.
            Progress::Done if claim.step == ClaimStep::Drain && !staged && !self.host_is_busy() => {}
            Progress::Done | Progress::Failed | Progress::FellBack => {
                return self.tidy(facts.is_meant_by(claim)).unwrap_or(Act::Wait(Waits::ClaimEnded));
            }
        }
        let asks_for_reboot = matches!(claim.step, ClaimStep::Reboot | ClaimStep::Revert);
        if !asks_for_reboot && let Some(until) = self.going_down() {
            return Act::Wait(Waits::GoingDown(until));
        }
        if asks_for_reboot {
            if !facts.is_meant_by(claim) {
                return Act::Wait(Waits::HostUnknown);
            }
            if let Some(until) = self.asked_until(taken.reboot_asked) {
                return Act::Wait(Waits::GoingDown(until));
            }
            if taken.away_since.is_some_and(|since| now >= after(since, AWAY)) {
                return Act::End { error: taken.error.clone() };
            }
        }
        let lock = lock.map(str::to_owned).or_else(|| memory.lock_owed.clone());
        let is_bad = failed.contains(&claim.to);
        match claim.step {
            ClaimStep::Stage | ClaimStep::Drain | ClaimStep::Reboot if is_bad => refused(&claim.to),
            ClaimStep::Drain if staged => self.tidy(false).unwrap_or(Act::End { error: None }),
            ClaimStep::Stage | ClaimStep::Drain => {
                Act::Stage { to: claim.to.clone(), lock, written_before: memory.wrote(&claim.to, facts) }
            }
            ClaimStep::Cancel => Act::Cancel { lock, tidying: false },
            // Past the host API, as a claimed way back: the other set has the version still.
            ClaimStep::Reboot if taken.switched || self.goes_back_alone(claim) => {
                Act::Revert { from: claim.to.clone(), lock, inactive: true, switched: taken.switched }
            }
            ClaimStep::Reboot => Act::Reboot { to: claim.to.clone() },
            ClaimStep::Revert => Act::Revert {
                from: claim.from.clone(),
                lock,
                inactive: memory.inactive_is(&claim.from, facts),
                switched: taken.switched,
            },
        }
    }

    /// Whether the claim takes the host back to the version on its other set, with the host's own means. What an updater has had
    /// written for it goes through the host API.
    fn goes_back_alone(self, claim: &Claim) -> bool {
        claim.to < claim.from && self.facts.may_roll_back && self.memory.inactive_is(&claim.to, self.facts)
    }

    fn host_is_busy(self) -> bool {
        self.facts.host.as_ref().is_some_and(|seen| seen.busy)
    }

    /// Undoes what the agent has begun and nobody wants any more. While a claim asks for a reboot in this boot, its
    /// activation stands, also after a failure: the updater cancels it or tries again.
    fn tidy(self, activation_stands: bool) -> Option<Act> {
        let Self { facts, memory, now, .. } = self;
        let is_ready = facts.report().and_then(|report| report.state()) == Some(&UpdateState::Ready);
        let activated = !activation_stands
            && memory.activated_in.is_some()
            && memory.activated_in == facts.boot.id
            && (is_ready || memory.is_switched(facts));
        let due = memory.tidy_not_before.is_none_or(|until| now >= until);
        (due && (activated || memory.lock_owed.is_some()))
            .then(|| Act::Cancel { lock: memory.lock_owed.clone(), tidying: true })
    }

    fn unclaimed(self) -> Act {
        if !self.facts.host_answers {
            return Act::Wait(Waits::HostUnknown);
        }
        if let Some(until) = self.going_down() {
            return Act::Wait(Waits::GoingDown(until));
        }
        self.tidy(false).unwrap_or_else(|| self.refresh_when_due(Waits::Idle))
    }

    fn refresh_when_due(self, otherwise: Waits) -> Act {
        let Self { facts, limits, now, .. } = self;
        if !facts.host_answers {
            return Act::Wait(Waits::HostUnknown);
        }
        if self.host_is_busy() {
            return Act::Wait(otherwise);
        }
        let due = match (facts.refreshed_at, facts.booted_at()) {
            (Some(at), _) => after(at, limits.refresh),
            (None, Some(booted)) => after(booted, limits.first_refresh),
            (None, None) => now,
        };
        if now >= due { Act::Refresh } else { Act::Wait(otherwise) }
    }
}

fn refused(version: &Version) -> Act {
    let detail = format!("{version} is marked as failed on this instance (tag ecs-updater:failed)");
    Act::End { error: Some(error("choose", ErrorCode::Refused, &detail)) }
}
