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
use models::plan::{Bakes, Phase};
use models::reason::{HoldCode, HoldReason};
use models::time::after;
use semver::Version;

use super::context::{Context, Contexts};
use super::draft::{Draft, Queued};
use super::durations;
use super::gate::Closed;
use super::need::Candidate;
use super::times::RETRY;
use course::{Course, Lost, Stage, Stands};
use forecast::stages;
use seen::{Kind, kind};
use waits::{may_begin_at, waits_until};

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
    /// How many bakes a run would wait for in each course, where this is a plan.
    bakes: BTreeMap<Option<&'a GroupName>, usize>,
}

impl<'a> Rollouts<'a> {
    /// Reads how far each release has come.
    pub(super) fn new(all: &'a Contexts<'a>, queue: &[Queued<'a>], draft: &Draft) -> Self {
        let cx = &all.whole;
        let mut courses: BTreeMap<(Whose<'a>, Version), Course<'a>> = BTreeMap::new();
        // A way back waits for no canary: what it leaves is known to be bad.
        let has_stages = all.have_stages() && cx.run.purpose.way_back().is_none();
        let mut by_order: BTreeMap<i32, usize> = BTreeMap::new();
        if has_stages && !broken!(StagesIgnored) {
            for queued in queue {
                let Candidate { instance, to, .. } = &queued.candidate;
                let (group, own) = (all.of(instance).group, all.of_course(instance));
                *by_order.entry(group.map_or(0, |group| group.order)).or_default() += 1;
                if let Some(whose) = whose(instance, own).filter(|_| own.policy.has_stages()) {
                    let course = courses.entry((whose, to.clone())).or_default();
                    course.candidate(instance, group.map(|group| &group.name), own.policy);
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
        let mut rollouts = Self { all, courses, is_unheard, bakes: BTreeMap::new() };
        if cx.run.dry_run {
            rollouts.foresee(&by_order);
        }
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
                self.in_turn(candidate, course, (has_turn, course.canary_places(of)), why)
            }
            Stage::Checkpoint { percent, done, of } => {
                let why = HoldReason::CheckpointFirst { version: version(), percent, done, of };
                self.in_turn(candidate, course, (course.has_room(of), course.places(of)), why)
            }
            // Its own windows decide whether it could be begun then.
            Stage::Bake { until, is_sure, what } => {
                let begins = bake(version(), (until, is_sure), what, self.all.of(candidate.instance));
                match course.checkpoint_ahead(cx.policy) {
                    Some((percent, done, of)) if matches!(begins, Begins::Now) => {
                        let why = HoldReason::CheckpointFirst { version: version(), percent, done, of };
                        self.in_turn(candidate, course, (course.has_room(of), course.places(of)), why)
                    }
                    Some(_) | None => begins,
                }
            }
            Stage::Open => Begins::Now,
        }
    }

    /// Returns whether the release of a candidate lacks a canary that may be in any group, since it makes its way through the whole
    /// cluster, and whether the candidate may be that one.
    pub(super) fn lacks_canary(&self, candidate: &Candidate<'a>) -> (bool, bool) {
        let cx = self.all.of_course(candidate.instance);
        let course =
            self.course(candidate).filter(|course| cx.group.is_none() && !self.is_unheard && !course.has_absent());
        let Some((course, Stage::Canary { of, .. })) = course.map(|course| (course, course.stage(cx))) else {
            return (false, false);
        };
        (course.lacks_canary(of), course.may_be_canary(candidate.instance, of, cx.policy))
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

    /// Returns the bakes that a run would wait for, where this is a plan.
    pub(super) fn bakes(&self) -> Vec<Bakes> {
        let known = self.bakes.iter().filter(|(_, bakes)| **bakes > 0);
        known.map(|(group, bakes)| Bakes { group: group.cloned(), bakes: *bakes }).collect()
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

    /// A plan says what a run would do: one that waits the bakes out goes past them. `turn`: whether the candidate has one before
    /// the next bake, and how many places there are before it.
    fn in_turn(&self, candidate: &Candidate<'_>, course: &Course<'_>, turn: (bool, usize), why: HoldReason) -> Begins {
        let (has_turn, places) = turn;
        if !self.all.whole.run.dry_run {
            return if has_turn { Begins::Now } else { Begins::Later(why) };
        }
        let leg = course.foreseen(has_turn, places);
        // Its own windows decide whether it could be begun then.
        let own = self.all.of(candidate.instance);
        if leg.is_some_and(|leg| leg.opens.is_none_or(|opens| may_begin_at(own, opens))) {
            Begins::Now
        } else {
            Begins::Closed(Closed { why, wait_until: None })
        }
    }

    /// Foresees how far a run gets, for a plan. What comes later by order of the groups is begun once the earlier ones are done.
    /// `by_order`: how many candidates there are.
    fn foresee(&mut self, by_order: &BTreeMap<i32, usize>) {
        let whole = &self.all.whole;
        let mut at = whole.now;
        for (order, count) in by_order {
            let mut ends = after(at, durations::lasts(*count, whole.at_once()));
            for (((group, _), _), course) in &mut self.courses {
                if course.first_order(self.all) != Some(*order) {
                    continue;
                }
                let stages = stages(self.all, self.all.of_name(*group), course, at);
                course.foresee(stages.legs);
                ends = ends.max(stages.ends);
                let known = self.bakes.entry(*group).or_default();
                *known = stages.bakes.max(*known);
            }
            at = ends;
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
