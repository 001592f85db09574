//! What was heard of the host, and when to visit it again.

use jiff::Timestamp;
use models::claim::Transport;
use models::fleet::{Instance, VisitEnd};
use models::host::HostReport;
use models::ids::BootId;
use models::plan::{Inspect, Phase, Step};
use models::reason::FailReason;
use models::time::after;

use super::{Claimed, leave};
use crate::planner::naming;
use crate::planner::need::{Next, trouble};
use crate::planner::times::{BOOT_POLL, FIRST_BOOT_POLL};

/// A report that says which boot it is from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard<'a> {
    pub(super) report: &'a HostReport,
    pub(super) boot: &'a BootId,
}

impl<'a> Claimed<'a> {
    /// Returns the newest report of the host.
    pub(super) fn heard(self) -> Option<Heard<'a>> {
        let report = &self.instance.report.as_ref()?.report;
        Some(Heard { report, boot: report.boot_id.as_ref()? })
    }

    /// Visits the host at the pace of the phase; once a visit that was sent after the deadline has ended, what `give_up`
    /// says. What was seen before it says nothing about a host that was given its time: the program itself may have stood
    /// still meanwhile.
    pub(super) fn visit_again(self, phase: Phase, deadline: Timestamp, give_up: impl FnOnce() -> Next<'a>) -> Next<'a> {
        if self.instance.command.is_none() && self.cx.now >= deadline && self.was_visited_since(deadline) {
            return give_up();
        }
        self.visit_at_pace(phase)
    }

    /// Waits until the deadline; then as [`Self::visit_again`].
    pub(super) fn visit_after(self, phase: Phase, deadline: Timestamp, give_up: impl FnOnce() -> Next<'a>) -> Next<'a> {
        if self.cx.now < deadline { self.wait(phase) } else { self.visit_again(phase, deadline, give_up) }
    }

    /// Whether the newest visit of this run was sent then or later.
    pub(super) fn was_visited_since(self, time: Timestamp) -> bool {
        self.instance.visit.as_ref().is_some_and(|visit| visit.sent_at >= time)
    }

    /// Visits the host at the pace of the phase.
    pub(super) fn visit_at_pace(self, phase: Phase) -> Next<'a> {
        let Self { instance, cx, .. } = self;
        if instance.command.is_some() {
            return self.wait(phase);
        }
        let visited = instance.visit.as_ref().map_or(Timestamp::MIN, |visit| after(visit.at, BOOT_POLL));
        let rebooted = instance.run.reboot.as_ref().map_or(Timestamp::MIN, |sent| after(sent.sent_at, FIRST_BOOT_POLL));
        let not_before = visited.max(rebooted);
        if cx.now >= not_before {
            // The update status matters only before the reboot.
            Next::Do(phase, Step::Inspect(Inspect { refresh: phase == Phase::Drained }))
        } else {
            // A bridge's next word comes with the next look.
            let by_bridge = cx.transport(instance) == Transport::Bridge;
            Next::Wait(phase, if by_bridge { not_before.min(cx.next_poll(instance)) } else { not_before })
        }
    }

    /// Returns how the newest visit failed.
    pub(super) fn visit_trouble(self) -> Option<String> {
        self.instance.visit.as_ref().and_then(|visit| trouble(&visit.end))
    }

    /// Whether the newest visit brought a report.
    pub(super) fn answered_last(self) -> bool {
        self.instance.visit.as_ref().is_some_and(|visit| matches!(visit.end, VisitEnd::Done | VisitEnd::Error(_)))
    }

    pub(super) fn never_came_back(self) -> Next<'a> {
        leave(FailReason::NeverCameBack { detail: self.silence() })
    }

    /// Describes that nothing is heard of the host.
    pub(super) fn silence(self) -> String {
        let silenced = naming::silenced(self.instance, self.cx);
        let detail = silenced.or_else(|| self.visit_trouble()).or_else(|| said_by_bridge(self.instance));
        detail.unwrap_or_else(|| "no answer at all".to_owned())
    }
}

/// Returns what the host's bridge says is in its way.
pub(super) fn said_by_bridge(instance: &Instance) -> Option<String> {
    trouble(&VisitEnd::Error(instance.heard_bridge()?.report.report.error.clone()?))
}
