//! A simulated Region that runs: the world, its time, and the documents on its hosts.

mod awaited;
pub(crate) mod engine;
mod hosts;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ecs_updater::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use models::ids::HostId;
use models::policy::{Hooks, MaxUnavailable};
use models::selection::Named;
use tokio::sync::oneshot;

pub use awaited::CrashPoint;
pub use snapshot::HostSnapshot;

use crate::clock::SimClock;
use crate::iam::Need;
use crate::invariants::{Limits, Pacing, Part, Violation};
use crate::query::Filter;
use crate::scenario::{HostWhen, Scenario, ScenarioError};
use crate::wire::{Call, Caller, Request, Response};
use crate::world::{Entry, World};
use engine::Engine;
use hosts::Running;

/// A simulated Region. Everything that comes over the wire is the program under test, everything else is the
/// scenario's.
///
/// Its time is that of the runtime it was started in, and what runs on its hosts runs there: await its methods there.
#[derive(Debug)]
pub struct Region {
    engine: Arc<Engine>,
}

impl Region {
    /// Starts the Region of a scenario, on tokio's clock as it is. Call it inside a runtime; the Region runs until the
    /// last reference to it is gone.
    ///
    /// # Errors
    /// [`ScenarioError`] where a name in the scenario leads nowhere.
    pub fn start(scenario: &Scenario) -> Result<Arc<Self>, ScenarioError> {
        Self::start_scaled(scenario, 1)
    }

    /// As [`Region::start`], with `scale` simulated seconds in each second of tokio's clock.
    ///
    /// # Errors
    /// [`ScenarioError`] where a name in the scenario leads nowhere.
    pub fn start_scaled(scenario: &Scenario, scale: u32) -> Result<Arc<Self>, ScenarioError> {
        let clock = SimClock::start(scenario.start, scale);
        let engine = Engine::start(scenario, clock, |engine| Running::new(engine, clock))?;
        Ok(Arc::new(Self { engine }))
    }

    /// Its time.
    pub fn clock(&self) -> SimClock {
        self.engine.clock()
    }

    /// The clock of a program under test that begins now, on a machine whose date is off by so much and by what the
    /// scenario's events have made of it.
    pub fn clock_of_a_run(&self, skew: SignedDuration) -> Clock {
        let (clock, is_off) = (self.clock(), self.engine.with(|inner, _| inner.world.date_is_off()));
        Clock::of(move || clock.now() + skew + SignedDuration::from_millis(is_off.load(Ordering::Relaxed)))
    }

    /// Has the caller die at one of its next calls: that call is never answered, and what comes through the channel is
    /// its name. The one that waits for it drops the caller then; a point that is set takes the place of an earlier one.
    pub fn die_at(&self, at: CrashPoint) -> oneshot::Receiver<String> {
        self.engine.with(|inner, _| inner.awaited.call(at, true))
    }

    /// Tells when the caller makes one of its next calls, which goes on; what comes through the channel is its name. It
    /// takes the place of an earlier point, as with [`Region::die_at`].
    pub fn reaches(&self, at: CrashPoint) -> oneshot::Receiver<String> {
        self.engine.with(|inner, _| inner.awaited.call(at, false))
    }

    /// Takes back [`Region::die_at`] and [`Region::reaches`], where the point has not come.
    pub fn spare(&self) {
        self.engine.with(|inner, _| inner.awaited.no_call());
    }

    /// Tells when a host comes to a point from now on.
    pub fn comes_to(&self, when: HostWhen) -> oneshot::Receiver<()> {
        self.engine.with(|inner, _| inner.awaited.point(&inner.world, when))
    }

    /// Answers one AWS call, after its latency; `None` when the connection breaks.
    pub async fn call(&self, request: Request) -> Option<Response> {
        self.engine.call_by(0, request).await
    }

    /// As [`Region::call`], by one of several processes that call: the rules tell them apart.
    pub async fn call_by(&self, caller: u32, request: Request) -> Option<Response> {
        self.engine.call_by(caller, request).await
    }

    /// Reads from the world, as it is now.
    pub fn look<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        self.engine.look(read)
    }

    /// Every AWS call that reached the Region, in order of completion.
    pub fn calls(&self) -> Vec<Call> {
        self.engine.with(|inner, _| inner.gateway.calls().to_vec())
    }

    /// The calls from the `from`th on, and so what is new since the last look.
    pub fn calls_since(&self, from: usize) -> Vec<Call> {
        self.engine.with(|inner, _| inner.gateway.calls().get(from..).unwrap_or_default().to_vec())
    }

    /// How many AWS calls the updater made.
    pub fn call_count(&self) -> u64 {
        self.engine.with(|inner, _| inner.gateway.counts().values().sum())
    }

    /// How often the updater called each operation, as `ecs:ListTasks`.
    pub fn call_counts(&self) -> BTreeMap<String, u64> {
        self.engine.with(|inner, _| inner.gateway.counts().clone())
    }

    /// The largest share of each of AWS's token buckets that was in use at once, from 0 to 1: the program under test
    /// is the only one that calls.
    pub fn bucket_use(&self) -> BTreeMap<String, f64> {
        self.engine.with(|inner, _| inner.gateway.bucket_use())
    }

    /// What a policy has to allow for somebody's calls so far.
    pub fn needs(&self, by: Caller) -> BTreeSet<Need> {
        self.engine.with(|inner, _| inner.gateway.needs(by))
    }

    /// How many deployments circuit breakers have taken back.
    pub fn deployments_taken_back(&self) -> u32 {
        self.engine.with(|inner, _| inner.world.services.iter().map(|service| service.rollout.taken_back).sum())
    }

    /// Operations and parameters that were asked for and are not modelled. A test with one of these proves nothing.
    pub fn unknown(&self) -> Vec<String> {
        self.engine.with(|inner, _| inner.gateway.unknown().to_vec())
    }

    /// Everything that happened.
    pub fn log(&self) -> Vec<Entry> {
        self.engine.with(|inner, _| inner.world.log().to_vec())
    }

    /// What happened and what was called, in the order of time, a line each.
    pub fn log_lines(&self) -> Vec<String> {
        let events = self.log().into_iter().map(|entry| (entry.at, format!("{entry}")));
        let calls = self.calls().into_iter().map(|call| (call.at, format!("{call}")));
        let mut lines: Vec<(Timestamp, String)> = events.chain(calls).collect();
        lines.sort_by_key(|(at, _)| *at);
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// How many machines of a cluster may be out of service at once; 1 where nothing is said.
    pub fn set_budget(&self, cluster: &str, most: MaxUnavailable) {
        self.engine.with(|inner, _| inner.world.invariants_mut().set_budget(cluster, most));
    }

    /// Which instances of a cluster may be begun, in the updater's words; all where nothing is said.
    pub fn set_select(&self, cluster: &str, select: Option<Filter>) {
        self.engine.with(|inner, _| inner.world.invariants_mut().set_select(cluster, select));
    }

    /// Which groups the instances of a cluster have from now on; none where nothing is said.
    pub fn set_parts(&self, cluster: &str, parts: Vec<Part>) {
        self.engine.with(|inner, _| inner.world.invariants_mut().set_parts(cluster, parts));
    }

    /// The instances that are named for the run that begins now.
    pub fn set_named(&self, named: Named) {
        self.engine.with(|inner, _| {
            let mut invariants = std::mem::take(inner.world.invariants_mut());
            invariants.set_named(&inner.world, named);
            *inner.world.invariants_mut() = invariants;
        });
    }

    /// How far a release may go in a cluster from now on; as far as it likes where nothing is said.
    pub fn set_pacing(&self, cluster: &str, pacing: Pacing) {
        self.engine.with(|inner, _| inner.world.invariants_mut().set_pacing(cluster, pacing));
    }

    /// Which functions have to allow which steps in a cluster from now on; none where nothing is said.
    pub fn set_hooks(&self, cluster: &str, hooks: Hooks) {
        self.engine.with(|inner, _| inner.world.invariants_mut().set_hooks(cluster, hooks));
    }

    /// Which versions may be installed in a cluster from now on; any where nothing is said.
    pub fn set_limits(&self, cluster: &str, limits: Limits) {
        self.engine.with(|inner, now| inner.world.invariants_mut().set_limits(cluster, limits, now));
    }

    /// The rules that were broken so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.engine.with(|inner, _| inner.world.invariants().violations().to_vec())
    }

    /// Checks the rules of the end of a run, and gives every violation of the whole run. `named` are the hosts that the
    /// report gives another outcome than `updated` or `current`.
    pub fn finish(&self, named: &BTreeSet<HostId>) -> Vec<Violation> {
        self.engine.with(|inner, _| {
            let mut invariants = std::mem::take(inner.world.invariants_mut());
            invariants.finish(&inner.world, named);
            let violations = invariants.violations().to_vec();
            *inner.world.invariants_mut() = invariants;
            violations
        })
    }

    /// The machines whose container instance became INACTIVE before that time.
    pub fn gone_before(&self, time: Timestamp) -> Vec<HostId> {
        let gone = |world: &World, number| {
            let known = world.registration_of(number);
            known.is_none_or(|known| known.inactive_since.is_some_and(|since| since < time))
        };
        self.look(|world| {
            let machines = world.machines().iter_with_ids();
            machines.filter(|(number, _)| gone(world, *number)).map(|(_, one)| HostId::from(one.id.as_str())).collect()
        })
    }
    /// A host by its index in the scenario.
    pub fn snapshot_of(&self, index: usize) -> Option<HostSnapshot> {
        self.engine.with(|inner, now| HostSnapshot::of(&inner.world, index, now))
    }
}
