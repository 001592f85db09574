//! The reboot into the new version: asked for, waited for, and what the host says after it.

use jiff::Timestamp;
use models::claim::Transport;
use models::fleet::{Exclusion, InstanceStatus, SentReboot, VisitEnd, report_since};
use models::host::ErrorCode;
use models::plan::{End, MarkFailed, Phase, Reboot, Step};
use models::reason::{FailReason, HoldReason};
use models::time::after;

use super::visit::{Heard, said_by_bridge};
use super::{Claimed, leave, sent};
use crate::planner::limits::objection_to_claim;
use crate::planner::need::{Next, trouble};
use crate::planner::times::{FIRST_BOOT_POLL, RETRY};

/// Whether the next command may do what this one did not: it never arrived, or the host could not read its repository,
/// which says nothing of the release.
fn is_worth_another_try(end: &VisitEnd) -> bool {
    match end {
        VisitEnd::NotDelivered { .. } => true,
        VisitEnd::Error(error) => error.at == "refresh" && error.code != ErrorCode::NotOffered,
        VisitEnd::Done | VisitEnd::Unsure { .. } | VisitEnd::Malformed { .. } => false,
    }
}

impl<'a> Claimed<'a> {
    pub(super) fn reboot(self) -> Next<'a> {
        let Some(heard) = self.heard() else { return self.wait_for_boot(self.silence_deadline()) };
        if !self.claim.is_for(heard.boot) && !broken!(RebootWithoutBootId) {
            return self.after_boot(heard);
        }
        if self.instance.command.is_some() {
            return self.wait(Phase::Rebooting);
        }
        if let Some(status) = self.lost_registration() {
            return self.visit_after(Phase::Rebooting, self.reboot_deadline(), || {
                leave(FailReason::NeverCameBack { detail: format!("its ECS status became {status}") })
            });
        }
        // Once the reboot is asked for, ACTIVE can also mean that the new boot registered before the host was heard.
        let sent = self.reboot_sent();
        if sent.is_none()
            && let Some(next) = self.taken_back(heard)
        {
            return next;
        }
        if let Some(detail) = self.tasks_stay(self.since(), self.reboot_deadline()) {
            return self.refuse_reboot(detail);
        }
        if let Some(until) = self.tasks_left() {
            return Next::Wait(Phase::Draining, until);
        }
        match sent {
            // What this run has not asked for, the one that wrote the claim may have died before asking. The command
            // names its boot, so that asking twice does no harm.
            None => self.ask_for_reboot(heard),
            Some(sent) => self.reboot_asked(sent, heard),
        }
    }

    fn reboot_deadline(self) -> Timestamp {
        after(self.since(), self.cx.timeouts.reboot).max(self.cx.inspect_deadline())
    }

    /// Returns until when the host may be silent: a command that was sent again has its whole time.
    pub(super) fn silence_deadline(self) -> Timestamp {
        let deadline = self.reboot_deadline();
        match self.reboot_sent().and_then(SentReboot::may_act_since) {
            Some(asked) => deadline.max(after(asked, self.cx.timeouts.reboot)),
            None => deadline,
        }
    }

    fn wait_for_boot(self, deadline: Timestamp) -> Next<'a> {
        let silent = || format!("nothing was heard from the host since its reboot ({})", self.silence());
        self.visit_again(Phase::Rebooting, deadline, || {
            self.unless_shared(Phase::Rebooting, deadline, silent, || self.never_came_back())
        })
    }

    fn ask_for_reboot(self, heard: Heard<'a>) -> Next<'a> {
        if self.instance.status == InstanceStatus::Active {
            return self.give_reboot_up(End::Held { why: HoldReason::ReactivatedBySomebody });
        }
        Next::Do(Phase::Drained, Step::Reboot(Reboot { to: self.claim.to.clone(), boot: heard.boot.clone() }))
    }

    fn refuse_reboot(self, detail: String) -> Next<'a> {
        self.give_reboot_up(End::Failed { why: FailReason::RebootRefused { detail } })
    }

    /// Returns why a person wants the instance back in service in its old boot, if so.
    pub(super) fn persons_wish(self) -> Option<HoldReason> {
        let exclusion = self.instance.tags.exclude.as_ref().map(Exclusion::hold);
        exclusion.or_else(|| self.cx.run.purpose.lets_go(&self.instance.host))
    }

    /// Gives a reboot up that this run has not asked for, where a person wants the instance, or the version, otherwise by
    /// now.
    fn taken_back(self, heard: Heard<'a>) -> Option<Next<'a>> {
        if self.instance.status != InstanceStatus::Active {
            let why = self.persons_wish().or_else(|| objection_to_claim(heard.report, self.claim, self.cx))?;
            return Some(self.give_reboot_up(End::Held { why }));
        }
        // A bridge's report stands until the next one: this can be from before a reboot that its agent did not live to
        // tell of, and ECS may have forgotten DRAINING over it.
        if self.cx.transport(self.instance) == Transport::Bridge && !self.bridge_could_not_reboot() {
            return Some(self.wait_for_boot(self.reboot_deadline()));
        }
        Some(self.give_reboot_up(End::Held { why: HoldReason::ReactivatedBySomebody }))
    }

    /// In the old boot still, although this run has asked for the reboot.
    fn reboot_asked(self, sent: &SentReboot, heard: Heard<'a>) -> Next<'a> {
        let is_late = self.cx.now >= self.reboot_deadline();
        if let Some((at, end)) = &sent.end
            && !is_late
            && is_worth_another_try(end)
        {
            let again = after(*at, RETRY);
            return if self.cx.now < again { Next::Wait(Phase::Rebooting, again) } else { self.ask_for_reboot(heard) };
        }
        if matches!(&sent.end, Some((_, VisitEnd::Error(error))) if error.code == ErrorCode::NotOffered) {
            return self.give_reboot_up(End::Held { why: HoldReason::Withdrawn { version: self.claim.to.clone() } });
        }
        if let Some(detail) = self.reboot_refused(sent) {
            return self.refuse_reboot(detail);
        }
        if !is_late && self.came_to_nothing() {
            return self.ask_for_reboot(heard);
        }
        if is_late
            && self.bridge_could_not_reboot()
            && let Some(detail) = said_by_bridge(self.instance)
        {
            return self.refuse_reboot(detail);
        }
        if is_late && self.stays_awake(sent) {
            return self.give_reboot_up(End::Failed { why: FailReason::RebootTimedOut });
        }
        self.wait_for_boot(self.silence_deadline())
    }

    /// Returns why the command cannot make the host reboot any more, where that is known.
    fn reboot_refused(self, sent: &SentReboot) -> Option<String> {
        let (_, end) = sent.end.as_ref()?;
        let refused = match end {
            VisitEnd::NotDelivered { .. } => self.reboot_may_come_until().is_none(),
            VisitEnd::Error(error) => end.did_nothing() && error.code != ErrorCode::OtherBoot,
            VisitEnd::Done | VisitEnd::Unsure { .. } | VisitEnd::Malformed { .. } => false,
        };
        refused.then(|| trouble(end).unwrap_or_default())
    }

    /// Whether the host was heard in its old boot after the time in which a command by SSM can have made it reboot.
    fn came_to_nothing(self) -> bool {
        let by_ssm = self.cx.transport(self.instance) == Transport::Ssm;
        let until = self.reboot_may_come_until().filter(|_| by_ssm);
        until.is_some_and(|until| self.cx.now >= until && report_since(self.instance, until).is_some())
    }

    /// Whether the host answers from its old boot, long enough after the command.
    fn stays_awake(self, sent: &SentReboot) -> bool {
        let awake = report_since(self.instance, after(sent.sent_at, FIRST_BOOT_POLL)).is_some();
        let answered = self.answered_last() && self.was_visited_since(self.reboot_deadline());
        awake && (self.is_undone() || answered)
    }

    pub(super) fn reboot_sent(self) -> Option<&'a SentReboot> {
        sent::reboot_sent(self.instance, self.claim, self.cx.run)
    }

    pub(super) fn reboot_may_come_until(self) -> Option<Timestamp> {
        sent::reboot_may_come_until(self.instance, self.claim, self.cx.run)
    }

    /// If no reboot command for this claim, of whatever run, can have had an effect (undelivered, or the host had
    /// already rebooted), returns when that was seen.
    fn did_nothing(self) -> Option<Timestamp> {
        let sent = self.reboot_sent()?;
        let (seen_at, end) = sent.end.as_ref()?;
        let idle = match end {
            // Nothing was activated yet.
            VisitEnd::Error(error) => error.code == ErrorCode::OtherBoot || error.at == "refresh",
            VisitEnd::NotDelivered { .. } => true,
            VisitEnd::Done | VisitEnd::Unsure { .. } | VisitEnd::Malformed { .. } => false,
        };
        let alone = sent.earlier.is_none() && sent::is_this_runs_alone(self.instance, self.claim, self.cx.run);
        (idle && alone).then_some(*seen_at)
    }

    /// In a new boot, after our reboot or somebody else's.
    fn after_boot(self, heard: Heard<'a>) -> Next<'a> {
        let Self { instance, claim, .. } = self;
        if broken!(UpdatedUnseen) {
            let end = End::Updated { from: claim.from.clone(), to: claim.to.clone() };
            return Next::Do(Phase::Verifying, Step::Finish(end));
        }
        if heard.report.running().as_ref() != Some(&claim.from) {
            return self.verify(heard);
        }
        if self.reboot_sent().is_some_and(|sent| sent.end.is_none()) {
            // The host may have rebooted by itself before it got the command; the command's end will tell.
            return self.wait(Phase::Rebooting);
        }
        if let Some(next) = self.unconfirmed(heard) {
            return next;
        }
        if let Some(seen_at) = self.did_nothing() {
            return self.rebooted_by_itself(heard, seen_at);
        }
        if self.is_undone() {
            return self.verify(heard);
        }
        if !instance.tags.failed.contains(&claim.to) {
            return Next::Do(Phase::Verifying, Step::MarkFailed(MarkFailed { version: claim.to.clone() }));
        }
        if broken!(NoVerifyAfterFallBack) {
            let end = self.rolled_back(FailReason::FellBackAtBoot { version: claim.to.clone() });
            return Next::Do(Phase::Verifying, Step::Finish(end));
        }
        self.verify(heard)
    }

    /// Goes on with the update of a host that rebooted without our command.
    fn rebooted_by_itself(self, heard: Heard<'a>, seen_at: Timestamp) -> Next<'a> {
        if let Some(detail) = self.tasks_stay(self.since(), self.reboot_deadline()) {
            return self.undo(heard, End::Failed { why: FailReason::RebootRefused { detail } });
        }
        if let Some(until) = self.tasks_left() {
            return Next::Wait(Phase::Draining, until);
        }
        if report_since(self.instance, seen_at).is_some() {
            return self.drained();
        }
        self.visit_again(Phase::Drained, self.reboot_deadline(), || {
            leave(FailReason::NeverCameBack { detail: "it rebooted by itself".to_owned() })
        })
    }
}
