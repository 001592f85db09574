//! How far a release may go now: to its canaries, to a checkpoint, or to all. What it has come to is read from what stands on
//! the instances, so that the next run goes on where this one ends; only what cannot be read there is counted from this run's
//! own sight.

mod course;
mod forecast;
mod seen;
mod soak;
mod waits;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use models::fleet::Instance;
use models::ids::{GroupName, HostId, ZoneName};
use models::plan::Phase;
use models::reason::{HoldCode, HoldReason};
use models::time::after;
use semver::Version;

use super::context::{Context, Contexts};
use super::draft::{Draft, Queued};
use super::gate::Closed;
use super::need::Candidate;
use super::times::RETRY;
use course::{Course, Lost, Stage, Stands};
use forecast::{Stages, stages};
use seen::{Kind, kind};
use waits::{WORTH_A_WAIT, may_begin_at};

pub(super) use soak::{by_own_windows, soaking};

/// What may be begun of an update for the sake of its release.
pub(super) enum Begins {
    Now,
    /// Not before hosts are heard that say how far the release has come.
    Unheard(Timestamp),
    /// Once others are done.
    Later(HoldReason),
    Closed(Closed),
}

/// Which instances a release makes its way through: those of a group with a course of its own, or all others; and of which kind.
type Whose<'a> = (Option<&'a GroupName>, Kind<'a>);

/// The releases that candidates are to be updated to, by variant and architecture.
pub(super) struct Rollouts<'a> {
    all: &'a Contexts<'a>,
    courses: BTreeMap<(Whose<'a>, Version), Course<'a>>,
    /// Whether hosts are yet to be heard.
    is_unheard: bool,
    /// How many bakes a run would wait for, where this is a plan.
    bakes: usize,
}

impl<'a> Rollouts<'a> {
    /// Reads how far each release has come.
    pub(super) fn new(all: &'a Contexts<'a>, queue: &[Queued<'a>], draft: &Draft) -> Self {
        let cx = &all.whole;
        let mut courses: BTreeMap<(Whose<'a>, Version), Course<'a>> = BTreeMap::new();
        // A way back waits for no canary: what it leaves is known to be bad.
        let has_stages = all.have_stages() && cx.run.purpose.way_back().is_none();
        if has_stages && !broken!(StagesIgnored) {
            for queued in queue {
                let Candidate { instance, to, .. } = &queued.candidate;
                let own = all.of_course(instance);
                if let Some(whose) = whose(instance, own).filter(|_| own.policy.has_stages()) {
                    courses.entry((whose, to.clone())).or_default().candidate(instance, own.policy);
                }
            }
            let mut of_kind: BTreeMap<Whose<'a>, Vec<(&Version, &mut Course<'a>)>> = BTreeMap::new();
            for ((whose, version), course) in &mut courses {
                of_kind.entry(*whose).or_default().push((version, course));
            }
            let absent = absent(draft, cx);
            let queued: BTreeSet<&HostId> = queue.iter().map(|queued| &queued.candidate.instance.host).collect();
            for instance in cx.snapshot.instances.values().filter(|instance| instance.counts()) {
                let own = all.of_course(instance);
                let known = whose(instance, own).and_then(|whose| of_kind.get_mut(&whose));
                for (version, course) in known.into_iter().flatten() {
                    let stands = if queued.contains(&instance.host) {
                        Stands::Queued
                    } else if absent.contains(&instance.host) {
                        Stands::Absent
                    } else {
                        Stands::No
                    };
                    course.see(instance, version, own, stands);
                }
            }
            for course in courses.values_mut() {
                course.sort();
            }
        }
        let is_unheard = !courses.is_empty() && !cx.run.dry_run && cx.now < cx.inspect_deadline();
        let is_unheard = is_unheard
            && draft.standings.iter().filter(|standing| standing.phase == Phase::Unseen).any(|standing| {
                cx.snapshot.instances.get(&standing.host).is_some_and(|instance| instance.report.is_none())
            });
        let mut rollouts = Self { all, courses, is_unheard, bakes: 0 };
        rollouts.foresee();
        rollouts
    }

    /// Returns whether a candidate may be begun now.
    pub(super) fn begins(&self, candidate: &Candidate<'a>) -> Begins {
        let Some(course) = self.course(candidate) else { return Begins::Now };
        let cx = self.all.of_course(candidate.instance);
        if self.is_unheard {
            return Begins::Unheard(after(cx.now, RETRY));
        }
        let version = || candidate.to.clone();
        let closed = |why| Begins::Closed(Closed { why, wait_until: None });
        match course.stage(cx) {
            Stage::Failed(host) => closed(HoldReason::CanaryFailed { version: version(), host: host.clone() }),
            Stage::Lost(Lost { host, why, patience }) => {
                let why = HoldReason::CanaryLost { version: version(), host: host.clone(), why: why.to_owned() };
                let wait_until = (cx.now < patience).then(|| after(cx.now, RETRY));
                Begins::Closed(Closed { why, wait_until })
            }
            Stage::NoCanary => closed(HoldReason::NoCanary { version: version() }),
            Stage::Canary { done, of } => {
                let why = HoldReason::CanaryFirst { version: version(), done, of };
                let has_turn = course.may_be_canary(candidate.instance, of, cx.policy);
                if !has_turn && course.has_absent() {
                    return Begins::Unheard(after(cx.now, RETRY));
                }
                self.in_turn(course, has_turn, course.canary_places(of), why)
            }
            Stage::Checkpoint { percent, done, of } => {
                let why = HoldReason::CheckpointFirst { version: version(), percent, done, of };
                self.in_turn(course, course.has_room(of), course.places(of), why)
            }
            Stage::Bake { until, is_sure, what } => bake(version(), (until, is_sure), what, cx),
            Stage::Open => Begins::Now,
        }
    }

    /// Takes up one of the places before the next bake.
    pub(super) fn take(&mut self, candidate: &Candidate<'a>) {
        let own = self.all.of_course(candidate.instance);
        if let Some(whose) = whose(candidate.instance, own)
            && let Some(course) = self.courses.get_mut(&(whose, candidate.to.clone()))
        {
            course.take();
        }
    }

    /// Returns how many bakes a run would wait for, where this is a plan.
    pub(super) fn bakes(&self) -> usize {
        self.bakes
    }

    /// Returns how many canaries of earlier runs each zone has had, while there are more to come.
    pub(super) fn canary_zones(&self) -> BTreeMap<Option<&'a ZoneName>, usize> {
        let mut zones = BTreeMap::new();
        for (((group, _), _), course) in &self.courses {
            if let Stage::Canary { .. } = course.stage(self.all.of_name(*group)) {
                for zone in course.zones() {
                    *zones.entry(zone).or_default() += 1;
                }
            }
        }
        zones
    }

    fn course(&self, candidate: &Candidate<'a>) -> Option<&Course<'a>> {
        let own = self.all.of_course(candidate.instance);
        self.courses.get(&(whose(candidate.instance, own)?, candidate.to.clone()))
    }

    /// A plan says what a run would do: one that waits the bakes out goes past them.
    fn in_turn(&self, course: &Course<'_>, has_turn: bool, places: usize, why: HoldReason) -> Begins {
        let is_foreseen = if self.all.whole.run.dry_run { course.is_foreseen(has_turn, places) } else { has_turn };
        if is_foreseen {
            Begins::Now
        } else if self.all.whole.run.dry_run {
            Begins::Closed(Closed { why, wait_until: None })
        } else {
            Begins::Later(why)
        }
    }

    /// Foresees how far a run gets, for a plan.
    fn foresee(&mut self) {
        if !self.all.whole.run.dry_run {
            return;
        }
        for (((group, _), _), course) in &mut self.courses {
            let Stages { begins, bakes } = stages(self.all.of_name(*group), course);
            course.foresee(begins);
            self.bakes = self.bakes.max(bakes);
        }
    }
}

/// Whose course an instance is part of, by the facts of that.
fn whose<'a>(instance: &'a Instance, of_course: &Context<'a>) -> Option<Whose<'a>> {
    Some((of_course.group.map(|group| &group.name), kind(instance)?))
}

fn bake(version: Version, (until, is_sure): (Timestamp, bool), what: String, cx: &Context<'_>) -> Begins {
    let waits = waits_until(until, is_sure, cx);
    if cx.run.dry_run && waits {
        return Begins::Now;
    }
    let why = if is_sure || waits {
        HoldReason::Baking { version, what, until }
    } else {
        let why = "no instance tells when, and this run cannot watch them for so long".to_owned();
        HoldReason::BakeUnknown { version, why }
    };
    Begins::Closed(Closed { why, wait_until: waits.then_some(until) })
}

/// Whether the run waits for that moment: not for long where the next one would find the same, and not where it could
/// begin nothing then.
fn waits_until(until: Timestamp, is_sure: bool, cx: &Context<'_>) -> bool {
    let is_soon = !is_sure || until <= after(cx.now, WORTH_A_WAIT);
    is_soon && may_begin_at(cx, until)
}

/// The instances that are no candidates only because nobody could look at them, for no longer than a host is given to answer.
fn absent<'d>(draft: &'d Draft, cx: &Context<'_>) -> BTreeSet<&'d HostId> {
    let is_open = |hold: &HoldReason| HoldCode::find(hold.code()).is_some_and(HoldCode::leaves_it_open);
    let is_a_moment = |host: &HostId| {
        let since = cx.snapshot.instances.get(host).and_then(|instance| instance.disconnected_since);
        cx.now < since.map_or(cx.inspect_deadline(), |since| after(since, cx.policy.timeouts.inspect))
    };
    let standings = draft.standings.iter().filter(|_| !cx.run.dry_run);
    let held = standings.filter(|standing| match &standing.hold {
        Some(hold) => is_open(hold),
        None => standing.phase == Phase::Unseen,
    });
    held.map(|standing| &standing.host).filter(|host| is_a_moment(host)).collect()
}
