//! Finds out what has happened in a cluster from one plan after the other, and keeps how many were out of service when.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use models::fleet::{FleetSnapshot, Instance};
use models::ids::{ClusterName, HostId, RunId};
use models::plan::{Plan, Standing};
use models::policy::Policy;
use models::reason::{Bearing, HoldCode, HoldReason};
use models::report::{OutAt, Outcome, RunningAt, Timeline};
use models::time::after;

use super::{Event, Progress, Reason, State, Tally, Transition, What};

/// How often a cluster says how far it is while something is under way, and while nothing is.
const STANDS_EVERY: SignedDuration = SignedDuration::from_secs(60);
const WAITS_EVERY: SignedDuration = SignedDuration::from_mins(10);

/// What a plan was made from.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub fleet: &'a FleetSnapshot,
    pub plan: &'a Plan,
    pub policy: &'a Policy,
    /// When the plan was made.
    pub now: Timestamp,
}

/// Remembers in which state each instance of one cluster was.
#[derive(Debug)]
pub struct Journal {
    run: RunId,
    cluster: ClusterName,
    states: BTreeMap<HostId, (State, Timestamp)>,
    closed: Option<Reason>,
    told_at: Option<Timestamp>,
    timeline: Timeline,
}

impl Journal {
    /// Returns one of a run and a cluster that nothing has happened in yet.
    pub fn new(run: &RunId, cluster: &ClusterName) -> Self {
        Self {
            run: run.clone(),
            cluster: cluster.clone(),
            states: BTreeMap::new(),
            closed: None,
            told_at: None,
            timeline: Timeline::default(),
        }
    }

    /// Why nothing is begun in the cluster now, where that is so.
    pub fn closed(&self) -> Option<&Reason> {
        self.closed.as_ref()
    }

    /// Returns how the cluster stood over time.
    pub fn into_timeline(self) -> Timeline {
        self.timeline
    }

    /// Returns what has happened since the last plan. In which groups the instances are, it does not know.
    pub fn follow(&mut self, seen: &Seen<'_>) -> Vec<Event> {
        let Seen { fleet, plan, policy, now } = *seen;
        self.keep(seen);
        let mut found = self.moves(fleet, plan, now);
        found.extend(self.gate(fleet, plan, policy.has_own_windows()));
        self.told_at.get_or_insert(now);
        found.extend(self.stands(seen));
        found.into_iter().map(|what| self.event(what, now)).collect()
    }

    /// Returns how far the cluster is, where it is time to say so before the next plan.
    pub fn standstill(&mut self, seen: &Seen<'_>) -> Option<Event> {
        self.stands(seen).map(|what| self.event(what, seen.now))
    }

    /// When it is time again to say how far the cluster is: `None` before the first plan is told of.
    pub fn stands_at(&self, plan: &Plan) -> Option<Timestamp> {
        let every = if plan.standings.iter().any(|one| one.phase.is_under_way()) { STANDS_EVERY } else { WAITS_EVERY };
        self.told_at.map(|at| after(at, every))
    }

    fn stands(&mut self, seen: &Seen<'_>) -> Option<What> {
        self.stands_at(seen.plan).filter(|at| *at <= seen.now)?;
        self.told_at = Some(seen.now);
        Some(What::Stands(Box::new(tally(seen))))
    }

    fn event(&self, what: What, now: Timestamp) -> Event {
        Event { at: now, run: self.run.clone(), cluster: self.cluster.clone(), what }
    }

    fn keep(&mut self, Seen { fleet, policy, now, .. }: &Seen<'_>) {
        if fleet.instances.is_empty() {
            return;
        }
        let (members, out) = fleet.counted_and_out();
        self.timeline.push(OutAt { at: *now, out, budget: policy.max_unavailable.of(members) });
        for service in fleet.services.values() {
            let point = RunningAt { at: service.at, running: service.running, desired: service.desired };
            self.timeline.push_service(&service.name, point);
        }
    }

    fn moves(&mut self, fleet: &FleetSnapshot, plan: &Plan, now: Timestamp) -> Vec<What> {
        // All three are in the same order, and few instances come or go.
        let mut known = self.states.iter_mut().peekable();
        let (mut born, mut moves) = (Vec::new(), Vec::new());
        let mut settled = 0;
        for (instance, standing) in fleet.instances.values().zip(&plan.standings) {
            let (host, is) = (&instance.host, State::of(instance, standing));
            settled += usize::from(is.is_settled());
            while known.next_if(|(known, _)| *known < host).is_some() {}
            match known.next_if(|(known, _)| *known == host) {
                Some((_, state)) if state.0 != is => {
                    let (was, since) = std::mem::replace(state, (is, now));
                    moves.push(transition(instance, standing, Some((was, now.duration_since(since)))));
                }
                Some(_) => {}
                None => {
                    born.push((host.clone(), (is, now)));
                    // That nobody has looked at it yet is no news.
                    if is != State::Phase(models::plan::Phase::Unseen) {
                        moves.push(transition(instance, standing, None));
                    }
                }
            }
        }
        self.states.extend(born);
        let progress = Progress { settled, total: fleet.instances.len() };
        moves.into_iter().map(|one| What::Moves(Box::new(Transition { progress, ..one }))).collect()
    }

    /// Whether something else than before keeps all updates from being begun.
    fn gate(&mut self, fleet: &FleetSnapshot, plan: &Plan, has_own_windows: bool) -> Option<What> {
        // A group's window is not the cluster's.
        let is_of_a_group = |hold: &HoldReason| {
            has_own_windows && matches!(hold, HoldReason::OutsideWindow { .. } | HoldReason::Frozen { .. })
        };
        let is_closed = |hold: &&HoldReason| is_for_all(hold) && !is_of_a_group(hold);
        let open = fleet.instances.values().zip(&plan.standings).filter(|(one, _)| one.run.verdict.is_none());
        let closed = open.filter_map(|(_, standing)| standing.hold.as_ref()).find(is_closed);
        let closed = closed.map(Reason::from);
        let is_news = closed.as_ref().map(|why| &why.code) != self.closed.as_ref().map(|why| &why.code);
        self.closed.clone_from(&closed);
        is_news.then(|| closed.map_or(What::Opens, What::Closes))
    }
}

/// Whether a hold is for the whole cluster.
fn is_for_all(hold: &HoldReason) -> bool {
    let code = HoldCode::find(hold.code());
    code.is_some_and(|code| {
        code.bearing() == Bearing::WishForAll || matches!(code, HoldCode::OutOfTime | HoldCode::StoppedAfterFailures)
    })
}

fn transition(instance: &Instance, standing: &Standing, was: Option<(State, SignedDuration)>) -> Transition {
    let verdict = instance.run.verdict.as_deref();
    let told = verdict.and_then(|verdict| {
        let code = verdict.reason.clone()?;
        let sentence = verdict.detail.clone().unwrap_or_else(|| code.clone());
        Some(Reason { code, sentence })
    });
    let is = State::of(instance, standing);
    let held = standing.hold.as_ref().filter(|_| verdict.is_none() && is == State::Settled(Outcome::Held));
    Transition {
        host: instance.host.clone(),
        zone: instance.zone.clone(),
        group: None,
        was: was.map(|(was, _)| was),
        lasted: was.map(|(_, lasted)| lasted),
        is,
        from: verdict.and_then(|verdict| verdict.from.clone()).or(standing.from.clone()),
        to: verdict.and_then(|verdict| verdict.to.clone()).or(standing.to.clone()),
        why: told.or(held.map(Reason::from)),
        progress: Progress::default(),
    }
}

/// Returns how the cluster stands.
pub fn tally(seen: &Seen<'_>) -> Tally {
    let Seen { fleet, plan, policy, .. } = *seen;
    let (members, out_of_service) = fleet.counted_and_out();
    let budget = policy.max_unavailable.of(members);
    let mut tally = Tally { out_of_service, budget, ..Tally::default() };
    for (instance, standing) in fleet.instances.values().zip(&plan.standings) {
        match State::of(instance, standing) {
            State::Settled(outcome) => *tally.settled.entry(outcome).or_default() += 1,
            state @ (State::Phase(_) | State::Inspecting) => *tally.under_way.entry(state).or_default() += 1,
        }
    }
    tally.progress = Progress { settled: tally.settled.values().sum(), total: fleet.instances.len() };
    tally
}
