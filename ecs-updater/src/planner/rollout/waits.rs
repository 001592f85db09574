//! What a run waits for by itself.

use jiff::{SignedDuration, Timestamp};
use models::time::after;

use crate::planner::context::Context;
use crate::planner::gate::expected;

/// A bake that ends within this time is waited out; for a longer one a run would only hold its lease.
pub(super) const WORTH_A_WAIT: SignedDuration = SignedDuration::from_mins(30);

/// Whether a run that is still there could begin an update at that moment, by its own time, the windows and the freezes.
pub(super) fn may_begin_at(cx: &Context<'_>, moment: Timestamp) -> bool {
    let ends = cx.policy.max_duration.map(|most| after(cx.run.started_at, most));
    let mut gate = cx.gate();
    gate.now = moment;
    ends.is_none_or(|ends| moment < ends) && gate.closed(expected(cx.snapshot, cx.now)).is_none()
}

/// Whether the run waits for that moment: not for long where the next one would find the same, and not where it could
/// begin nothing then.
pub(super) fn waits_until(until: Timestamp, is_sure: bool, cx: &Context<'_>) -> bool {
    let is_soon = !is_sure || until <= after(cx.now, WORTH_A_WAIT);
    is_soon && may_begin_at(cx, until)
}
