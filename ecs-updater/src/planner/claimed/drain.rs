//! From DRAINING to the reboot: wait until no task is left, with the new version on the inactive set.

use jiff::{SignedDuration, Timestamp};
use models::claim::{ClaimStep, Transport};
use models::fleet::{Exclusion, InstanceStatus, Task};
use models::plan::{End, Phase, Reboot, Stage, Step, StopTasks};
use models::policy::{Capacity, StandaloneTasks};
use models::reason::{FailReason, HoldReason};
use models::time::after;

use super::visit::Heard;
use super::{Claimed, leave};
use crate::planner::limits::{forbidden_claim, is_way_back, objection_to_claim};
use crate::planner::need::{Next, trouble};
use crate::planner::outage;
use crate::planner::times::{
    CALL_OFF, DRAIN_POLL, EVENTUAL_CONSISTENCY, MAX_REBOOT_CLAIMS, MAX_STAGES, SHARED_TROUBLE, STOP_POLL, TASKS_FRESH,
};
use crate::planner::wanted::{is_not_offered, is_staged};
use crate::planner::{unclaimed, way_back, workload};

impl<'a> Claimed<'a> {
    pub(super) fn drain(self) -> Next<'a> {
        if self.instance.status == InstanceStatus::Active {
            return self.active_again();
        }
        if let Some(status) = self.lost_registration() {
            let detail = format!("its ECS status became {status}");
            let deadline = self.drain_deadline();
            return if self.cx.now < deadline {
                self.wait_for_tasks()
            } else {
                self.visit_again(Phase::Draining, deadline, || leave(FailReason::NeverCameBack { detail }))
            };
        }
        if let Some(exclusion) = self.instance.tags.exclude.as_ref().filter(|_| !broken!(ExclusionIgnored)) {
            return self.excluded(exclusion);
        }
        if let Some(why) = self.cx.run.purpose.lets_go(&self.instance.host) {
            return self.let_go(End::Held { why });
        }
        if let Some(why) = forbidden_claim(self.claim, self.cx) {
            return self.put_back(Phase::Draining, End::Held { why });
        }
        if self.instance.command.is_some() {
            return self.wait_for_tasks();
        }
        self.still_draining().unwrap_or_else(|| self.drained())
    }

    /// Whether this drain has taken more than half of the time that it may take.
    pub(crate) fn is_slow_drain(self) -> bool {
        self.claim.step == ClaimStep::Drain && self.cx.now >= after(self.since(), self.drain_timeout() / 2)
    }

    fn drain_deadline(self) -> Timestamp {
        after(self.since(), self.drain_timeout())
    }

    /// How long the drain may take: longer where its tasks wait for an instance to be launched, or may do so where an earlier
    /// run began it.
    pub(super) fn drain_timeout(self) -> SignedDuration {
        let Self { instance, claim, cx } = self;
        let drain = cx.timeouts.drain;
        let may_wait = claim.run != cx.run.run && cx.policy.capacity == Capacity::ScaleOut;
        let scaling = cx.snapshot.auto_scaling.scaling_of(instance);
        match scaling.filter(|_| instance.run.scale_out || may_wait) {
            Some(scaling) => drain.saturating_add(scaling.launch_time()),
            None => drain,
        }
    }

    /// Whether tasks may not leave because the agents around are lost together, and that has not lasted too long.
    fn waits_for_agents(self, deadline: Timestamp) -> bool {
        let Self { instance, cx, .. } = self;
        cx.now < after(deadline, SHARED_TROUBLE) && outage::is_around(cx, instance)
    }

    fn wait_for_tasks(self) -> Next<'a> {
        Next::Wait(Phase::Draining, self.cx.next_drain_look(self.instance))
    }

    fn active_again(self) -> Next<'a> {
        match self.instance.run.drained_at {
            // Claimed by a run that died before it drained, or drained by it and set ACTIVE by a person since.
            None if self.instance.may_be_draining() => self.wait_for_tasks(),
            None => self.cx.run.purpose.narrow(unclaimed::next(self.instance, self.cx), self.instance),
            Some(at) if self.instance.seen_at > after(at, EVENTUAL_CONSISTENCY) => {
                Next::Do(Phase::Draining, Step::Finish(End::Held { why: HoldReason::ReactivatedBySomebody }))
            }
            Some(_) => self.wait_for_tasks(),
        }
    }

    fn excluded(self, exclusion: &Exclusion) -> Next<'a> {
        self.put_back(Phase::Draining, End::Held { why: exclusion.hold() })
    }

    /// Ends the drain in the old boot. An earlier run may have called a reboot off by this claim, and its bridge may not have
    /// read that yet.
    pub(super) fn put_back(self, phase: Phase, end: End) -> Next<'a> {
        self.settles(phase).unwrap_or(Next::Do(phase, Step::Finish(end)))
    }

    /// Returns the wait for a bridge that may not have read yet that a reboot was called off by this claim. Once it cannot
    /// come any more, it may have come all the same: an instance whose agent ECS does not hear then is left as it is.
    fn settles(self, phase: Phase) -> Option<Next<'a>> {
        let Self { instance, claim, cx } = self;
        let off = after(self.since(), CALL_OFF);
        let is_settled = claim.step != ClaimStep::Drain
            || claim.transport == Transport::Ssm
            || claim.run == cx.run.run
            || (self.believes_bridge() && instance.bridge_has_answered(claim));
        if is_settled {
            return None;
        }
        if cx.now < off {
            return Some(Next::Wait(phase, off.min(cx.next_poll(instance))));
        }
        let deadline = cx.inspect_deadline();
        (!instance.agent_connected).then(|| self.visit_again(phase, deadline, || self.unheard()))
    }

    /// Ends the drain, as a person wishes, with the lock as it was found. A host that is not heard is put back all the same:
    /// the saved lock stays on the instance for the next run.
    fn let_go(self, end: End) -> Next<'a> {
        if self.instance.tags.saved_lock.is_none() {
            return self.put_back(Phase::Draining, end);
        }
        if let Some(next) = self.settles(Phase::Draining) {
            return next;
        }
        match self.heard() {
            Some(heard) => self.undo(heard, end),
            None => {
                let deadline = self.cx.inspect_deadline();
                self.visit_again(Phase::Draining, deadline, || Next::Do(Phase::Draining, Step::Finish(end)))
            }
        }
    }

    /// Returns `None` once nothing that is known speaks against it being drained; the executor looks again before the
    /// reboot.
    fn still_draining(self) -> Option<Next<'a>> {
        let Self { instance, cx, .. } = self;
        let drained_at = instance.run.drained_at.unwrap_or(self.since());
        let counted = instance.running_tasks > 0 || instance.pending_tasks > 0;
        // Once none is counted, those that were there before it drained are the ones that may still be stopping.
        let seen = instance.tasks.as_ref().filter(|seen| !counted || seen.at >= drained_at);
        // What ECS does not describe any more, the agent on the host has to tell of.
        let is_empty = instance.is_empty_by_its_own_word(cx.policy, cx.now);
        let has_left = |task: &Task| task.undescribed && is_empty;
        let left = seen.is_some_and(|seen| !seen.tasks.iter().all(has_left)) && !broken!(DrainedByCount);
        if !counted && !left {
            return None;
        }
        // While tasks are counted, only a task that is to be stopped, to be named or waited for is worth a look.
        let stops = cx.policy.standalone_tasks == StandaloneTasks::Stop || broken!(StandaloneTasksStopped);
        let matters = !counted || self.is_slow_drain() || stops;
        let good_for = if counted { TASKS_FRESH } else { STOP_POLL };
        if matters && seen.is_none_or(|seen| cx.now >= after(seen.at, good_for)) {
            return Some(Next::Do(Phase::Draining, Step::LookAtTasks));
        }
        let tasks = seen.map(|seen| seen.tasks.as_slice()).unwrap_or_default();
        if stops {
            let to_stop: Vec<_> = workload::standalone(tasks)
                .filter(|task| !task.stopping && !task.undescribed)
                .filter(|task| !instance.run.stopped_tasks.contains(&task.arn))
                .map(|task| task.arn.clone())
                .collect();
            if !to_stop.is_empty() {
                return Some(Next::Do(Phase::Draining, Step::StopTasks(StopTasks { tasks: to_stop })));
            }
        }
        if broken!(NoDrainTimeout) {
            return Some(self.wait_for_tasks());
        }
        if instance.seen_at < self.drain_deadline() || self.waits_for_agents(self.drain_deadline()) {
            let hidden = !counted && tasks.iter().all(|task| task.undescribed);
            return Some(match seen.filter(|_| !counted) {
                _ if hidden => self.visit_at_pace(Phase::Draining),
                Some(seen) => {
                    let asked_again = after(seen.at, STOP_POLL);
                    Next::Wait(Phase::Draining, asked_again.min(cx.next_drain_look(instance)))
                }
                None => self.wait_for_tasks(),
            });
        }
        let left = workload::left(tasks, &cx.snapshot.services);
        Some(self.put_back(Phase::Draining, End::Failed { why: FailReason::DrainTimedOut { left } }))
    }

    pub(super) fn drained(self) -> Next<'a> {
        let Self { instance, claim, cx } = self;
        let Some(heard) = self.heard() else {
            return self.visit_again(Phase::Drained, cx.inspect_deadline(), || {
                self.not_rebooted("nothing was heard from the host since this run began".to_owned())
            });
        };
        if heard.report.running().is_some_and(|running| running != claim.from) {
            // Somebody rebooted it into another version already.
            return self.verify(heard);
        }
        if instance.command.is_some() {
            return Next::Wait(Phase::Drained, cx.next_poll(instance));
        }
        if claim.step == ClaimStep::Reboot && instance.run.reboot_claims >= MAX_REBOOT_CLAIMS {
            let times = instance.run.reboot_claims;
            let detail = format!("{times} times it rebooted by itself before the command to reboot reached it");
            return self.not_rebooted(detail);
        }
        let alone = is_way_back(claim, cx) && way_back::goes_alone(instance, heard.report, &claim.to, cx);
        if !alone && is_not_offered(instance, heard.report, &claim.to) {
            let why = HoldReason::Withdrawn { version: claim.to.clone() };
            return self.put_back(Phase::Drained, End::Held { why });
        }
        if let Some(why) = objection_to_claim(heard.report, claim, cx) {
            return self.put_back(Phase::Drained, End::Held { why });
        }
        if alone || is_staged(instance, heard.report, &claim.to) {
            let reboot = Step::Reboot(Reboot { to: claim.to.clone(), boot: heard.boot.clone() });
            return self.before_reboot(Next::Do(Phase::Drained, reboot));
        }
        self.stage_again(heard)
    }

    /// Stages the version once more: the status file is lost at a reboot, so that a reboot in between unstaged it.
    fn stage_again(self, heard: Heard<'a>) -> Next<'a> {
        let Self { instance, claim, .. } = self;
        if instance.run.stages >= MAX_STAGES {
            let why = instance.run.failed_stage.as_ref().and_then(|visit| trouble(&visit.end));
            let why = why.map(|detail| format!(" ({detail})")).unwrap_or_default();
            return self.not_rebooted(format!("{} is not on its inactive partition set any more{why}", claim.to));
        }
        let keeps_lock = heard.report.chosen().as_ref() == Some(&claim.to);
        let settings = heard.report.settings.as_ref().filter(|_| !keeps_lock);
        let lock = settings.and_then(|settings| settings.version_lock.clone());
        Next::Do(Phase::Drained, Step::Stage(Stage { from: claim.from.clone(), to: claim.to.clone(), lock }))
    }

    fn not_rebooted(self, detail: String) -> Next<'a> {
        self.put_back(Phase::Drained, End::Failed { why: FailReason::RebootRefused { detail } })
    }

    /// Returns until when to wait since the executor, just before a reboot, found tasks that have not stopped.
    pub(super) fn tasks_left(self) -> Option<Timestamp> {
        let seen = self.instance.tasks.as_ref().filter(|seen| !seen.tasks.is_empty())?;
        let until = after(seen.at, DRAIN_POLL);
        (self.cx.now < until).then_some(until)
    }

    /// Describes tasks still running at the pre-reboot check after `since`, once `deadline` has passed. A task started
    /// with StartTask ends on its own schedule; with a dead agent, never.
    pub(super) fn tasks_stay(self, since: Timestamp, deadline: Timestamp) -> Option<String> {
        if self.cx.now < deadline || self.waits_for_agents(deadline) {
            return None;
        }
        let seen = self.instance.tasks.as_ref().filter(|seen| seen.at >= since && !seen.tasks.is_empty())?;
        Some(format!("tasks on it do not stop: {}", workload::left(&seen.tasks, &self.cx.snapshot.services)))
    }
}
