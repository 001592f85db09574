//! What the user's functions say of an instance that is out of service: before its reboot, and before it takes tasks again.

use jiff::{SignedDuration, Timestamp};
use models::claim::ClaimStep;
use models::hook::{HookStep, Subject};
use models::plan::{End, Phase};
use models::reason::FailReason;
use models::time::after;

use super::visit::Heard;
use super::{Claimed, leave};
use crate::planner::hooks::{Word, word};
use crate::planner::need::Next;

impl<'a> Claimed<'a> {
    /// Has the function asked before the reboot that `reboot` is; where it does not let it go on, the instance is put back
    /// into service in its old boot.
    pub(super) fn before_reboot(self, reboot: Next<'a>) -> Next<'a> {
        let why = match self.hook(HookStep::BeforeReboot) {
            Word::Cleared => return reboot,
            Word::Ask(ask) => return Next::Ask(Phase::Drained, ask),
            Word::Wait(until, _) => return Next::Wait(Phase::Drained, until.min(self.cx.next_poll(self.instance))),
            Word::Failed(why) | Word::Broken(why) => why,
        };
        let detail = format!("{} {why}; it was set ACTIVE again", HookStep::BeforeReboot);
        self.put_back(Phase::Drained, End::Failed { why: FailReason::HookFailed { detail } })
    }

    /// Has the function asked before the healthy instance takes tasks on its new version, as `ready` does: it is a part of
    /// the instance's health. One that has not said so leaves it DRAINING, and blames no version.
    pub(super) fn before_active(
        self,
        heard: Heard<'a>,
        ready: impl FnOnce() -> Next<'a>,
        unhealthy: impl FnOnce(String) -> Next<'a>,
    ) -> Next<'a> {
        if heard.report.running().as_ref() == Some(&self.claim.from) {
            return ready();
        }
        match self.hook(HookStep::BeforeActive) {
            Word::Cleared => ready(),
            Word::Ask(ask) => Next::Ask(Phase::Verifying, ask),
            Word::Wait(until, _) => Next::Wait(Phase::Verifying, until.min(self.cx.next_poll(self.instance))),
            Word::Failed(why) => unhealthy(format!("the function of {} {why}", HookStep::BeforeActive)),
            Word::Broken(why) => {
                let step = HookStep::BeforeActive;
                let detail = format!(
                    "{step} {why}; it is left DRAINING on its new version, with its claim, and the next run asks again"
                );
                leave(FailReason::HookFailed { detail })
            }
        }
    }

    fn hook(self, step: HookStep) -> Word {
        let Self { instance, claim, cx } = self;
        let (host, from, to) = (Some(instance.host.clone()), Some(claim.from.clone()), Some(claim.to.clone()));
        let subject = Subject { step, host, from, to };
        word(subject, instance.run.hook.as_deref(), |first| self.hook_deadline(step, first), cx)
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
        let timeouts = &cx.policy.timeouts;
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
