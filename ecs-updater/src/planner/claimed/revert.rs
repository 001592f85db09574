//! Back to the old version, on a host whose new one is unhealthy.

use jiff::Timestamp;
use models::fleet::{SentReboot, VisitEnd};
use models::host::UpdateState;
use models::plan::{HostCommand, MarkFailed, Phase, Reboot, Revert, Step};
use models::reason::FailReason;
use models::time::after;

use super::visit::Heard;
use super::{Claimed, leave};
use crate::planner::need::{Next, trouble};
use crate::planner::times::RETRY;
use crate::planner::wanted::is_staged;

impl<'a> Claimed<'a> {
    pub(super) fn revert(self) -> Next<'a> {
        let Self { instance, claim, .. } = self;
        if !instance.tags.failed.contains(&claim.to) {
            return Next::Do(Phase::Reverting, Step::MarkFailed(MarkFailed { version: claim.to.clone() }));
        }
        let Some(heard) = self.heard() else { return self.wait_for_old_version() };
        if !claim.is_for(heard.boot) {
            if let Some(next) = self.unconfirmed(heard) {
                return next;
            }
            return if heard.report.running().as_ref() == Some(&claim.from) {
                self.verify(heard)
            } else {
                self.rollback_failed(format!("it booted {} again", claim.to))
            };
        }
        if instance.command.is_some() {
            return self.wait(Phase::Reverting);
        }
        if let Some(status) = self.lost_registration() {
            return self.visit_after(Phase::Reverting, self.revert_deadline(), || {
                self.rollback_failed(format!("its ECS status became {status}"))
            });
        }
        if let Some(sent) = self.reboot_sent()
            && let Some(next) = self.way_back_asked(sent)
        {
            return next;
        }
        if let Some(detail) = self.tasks_stay(self.since(), self.revert_deadline()) {
            return self.rollback_failed(detail);
        }
        if let Some(until) = self.tasks_left() {
            return Next::Wait(Phase::Reverting, until);
        }
        if is_staged(instance, heard.report, &claim.from) && heard.report.state() == Some(&UpdateState::Ready) {
            let step = Step::Reboot(Reboot { to: claim.from.clone(), boot: heard.boot.clone() });
            return Next::Do(Phase::Reverting, step);
        }
        self.activate_old_version(heard)
    }

    pub(super) fn revert_deadline(self) -> Timestamp {
        let timeouts = &self.cx.timeouts;
        after(after(self.since(), timeouts.stage), timeouts.reboot).max(self.cx.inspect_deadline())
    }

    fn rollback_failed(self, detail: String) -> Next<'a> {
        leave(FailReason::RollbackFailed { detail })
    }

    fn wait_for_old_version(self) -> Next<'a> {
        let deadline = self.revert_deadline();
        let silence = || self.visit_trouble().unwrap_or_else(|| "the host does not answer".to_owned());
        self.visit_again(Phase::Reverting, deadline, || {
            self.unless_shared(Phase::Reverting, deadline, silence, || self.rollback_failed(silence()))
        })
    }

    /// Waits for the reboot that this run has asked for; `None` where it is to be asked for again.
    fn way_back_asked(self, sent: &SentReboot) -> Option<Next<'a>> {
        let Some((at, end)) = &sent.end else { return Some(self.wait_for_old_version()) };
        if matches!(end, VisitEnd::NotDelivered { .. }) && self.cx.now < self.revert_deadline() {
            let again = after(*at, RETRY);
            return (self.cx.now < again).then_some(Next::Wait(Phase::Reverting, again));
        }
        if end.did_nothing() {
            return Some(self.rollback_failed(trouble(end).unwrap_or_default()));
        }
        Some(self.wait_for_old_version())
    }

    /// Has the host write and activate the old version; once more where the command was not delivered.
    fn activate_old_version(self, heard: Heard<'a>) -> Next<'a> {
        let Self { instance, cx, .. } = self;
        let asked = instance.visit.as_ref().filter(|visit| {
            matches!(visit.command, HostCommand::Revert { version: Some(_), .. }) && visit.sent_at >= self.since()
        });
        if let Some(visit) = asked {
            let Some(detail) = trouble(&visit.end) else {
                return self.rollback_failed("it did not make the old version the next to boot".to_owned());
            };
            if !matches!(visit.end, VisitEnd::NotDelivered { .. }) || cx.now >= self.revert_deadline() {
                return self.rollback_failed(detail);
            }
            let again = after(visit.at, RETRY);
            if cx.now < again {
                return Next::Wait(Phase::Reverting, again);
            }
        }
        let lock = instance.tags.saved_lock.clone();
        let step = Step::Revert(Revert { boot: heard.boot.clone(), lock, why: self.why_unhealthy() });
        Next::Do(Phase::Reverting, step)
    }
}
