//! Decides which candidates may be drained or staged now: oldest version first, zones in rotation or one at a time,
//! within the budget, and only while their tasks fit elsewhere. The next in line are staged ahead, so that an instance
//! is out of service only while it drains and reboots.

mod budget;
mod constraint;
mod counted;
mod deployments;
mod hooks;
mod horizon;
mod missing;
mod moving;
mod obstacles;
mod order;
mod outstanding;
mod pacer;
mod place;
mod places;
mod room;
mod scale_out;
mod slow_drains;
mod stop;
mod strategy;
mod turns;

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::claim::Transport;
use models::fleet::{Instance, Task};
use models::hook::Ask;
use models::ids::ZoneName;
use models::plan::{Drain, Phase, PlannedStep, Stage, Step};
use models::policy::Zones;
use models::reason::HoldReason;
use models::time::after;

use super::context::{Context, Contexts};
use super::draft::{Draft, Queued};
use super::gate::Closed;
use super::hooks::is_asked;
use super::need::Candidate;
use super::rollout::{Begins, Rollouts, by_own_windows, soaking};
use super::scale_in;
use super::times::TASKS_FRESH;
use super::workload;

pub(super) use counted::Counted;
pub(crate) use obstacles::obstacles;

use pacer::Pacer;
use places::Places;
use room::Room;
use scale_out::ScaleOut;
use slow_drains::SlowDrains;
use stop::Stops;
use turns::{Seen, Turns};

/// None is drained while so many wait for their reboot: about a round of the executor's, with half of the buckets.
const MAX_AWAITING_REBOOT: usize = 40;

/// Gives each candidate its turn, its step or the reason for its wait.
pub(crate) fn admit<'a>(all: &'a Contexts<'a>, queue: &[Queued<'a>], counted: &Counted<'a>, draft: &mut Draft) {
    let cx = &all.whole;
    let rollouts = Rollouts::new(all, queue, draft);
    let zones = rollouts.canary_zones();
    draft.bakes = rollouts.bakes();
    let mut turns = Turns::new(all, queue, draft);
    let mut admission = Admission::new(all, counted, draft, rollouts);
    admission.heed_hooks(queue);
    let mut looks = Vec::new();
    if !queue.is_empty() && admission.stops.is_open() {
        let full = if cx.snapshot.uses_interfaces() { cx.snapshot.interfaces_not_seen(cx.now) } else { Vec::new() };
        let is_due = |instance: &&Instance| match &instance.tasks {
            Some(seen) => !cx.run.dry_run && cx.now >= after(seen.at, TASKS_FRESH),
            None => true,
        };
        let full = full.into_iter().filter_map(|host| cx.snapshot.instances.get(host)).filter(is_due);
        let drains: &[&Instance] = if cx.run.dry_run { &[] } else { &counted.unknown_drains };
        let look = |instance: &Instance| PlannedStep { host: instance.host.clone(), step: Step::LookAtTasks };
        looks.extend(drains.iter().copied().chain(full).map(look));
    }
    let mut turn = 0;
    let known = order::Known { counted, canaries: &zones, order: &|instance| turns.order(instance) };
    for queued in order::in_line(cx, queue, &known, admission.places.of_cluster()) {
        let instance = queued.candidate.instance;
        let seen = Seen::of(&admission, &queued.candidate);
        let offer = admission.offer(&queued.candidate, turns.before(instance, seen));
        turns.follow(instance, &offer, seen);
        turn += usize::from(!matches!(offer, Offer::Hold(_)));
        match offer {
            Offer::Act(phase, step) => {
                draft.turn(queued, phase, None, Some(turn));
                draft.act(queued.candidate.instance, step);
            }
            Offer::Wait(until) => {
                draft.turn(queued, queued.candidate.waits_as(), None, Some(turn));
                draft.wake(until);
            }
            Offer::Ask(ask) => {
                draft.turn(queued, queued.candidate.waits_as(), Some(is_asked(ask.subject.step)), Some(turn));
                draft.ask(*ask);
            }
            Offer::Hold(why) => draft.turn(queued, Phase::Held, Some(why), None),
            Offer::Later(why, until) => {
                draft.turn(queued, queued.candidate.waits_as(), Some(why), Some(turn));
                until.into_iter().for_each(|until| draft.wake(until));
            }
        }
    }
    draft.look(looks);
}

enum Offer {
    Act(Phase, Step),
    /// This function is to be asked first.
    Ask(Box<Ask>),
    /// Nothing against it, but not before then.
    Wait(Timestamp),
    /// Not in this run, as things stand.
    Hold(HoldReason),
    /// When there is a place, which may be then.
    Later(HoldReason, Option<Timestamp>),
}

struct Admission<'a> {
    all: &'a Contexts<'a>,
    /// Those of the cluster.
    cx: &'a Context<'a>,
    /// Those of the candidate whose turn it is.
    own: &'a Context<'a>,
    stops: Stops<'a>,
    places: Places<'a>,
    stage_claims: Pacer,
    /// The zone that has instances out of service by us.
    zone: Option<&'a ZoneName>,
    /// Whether an instance is out of service by us.
    is_under_way: bool,
    /// What is left when everything under way has found its place; counted when it is first asked for, as is the next.
    room: Option<Room<'a>>,
    /// What there is apart from that: what has no room here has none at all.
    bare: Option<Room<'a>>,
    /// Found when it is first asked for.
    slow_drains: Option<SlowDrains<'a>>,
    /// Instances whose tasks wait for a launch and that are drained in this round, by their providers.
    scale_outs: BTreeMap<&'a str, usize>,
    /// Whether EC2 Auto Scaling is asked before an instance is begun.
    has_groups: bool,
    rollouts: Rollouts<'a>,
    /// Why nothing is drained so soon after another drain, if so.
    soaking: Option<Closed>,
}

impl<'a> Admission<'a> {
    fn new(all: &'a Contexts<'a>, counted: &Counted<'a>, draft: &Draft, rollouts: Rollouts<'a>) -> Self {
        let cx = &all.whole;
        let awaiting_reboot = draft.steps.iter().filter(|planned| matches!(planned.step, Step::Reboot(_))).count();
        let mut drains = counted.drains;
        if awaiting_reboot >= cx.run.api_share.scaled(MAX_AWAITING_REBOOT) {
            drains.close();
        }
        Self {
            all,
            cx,
            own: cx,
            stops: Stops::new(all, counted),
            places: Places::new(all, counted, draft, drains),
            stage_claims: counted.stage_claims,
            zone: counted.zone,
            is_under_way: counted.zone.is_some(),
            room: None,
            bare: None,
            slow_drains: None,
            scale_outs: BTreeMap::new(),
            has_groups: cx.snapshot.has_groups(),
            rollouts,
            soaking: soaking(cx, false),
        }
    }

    /// `earlier`: that it is not the turn of its group.
    fn offer(&mut self, candidate: &Candidate<'a>, earlier: Option<HoldReason>) -> Offer {
        self.turn_to(candidate.instance);
        if let Some(stop) = self.stops.of(self.own) {
            return self.stopped(stop);
        }
        if let Some(why) = earlier {
            return if self.cx.run.dry_run { Offer::Hold(why) } else { Offer::Later(why, None) };
        }
        match self.rollouts.begins(candidate) {
            Begins::Now => {}
            Begins::Unheard(until) => return Offer::Wait(until),
            Begins::Later(why) => return Offer::Later(why, None),
            Begins::Closed(closed) => return self.stopped(&closed),
        }
        let offer = self.offer_with_its_place(candidate);
        if !matches!(offer, Offer::Hold(_)) {
            self.rollouts.take(candidate);
        }
        offer
    }

    fn turn_to(&mut self, instance: &Instance) {
        self.own = self.all.of(instance);
        self.places.turn_to(self.own.group);
    }

    fn take_place(&mut self, candidate: &Candidate<'a>) {
        self.soaking = soaking(self.cx, true);
        self.places.take();
        self.zone = self.zone.or(candidate.instance.zone.as_ref());
    }

    /// The same where its release may go on.
    fn offer_in_turn(&mut self, candidate: &Candidate<'a>) -> Offer {
        if let Some(offer) = self.hook_said(candidate) {
            return offer;
        }
        let (now, dry_run, free) = (self.cx.now, self.cx.run.dry_run, self.places.free());
        if self.places.is_used_up_by_others() {
            let why = self.places.used_up();
            return if dry_run { Offer::Hold(why) } else { Offer::Later(why, None) };
        }
        let limit = self.places.limit();
        if !dry_run && !self.places.horizon().reaches_further(limit, free) {
            return self.later();
        }
        if !dry_run && self.stage_claims.left() == 0 && self.is_staged_by_bridge(candidate) {
            self.places.horizon().prepare();
            return Offer::Wait(self.stage_claims.opens_after(now));
        }
        if let Some(until) = scale_in::unheard(self.cx, candidate.instance) {
            self.places.horizon().prepare();
            return Offer::Wait(until);
        }
        let look = Offer::Act(candidate.waits_as(), Step::LookAtTasks);
        let seen = candidate.instance.tasks.as_ref().filter(|_| self.is_group_known(candidate.instance));
        let Some(seen) = seen else {
            self.places.horizon().prepare();
            return look;
        };
        if free > 0 && !dry_run && now >= after(seen.at, TASKS_FRESH) {
            if !self.places.horizon().may_look_again(free) {
                return self.later();
            }
            self.places.horizon().look_again();
            return look;
        }
        if let Some(why) = self.hold_reason(candidate.instance, &seen.tasks) {
            return Offer::Hold(why);
        }
        if let Some(stop) = self.too_late_for(candidate.instance) {
            return self.stopped(&stop);
        }
        if dry_run {
            return self.later();
        }
        if !candidate.staged {
            self.stage(candidate)
        } else if free > 0 {
            self.drain(candidate, &seen.tasks)
        } else {
            self.places.horizon().prepare();
            self.later()
        }
    }

    /// Whether it is known what its Auto Scaling group does with the instance.
    fn is_group_known(&self, instance: &Instance) -> bool {
        !self.has_groups
            || (self.cx.snapshot.auto_scaling.knows(instance, self.cx.now)
                && scale_out::is_size_known(self.cx, instance))
    }

    /// Lets a candidate wait for the opening that a run waits for, or holds it.
    fn stopped(&self, stop: &Closed) -> Offer {
        match stop.wait_until.filter(|_| !self.cx.run.dry_run) {
            Some(until) => Offer::Later(stop.why.clone(), Some(until)),
            None => Offer::Hold(stop.why.clone()),
        }
    }

    /// Lets a candidate wait for a place.
    fn later(&self) -> Offer {
        let (why, until) = self.places.wait();
        Offer::Later(why, until)
    }

    fn is_staged_by_bridge(&self, candidate: &Candidate<'_>) -> bool {
        !candidate.staged && self.cx.transport(candidate.instance) == Transport::Bridge
    }

    fn stage(&mut self, candidate: &Candidate<'_>) -> Offer {
        self.places.horizon().prepare();
        if let Some(offer) = self.before_run() {
            return offer;
        }
        if self.is_staged_by_bridge(candidate) {
            self.stage_claims.take();
        }
        let Candidate { from, to, lock, .. } = candidate;
        Offer::Act(Phase::Outdated, Step::Stage(Stage { from: from.clone(), to: to.clone(), lock: lock.clone() }))
    }

    fn drain(&mut self, candidate: &Candidate<'a>, tasks: &'a [Task]) -> Offer {
        if let Some((why, until)) = scale_in::wait(self.cx, candidate.instance) {
            self.places.horizon().prepare();
            return Offer::Later(why, until);
        }
        let launches = match self.wait_or_launch(candidate.instance, tasks) {
            Ok(launches) => launches,
            Err(why) => {
                self.places.horizon().prepare();
                return Offer::Later(why, None);
            }
        };
        let scale_out = launches > 0;
        if let Some(stop) = self.too_late_to_launch(candidate.instance).filter(|_| scale_out) {
            self.places.horizon().prepare();
            return self.stopped(&stop);
        }
        if let Some(provider) = candidate.instance.provider.as_deref().filter(|_| scale_out) {
            *self.scale_outs.entry(provider).or_default() += 1;
        }
        if let Some(soaking) = &self.soaking {
            let offer = self.stopped(&by_own_windows(soaking, self.own));
            self.places.horizon().prepare();
            return offer;
        }
        if let Some(offer) = self.before_drain(candidate) {
            return offer;
        }
        self.take_place(candidate);
        let (from, to) = (candidate.from.clone(), candidate.to.clone());
        Offer::Act(Phase::Staged, Step::Drain(Drain { from, to, scale_out }))
    }

    /// Returns what these tasks have against a drain at any time, as far as that is to be known now.
    fn hold_reason(&mut self, instance: &'a Instance, tasks: &'a [Task]) -> Option<HoldReason> {
        let cx = self.cx;
        let hold = workload::hold(tasks, &cx.snapshot.services, self.own.policy.standalone_tasks, cx.now);
        if hold.is_some() || (self.places.free() == 0 && !cx.run.dry_run) || broken!(DrainWithoutRoom) {
            return hold;
        }
        // An instance that is only staged, or planned, is judged by itself.
        let bare = self.bare.get_or_insert_with(|| Room::bare(cx.snapshot));
        let scale_out = ScaleOut::of(cx, instance, tasks);
        let hold = bare.would_take(instance, tasks, scale_out.as_ref()).err();
        if hold.is_some() || !cx.run.dry_run || self.is_under_way {
            return hold;
        }
        // A run that has nothing under way does not wait for the room that is spoken for.
        let room = self.room.get_or_insert_with(|| bare.minus_outstanding(cx.snapshot));
        room.would_take(instance, tasks, scale_out.as_ref()).err()
    }

    /// Gives the tasks of an instance their room. Returns for how many an instance must be launched.
    ///
    /// # Errors
    /// Why the instance is not drained although there is a place for it.
    fn wait_or_launch(&mut self, instance: &'a Instance, tasks: &'a [Task]) -> Result<usize, HoldReason> {
        let cx = self.cx;
        if let Some(why) = self.wait_reason(instance, tasks) {
            return Err(why);
        }
        let scale_out = ScaleOut::of(cx, instance, tasks);
        let bare = self.bare.get_or_insert_with(|| Room::bare(cx.snapshot));
        let room = self.room.get_or_insert_with(|| bare.minus_outstanding(cx.snapshot));
        let begun = self.scale_outs.get(instance.provider.as_deref().unwrap_or_default()).copied().unwrap_or(0);
        // What is launched for others is not there yet.
        let may_launch = scale_out.filter(|one| one.may_begin(begun));
        let found = room.move_off(instance, tasks, may_launch.as_ref());
        if broken!(DrainWithoutRoom) { Ok(found.unwrap_or(0)) } else { found }
    }

    /// Returns what has to be over before the instance is drained.
    fn wait_reason(&mut self, instance: &'a Instance, tasks: &'a [Task]) -> Option<HoldReason> {
        let cx = self.cx;
        if let Some(zone) = self.zone_before(instance) {
            return Some(HoldReason::OtherZoneFirst { zone: zone.clone() });
        }
        let slow_drains = self.slow_drains.get_or_insert_with(|| SlowDrains::find(cx));
        if let Some(why) = slow_drains.delayed_by(tasks) {
            return Some(why);
        }
        if let Some((host, service)) = Room::could_be_lost(cx.snapshot, tasks) {
            return Some(HoldReason::StoppedMachineFirst { host: host.clone(), service: service.to_string() });
        }
        None
    }

    /// Returns the zone that is to be finished before this instance's.
    fn zone_before(&self, instance: &Instance) -> Option<&'a ZoneName> {
        match self.cx.policy.zone {
            Zones::Spread => None,
            Zones::OneAtATime => self.zone.filter(|zone| instance.zone.as_ref() != Some(*zone)),
        }
    }
}
