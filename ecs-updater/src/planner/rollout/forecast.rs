//! How far a run gets with a release, for a plan: past the bakes that it would wait for.

use jiff::Timestamp;
use models::time::after;

use super::course::{Course, Leg, Stage};
use super::waits::{WORTH_A_WAIT, may_begin_at, waits_until};
use crate::planner::context::{Context, Contexts};
use crate::planner::durations;

/// What a run would do with a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stages {
    pub(super) legs: Vec<Leg>,
    /// How many bakes it waits for.
    pub(super) bakes: usize,
    /// When it is done with that.
    pub(super) ends: Timestamp,
}

/// Returns what a run would do that begins with the release then.
pub(super) fn stages(all: &Contexts<'_>, cx: &Context<'_>, course: &Course<'_>, starts: Timestamp) -> Stages {
    let at_once = cx.at_once();
    // Its candidates go by the windows of their groups.
    let may_any = |is_so: &dyn Fn(&Context<'_>) -> bool| course.parts().any(|part| is_so(all.of_name(part)));
    let mut found = Stages { legs: Vec::new(), bakes: 0, ends: starts };
    let mut opens = None;
    let mut places = Vec::new();
    match course.stage(cx) {
        Stage::Canary { of, .. } => places.push(course.canary_places(of)),
        Stage::Bake { until, is_sure, .. } => {
            if !may_any(&|own| waits_until(until, is_sure, own)) {
                return found;
            }
            found.bakes += 1;
            opens = Some(until);
        }
        Stage::NoCanary | Stage::Failed(_) | Stage::Lost(_) => return found,
        Stage::Checkpoint { .. } | Stage::Open => {}
    }
    let mut at = opens.map_or(starts, |until| until.max(starts));
    let mut begun = 0;
    places.extend(cx.policy.checkpoints.percents().map(|percent| course.places(course.share(percent))));
    for upto in places.into_iter().filter(|places| *places > 0) {
        if upto >= course.queued() {
            break;
        }
        let more = upto.saturating_sub(begun);
        if more == 0 {
            continue;
        }
        at = after(at, durations::lasts(more, at_once));
        begun = upto;
        found.legs.push(Leg { begins: upto, opens });
        found.ends = at;
        let until = after(at, cx.policy.bake);
        if cx.policy.bake > WORTH_A_WAIT || !may_any(&|own| may_begin_at(own, until)) {
            return found;
        }
        found.bakes += 1;
        opens = Some(until);
        at = until;
    }
    found.legs.push(Leg { begins: course.queued(), opens });
    found.ends = after(at, durations::lasts(course.queued().saturating_sub(begun), at_once));
    found
}
