//! How far a run gets with a release, for a plan: past the bakes that it would wait for.

use models::time::after;

use super::course::{Course, Stage};
use super::waits::{WORTH_A_WAIT, may_begin_at};
use crate::planner::context::Context;
use crate::planner::estimate;

/// What a run would do with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stages {
    /// How many candidates it begins.
    pub(super) begins: usize,
    /// How many bakes it waits for.
    pub(super) bakes: usize,
}

/// Returns what a run would do that begins now.
pub(super) fn stages(cx: &Context<'_>, course: &Course<'_>) -> Stages {
    let at_once = cx.at_once();
    let mut found = Stages { begins: 0, bakes: 0 };
    let mut at = cx.now;
    let mut places = Vec::new();
    match course.stage(cx) {
        Stage::Canary { of, .. } => places.push(course.canary_places(of)),
        Stage::Bake { until, .. } => {
            found.bakes += 1;
            at = until;
        }
        Stage::NoCanary | Stage::Failed(_) | Stage::Lost(_) => return found,
        Stage::Checkpoint { .. } | Stage::Open => {}
    }
    places.extend(cx.policy.checkpoints.percents().map(|percent| course.places(course.share(percent))));
    for begun in places.into_iter().filter(|places| *places > 0) {
        if begun >= course.queued() {
            break;
        }
        let more = begun.saturating_sub(found.begins);
        if more == 0 {
            continue;
        }
        at = after(at, estimate::lasts(more, at_once));
        found.begins = begun;
        let until = after(at, cx.policy.bake);
        if cx.policy.bake > WORTH_A_WAIT || !may_begin_at(cx, until) {
            return found;
        }
        found.bakes += 1;
        at = until;
    }
    found.begins = course.queued();
    found
}
