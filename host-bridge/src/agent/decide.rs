//! From facts to the one act that is due: pure, synchronous, deterministic.
//!
//! # Confirm or fall back
//! After a reboot that it made, the new version is *on trial*. It passes when the ECS agent registers in the new boot, or
//! when the updater removes or changes the claim. It fails when neither has happened [`Limits::confirm`] after the
//! boot, and the ECS agent is seen to be down or unregistered *then*. Why so:
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
use models::claim::{ClaimStep, FailedVersions, Way};
use models::host::{AgentState, ErrorCode, UpdateState};
use semver::Version;

use super::act::{Act, Limits, Waits};
use super::facts::{Facts, Tags};
use super::memory::{Memory, TakenUp, Trial, error, later};

/// What is due.
pub fn decide(facts: &Facts, memory: &Memory, limits: &Limits, now: Timestamp) -> Act {
    let Some(boot) = &facts.boot.id else { return Act::Wait(Waits::BootUnknown) };
    if let Some(trial) = memory.trial.as_ref().filter(|trial| trial.left != *boot)
        && memory.ecs_agent_in.as_ref() != Some(boot)
        && let Some(act) = on_trial(trial, facts, memory, limits, now)
    {
        return act;
    }
    let Tags::Known { claim, failed, lock } = &facts.tags else { return Act::Wait(Waits::TagsUnknown) };
    match (claim, &memory.claim) {
        (Some(Err(_)), _) => Act::Wait(Waits::ClaimUnreadable),
        (Some(Ok(claim)), _) if claim.way == Way::Ssm => refresh_when_due(facts, limits, now, Waits::ClaimOfOthers),
        (Some(Ok(_)), Some(taken)) => claimed(taken, failed, lock.as_deref(), facts, memory, limits, now),
        (Some(Ok(_)) | None, _) => unclaimed(facts, memory, limits, now),
    }
}

/// `None` where the trial asks for nothing and the claim may have its way.
fn on_trial(trial: &Trial, facts: &Facts, memory: &Memory, limits: &Limits, now: Timestamp) -> Option<Act> {
    let from = &trial.claim.from;
    let back = trial.falling_back.as_ref();
    if back.is_none() {
        let running = facts.report()?.running()?;
        if running == *from || !trial.armed {
            return None;
        }
        let booted = facts.booted_at()?;
        let deadline = later(booted, limits.confirm);
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
    if let Some(until) = asked_until(back.and_then(|back| back.reboot_asked), limits).filter(|until| now < *until) {
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

/// Until when the host may still go down for a reboot that it was asked for. What is done meanwhile may be cut off, and an
/// activation that is undone would make the reboot look like a boot that failed.
fn going_down(facts: &Facts, memory: &Memory, limits: &Limits, now: Timestamp) -> Option<Timestamp> {
    let down = memory.going_down.as_ref().filter(|down| Some(&down.boot) == facts.boot.id.as_ref())?;
    Some(later(down.asked, limits.reboot_again)).filter(|until| now < *until)
}

fn asked_until(asked: Option<Timestamp>, limits: &Limits) -> Option<Timestamp> {
    asked.map(|asked| later(asked, limits.reboot_again))
}

fn claimed(
    taken: &TakenUp,
    failed: &FailedVersions,
    lock: Option<&str>,
    facts: &Facts,
    memory: &Memory,
    limits: &Limits,
    now: Timestamp,
) -> Act {
    let claim = &taken.claim;
    if !facts.host_answers {
        return Act::Wait(Waits::HostUnknown);
    }
    if let Some(until) = taken.not_before.filter(|until| now < *until) {
        return Act::Wait(Waits::Again(until));
    }
    match taken.progress {
        Progress::Doing => {}
        // A reboot in between lost it: the status lives on a tmpfs.
        Progress::Done if claim.step == ClaimStep::Drain && !facts.shows_staged(&claim.to) && !busy(facts) => {}
        Progress::Done | Progress::Failed | Progress::FellBack => {
            return tidy(facts.is_meant_by(claim), facts, memory, now).unwrap_or(Act::Wait(Waits::ClaimEnded));
        }
    }
    let lock = lock.map(str::to_owned).or_else(|| memory.lock_owed.clone());
    let bad = || failed.contains(&claim.to).then(|| refused(&claim.to));
    let asks_for_reboot = matches!(claim.step, ClaimStep::Reboot | ClaimStep::Revert);
    if let Some(until) = going_down(facts, memory, limits, now).filter(|_| !asks_for_reboot) {
        return Act::Wait(Waits::GoingDown(until));
    }
    match claim.step {
        ClaimStep::Stage | ClaimStep::Drain => {
            let there = claim.step == ClaimStep::Drain && facts.shows_staged(&claim.to);
            match bad() {
                Some(end) => end,
                None if there => tidy(false, facts, memory, now).unwrap_or(Act::End { error: None }),
                None => {
                    let written_before = memory.wrote(&claim.to, facts);
                    Act::Stage { to: claim.to.clone(), lock, written_before }
                }
            }
        }
        ClaimStep::Cancel => Act::Cancel { lock, tidying: false },
        ClaimStep::Reboot | ClaimStep::Revert if !facts.is_meant_by(claim) => Act::Wait(Waits::HostUnknown),
        ClaimStep::Reboot | ClaimStep::Revert => {
            if let Some(until) = asked_until(taken.reboot_asked, limits).filter(|until| now < *until) {
                return Act::Wait(Waits::GoingDown(until));
            }
            match claim.step {
                ClaimStep::Revert => Act::Revert {
                    from: claim.from.clone(),
                    lock,
                    inactive: memory.inactive_is(&claim.from, facts),
                    switched: taken.switched,
                },
                ClaimStep::Reboot | ClaimStep::Stage | ClaimStep::Drain | ClaimStep::Cancel => {
                    bad().unwrap_or(Act::Reboot { to: claim.to.clone() })
                }
            }
        }
    }
}

fn refused(version: &Version) -> Act {
    let detail = format!("{version} is marked as failed on this instance (tag ecs-updater:failed)");
    Act::End { error: Some(error("choose", ErrorCode::Refused, &detail)) }
}

fn busy(facts: &Facts) -> bool {
    facts.host.as_ref().is_some_and(|seen| seen.busy)
}

/// What the agent has begun and nobody wants any more. While a claim asks for a reboot in this boot, its activation
/// stands, also after a failure: the updater cancels it or tries again.
fn tidy(activation_stands: bool, facts: &Facts, memory: &Memory, now: Timestamp) -> Option<Act> {
    let activated = !activation_stands
        && memory.activated_in.is_some()
        && memory.activated_in == facts.boot.id
        && facts.report().and_then(|report| report.state()) == Some(&UpdateState::Ready);
    let due = memory.tidy_not_before.is_none_or(|until| now >= until);
    (due && (activated || memory.lock_owed.is_some()))
        .then(|| Act::Cancel { lock: memory.lock_owed.clone(), tidying: true })
}

fn unclaimed(facts: &Facts, memory: &Memory, limits: &Limits, now: Timestamp) -> Act {
    if !facts.host_answers {
        return Act::Wait(Waits::HostUnknown);
    }
    if let Some(until) = going_down(facts, memory, limits, now) {
        return Act::Wait(Waits::GoingDown(until));
    }
    if let Some(act) = tidy(false, facts, memory, now) {
        return act;
    }
    refresh_when_due(facts, limits, now, Waits::Idle)
}

fn refresh_when_due(facts: &Facts, limits: &Limits, now: Timestamp, otherwise: Waits) -> Act {
    if !facts.host_answers {
        return Act::Wait(Waits::HostUnknown);
    }
    if busy(facts) {
        return Act::Wait(otherwise);
    }
    let booted = facts.booted_at();
    let due = match (facts.refreshed_at, booted) {
        (Some(at), _) => later(at, limits.refresh),
        (None, Some(booted)) => later(booted, limits.first_refresh),
        (None, None) => now,
    };
    if now >= due { Act::Refresh } else { Act::Wait(otherwise) }
}
