//! Whose word is it? Where every host may report for every other one, a report alone is no proof that its host has
//! rebooted, nor that its bridge has given a reboot up.

use jiff::Timestamp;
use models::claim::ClaimStep;
use models::plan::{Phase, Step};
use models::policy::TransportPolicy;
use models::reason::FailReason;
use models::time::after;

use super::visit::Heard;
use super::{Claimed, leave};
use crate::planner::need::Next;
use crate::planner::times::CONFIRM_POLL;

impl<'a> Claimed<'a> {
    /// Returns what comes before anything is made of a report from a new boot: `None` where it is the host's own, or was
    /// confirmed.
    pub(super) fn unconfirmed(self, heard: Heard<'a>) -> Option<Next<'a>> {
        let Self { instance, cx, .. } = self;
        if self.is_confirmed() {
            return None;
        }
        let deadline = self.confirm_deadline(heard);
        if cx.now >= deadline {
            return self.never_confirmed(heard);
        }
        if instance.command.is_some() || cx.policy.host != TransportPolicy::Auto {
            return Some(Next::Wait(Phase::Confirming, deadline.min(cx.next_poll(instance))));
        }
        let asked = instance.visit.as_ref().map(|visit| after(visit.at, CONFIRM_POLL));
        Some(match asked.filter(|again| cx.now < *again) {
            Some(again) => Next::Wait(Phase::Confirming, again.min(deadline)),
            None => Next::Do(Phase::Confirming, Step::Confirm),
        })
    }

    /// Leaves an instance whose new boot nothing has confirmed in time.
    pub(super) fn never_confirmed(self, heard: Heard<'a>) -> Option<Next<'a>> {
        let is_late = !self.is_confirmed() && self.cx.now >= self.confirm_deadline(heard);
        is_late.then(|| leave(FailReason::Unconfirmed { detail: said(heard) }))
    }

    /// Counts from when the boot was first heard of; who makes up one boot after the other gains no time by it.
    fn confirm_deadline(self, heard: Heard<'a>) -> Timestamp {
        let Self { instance, claim, cx } = self;
        let seen = instance.run.boot.as_ref().filter(|boot| &boot.id == heard.boot).map_or(cx.now, |boot| boot.at);
        let latest = match claim.step {
            ClaimStep::Reboot => self.silence_deadline(),
            ClaimStep::Revert => self.revert_deadline(),
            ClaimStep::Stage | ClaimStep::Drain | ClaimStep::Cancel => Timestamp::MAX,
        };
        after(seen.min(latest), cx.timeouts.verify).max(cx.inspect_deadline())
    }

    /// Whether the newest report is its host's own word, or its boot was confirmed by ECS or SSM.
    fn is_confirmed(self) -> bool {
        self.believes_report() || self.instance.is_boot_confirmed(self.since())
    }

    /// Whether nobody but its host can have given the newest report: by SSM nobody else speaks for it.
    pub(super) fn believes_report(self) -> bool {
        self.instance.is_own_report(self.cx.policy, self.cx.now)
    }

    /// Whether nobody but its host can have written what its bridge says of a claim.
    pub(super) fn believes_bridge(self) -> bool {
        self.instance.speaks_for_itself(self.cx.policy.bridge_policy)
    }
}

fn said(heard: Heard<'_>) -> String {
    match heard.report.running() {
        Some(version) => format!("it is in a new boot, on {version}"),
        None => "it is in a new boot".to_owned(),
    }
}
