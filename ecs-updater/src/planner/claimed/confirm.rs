//! Whose word is it? Where every host may report for every other one, a report alone is no proof that its host has
//! rebooted.

use models::claim::Transport;
use models::plan::{Phase, Step};
use models::policy::{BridgePolicy, TransportPolicy};
use models::reason::FailReason;
use models::time::after;

use super::visit::Heard;
use super::{Claimed, leave};
use crate::planner::context::Context;
use crate::planner::need::Next;
use crate::planner::times::{CONFIRM_POLL, EVENTUAL_CONSISTENCY};

impl<'a> Claimed<'a> {
    /// Returns what comes before anything is made of a report from a new boot: `None` where it is the host's own, or was
    /// confirmed.
    ///
    /// ECS confirms it by an agent that was disconnected since the claim, SSM by telling of the same boot and version.
    pub(super) fn unconfirmed(self, heard: Heard<'a>) -> Option<Next<'a>> {
        let Self { instance, cx, .. } = self;
        if self.believes_bridge() || self.was_disconnected() || self.is_told_by_ssm(heard) {
            return None;
        }
        let seen = instance.run.boot.as_ref().filter(|boot| &boot.id == heard.boot);
        let deadline = after(seen.map_or(cx.now, |boot| boot.at), cx.policy.timeouts.verify).max(cx.inspect_deadline());
        if cx.now >= deadline {
            return Some(leave(FailReason::Unconfirmed { detail: said(heard) }));
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

    /// Whether what stands in the attributes of the instance can be its own host's alone; also where they are not asked.
    pub(super) fn believes_bridge(self) -> bool {
        believes_bridge(self.cx) || self.cx.transport(self.instance) == Transport::Ssm
    }

    /// Whether ECS has shown its agent disconnected since the claim, by an answer that is not from before it.
    fn was_disconnected(self) -> bool {
        let since = after(self.since(), EVENTUAL_CONSISTENCY);
        self.instance.run.last_seen.disconnected.is_some_and(|at| at >= since)
    }

    fn is_told_by_ssm(self, heard: Heard<'a>) -> bool {
        let told = self.instance.run.told_by_ssm.as_deref();
        told.is_some_and(|told| told.id == *heard.boot && told.version == heard.report.running())
    }
}

/// Whether no host can report for another one.
pub(super) fn believes_bridge(cx: &Context<'_>) -> bool {
    cx.policy.bridge_policy == BridgePolicy::OwnHost
}

fn said(heard: Heard<'_>) -> String {
    match heard.report.running() {
        Some(version) => format!("it is in a new boot, on {version}"),
        None => "it is in a new boot".to_owned(),
    }
}
