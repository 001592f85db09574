//! Whose turn is it: the oldest version first, never more out of service than the budget, and the next in line
//! staged ahead, so that an instance is out only for its drain and its reboot.

use models::fleet::Instance;
use models::plan::{HostCommand, Phase, Step};
use models::reason::HoldReason;

use super::capacity::Room;
use super::next::Candidate;
use super::{Context, Draft, Stop, TASKS_FRESH, after, workload};

/// Gives each candidate its turn, its step or the reason for its wait.
pub(crate) fn admit(cx: &Context<'_>, mut candidates: Vec<Candidate<'_>>, draft: &mut Draft) {
    candidates.sort_by(|a, b| {
        let key = |c: &Candidate<'_>| (c.from.clone(), !c.staged, c.instance.zone.clone(), c.instance.host.clone());
        key(a).cmp(&key(b))
    });
    let mut places = Places::new(cx);
    for (index, candidate) in candidates.iter().enumerate() {
        let turn = index + 1;
        match places.offer(candidate, cx) {
            Offer::Act(phase, step) => {
                draft.turn(candidate, phase, None, turn);
                draft.act(candidate.instance, step);
            }
            Offer::Hold(why) => draft.turn(candidate, Phase::Held, Some(why), turn),
            Offer::Later(why) => {
                draft.turn(candidate, waiting(candidate), Some(why), turn);
            }
        }
    }
}

fn waiting(candidate: &Candidate<'_>) -> Phase {
    if candidate.staged { Phase::Staged } else { Phase::Outdated }
}

enum Offer {
    Act(Phase, Step),
    /// Not in this run, as things stand.
    Hold(HoldReason),
    /// When there is a place.
    Later(HoldReason),
}

struct Places {
    stop: Option<HoldReason>,
    budget: usize,
    /// Out of service, whoever took it out, and what this plan takes out.
    out: usize,
    /// Staged or being staged, and still in service.
    ahead: usize,
    room: Room,
}

impl Places {
    fn new(cx: &Context<'_>) -> Self {
        let instances = cx.snapshot.instances.values();
        let staging = |instance: &&Instance| {
            instance.in_service()
                && matches!(instance.command.as_ref().map(|c| &c.command), Some(HostCommand::Stage { .. }))
        };
        Self {
            stop: stop(cx),
            budget: cx.policy.max_unavailable.of(cx.snapshot.registered().count()),
            out: cx.snapshot.out_of_service(),
            ahead: instances.clone().filter(staging).count(),
            room: Room::new(instances.filter(|instance| instance.in_service())),
        }
    }

    fn offer(&mut self, candidate: &Candidate<'_>, cx: &Context<'_>) -> Offer {
        if let Some(why) = &self.stop {
            return Offer::Hold(why.clone());
        }
        let used_up = HoldReason::BudgetUsedUp { out: self.out, budget: self.budget };
        let free = self.budget.saturating_sub(self.out);
        // A slot's worth beyond the free ones: when a drain ends, the next image is there.
        let near = self.ahead < self.budget + free || cx.run.dry_run;
        if !near {
            return Offer::Later(used_up);
        }
        let instance = candidate.instance;
        let fresh = instance.tasks.as_ref().filter(|seen| cx.now < after(seen.at, TASKS_FRESH));
        let Some(seen) = fresh.or(instance.tasks.as_ref().filter(|_| cx.run.dry_run)) else {
            return match free > 0 || instance.tasks.is_none() {
                true => {
                    self.ahead += 1;
                    Offer::Act(waiting(candidate), Step::LookAtTasks)
                }
                false => self.known(candidate, used_up, cx),
            };
        };
        if let Some(why) = workload::hold(&seen.tasks, &cx.snapshot.services, cx.policy.standalone_tasks, cx.now) {
            return Offer::Hold(why);
        }
        if free > 0 || cx.run.dry_run {
            // Room is promised only to the one that drains now; whoever is only staged, or planned, is judged by itself.
            let mut alone = self.room.clone();
            let drains_now = candidate.staged && !cx.run.dry_run;
            let room = if drains_now { &mut self.room } else { &mut alone };
            if let Err(why) = room.move_off(&instance.host, &seen.tasks, &cx.snapshot.services) {
                return Offer::Hold(why);
            }
        }
        if cx.run.dry_run {
            return Offer::Later(used_up);
        }
        self.ahead += 1;
        match (candidate.staged, free > 0) {
            (true, true) => {
                self.ahead -= 1;
                self.out += 1;
                Offer::Act(Phase::Staged, Step::Drain { from: candidate.from.clone(), to: candidate.to.clone() })
            }
            (true, false) => Offer::Later(used_up),
            (false, _) => {
                let (from, to) = (candidate.from.clone(), candidate.to.clone());
                Offer::Act(Phase::Outdated, Step::Stage { from, to, lock: candidate.lock.clone() })
            }
        }
    }

    /// One whose tasks were looked at a while ago, while no slot is free: what was known then still stands.
    fn known(&mut self, candidate: &Candidate<'_>, used_up: HoldReason, cx: &Context<'_>) -> Offer {
        let tasks = candidate.instance.tasks.as_ref().map(|seen| seen.tasks.as_slice()).unwrap_or_default();
        if let Some(why) = workload::hold(tasks, &cx.snapshot.services, cx.policy.standalone_tasks, cx.now) {
            return Offer::Hold(why);
        }
        self.ahead += 1;
        match candidate.staged {
            true => Offer::Later(used_up),
            false => {
                let (from, to) = (candidate.from.clone(), candidate.to.clone());
                Offer::Act(Phase::Outdated, Step::Stage { from, to, lock: candidate.lock.clone() })
            }
        }
    }
}

/// Why nothing new is begun, if so.
fn stop(cx: &Context<'_>) -> Option<HoldReason> {
    match &cx.run.stop {
        Some(Stop::Interrupted) => return Some(HoldReason::Interrupted),
        Some(Stop::NotPermitted { detail }) => return Some(HoldReason::NotPermitted { detail: detail.clone() }),
        None => {}
    }
    let failures = cx
        .snapshot
        .instances
        .values()
        .filter(|instance| instance.run.verdict.as_ref().is_some_and(|verdict| verdict.outcome.is_failure()))
        .count();
    if cx.policy.stop_after_failures.reached(failures) {
        return Some(HoldReason::StoppedAfterFailures { failures });
    }
    let late = cx.policy.max_duration.is_some_and(|most| cx.now >= after(cx.run.started_at, most));
    late.then_some(HoldReason::OutOfTime)
}
