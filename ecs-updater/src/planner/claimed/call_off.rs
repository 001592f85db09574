//! A reboot that is given up: what may still come of it is waited out, and what was activated is undone.

use jiff::Timestamp;
use models::attributes::Progress;
use models::claim::Transport;
use models::fleet::{Instance, InstanceStatus, VisitEnd, report_since};
use models::host::UpdateState;
use models::plan::{Cancel, End, HostCommand, Phase, Step};
use models::reason::{FailReason, HoldReason};
use models::time::after;

use super::visit::{Heard, said_by_bridge};
use super::{Claimed, leave, phase};
use crate::planner::context::Context;
use crate::planner::limits::forbidden_claim;
use crate::planner::need::Next;
use crate::planner::times::{CALL_OFF, DRAIN_POLL, MAX_UNDOS, REBOOT_MAY_COME, RETRY};
use crate::planner::wanted::lock_to_restore;

/// Carries out the end that was begun: where a reboot was called off, nothing can come of it any more by then.
pub(crate) fn conclude<'a>(instance: &'a Instance, end: &End, cx: &'a Context<'a>) -> Next<'a> {
    let phase = instance.claim().map_or(Phase::Held, phase);
    let finish = || Next::Do(phase, Step::Finish(end.clone()));
    let Some(off) = instance.run.called_off.as_deref() else { return finish() };
    let claimed = Claimed { instance, claim: &off.claim, cx };
    let until = after(off.at, CALL_OFF);
    if let Some(heard) = claimed.heard().filter(|heard| !off.claim.is_for(heard.boot)) {
        return claimed.rebooted_after_all(heard, until);
    }
    let is_off = instance.claim().is_some_and(|claim| instance.bridge_has_answered(claim));
    // Another host may have written that it is off: by then it is.
    if is_off && (claimed.believes_bridge() || cx.now >= until) {
        return finish();
    }
    if cx.now < until {
        return Next::Wait(phase, until.min(after(cx.now, DRAIN_POLL)));
    }
    match cx.transport(instance) {
        Transport::Bridge => claimed.unheard(),
        Transport::Ssm => claimed.wait_out(until, end.clone(), || claimed.unheard()),
    }
}

impl<'a> Claimed<'a> {
    /// Goes on as if the reboot had not been called off. An agent that was disconnected for another reason is no proof that
    /// the reboot has come, so that what may still come of it is waited out where the bridge is not believed.
    fn rebooted_after_all(self, heard: Heard<'a>, until: Timestamp) -> Next<'a> {
        if let Some(next) = self.unconfirmed(heard) {
            return next;
        }
        let is_certain = self.believes_report() || self.instance.is_boot_told_by_ssm();
        if is_certain || self.cx.now >= until {
            self.next()
        } else {
            Next::Wait(Phase::Rebooting, until.min(self.cx.next_poll(self.instance)))
        }
    }

    /// Gives a reboot up that has not come: what may still come of it is waited out first, with the activation left as
    /// it is. A host that goes down after its activation was undone would look like one that fell back; and one that
    /// is ACTIVE would go down with tasks on it.
    pub(super) fn give_reboot_up(self, end: End) -> Next<'a> {
        let Self { instance, claim, cx } = self;
        let Some(heard) = self.heard() else { return self.never_came_back() };
        let until = self.reboot_may_come_until();
        match (claim.transport, cx.transport(instance)) {
            // The end takes the claim back first: the bridge may still act for it.
            (Transport::Bridge, Transport::Ssm) => Next::Do(Phase::Rebooting, Step::Finish(end)),
            // The bridge knows nothing of a command by SSM.
            (Transport::Ssm, Transport::Bridge) => match until {
                Some(until) if cx.now < until => Next::Wait(Phase::Rebooting, until.min(cx.next_poll(instance))),
                Some(_) | None => self.undo(heard, end),
            },
            (Transport::Bridge, Transport::Bridge) => self.undo(heard, end),
            (Transport::Ssm, Transport::Ssm) => match until {
                None => self.undo(heard, end),
                Some(until) => self.wait_out(until, end, || self.never_came_back()),
            },
        }
    }

    /// Visits the host until then, which would tell if it has rebooted after all; and once more after it. If it is
    /// still in its old boot, what was activated is undone.
    fn wait_out(self, until: Timestamp, end: End, silent: impl FnOnce() -> Next<'a>) -> Next<'a> {
        match self.heard().filter(|_| report_since(self.instance, until).is_some()) {
            Some(heard) => self.undo(heard, end),
            None => {
                // One that goes down at the last moment has the rest of its time to come back.
                let timeouts = &self.cx.timeouts;
                let back = (timeouts.reboot - REBOOT_MAY_COME).max(timeouts.inspect);
                self.visit_again(Phase::Rebooting, after(until, back), silent)
            }
        }
    }

    /// Puts the instance back into service in the old boot: nothing that was activated may be booted by accident, and
    /// the lock is as it was found.
    pub(super) fn undo(self, heard: Heard<'a>, end: End) -> Next<'a> {
        let Self { instance, cx, .. } = self;
        let activated = heard.report.state() == Some(&UpdateState::Ready) || heard.report.state().is_none();
        let lock = lock_to_restore(instance, heard.report);
        let finish = Next::Do(Phase::Rebooting, Step::Finish(end));
        if !(activated || lock.is_some()) || broken!(LeaveActivated) {
            return finish;
        }
        let cancel = Next::Do(Phase::Rebooting, Step::Cancel(Cancel { boot: heard.boot.clone(), lock }));
        let may_cancel = instance.run.cancels < MAX_UNDOS;
        let asked = instance.visit.as_ref().filter(|visit| {
            matches!(visit.command, HostCommand::Revert { version: None, .. }) && visit.sent_at >= self.since()
        });
        let Some(asked) = asked else {
            return if may_cancel { cancel } else { finish };
        };
        if asked.end == VisitEnd::Done {
            return finish;
        }
        if may_cancel {
            let again = after(asked.at, RETRY);
            return if cx.now < again { Next::Wait(Phase::Rebooting, again) } else { cancel };
        }
        let is_lost = matches!(asked.end, VisitEnd::NotDelivered { .. } | VisitEnd::Unsure { .. });
        if is_lost { self.never_came_back() } else { finish }
    }

    /// Whether the activation of this claim was undone in this run.
    pub(super) fn is_undone(self) -> bool {
        self.instance.run.undone == Some(self.claim.since)
    }

    /// Whether the bridge reported an error for this claim. If so, it was still in the claim's boot when it reported.
    pub(super) fn bridge_could_not_reboot(self) -> bool {
        let said = self.instance.heard_bridge().and_then(|seen| Some((seen, seen.handled(self.claim)?)));
        said.is_some_and(|(seen, handled)| handled.progress == Progress::Failed || seen.report.report.error.is_some())
    }

    /// Leaves the instance DRAINING: the host may have rebooted, or not.
    pub(super) fn unheard(self) -> Next<'a> {
        let silent = || "its host bridge does not say whether the reboot that was called off is off".to_owned();
        let detail = said_by_bridge(self.instance).unwrap_or_else(silent);
        leave(FailReason::NeverCameBack { detail })
    }

    /// Returns the end of a reboot that was given up, whose host has rebooted since into the version that it ran.
    pub(super) fn called_off(self) -> End {
        if let Some(why) = self.persons_wish() {
            return End::Held { why };
        }
        if self.instance.status == InstanceStatus::Active && self.instance.run.reboot.is_none() {
            return End::Held { why: HoldReason::ReactivatedBySomebody };
        }
        if self.instance.run.reboot.is_none()
            && let Some(why) = forbidden_claim(self.claim, self.cx)
        {
            return End::Held { why };
        }
        let detail =
            "the reboot was called off, and the host rebooted by itself since, into its old version".to_owned();
        End::Failed { why: FailReason::RebootRefused { detail } }
    }
}
