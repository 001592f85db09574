//! What is recorded of the agent's own acts: before one begins, on the way, and when it has ended.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use models::attributes::Progress;
use models::claim::ClaimStep;
use models::host::{ErrorCode, ReportedError};
use models::pace::Pace;
use models::time::after;

use super::super::act::Act;
use super::super::facts::Facts;
use super::{FallingBack, GROUP, GoingDown, Memory, Outcome, Placed, Trial, error};

/// A definite failure in a drain is tried once more: nobody else would, before the reboot is due.
const DRAIN_FAILURES: u32 = 2;
/// A failure that is none of the host's (its API is away, another client holds the lock, a worker was killed) is
/// tried again so often.
const PASSING_FAILURES: u32 = 6;

/// Between two tries to undo what nobody asks for any more.
const TIDY_AGAIN: SignedDuration = SignedDuration::from_secs(60);
/// Between two looks at what keeps a reboot back: tasks, or where AWS takes the host.
const WAITED_AGAIN: SignedDuration = SignedDuration::from_secs(10);

impl Memory {
    /// Records what is about to be done.
    pub fn begin(&mut self, act: &Act, facts: &Facts) {
        let Some(boot) = facts.boot.id.clone() else { return };
        if act.may_write() {
            self.came_from = self.came_from.take().filter(|_| !act.prepares());
            self.written = None;
            if self.lock_owed.is_none() {
                let found = facts.report().and_then(|report| report.settings.as_ref()?.version_lock.clone());
                self.lock_owed = facts.saved_lock().map(str::to_owned).or(found);
            }
        }
        match act {
            Act::Reboot { .. } => {
                self.activated_in = Some(boot.clone());
                let Some(taken) = &self.claim else { return };
                let armed = self.ecs_agent_in.as_ref() == Some(&boot);
                self.trial = Some(Trial { claim: taken.claim.clone(), left: boot, armed, falling_back: None });
            }
            Act::Revert { .. } => self.activated_in = Some(boot),
            Act::FallBack { why, .. } => {
                self.activated_in = Some(boot.clone());
                if let Some(trial) = self.trial.as_mut().filter(|trial| trial.falling_back.is_none()) {
                    trial.falling_back = Some(FallingBack {
                        boot,
                        why: why.clone(),
                        error: None,
                        failures: 0,
                        not_before: None,
                        switched: false,
                        reboot_asked: None,
                    });
                }
                if let Some(taken) = &mut self.claim {
                    taken.finish(Progress::FellBack, Some(error("confirm", ErrorCode::Failed, why)));
                }
            }
            Act::Wait(_) | Act::Refresh | Act::Stage { .. } | Act::Cancel { .. } | Act::End { .. } => {}
        }
    }

    /// Records on the way that the old version is the next to boot.
    pub fn switched(&mut self, act: &Act) {
        let back = self.trial.as_mut().and_then(|trial| trial.falling_back.as_mut());
        match (act, &mut self.claim, back) {
            (Act::Revert { .. }, Some(taken), _) => taken.switched = true,
            (Act::FallBack { .. }, _, Some(back)) => back.switched = true,
            _ => {}
        }
    }

    /// Records that a reboot is asked for next: in another boot it is done, whether or not the answer came.
    pub fn asking(&mut self, act: &Act, facts: &Facts, now: Timestamp) {
        self.going_down = facts.boot.id.clone().map(|boot| GoingDown { boot, asked: now });
        if let (Act::Reboot { .. } | Act::Revert { .. }, Some(taken)) = (act, &mut self.claim) {
            taken.asking = true;
        }
    }

    /// Records how it went.
    pub fn end(&mut self, act: &Act, outcome: &Outcome, facts: &Facts, now: Timestamp) {
        let Some(boot) = facts.boot.id.clone() else { return };
        if let Some(version) = &outcome.wrote {
            self.written = Some(Placed { version: version.clone(), boot });
        }
        match act {
            Act::Wait(_) | Act::Refresh => return,
            Act::FallBack { .. } => return self.end_fall_back(outcome, now),
            Act::Cancel { .. } if outcome.error.is_none() => {
                // What was taken back that way is not gone back to by it again (docs/facts/host-api.md#boot-and-rollback).
                if self.switched_in.take().is_some() {
                    self.came_from = None;
                }
                self.activated_in = None;
                self.lock_owed = None;
                self.tidy_not_before = None;
            }
            Act::Cancel { tidying: true, .. } => self.tidy_not_before = Some(after(now, TIDY_AGAIN)),
            Act::Cancel { .. } | Act::End { .. } | Act::Stage { .. } | Act::Reboot { .. } | Act::Revert { .. } => {}
        }
        let Some(taken) = &mut self.claim else { return };
        if act.is_tidying() {
            return;
        }
        if outcome.wrote.is_some() {
            taken.wrote.clone_from(&outcome.wrote);
        }
        if outcome.reboot_asked {
            taken.reboot_asked = Some(now);
        }
        let Some(failure) = &outcome.error else {
            match act {
                // The proof is another boot.
                Act::Reboot { .. } | Act::Revert { .. } => taken.error = None,
                _ => taken.finish(Progress::Done, None),
            }
            return;
        };
        taken.failures += u32::from(!is_waited_for(failure));
        taken.away_since = (failure.at == GROUP).then(|| taken.away_since.unwrap_or(now));
        let waits_no_more = matches!(act, Act::End { .. }) && failure.at == GROUP;
        if !waits_no_more && tries_again(failure, taken.claim.step, taken.failures) {
            taken.error = Some(failure.clone());
            taken.not_before = Some(after(now, wait(failure, taken.failures)));
        } else {
            taken.finish(Progress::Failed, Some(failure.clone()));
        }
    }

    fn end_fall_back(&mut self, outcome: &Outcome, now: Timestamp) {
        let Some(back) = self.trial.as_mut().and_then(|trial| trial.falling_back.as_mut()) else { return };
        if outcome.reboot_asked {
            back.reboot_asked = Some(now);
        }
        back.error.clone_from(&outcome.error);
        if let Some(failure) = &outcome.error {
            back.failures += 1;
            let pause = if is_waited_for(failure) {
                WAITED_AGAIN
            } else {
                doubled(Duration::from_mins(1), back.failures, Duration::from_hours(1))
            };
            back.not_before = Some(after(now, pause));
            if let Some(taken) = &mut self.claim {
                let detail = format!("{}; going back: {}", back.why, failure.detail);
                taken.error = Some(ReportedError { detail, ..failure.clone() });
            }
        }
    }
}

fn tries_again(failure: &ReportedError, step: ClaimStep, failures: u32) -> bool {
    // Tasks: while the claim stands, until the updater gives up. A host that AWS takes away: until the claim is late.
    if is_waited_for(failure) {
        return true;
    }
    match &failure.code {
        ErrorCode::TasksRunning => true,
        ErrorCode::Busy | ErrorCode::Unsure | ErrorCode::ApiDown => failures < PASSING_FAILURES,
        ErrorCode::HostLockedDown | ErrorCode::NoInPlaceUpdates | ErrorCode::OtherBoot | ErrorCode::BadParameter => {
            false
        }
        // Whether the release was withdrawn is not known while the repository cannot be read.
        ErrorCode::Failed if step == ClaimStep::Reboot && failure.at == "refresh" => failures < PASSING_FAILURES,
        ErrorCode::Failed
        | ErrorCode::DispatcherFailed
        | ErrorCode::Refused
        | ErrorCode::WroteNothing
        | ErrorCode::WroteOther
        | ErrorCode::NotOffered
        | ErrorCode::Unknown(_)
        | ErrorCode::Missing => step == ClaimStep::Drain && failures < DRAIN_FAILURES,
    }
}

fn wait(failure: &ReportedError, failures: u32) -> SignedDuration {
    if is_waited_for(failure) {
        return WAITED_AGAIN;
    }
    doubled(Duration::from_secs(10), failures, Duration::from_mins(2))
}

/// Whether the host has nothing to do with it, and it can pass: its tasks leave, or its group keeps it after all.
fn is_waited_for(failure: &ReportedError) -> bool {
    failure.code == ErrorCode::TasksRunning || failure.at == GROUP
}

fn doubled(first: Duration, failures: u32, longest: Duration) -> SignedDuration {
    let wait = Pace::new(first, 2.0, longest, 0.0).wait_after(failures);
    SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX)
}
