//! Whose turn is it: the oldest version first, the zones by turns or one after the other, never more out of service
//! than the budget, never a set whose tasks have no room elsewhere; and the next in line staged ahead, so that an
//! instance is out only for its drain and its reboot.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use models::claim::{Claim, ClaimStep, Way};
use models::fleet::{Instance, InstanceStatus, Task};
use models::ids::{HostId, ServiceName, ZoneName};
use models::plan::{Drain, HostCommand, Phase, Stage, Step};
use models::policy::Zones;
use models::reason::HoldReason;
use models::report::Outcome;
use semver::Version;

use super::capacity::{Room, moving};
use super::claimed::Claimed;
use super::context::{Context, Stop};
use super::draft::{Draft, Queued};
use super::need::Candidate;
use super::times::{TASKS_FRESH, after};
use super::workload;

/// A reboot costs a list of tasks, and the looks on the way to it as much again: half of ECS's bucket refills with ten a
/// second (ECS API reference, "request throttling"). Who is drained faster waits out of service.
const DRAINS_MOST: usize = 75;
const DRAINS_IN: SignedDuration = SignedDuration::from_secs(15);
/// Nor is any drained while so many wait for their reboot: about a round of the executor's.
const DRAINED_MOST: usize = 40;
/// A host bridge reports when it takes up a claim and when it is done with it, each with one call of the bucket from which
/// instances are set DRAINING and ACTIVE: half of it refills with twenty a second. So many of a cluster are asked to stage
/// at once; those that stage again since they lost their image are few and not counted.
const BRIDGES_MOST: usize = 40;
const BRIDGES_IN: SignedDuration = SignedDuration::from_secs(5);
/// Whose tasks are looked at again before there is a place: who is looked at already need not be waited for, and many at
/// once are listed with the whole cluster for less.
const LOOKS_AHEAD: usize = 100;

/// Gives each candidate its turn, its step or the reason for its wait.
pub(crate) fn admit<'a>(cx: &'a Context<'a>, queue: &[Queued<'a>], counted: &Counted<'a>, draft: &mut Draft) {
    let mut places = Places::new(cx, counted, draft);
    if !queue.is_empty() && places.stop.is_none() && !cx.run.dry_run {
        for instance in &counted.unknown_drains {
            if !draft.has_step(instance) {
                draft.act(instance, Step::LookAtTasks);
            }
        }
    }
    for (index, queued) in in_line(cx, queue, counted).into_iter().enumerate() {
        let turn = index + 1;
        match places.offer(&queued.candidate, cx) {
            Offer::Act(phase, step) => {
                draft.turn(queued, phase, None, turn);
                draft.act(queued.candidate.instance, step);
            }
            Offer::Wait(until) => {
                draft.turn(queued, queued.candidate.waits_as(), None, turn);
                draft.wake(until);
            }
            Offer::Hold(why) => draft.turn(queued, Phase::Held, Some(why), turn),
            Offer::Later(why) => {
                if let (HoldReason::DrainsPaced, Some(until)) = (&why, places.pace_until) {
                    draft.wake(until);
                }
                draft.turn(queued, queued.candidate.waits_as(), Some(why), turn);
            }
        }
    }
}

/// The candidates, which come by host, in the order of their turns. With [`Zones::Spread`] those that are equal otherwise
/// take turns by zone, so that each zone loses as many as the next; with [`Zones::OneAtATime`] a zone is finished before
/// the next.
fn in_line<'q, 'a>(cx: &Context<'_>, queue: &'q [Queued<'a>], counted: &Counted<'a>) -> Vec<&'q Queued<'a>> {
    fn version<'q>(queued: &'q Queued<'_>) -> (&'q Version, bool) {
        (&queued.candidate.from, !queued.candidate.staged)
    }
    let zone = |queued: &'q Queued<'a>| queued.candidate.instance.zone.as_ref();
    let mut line: Vec<&Queued<'a>> = Vec::with_capacity(queue.len());
    match cx.policy.zone {
        Zones::OneAtATime => {
            line.extend(queue);
            line.sort_by_key(|queued| (zone(queued) != counted.zone, zone(queued), version(queued)));
        }
        Zones::Spread => {
            let mut groups: BTreeMap<(&Version, bool), ByZone<'_, &Queued<'a>>> = BTreeMap::new();
            for queued in queue {
                groups.entry(version(queued)).or_default().entry(zone(queued)).or_default().push_back(queued);
            }
            let mut out = counted.out_by_zone.clone();
            for mut zones in groups.into_values() {
                while let Some(zone) = zones.keys().copied().min_by_key(|zone| out.get(zone).copied().unwrap_or(0)) {
                    *out.entry(zone).or_default() += 1;
                    match zones.get_mut(&zone).and_then(VecDeque::pop_front) {
                        Some(queued) => line.push(queued),
                        None => drop(zones.remove(&zone)),
                    }
                }
            }
        }
    }
    line
}

/// What there is in each zone, in order.
type ByZone<'z, T> = BTreeMap<Option<&'z ZoneName>, VecDeque<T>>;

/// What admission has to know of all instances, counted while the planner passes them.
#[derive(Debug, Default)]
pub(crate) struct Counted<'a> {
    registered: usize,
    /// Registered and out of service, whoever took them out.
    out_by_zone: BTreeMap<Option<&'a ZoneName>, usize>,
    /// The first zone that has instances out of service by us.
    zone: Option<&'a ZoneName>,
    /// In service, and being staged.
    staging: usize,
    /// Drained within [`DRAINS_IN`].
    drained: Lately,
    /// Those whose bridges were asked to stage within [`BRIDGES_IN`].
    asked: Lately,
    /// Those that failed for a reason that can be the version's, or were rolled back.
    failures: usize,
    /// Those that failed for a reason of their own.
    own_failures: usize,
    /// Tasks that leave an instance which this run has not drained take room too: they are to be listed once.
    unknown_drains: Vec<&'a Instance>,
}

/// How often something was done lately, and when first.
#[derive(Debug, Default)]
struct Lately {
    times: usize,
    first: Option<Timestamp>,
}

impl Lately {
    fn add(&mut self, at: Timestamp) {
        self.times += 1;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
    }
}

impl<'a> Counted<'a> {
    pub(crate) fn count(&mut self, instance: &'a Instance, now: Timestamp) {
        let (zone, in_service) = (instance.zone.as_ref(), instance.in_service());
        let verdict = instance.run.verdict.as_ref();
        let is_registered = instance.is_registered();
        self.registered += usize::from(is_registered);
        if let Some(verdict) = verdict.filter(|verdict| verdict.outcome.is_failure()) {
            *(if verdict.of_its_own { &mut self.own_failures } else { &mut self.failures }) += 1;
        }
        if in_service {
            let command = instance.command.as_ref().map(|in_flight| &in_flight.command);
            self.staging += usize::from(matches!(command, Some(HostCommand::Stage { .. })));
            let staging = |claim: &&Claim| claim.step == ClaimStep::Stage && claim.way == Way::Bridge;
            // What a run whose clock was ahead has claimed is no reason to wait for that time.
            let lately = |claim: &&Claim| (claim.since..after(claim.since, BRIDGES_IN)).contains(&now);
            if let Some(claim) = instance.claim().filter(staging).filter(lately) {
                self.asked.add(claim.since);
            }
        } else {
            if is_registered {
                *self.out_by_zone.entry(zone).or_default() += 1;
            }
            let ours = verdict.is_none() && instance.out_of_service_claim().is_some();
            if let Some(zone) = zone.filter(|_| ours) {
                self.zone = Some(self.zone.map_or(zone, |first| first.min(zone)));
            }
        }
        if instance.status == InstanceStatus::Draining && instance.running_tasks > 0 && instance.tasks.is_none() {
            self.unknown_drains.push(instance);
        }
        if let Some(at) = instance.run.drained_at.filter(|at| now < after(*at, DRAINS_IN)) {
            self.drained.add(at);
        }
    }
}

enum Offer {
    Act(Phase, Step),
    /// Nothing against it, but not before then.
    Wait(Timestamp),
    /// Not in this run, as things stand.
    Hold(HoldReason),
    /// When there is a place.
    Later(HoldReason),
}

struct Places<'a> {
    stop: Option<HoldReason>,
    budget: usize,
    /// Out of service, whoever took it out, and what this plan takes out.
    out: usize,
    /// So many more may be drained now for the sake of AWS's request limits, and when that changes.
    pace: usize,
    pace_until: Option<Timestamp>,
    /// So many bridges more may be asked to stage now, and when that changes.
    bridges: usize,
    bridges_until: Timestamp,
    /// Those that are drained by this plan, or looked at since they may be next.
    next: usize,
    /// Staged or being staged, and still in service.
    ahead: usize,
    /// The zone that has instances out of service by us.
    zone: Option<&'a ZoneName>,
    /// What is left when everything under way has found its place; counted when it is first asked for, as is the next.
    room: Option<Room<'a>>,
    /// What there is apart from that: what has no room here has none at all.
    bare: Option<Room<'a>>,
    /// The services that have a task on an instance whose drain is slow, and one such instance; found when it is first
    /// asked for.
    slow: Option<BTreeMap<&'a ServiceName, &'a HostId>>,
}

impl<'a> Places<'a> {
    fn new(cx: &'a Context<'a>, counted: &Counted<'a>, draft: &Draft) -> Self {
        let waiting = draft.steps.iter().filter(|planned| matches!(planned.step, Step::Reboot(_))).count();
        Self {
            pace: if waiting < DRAINED_MOST { DRAINS_MOST.saturating_sub(counted.drained.times) } else { 0 },
            pace_until: counted.drained.first.map(|at| after(at, DRAINS_IN)),
            bridges: BRIDGES_MOST.saturating_sub(counted.asked.times),
            bridges_until: after(counted.asked.first.unwrap_or(cx.now), BRIDGES_IN),
            next: 0,
            stop: stop(cx, counted),
            budget: cx.policy.max_unavailable.of(counted.registered) + usize::from(broken!(BudgetOffByOne)),
            out: counted.out_by_zone.values().sum(),
            ahead: counted.staging,
            zone: counted.zone,
            room: None,
            bare: None,
            slow: None,
        }
    }

    fn offer(&mut self, candidate: &Candidate<'a>, cx: &'a Context<'a>) -> Offer {
        if let Some(why) = &self.stop {
            return Offer::Hold(why.clone());
        }
        let free = self.budget.saturating_sub(self.out).min(self.pace);
        // A slot's worth beyond the free ones: when a drain ends, the next image is there.
        let near = self.ahead < self.budget + free || cx.run.dry_run;
        let later = match self.pace == 0 && self.out < self.budget {
            true => HoldReason::DrainsPaced,
            false => HoldReason::BudgetUsedUp { out: self.out, budget: self.budget },
        };
        if !near {
            return Offer::Later(later);
        }
        let instance = candidate.instance;
        let by_bridge = !candidate.staged && instance.way(cx.policy.host, cx.now) == Way::Bridge;
        if by_bridge && self.bridges == 0 && !cx.run.dry_run {
            self.ahead += 1;
            return Offer::Wait(self.bridges_until);
        }
        let look = Offer::Act(candidate.waits_as(), Step::LookAtTasks);
        let Some(seen) = instance.tasks.as_ref() else {
            self.ahead += 1;
            return look;
        };
        let stale = free > 0 && !cx.run.dry_run && cx.now >= after(seen.at, TASKS_FRESH);
        if stale && self.next >= free + LOOKS_AHEAD {
            return Offer::Later(later);
        }
        if stale {
            self.ahead += 1;
            self.next += 1;
            return look;
        }
        if let Some(why) = self.against(candidate, &seen.tasks, free, cx) {
            return Offer::Hold(why);
        }
        if cx.run.dry_run {
            return Offer::Later(later);
        }
        let (from, to) = (candidate.from.clone(), candidate.to.clone());
        self.ahead += 1;
        self.bridges -= usize::from(by_bridge);
        match (candidate.staged, free > 0) {
            (true, true) => {
                if let Some(zone) = self.waits_for_a_zone(instance, cx) {
                    return Offer::Later(HoldReason::OtherZoneFirst { zone: zone.clone() });
                }
                if let Some(why) = self.waits_for_a_drain(&seen.tasks, cx) {
                    return Offer::Later(why);
                }
                let bare = self.bare.get_or_insert_with(|| Room::bare(cx.snapshot));
                let room = self.room.get_or_insert_with(|| bare.spoken_for(cx.snapshot));
                match room.move_off(&instance.host, &seen.tasks) {
                    Err(why) if !broken!(DrainWithoutRoom) => return Offer::Later(why),
                    Ok(()) | Err(_) => {}
                }
                self.ahead -= 1;
                self.pace -= 1;
                self.next += 1;
                self.out += 1;
                self.zone = self.zone.or(instance.zone.as_ref());
                Offer::Act(Phase::Staged, Step::Drain(Drain { from, to }))
            }
            (true, false) => Offer::Later(later),
            (false, _) => Offer::Act(Phase::Outdated, Step::Stage(Stage { from, to, lock: candidate.lock.clone() })),
        }
    }

    /// What these tasks have against a drain, if anything.
    fn against(
        &mut self,
        candidate: &Candidate<'a>,
        tasks: &'a [Task],
        free: usize,
        cx: &'a Context<'a>,
    ) -> Option<HoldReason> {
        let hold = workload::hold(tasks, &cx.snapshot.services, cx.policy.standalone_tasks, cx.now);
        if hold.is_some() || (free == 0 && !cx.run.dry_run) || broken!(DrainWithoutRoom) {
            return hold;
        }
        // Whoever is only staged, or planned, is judged by itself.
        let bare = self.bare.get_or_insert_with(|| Room::bare(cx.snapshot));
        bare.would_take(&candidate.instance.host, tasks).err()
    }

    /// The slow drain that a task of these could keep waiting: nobody says in which order a service stops its tasks on
    /// DRAINING instances, so that with ever new ones the same can be the last for ever. Where its service finds no
    /// replacements, more drains would not end either.
    fn waits_for_a_drain(&mut self, tasks: &[Task], cx: &'a Context<'a>) -> Option<HoldReason> {
        let slow = self.slow.get_or_insert_with(|| slow_drains(cx));
        let mut services = tasks.iter().filter(|task| !task.stopping).filter_map(Task::service);
        let (service, host) = services.find_map(|service| slow.get_key_value(service))?;
        Some(HoldReason::SlowDrainFirst { host: (*host).clone(), service: service.to_string() })
    }

    /// The zone that has instances out of service, where this one's has to wait for it.
    fn waits_for_a_zone(&self, instance: &Instance, cx: &Context<'_>) -> Option<&'a ZoneName> {
        match cx.policy.zone {
            Zones::Spread => None,
            Zones::OneAtATime => self.zone.filter(|zone| instance.zone.as_ref() != Some(*zone)),
        }
    }
}

/// The services that have a task on an instance of ours which drains slowly and is not stopping, each with one such
/// instance.
fn slow_drains<'a>(cx: &'a Context<'a>) -> BTreeMap<&'a ServiceName, &'a HostId> {
    if broken!(SlowDrainsOvertaken) {
        return BTreeMap::new();
    }
    let drains = cx.snapshot.instances.values().filter(|instance| {
        instance.run.verdict.is_none()
            && instance.status == InstanceStatus::Draining
            && instance.claim().is_some_and(|claim| Claimed { instance, claim, cx }.is_slow_drain())
    });
    let left = drains.filter_map(|instance| Some((instance, instance.tasks.as_ref()?)));
    left.flat_map(|(instance, seen)| {
        let moving = moving(&seen.tasks, &cx.snapshot.services);
        moving.into_iter().map(|(_, service)| (&service.name, &instance.host))
    })
    .collect()
}

/// How many failed for a reason of their own, two or more one after the other. One by itself is a bad host; the next update
/// that ends in the same way says that something is wrong for all.
fn own_failures_in_a_row(cx: &Context<'_>) -> usize {
    let verdicts = cx.snapshot.instances.values().filter_map(|instance| {
        let verdict = instance.run.verdict.as_deref()?;
        let ended = verdict.outcome.is_failure() || verdict.outcome == Outcome::Updated;
        ended.then_some((verdict.at, &instance.host, verdict.outcome.is_failure() && verdict.of_its_own))
    });
    let mut ends: Vec<_> = verdicts.collect();
    ends.sort_unstable();
    ends.chunk_by(|a, b| a.2 == b.2).filter(|row| row.len() > 1 && row[0].2).map(<[_]>::len).sum()
}

/// Why nothing new is begun, if so.
fn stop(cx: &Context<'_>, counted: &Counted<'_>) -> Option<HoldReason> {
    match &cx.run.stop {
        Some(Stop::Interrupted) => return Some(HoldReason::Interrupted),
        Some(Stop::NotPermitted { detail, .. }) => return Some(HoldReason::NotPermitted { detail: detail.clone() }),
        None => {}
    }
    let in_a_row = if counted.own_failures > 1 { own_failures_in_a_row(cx) } else { 0 };
    let failures = counted.failures + in_a_row;
    if cx.policy.stop_after_failures.reached(failures) {
        return Some(HoldReason::StoppedAfterFailures { failures });
    }
    let late = cx.policy.max_duration.is_some_and(|most| cx.now >= after(cx.run.started_at, most));
    late.then_some(HoldReason::OutOfTime)
}
