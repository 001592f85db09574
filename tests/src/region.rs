//! A simulated Region that runs: the world, its time, and the documents on its hosts.

mod awaited;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use models::ids::HostId;
use models::policy::MaxUnavailable;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

pub use awaited::CrashPoint;
use awaited::{Awaited, AwaitedCall, Reached};

use crate::bridges::Bridges;
use crate::clock::SimClock;
use crate::documents::{self, Script};
use crate::host::{NoAnswer, Request as HostRequest, Response as HostResponse, SignpostError};
use crate::iam::Need;
use crate::invariants::Violation;
use crate::meter::{self, Simulated};
use crate::scenario::{HostWhen, Scenario, ScenarioError};
use crate::wire::{Call, Caller, Gateway, Request, Response};
use crate::world::{CommandNo, Ec2State, Effect, Entry, InstanceStatus, LastStatus, MachineNo, World};

/// A simulated Region. Everything that comes over the wire is the program under test, everything else is the
/// scenario's.
///
/// Its time is that of the runtime it was started in: call its methods there.
pub struct Region {
    inner: Mutex<Inner>,
    clock: SimClock,
    wake: Arc<Notify>,
    documents: Mutex<BTreeMap<(CommandNo, MachineNo), AbortHandle>>,
    bridges: Bridges,
    me: Weak<Region>,
}

struct Inner {
    world: World,
    gateway: Gateway,
    /// Until when the engine sleeps; `None` while it waits without end.
    engine_until: Option<Timestamp>,
    awaited: Awaited,
}

/// What an assertion may want to know of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSnapshot {
    /// EC2 id.
    pub id: HostId,
    /// ARN of its container instance; empty where it has none.
    pub container_instance: String,
    /// Status of its container instance; INACTIVE where it has none.
    pub status: InstanceStatus,
    /// `agentConnected`.
    pub connected: bool,
    /// Whether a person drained it without a claim.
    pub foreign_drain: bool,
    /// EC2 state.
    pub state: Ec2State,
    /// EC2 tags.
    pub tags: BTreeMap<String, String>,
    /// The running version; the last one while it is down.
    pub version: semver::Version,
    /// The version on the other partition set.
    pub other_version: Option<semver::Version>,
    /// Whether the other set boots next.
    pub other_boots_next: bool,
    /// Its setting `updates.version-lock`.
    pub version_lock: String,
    /// The kernel's id of its boot.
    pub boot_id: String,
    /// Whether it is up.
    pub up: bool,
    /// Groups of the tasks on it that are not STOPPED, and what they do.
    pub tasks: Vec<(String, LastStatus)>,
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
        let inner = Inner {
            world: World::new(scenario)?,
            gateway: Gateway::new(scenario),
            engine_until: None,
            awaited: Awaited::default(),
        };
        let clock = SimClock::start(scenario.start, scale);
        let region = Arc::new_cyclic(|me| Self {
            inner: Mutex::new(inner),
            clock,
            wake: Arc::new(Notify::new()),
            documents: Mutex::new(BTreeMap::new()),
            bridges: Bridges::default(),
            me: me.clone(),
        });
        tokio::spawn(engine(Arc::downgrade(&region)));
        Ok(region)
    }

    /// Its time.
    pub fn clock(&self) -> SimClock {
        self.clock
    }

    /// Has the caller die at one of its next calls: that call is never answered, and what comes through the channel is
    /// its name. Whoever waits for it drops the caller then; a point that is set takes the place of an earlier one.
    pub fn die_at(&self, at: CrashPoint) -> oneshot::Receiver<String> {
        self.with(|inner, _| inner.awaited.call(at, true))
    }

    /// Tells when the caller makes one of its next calls, which goes on; what comes through the channel is its name. It
    /// takes the place of an earlier point, as with [`Region::die_at`].
    pub fn reaches(&self, at: CrashPoint) -> oneshot::Receiver<String> {
        self.with(|inner, _| inner.awaited.call(at, false))
    }

    /// Takes back [`Region::die_at`] and [`Region::reaches`], where the point has not come.
    pub fn spare(&self) {
        self.with(|inner, _| inner.awaited.no_call());
    }

    /// Tells when a host comes to a point from now on.
    pub fn comes_to(&self, when: HostWhen) -> oneshot::Receiver<()> {
        self.with(|inner, _| inner.awaited.point(&inner.world, when))
    }

    /// Answers one AWS call, after its latency; `None` when the connection breaks.
    pub async fn call(&self, request: Request) -> Option<Response> {
        self.call_by(0, request).await
    }

    /// As [`Region::call`], by one of several processes that call: the rules tell them apart.
    pub async fn call_by(&self, caller: u32, request: Request) -> Option<Response> {
        let reached = match self.with(|inner, _| inner.awaited.arrives(&request)) {
            Reached::Not => None,
            Reached::Before { dies: true } => return std::future::pending().await,
            Reached::Before { dies: false } => None,
            Reached::After(awaited) => Some((awaited, request.name())),
        };
        let admission = self.with(|inner, now| inner.gateway.admit(&inner.world, &request, now));
        let latency = std_duration(admission.latency);
        let way = latency / 2;
        self.clock.sleep(way).await;
        let response = self.with(|inner, _| {
            inner.world.caller = caller;
            inner.gateway.complete(&mut inner.world, admission)
        });
        if let Some((AwaitedCall { tell, dies, .. }, name)) = reached {
            // Nobody waits for it where the run ended meanwhile.
            drop(tell.send(name));
            if dies {
                return std::future::pending().await;
            }
        }
        self.clock.sleep(latency - way).await;
        response
    }

    /// Reads from the world, as it is now.
    pub fn look<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        self.with(|inner, _| read(&inner.world))
    }

    /// Every AWS call that reached the Region, in order of completion.
    pub fn calls(&self) -> Vec<Call> {
        self.with(|inner, _| inner.gateway.calls().to_vec())
    }

    /// The calls from the `from`th on, and so what is new since the last look.
    pub fn calls_since(&self, from: usize) -> Vec<Call> {
        self.with(|inner, _| inner.gateway.calls().get(from..).unwrap_or_default().to_vec())
    }

    /// How many AWS calls the updater made.
    pub fn call_count(&self) -> u64 {
        self.with(|inner, _| inner.gateway.counts().values().sum())
    }

    /// How often the updater called each operation, as `ecs:ListTasks`.
    pub fn call_counts(&self) -> BTreeMap<String, u64> {
        self.with(|inner, _| inner.gateway.counts().clone())
    }

    /// The largest share of each of AWS's token buckets that was in use at once, from 0 to 1: the program under test
    /// is the only one that calls.
    pub fn bucket_use(&self) -> BTreeMap<String, f64> {
        self.with(|inner, _| inner.gateway.bucket_use())
    }

    /// What a policy has to allow for somebody's calls so far.
    pub fn needs(&self, by: Caller) -> BTreeSet<Need> {
        self.with(|inner, _| inner.gateway.needs(by))
    }

    /// Operations and parameters that were asked for and are not modelled. A test with one of these proves nothing.
    pub fn unknown(&self) -> Vec<String> {
        self.with(|inner, _| inner.gateway.unknown().to_vec())
    }

    /// Everything that happened.
    pub fn log(&self) -> Vec<Entry> {
        self.with(|inner, _| inner.world.log().to_vec())
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
        self.with(|inner, _| inner.world.invariants_mut().set_budget(cluster, most));
    }

    /// The rules that were broken so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.with(|inner, _| inner.world.invariants().violations().to_vec())
    }

    /// Checks the rules of the end of a run, and gives every violation of the whole run. `named` are the hosts that the
    /// report gives another outcome than `updated` or `current`.
    pub fn finish(&self, named: &BTreeSet<HostId>) -> Vec<Violation> {
        self.with(|inner, _| {
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
        self.with(|inner, now| {
            let world = &inner.world;
            let number = MachineNo(index);
            let machine = world.machines().get(number)?;
            let registration = world.registration_of(number);
            let tasks = registration.iter().flat_map(|registration| &registration.tasks).map(|task| {
                let task = &world.tasks()[*task];
                (task.group.clone(), task.last)
            });
            let disk = machine.host.disk();
            Some(HostSnapshot {
                id: HostId::from(machine.id.as_str()),
                container_instance: registration.map(|known| known.arn.clone()).unwrap_or_default(),
                status: registration.map_or(InstanceStatus::Inactive, |known| known.status),
                connected: registration.is_some_and(|known| known.connected),
                foreign_drain: registration.is_some_and(|known| known.foreign_drain),
                state: machine.state,
                tags: machine.tags.clone(),
                version: machine.host.running_version().clone(),
                other_version: disk.inactive().image.as_ref().map(|image| image.version.clone()),
                other_boots_next: disk.next().is_some_and(|next| next != disk.active_index()),
                version_lock: machine.host.version_lock().to_owned(),
                boot_id: machine.host.boot_id().to_owned(),
                up: machine.host.is_up(now),
                tasks: tasks.collect(),
            })
        })
    }

    /// One request to the host API, from the agent on the host.
    pub(crate) fn agent_host_api(&self, machine: MachineNo, request: &HostRequest) -> Result<HostResponse, NoAnswer> {
        self.with(|inner, _| inner.world.agent_host_api(machine, request))
    }

    /// `signpost rollback-to-inactive`, by the agent on the host.
    pub(crate) fn roll_back_to_inactive(&self, machine: MachineNo) -> Result<(), SignpostError> {
        self.with(|inner, _| inner.world.agent_rolls_back(machine))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner, Timestamp) -> T) -> T {
        meter::simulator(|| self.with_inner(act))
    }

    fn with_inner<T>(&self, act: impl FnOnce(&mut Inner, Timestamp) -> T) -> T {
        let (result, effects, earlier) = {
            let mut inner = self.lock();
            let now = self.clock.now();
            inner.world.advance(now);
            let result = act(&mut inner, now);
            let Inner { world, awaited, .. } = &mut *inner;
            awaited.look(world);
            let effects = inner.world.take_effects();
            let next = inner.world.next_event();
            let earlier = next.is_some_and(|next| inner.engine_until.is_none_or(|until| next < until));
            (result, effects, earlier)
        };
        for effect in effects {
            self.perform(effect);
        }
        if earlier {
            self.wake.notify_one();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn perform(&self, effect: Effect) {
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        match effect {
            Effect::Run { command, machine, script, parameters } => {
                let host = HostHandle { region: self.me.clone(), machine, clock: self.clock };
                let run = tokio::spawn(Simulated(Box::pin(run_document(host, command, script, parameters))));
                documents.insert((command, machine), run.abort_handle());
            }
            Effect::Abort { command, machine } => {
                if let Some(run) = documents.remove(&(command, machine)) {
                    run.abort();
                }
            }
            Effect::Bridge { machine, runs } => self.bridges.set(&self.me, machine, self.clock, runs),
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let documents = self.documents.get_mut().unwrap_or_else(PoisonError::into_inner);
        for run in documents.values() {
            run.abort();
        }
        self.bridges.end();
        self.wake.notify_one();
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// Lets the world go on when something is due, as long as somebody holds the Region.
async fn engine(region: Weak<Region>) {
    loop {
        let Some(held) = region.upgrade() else { return };
        let next = held.with(|inner, _| {
            inner.engine_until = inner.world.next_event();
            inner.engine_until
        });
        let (clock, wake) = (held.clock, Arc::clone(&held.wake));
        drop(held);
        tokio::select! {
            () = sleep_until(clock, next) => {}
            () = wake.notified() => {}
        }
    }
}

async fn sleep_until(clock: SimClock, next: Option<Timestamp>) {
    match next {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn run_document(host: HostHandle, command: CommandNo, script: Script, parameters: BTreeMap<String, String>) {
    let output = documents::run(&host, &script, &parameters).await;
    if let Some(region) = host.region.upgrade() {
        let machine = host.machine;
        region.documents.lock().unwrap_or_else(PoisonError::into_inner).remove(&(command, machine));
        region.with(|inner, _| inner.world.document_ended(command, machine, output));
    }
}

/// A host, as a document on it sees it.
struct HostHandle {
    region: Weak<Region>,
    machine: MachineNo,
    clock: SimClock,
}

impl documents::Machine for HostHandle {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn sleep(&self, duration: SignedDuration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let clock = self.clock;
        Box::pin(async move { clock.sleep(std_duration(duration)).await })
    }

    fn api(&self, request: &HostRequest) -> Result<HostResponse, NoAnswer> {
        let region = self.region.upgrade().ok_or(NoAnswer::Refused)?;
        region.with(|inner, _| inner.world.host_api(self.machine, request))
    }

    fn boot_id(&self) -> Option<String> {
        let region = self.region.upgrade()?;
        Some(region.look(|world| world.machines()[self.machine].host.boot_id().to_owned()))
    }

    fn btime(&self) -> Option<i64> {
        let region = self.region.upgrade()?;
        Some(region.look(|world| world.machines()[self.machine].host.btime()))
    }

    fn introspection(&self, path: &str) -> Option<(u16, String)> {
        let region = self.region.upgrade()?;
        region.look(|world| world.introspection(self.machine, path))
    }
}

fn std_duration(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or(Duration::ZERO)
}
