//! The agents of `host-bridge` on the simulated hosts: the same code as in life, one on each host that has it, over
//! in-memory pipes to the host API, the ECS agent's introspection, the metadata service and ECS.
//!
//! An agent lives while its host is up, as a host container does; its journal outlives the boot, as
//! `/.bottlerocket/host-containers` does (docs/facts/host-api.md#host-containers).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use host_bridge::agent::{Agent, Ecs, Environment, Imds, Machine, MemoryJournal, Settings};
use host_bridge::client::Client;
use host_bridge::inspect::Boot;
use host_bridge::introspection::Introspection;
use host_bridge::signpost::SignpostError;
use host_bridge::transport::{BoxFuture, Connect, Limits, Transport, from_fn};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::clock::SimClock;
use crate::host::Response;
use crate::meter::Simulated;
use crate::pipe::{Asked, on_the_wire, pipe};
use crate::region::engine::Engine;
use crate::wire::{Caller, Request, Signature};
use crate::world::MachineNo;

/// Within this time the agents of a scenario's beginning are started.
const STARTED_WITHIN_MS: u64 = 60_000;

/// The agents of a Region.
#[derive(Debug)]
pub(crate) struct Bridges {
    agents: Mutex<BTreeMap<MachineNo, One>>,
    runtime: Handle,
}

#[derive(Debug, Default)]
struct One {
    journal: MemoryJournal,
    has_run: bool,
    running: Option<AbortHandle>,
}

impl Bridges {
    /// None yet; those to come run on the runtime.
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { agents: Mutex::default(), runtime }
    }

    /// The host of an agent came up, or went down.
    pub(crate) fn set(&self, engine: &Weak<Engine>, machine: MachineNo, clock: SimClock, runs: bool) {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let one = agents.entry(machine).or_default();
        if let Some(running) = one.running.take() {
            running.abort();
        }
        if runs {
            let host = Host { engine: Weak::clone(engine), machine, clock };
            let ran_before = std::mem::replace(&mut one.has_run, true);
            let life = host.live(one.journal.clone(), !ran_before);
            one.running = Some(self.runtime.spawn(Simulated(Box::pin(life))).abort_handle());
        }
    }

    /// Ends them all.
    pub(crate) fn end(&mut self) {
        for one in self.agents.get_mut().unwrap_or_else(PoisonError::into_inner).values_mut() {
            if let Some(running) = one.running.take() {
                running.abort();
            }
        }
    }
}

/// A host, as the agent on it sees it.
#[derive(Clone)]
struct Host {
    engine: Weak<Engine>,
    machine: MachineNo,
    clock: SimClock,
}

impl Host {
    /// At the beginning of the scenario the hosts are long up, and their agents were not started in one instant.
    async fn live(self, journal: MemoryJournal, at_the_beginning: bool) -> Infallible {
        if at_the_beginning {
            let seed = self.engine.upgrade().map_or(0, |engine| engine.look(|world| world.bridge_seed(self.machine)));
            self.clock.sleep(Duration::from_millis(seed % STARTED_WITHIN_MS)).await;
        }
        self.agent(&journal).await
    }

    fn agent(&self, journal: &MemoryJournal) -> impl Future<Output = Infallible> + Send + use<> {
        let seed = self.engine.upgrade().map_or(0, |engine| engine.look(|world| world.bridge_seed(self.machine)));
        let imds = Arc::new(Imds::over(self.connect("the metadata service", Self::metadata)));
        let around = Environment {
            client: Client::with_transactions(
                Transport::new(self.connect("the host API", Self::api), Limits::default()),
                seed,
            ),
            introspection: Introspection::over(self.connect("the ECS agent", Self::introspection)),
            metadata: Arc::clone(&imds),
            sink: Box::new(Ecs::over(imds, self.connect("ECS", Self::ecs))),
            machine: Box::new(self.clone()),
            journal: Box::new(journal.clone()),
        };
        // Without chance in the waits: one seed, one run.
        Agent::new(around, Settings { jitter: 0.0, ..Settings::default() }.spread(seed)).run()
    }

    /// Connections that are answered by a function of this host; `None` refuses or breaks them.
    fn connect<F>(&self, what: &'static str, answer: fn(Host, Asked) -> F) -> impl Connect + 'static
    where
        F: Future<Output = Option<Response>> + Send + 'static,
    {
        let host = self.clone();
        from_fn(what, move || {
            if !host.listens(what) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let host = host.clone();
            Ok(pipe(move |asked| answer(host.clone(), asked)))
        })
    }

    /// Whether anything listens there; the metadata service and ECS always do.
    fn listens(&self, what: &str) -> bool {
        let Some(engine) = self.engine.upgrade() else { return false };
        engine.look(|world| match what {
            "the host API" => world.host_api_listens(self.machine),
            "the ECS agent" => world.introspection(self.machine, "/v1/metadata").is_some(),
            _ => true,
        })
    }

    async fn api(self, asked: Asked) -> Option<Response> {
        let answer = self.engine.upgrade()?.agent_host_api(self.machine, &asked.to_host());
        on_the_wire(answer).await
    }

    async fn introspection(self, asked: Asked) -> Option<Response> {
        let engine = self.engine.upgrade()?;
        engine.look(|world| world.introspection(self.machine, asked.head.uri.path())).map(plain)
    }

    async fn metadata(self, asked: Asked) -> Option<Response> {
        let (ttl, token) =
            (asked.header("x-aws-ec2-metadata-token-ttl-seconds"), asked.header("x-aws-ec2-metadata-token"));
        let (method, path) = (asked.head.method.as_str(), asked.head.uri.path());
        let answer = self.engine.upgrade()?.look(|world| {
            world.metadata_answers(self.machine).then(|| world.metadata(self.machine, method, path, ttl, token))
        });
        match answer {
            Some(answer) => Some(plain(answer)),
            // The asker gives up by its own time-out.
            None => std::future::pending().await,
        }
    }

    async fn ecs(self, asked: Asked) -> Option<Response> {
        let target = asked.header("x-amz-target").map(str::to_owned);
        let signature = asked.header("authorization").and_then(Signature::read);
        let engine = self.engine.upgrade()?;
        let request = Request { target, body: asked.body, by: Caller::Agent, signature, ..Request::default() };
        let answer = engine.call_by(0, request).await?;
        Some(plain((answer.status, String::from_utf8_lossy(&answer.body).into_owned())))
    }
}

fn plain((status, body): (u16, String)) -> Response {
    Response { status, content_type: None, body }
}

impl Machine for Host {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn boot(&self) -> Boot {
        let Some(engine) = self.engine.upgrade() else { return Boot::default() };
        engine.look(|world| {
            let host = &world.machines()[self.machine].host;
            Boot { id: Some(host.boot_id().into()), at: Some(host.btime()) }
        })
    }

    /// Whether the container is superpowered, as the documents advise.
    fn may_roll_back(&self) -> bool {
        self.engine
            .upgrade()
            .is_some_and(|engine| engine.look(|world| world.machines()[self.machine].instance.superpowered))
    }

    fn roll_back_to_inactive(&self) -> BoxFuture<'_, Result<(), SignpostError>> {
        Box::pin(async {
            let gone = || SignpostError::Refused { detail: "the host is gone".to_owned() };
            let engine = self.engine.upgrade().ok_or_else(gone)?;
            let done = engine.roll_back_to_inactive(self.machine);
            done.map_err(|error| SignpostError::Refused { detail: error.to_string() })
        })
    }

    fn cancel_roll_back(&self) -> BoxFuture<'_, Result<(), SignpostError>> {
        Box::pin(async {
            let gone = || SignpostError::Refused { detail: "the host is gone".to_owned() };
            self.engine.upgrade().ok_or_else(gone)?.cancel_roll_back(self.machine);
            Ok(())
        })
    }
}
