//! The time between two drains.

use jiff::Timestamp;
use models::reason::HoldReason;
use models::time::after;

use super::seen::believed;
use super::waits::may_begin_at;
use crate::planner::context::Context;
use crate::planner::gate::Closed;

/// Returns until when nothing is drained after what was drained, or came back, last. `is_draining`: this plan drains one.
pub(crate) fn soaking(cx: &Context<'_>, is_draining: bool) -> Option<Closed> {
    if cx.policy.soak.is_zero() || broken!(SoakIgnored) {
        return None;
    }
    let last = if is_draining { Some(cx.now) } else { last_move(cx) };
    let until = after(last?, cx.policy.soak);
    let waits = may_begin_at(cx, until);
    (cx.now < until).then(|| Closed { why: HoldReason::Soaking { until }, wait_until: waits.then_some(until) })
}

/// The same for an instance that goes by other windows than its cluster.
pub(crate) fn by_own_windows(soaking: &Closed, own: &Context<'_>) -> Closed {
    let wait_until = soaking.why.watched_until().filter(|until| may_begin_at(own, *until));
    Closed { why: soaking.why.clone(), wait_until }
}

/// Returns when an instance was drained, or ended an update, last: in this run, or in an earlier one by what stands on it.
fn last_move(cx: &Context<'_>) -> Option<Timestamp> {
    let moves = cx.snapshot.instances.values().flat_map(|instance| {
        let claim = instance.out_of_service_claim().map(|claim| instance.began(claim));
        let verdict = instance.run.verdict.as_ref().filter(|_| instance.run.drained_at.is_some());
        let last = instance.tags.last.as_ref().map(|last| believed(last.at, cx).at);
        [instance.run.drained_at, claim, verdict.map(|verdict| verdict.at), last]
    });
    moves.flatten().max()
}
