//! What the user's functions say of an instance that is out of service: before its reboot, and before it takes tasks again.

use jiff::{SignedDuration, Timestamp};
use models::claim::ClaimStep;
use models::fleet::InstanceStatus;
use models::hook::{Asked, HookStep, Subject};
use models::plan::{End, Phase, Step};
use models::reason::FailReason;
use models::time::after;

use super::visit::Heard;
use super::{Claimed, leave};
use crate::planner::hooks::{Word, clears, word};
use crate::planner::need::Next;
use crate::planner::times::BOOT_POLL;

impl<'a> Claimed<'a> {
    /// Has the function asked before the reboot that `reboot` is; where it does not let it go on, the instance is put back
    /// into service in its old boot.
    pub(super) fn before_reboot(self, reboot: Next<'a>) -> Next<'a> {
        let why = match self.hook(HookStep::BeforeReboot) {
            Word::Cleared => return reboot,
            Word::Ask(ask) => return Next::Ask(Phase::Drained, ask),
            Word::Wait(until, _) => return Next::Wait(Phase::Drained, until.min(self.cx.next_poll(self.instance))),
            Word::Failed(why) | Word::TimedOut(why) | Word::Broken(why) => why,
        };
        let detail = format!("{} {why}; it was set ACTIVE again", HookStep::BeforeReboot);
        self.put_back(Phase::Drained, End::Failed { why: FailReason::HookFailed { detail } })
    }

    /// Has the function asked before the healthy instance takes tasks on its new version, as `ready` does: it is a part of
    /// the instance's health. One that has not said so leaves it DRAINING, and blames no version. An instance that an earlier
    /// run has set ACTIVE is in service: it has said ok then.
    pub(super) fn before_active(
        self,
        heard: Heard<'a>,
        ready: impl FnOnce() -> Next<'a>,
        unhealthy: impl FnOnce(String) -> Next<'a>,
    ) -> Next<'a> {
        let Self { instance, claim, cx } = self;
        let was_put_back = instance.status == InstanceStatus::Active && claim.run != cx.run.run;
        if heard.report.running().as_ref() == Some(&claim.from) || was_put_back {
            return ready();
        }
        let step = HookStep::BeforeActive;
        match self.hook(step) {
            Word::Cleared => ready(),
            Word::Ask(ask) => Next::Ask(Phase::Verifying, ask),
            Word::Wait(until, _) => Next::Wait(Phase::Verifying, until.min(cx.next_poll(instance))),
            Word::Failed(why) => unhealthy(format!("the function of {step} {why}")),
            Word::TimedOut(why) if !self.is_cut_by_claim() => unhealthy(format!("the function of {step} {why}")),
            Word::TimedOut(why) => self.left_by_hook(&format!("{why}, counted from its claim")),
            Word::Broken(why) => self.left_by_hook(&why),
        }
    }

    /// Leaves the instance on its new version: the function has not said that the version is bad.
    fn left_by_hook(self, why: &str) -> Next<'a> {
        let is_in_service = self.instance.status == InstanceStatus::Active;
        let left = if is_in_service { "is in service" } else { "is left DRAINING" };
        let step = HookStep::BeforeActive;
        let detail = format!("{step} {why}; it {left} on its new version, with its claim, and the next run asks again");
        leave(FailReason::HookFailed { detail })
    }

    /// Returns the look at an instance that comes after the function's ok: what was known of it can be as old as the function
    /// took. Once the instance had its time and does not answer, it is left.
    pub(super) fn look_after_ok(self, heard: Heard<'a>) -> Option<Next<'a>> {
        let Self { instance, cx, .. } = self;
        let answered = self.asked_in_boot(heard)?.answer.as_ref();
        let (said_at, _) = answered.filter(|(_, answer)| clears(answer, cx))?;
        let is_fresh = |at: Timestamp| at >= *said_at || cx.now < after(at, BOOT_POLL);
        let checks = instance.ec2.as_ref().and_then(|ec2| ec2.checks.as_ref());
        if !checks.is_some_and(|checks| is_fresh(checks.at)) {
            return Some(Next::Do(Phase::Verifying, Step::LookAtChecks));
        }
        // A bridge's report stands until something changes: a visit that has ended well says that it does.
        let was_heard = self.was_visited_since(*said_at) && self.answered_last();
        if was_heard || instance.report.as_ref().is_some_and(|seen| is_fresh(seen.at)) {
            return None;
        }
        Some(self.visit_again(Phase::Verifying, after(*said_at, cx.timeouts.verify), || {
            let step = HookStep::BeforeActive;
            let detail = format!("nothing was heard from the host since {step} said ok ({})", self.silence());
            leave(FailReason::NeverCameBack { detail })
        }))
    }

    /// Returns what this run has asked whether the instance is well in this boot.
    pub(super) fn asked_in_boot(self, heard: Heard<'a>) -> Option<&'a Asked> {
        let boot = self.instance.run.boot.as_ref().filter(|boot| &boot.id == heard.boot)?;
        let asked = self.instance.run.hook.as_deref()?;
        (asked.subject == self.subject(HookStep::BeforeActive) && asked.at >= boot.at).then_some(asked)
    }

    fn subject(self, step: HookStep) -> Subject {
        let Self { instance, claim, .. } = self;
        let (host, from, to) = (Some(instance.host.clone()), Some(claim.from.clone()), Some(claim.to.clone()));
        Subject { step, host, from, to }
    }

    fn hook(self, step: HookStep) -> Word {
        let asked = self.instance.run.hook.as_deref();
        word(self.subject(step), asked, |first| self.hook_deadline(step, first), self.cx)
    }

    /// Whether the function had less than its whole time, since an earlier run may have asked it.
    fn is_cut_by_claim(self) -> bool {
        let asked = self.instance.run.hook.as_deref();
        asked.is_some_and(|asked| asked.deadline < after(asked.since, self.cx.policy.hooks.timeout))
    }

    /// Returns until when all askings may take that began at `first`. An earlier run may have asked before: its claim says
    /// by when it can have begun to.
    fn hook_deadline(self, step: HookStep, first: Timestamp) -> Timestamp {
        let Self { cx, .. } = self;
        let timeout = cx.policy.hooks.timeout;
        let own = after(first, timeout);
        if self.since() >= cx.run.started_at {
            return own;
        }
        let latest = after(after(self.since(), self.longest_before(step)), timeout);
        own.min(latest.max(cx.inspect_deadline()).max(first))
    }

    /// How long after its claim an instance can come to this step.
    fn longest_before(self, step: HookStep) -> SignedDuration {
        let Self { claim, cx, .. } = self;
        let timeouts = &cx.timeouts;
        let to_the_reboot = match claim.step {
            ClaimStep::Drain => self.drain_timeout(),
            ClaimStep::Reboot | ClaimStep::Revert | ClaimStep::Stage | ClaimStep::Cancel => SignedDuration::ZERO,
        };
        match step {
            HookStep::BeforeActive => to_the_reboot.saturating_add(timeouts.reboot).saturating_add(timeouts.verify),
            HookStep::BeforeRun
            | HookStep::BeforeDrain
            | HookStep::BeforeReboot
            | HookStep::AfterInstance
            | HookStep::AfterRun => to_the_reboot,
        }
    }
}
