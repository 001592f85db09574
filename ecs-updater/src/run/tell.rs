//! Who hears what happens: the log, and who watches.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use models::ids::{GroupName, HostId, RunId};
use models::location::Location;
use models::report::{ClusterReport, Outcome};

use super::cluster::Cluster;
use super::watch::{View, Watch};
use crate::events::{self, Ending, Event, Seen, State, What};
use crate::planner::{self, Ahead, RunFacts};

/// So many updates tell how long the others take.
const UPDATES_THAT_TELL: usize = 3;

/// Tells that the run is done with a cluster.
pub(super) fn tell_of_end(facts: (RunId, bool), report: &ClusterReport, began: Timestamp, now: Timestamp) -> Event {
    let (run, dry_run) = facts;
    let mut outcomes: BTreeMap<Outcome, usize> = BTreeMap::new();
    for instance in &report.instances {
        *outcomes.entry(instance.outcome).or_default() += 1;
    }
    let ending = Ending { error: report.error.clone(), outcomes, took: now.duration_since(began) };
    let what = What::Ends(Box::new(ending));
    let event = Event { at: now, run, cluster: report.cluster.clone(), what };
    events::log(&event, dry_run);
    event
}

impl Cluster<'_> {
    /// Tells that the run begins to work on the cluster.
    pub(super) fn tell_of_begin(&mut self, location: &Location) {
        let RunFacts { run, started_at, dry_run, .. } = &self.facts;
        let what = What::Begins { location: location.clone(), dry_run: *dry_run };
        let event = Event { at: *started_at, run: run.clone(), cluster: self.name.clone(), what };
        events::log(&event, *dry_run);
        self.post.take(&[event]);
        self.post.go_on(&self.aws, self.clock.now());
    }

    /// Tells what has happened since the last plan.
    pub(super) fn tell(&mut self, watch: &dyn Watch, now: Timestamp) {
        let seen = Seen { fleet: &self.fleet, plan: &self.plan, policy: self.policy, now };
        let mut events = self.journal.follow(&seen);
        for event in &mut events {
            if let What::Moves(moved) = &mut event.what {
                moved.group = self.group_of(&moved.host);
            }
        }
        self.post.take(&events);
        self.post.go_on(&self.aws, now);
        self.show(watch, &events, now);
    }

    /// Tells how far the cluster is while the loop sleeps, where it is time to say so.
    pub(super) fn tell_of_standstill(&mut self, watch: &dyn Watch, now: Timestamp) {
        let seen = Seen { fleet: &self.fleet, plan: &self.plan, policy: self.policy, now };
        if let Some(event) = self.journal.standstill(&seen) {
            self.show(watch, &[event], now);
        }
    }

    fn show(&self, watch: &dyn Watch, events: &[Event], now: Timestamp) {
        for event in events {
            events::log(event, self.facts.dry_run);
        }
        let since = |host: &HostId| self.track.since(host);
        let left = || self.left(now);
        watch.see(View {
            fleet: &self.fleet,
            plan: &self.plan,
            policy: self.policy,
            run: &self.facts.run,
            since: &since,
            events,
            closed: self.journal.closed(),
            left: &left,
            now,
        });
    }

    /// The one group that an instance is in.
    fn group_of(&self, host: &HostId) -> Option<GroupName> {
        let instance = self.fleet.instances.get(host)?;
        planner::membership(instance, self.policy).only().map(|group| group.name.clone())
    }

    /// How long the rest of the work is likely to take: as the updates of this run that have ended, and before there are
    /// some, as a plan would say. `None` where nothing is to come, or nobody knows when it may.
    fn left(&self, now: Timestamp) -> Option<SignedDuration> {
        let mut ahead = Ahead::new(&self.fleet, self.policy, &self.facts, now);
        let (mut updated, mut first) = (0, None::<Timestamp>);
        for (instance, standing) in self.fleet.instances.values().zip(&self.plan.standings) {
            first = instance.run.drained_at.into_iter().chain(first).min();
            match State::of(instance, standing) {
                State::Settled(Outcome::Updated) => updated += 1,
                State::Settled(_) => {}
                State::Phase(_) | State::Inspecting => {
                    if let (Some(from), Some(to)) = (&standing.from, &standing.to) {
                        ahead.update(instance, from.clone(), to.clone());
                    }
                }
            }
        }
        if ahead.is_nothing() || self.journal.closed().is_some() {
            return None;
        }
        match first.filter(|_| updated >= UPDATES_THAT_TELL) {
            Some(first) => {
                let each = now.duration_since(first) / i32::try_from(updated).unwrap_or(i32::MAX);
                each.checked_mul(i32::try_from(ahead.len()).unwrap_or(i32::MAX))
            }
            None => Some(planner::estimate(&ahead).duration),
        }
    }
}
