//! Reasons to begin nothing new, for all candidates alike, and for those that take longer.

use models::fleet::Instance;
use models::policy::Group;
use models::reason::HoldReason;
use models::report::Outcome;
use models::time::after;
use semver::Version;

use super::Admission;
use super::counted::Counted;
use crate::planner::context::{Context, Contexts, Stop};
use crate::planner::durations::OUT_OF_SERVICE;
use crate::planner::gate::{Closed, expected, expected_of};
use crate::planner::health;

/// Why nothing new is begun: in the cluster, and in each group with windows of its own.
#[derive(Debug)]
pub(super) struct Stops<'a> {
    whole: Option<Closed>,
    groups: Vec<(&'a Group, Option<Closed>)>,
}

impl<'a> Stops<'a> {
    pub(super) fn new(all: &'a Contexts<'a>, counted: &Counted<'_>) -> Self {
        let groups = all.whole.policy.groups.iter().map(|group| (group, stop(all.of_group(group), counted)));
        Self { whole: stop(&all.whole, counted), groups: groups.collect() }
    }

    /// Returns why nothing is begun where these facts hold, if so.
    pub(super) fn of(&self, cx: &Context<'_>) -> Option<&Closed> {
        let own = cx.group.and_then(|group| self.groups.iter().find(|(of, _)| of.name == group.name));
        own.map_or(&self.whole, |(_, closed)| closed).as_ref()
    }

    /// Whether anything may be begun anywhere.
    pub(super) fn is_open(&self) -> bool {
        self.whole.is_none() || self.groups.iter().any(|(_, closed)| closed.is_none())
    }

    /// From now on nothing is begun, unless there is another reason for that already.
    pub(super) fn close(&mut self, why: &Closed) {
        for closed in std::iter::once(&mut self.whole).chain(self.groups.iter_mut().map(|(_, closed)| closed)) {
            closed.get_or_insert_with(|| why.clone());
        }
    }
}

/// Returns why nothing new is begun, if so.
fn stop(cx: &Context<'_>, counted: &Counted<'_>) -> Option<Closed> {
    match of_the_run(cx, counted) {
        Some(why) => Some(Closed { why, wait_until: None }),
        None => cx.gate().closed(expected(cx.snapshot, cx.now)).or_else(|| health::closed(cx)),
    }
}

/// Returns what the run itself has come to.
fn of_the_run(cx: &Context<'_>, counted: &Counted<'_>) -> Option<HoldReason> {
    match cx.run.stopped() {
        Some(Stop::Interrupted) => return Some(HoldReason::Interrupted),
        Some(Stop::NotPermitted { detail, .. }) => return Some(HoldReason::NotPermitted { detail: detail.clone() }),
        Some(Stop::TwoGroups(why)) => return Some(why.clone()),
        None => {}
    }
    // Those of the release that is left do not stop the way back from it.
    let left = cx.run.purpose.way_back().and_then(|back| back.release.as_ref());
    let of_left = left.map_or(0, |release| failures_of(cx, release));
    let in_a_row = if counted.own_failures > 1 { own_failures_in_a_row(cx) } else { 0 };
    let failures = (counted.failures + in_a_row).saturating_sub(of_left);
    if cx.policy.stop_after_failures.reached(failures) {
        return Some(HoldReason::StoppedAfterFailures { failures });
    }
    let late = cx.policy.max_duration.is_some_and(|most| cx.now >= after(cx.run.started_at, most));
    late.then_some(HoldReason::OutOfTime)
}

/// Returns how many updates to a release failed for a reason that can be the release's.
fn failures_of(cx: &Context<'_>, release: &Version) -> usize {
    let verdicts = cx.snapshot.instances.values().filter_map(|instance| instance.run.verdict.as_deref());
    let failed = verdicts.filter(|verdict| verdict.outcome.is_failure() && !verdict.of_its_own);
    failed.filter(|verdict| verdict.to.as_ref() == Some(release)).count()
}

/// Returns how many failed for a reason of their own, two or more one after the other. One by itself is a bad host; the
/// next update that ends in the same way says that something is wrong for all.
fn own_failures_in_a_row(cx: &Context<'_>) -> usize {
    let verdicts = cx.snapshot.instances.values().filter_map(|instance| {
        let verdict = instance.run.verdict.as_deref()?;
        let ended = verdict.outcome.is_failure() || verdict.outcome == Outcome::Updated;
        ended.then_some((verdict.at, &instance.host, verdict.outcome.is_failure() && verdict.of_its_own))
    });
    let mut ends: Vec<_> = verdicts.collect();
    ends.sort_unstable();
    let rows = ends.chunk_by(|(.., one), (.., other)| one == other);
    rows.filter(|row| matches!(row, [(.., true), _, ..])).map(<[_]>::len).sum()
}

impl Admission<'_> {
    /// Returns why an instance that takes longer than others is not begun now, if so.
    pub(super) fn too_late_for(&self, instance: &Instance) -> Option<Closed> {
        let takes = expected_of(instance, self.own.policy)?;
        self.own.gate().closed(takes.max(expected(self.cx.snapshot, self.cx.now)))
    }

    /// Returns why an instance whose tasks wait for a launch is not begun now, if so.
    pub(super) fn too_late_to_launch(&self, instance: &Instance) -> Option<Closed> {
        let scaling = self.cx.snapshot.auto_scaling.scaling_of(instance)?;
        let takes = expected(self.cx.snapshot, self.cx.now).max(OUT_OF_SERVICE);
        self.own.gate().closed(takes.saturating_add(scaling.launch_time()))
    }
}
