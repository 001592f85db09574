//! What drives a world: its time, the calls on it, and what it asks to be done on its hosts.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::awaited::{Awaited, AwaitedCall, Reached};
use crate::clock::SimClock;
use crate::host::{NoAnswer, Request as HostRequest, Response as HostResponse, SignpostError};
use crate::meter;
use crate::scenario::{Scenario, ScenarioError};
use crate::wire::{Caller, Gateway, Request, Response};
use crate::world::{Effect, MachineNo, World};

/// Does on the hosts what the world asks for.
pub(super) trait OnHosts: Send + Sync {
    /// Does it, without waiting for its end.
    fn perform(&self, effect: Effect);
}

/// A world that runs, as long as somebody holds this.
pub(crate) struct Engine {
    inner: Mutex<Inner>,
    clock: SimClock,
    wake: Arc<Notify>,
    hosts: Box<dyn OnHosts>,
}

pub(super) struct Inner {
    pub(super) world: World,
    pub(super) gateway: Gateway,
    /// Until when the engine sleeps; `None` while it waits without end.
    engine_until: Option<Timestamp>,
    pub(super) awaited: Awaited,
}

impl Engine {
    /// Starts the world of a scenario. `hosts` makes what acts on its hosts; the engine does not exist yet by then.
    pub(super) fn start<H: OnHosts + 'static>(
        scenario: &Scenario,
        clock: SimClock,
        hosts: impl FnOnce(&Weak<Self>) -> H,
    ) -> Result<Arc<Self>, ScenarioError> {
        let inner = Inner {
            world: World::new(scenario)?,
            gateway: Gateway::new(scenario),
            engine_until: None,
            awaited: Awaited::default(),
        };
        let engine = Arc::new_cyclic(|me| Self {
            inner: Mutex::new(inner),
            clock,
            wake: Arc::new(Notify::new()),
            hosts: Box::new(hosts(me)),
        });
        tokio::spawn(run(Arc::downgrade(&engine)));
        Ok(engine)
    }

    /// Returns its time.
    pub(super) fn clock(&self) -> SimClock {
        self.clock
    }

    /// Answers one AWS call of one of several processes, after its latency; `None` when the connection breaks.
    pub(crate) async fn call_by(&self, caller: u32, request: Request) -> Option<Response> {
        let reached = match self.with(|inner, _| inner.awaited.arrives(&request)) {
            Reached::Not => None,
            Reached::Before { dies: true } => return std::future::pending().await,
            Reached::Before { dies: false } => None,
            Reached::After(awaited) => Some((awaited, request.name())),
        };
        let by_person = request.by == Caller::Person;
        let admission = self.with(|inner, now| inner.gateway.admit(&inner.world, &request, now));
        let latency = std_duration(admission.latency);
        let transport = latency / 2;
        self.clock.sleep(transport).await;
        let response = self.with(|inner, _| {
            inner.world.caller = caller;
            inner.world.by_person = by_person;
            inner.gateway.complete(&mut inner.world, admission)
        });
        if let Some((AwaitedCall { tell, dies, .. }, name)) = reached {
            // Nobody waits for it where the run ended meanwhile.
            drop(tell.send(name));
            if dies {
                return std::future::pending().await;
            }
        }
        self.clock.sleep(latency - transport).await;
        response
    }

    /// Reads from the world, as it is now.
    pub(crate) fn look<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        self.with(|inner, _| read(&inner.world))
    }

    /// One request to the host API, from the agent on the host.
    pub(crate) fn agent_host_api(&self, machine: MachineNo, request: &HostRequest) -> Result<HostResponse, NoAnswer> {
        self.with(|inner, _| inner.world.agent_host_api(machine, request))
    }

    /// `signpost rollback-to-inactive`, by the agent on the host.
    pub(crate) fn roll_back_to_inactive(&self, machine: MachineNo) -> Result<(), SignpostError> {
        self.with(|inner, _| inner.world.agent_rolls_back(machine))
    }

    /// `signpost cancel-upgrade`, by the agent on the host.
    pub(crate) fn cancel_roll_back(&self, machine: MachineNo) {
        self.with(|inner, _| inner.world.agent_cancels(machine));
    }

    /// Acts on the world as it is now.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Inner, Timestamp) -> T) -> T {
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
            self.hosts.perform(effect);
        }
        if earlier {
            self.wake.notify_one();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// Lets the world go on when something is due, as long as somebody holds it.
async fn run(engine: Weak<Engine>) {
    loop {
        let Some(held) = engine.upgrade() else { return };
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

pub(super) fn std_duration(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or(Duration::ZERO)
}
