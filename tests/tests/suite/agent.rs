//! The agent of `host-bridge` on a simulated machine: the same code as in life, over in-memory pipes and on paused time.
//!
//! The machine is the one that is held to the recorded exchanges (`host_api/`), so that what the agent does there it
//! may do on a real one. Tags, ECS agent and reports are as simple as can be; the updater is a script.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fleet_sim::clock::SimClock;
use fleet_sim::host::{Host, HostSpec, Repository, Request, Response};
use fleet_sim::pipe::pipe;
use host_bridge::agent::{Agent, Environment, Imds, Machine, MemoryJournal, PutError, Settings, Sink, Target};
use host_bridge::client::Client;
use host_bridge::inspect::Boot;
use host_bridge::introspection::Introspection;
use host_bridge::signpost::{OtherSet, SignpostError};
use host_bridge::transport::{BoxFuture, Connect, Limits, Transport, from_fn};
use jiff::Timestamp;
use models::attributes::{BridgeReport, Progress};
use models::claim::{Boots, CLAIM_TAG, Claim, ClaimStep};
use semver::Version;
use tokio::task::JoinHandle;
use tokio::time::sleep;

const OLD: Version = Version::new(1, 26, 1);
const NEW: Version = Version::new(1, 27, 0);
const NEWER: Version = Version::new(1, 28, 0);
const HOUR: u64 = 3_600;

struct World {
    host: Host,
    repository: Repository,
    clock: SimClock,
    claim: Option<Claim>,
    rights: bool,
    /// Tasks that run on it.
    tasks: usize,
    /// A `signpost` that was not waited for makes the other set the next once more, after the next undoing.
    signpost_is_late: bool,
    attributes: BTreeMap<String, String>,
    boots: Vec<String>,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<World>>);

type Answer = Result<(u16, String), io::Error>;

impl World {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn claim(&mut self, step: ClaimStep) {
        let needs_boot = matches!(step, ClaimStep::Reboot | ClaimStep::Revert);
        let boots = if needs_boot { Boots::from(&self.host.boot_id().into()) } else { Boots::default() };
        let since = models::claim::whole_seconds(self.now());
        self.claim = Some(Claim {
            step,
            transport: models::claim::Transport::Bridge,
            run: "01JDBX3Z7G8Y0M2QK4T5V6W7X8".into(),
            epoch: None,
            attempt: 1,
            from: OLD,
            to: NEW,
            since,
            boots,
        });
    }

    /// The same for the way back.
    fn claim_back(&mut self, step: ClaimStep) {
        self.claim(step);
        self.claim = self.claim.take().map(|claim| Claim { from: NEW, to: OLD, ..claim });
    }

    /// How the standing claim stands, by the report.
    fn progress(&self) -> Option<Progress> {
        let handled = BridgeReport::decode(&self.attributes).ok()?.handled?;
        let claim = self.claim.as_ref()?;
        ((handled.step, handled.since) == (claim.step, claim.since)).then_some(handled.progress)
    }

    fn api(&mut self, request: &Request) -> Answer {
        let now = self.now();
        let answer = self.host.handle(now, &self.repository, request);
        answer.map(|answer| (answer.status, answer.body)).map_err(|_| io::ErrorKind::ConnectionRefused.into())
    }

    fn imds(&mut self, request: &Request) -> Answer {
        let claim = self.claim.as_ref().map(Claim::to_string);
        Ok(match (request.path(), claim) {
            ("/latest/api/token", _) => (200, "token".to_owned()),
            ("/latest/meta-data/tags/instance", Some(_)) => (200, format!("Name\n{CLAIM_TAG}")),
            ("/latest/meta-data/tags/instance", None) => (200, "Name".to_owned()),
            ("/latest/meta-data/tags/instance/ecs-updater:claim", Some(claim)) => (200, claim),
            _ => (404, String::new()),
        })
    }

    fn introspection(&mut self, request: &Request) -> Answer {
        const ARN: &str = "arn:aws:ecs:eu-central-1:111122223333:container-instance/prod/1";
        match request.path() {
            "/v1/tasks" => {
                let tasks = vec![r#"{"Arn":"arn:t","KnownStatus":"RUNNING"}"#; self.tasks];
                Ok((200, format!(r#"{{"Tasks":[{}]}}"#, tasks.join(","))))
            }
            _ => Ok((200, format!(r#"{{"Cluster":"prod","ContainerInstanceArn":"{ARN}"}}"#))),
        }
    }
}

impl Shared {
    fn new(spec: HostSpec) -> Self {
        let clock = SimClock::start("2026-11-23T03:00:00Z".parse().unwrap(), 1);
        Self(Arc::new(Mutex::new(World {
            host: Host::new(spec, 7, clock.now()),
            repository: Repository::of(&[OLD, NEW]),
            clock,
            claim: None,
            rights: false,
            tasks: 0,
            signpost_is_late: false,
            attributes: BTreeMap::new(),
            boots: Vec::new(),
        })))
    }

    fn get(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    fn connect(&self, up: fn(&World) -> bool, answer: fn(&mut World, &Request) -> Answer) -> impl Connect + 'static {
        let world = self.clone();
        from_fn("the simulated machine", move || {
            if !up(&world.get()) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let world = world.clone();
            Ok(pipe(move |asked| {
                let answered = answer(&mut world.get(), &asked.to_host()).ok();
                ready(answered.map(|(status, body)| Response { status, content_type: None, body }))
            }))
        })
    }

    fn agent(&self, journal: &MemoryJournal) -> impl Future<Output = Infallible> + Send + 'static {
        let api = self.connect(|world| world.host.is_up(world.now()), World::api);
        let around = Environment {
            client: Client::with_transactions(Transport::new(api, Limits::default()), 7),
            introspection: Introspection::over(
                self.connect(|world| world.host.ecs_agent_up(world.now()), World::introspection),
            ),
            metadata: Arc::new(Imds::over(self.connect(|_| true, World::imds))),
            sink: Box::new(self.clone()),
            machine: Box::new(self.clone()),
            journal: Box::new(journal.clone()),
        };
        Agent::new(around, Settings { jitter: 0.0, ..Settings::default() }).run()
    }

    /// Lives, with an agent whenever the machine is up, until the script says that it is done; `false` after `seconds`.
    async fn live(&self, journal: &MemoryJournal, seconds: u64, mut done: impl FnMut(&mut World) -> bool) -> bool {
        let mut agent: Option<JoinHandle<Infallible>> = None;
        let mut ended = false;
        for _ in 0..seconds {
            let up = {
                let mut world = self.get();
                let now = world.now();
                let World { host, repository, .. } = &mut *world;
                host.advance(now, repository);
                let up = host.is_up(now);
                let boot = host.boot_id().to_owned();
                if up && world.boots.last() != Some(&boot) {
                    world.boots.push(boot);
                }
                ended = done(&mut world);
                up
            };
            if ended {
                break;
            }
            if !up && let Some(running) = agent.take() {
                running.abort();
            }
            if up && agent.is_none() {
                agent = Some(tokio::spawn(self.agent(journal)));
            }
            sleep(Duration::from_secs(1)).await;
        }
        if let Some(running) = agent {
            running.abort();
        }
        ended
    }

    /// Stage, drain, reboot, each after the report on the one before.
    async fn update(&self, journal: &MemoryJournal) {
        for step in [ClaimStep::Stage, ClaimStep::Drain, ClaimStep::Reboot] {
            self.get().claim(step);
            assert!(self.live(journal, HOUR, |world| world.progress() == Some(Progress::Done)).await, "{step}");
        }
    }

    fn running(&self) -> Version {
        self.get().host.running_version().clone()
    }

    /// On the new version for two hours, with the host's root, and drained for the way back.
    async fn drained_for_the_way_back(journal: &MemoryJournal) -> Self {
        let world = Self::new(HostSpec::default());
        world.get().rights = true;
        world.update(journal).await;
        world.get().claim = None;
        world.live(journal, 2 * HOUR, |_| false).await;
        assert!(world.goes_back_alone());
        world.get().claim_back(ClaimStep::Drain);
        assert!(world.live(journal, HOUR, |world| world.progress() == Some(Progress::Done)).await);
        world
    }

    /// The same, where the reboot of the way back waits for a task.
    async fn waiting_for_the_way_back(journal: &MemoryJournal) -> Self {
        let world = Self::drained_for_the_way_back(journal).await;
        {
            let mut world = world.get();
            world.tasks = 1;
            world.claim_back(ClaimStep::Reboot);
        }
        world.live(journal, HOUR / 60, |_| false).await;
        assert!(world.boots_the_other_set_next());
        world
    }

    /// Whether it reports that it can go back without the repository.
    fn goes_back_alone(&self) -> bool {
        self.get().attributes["ecs-updater.bridge"].ends_with("/1.26.1")
    }

    fn boots_the_other_set_next(&self) -> bool {
        let world = self.get();
        let disk = world.host.disk();
        disk.next() != Some(disk.active_index())
    }
}

impl Sink for Shared {
    fn put<'a>(
        &'a self,
        _target: &'a Target,
        attributes: &'a BTreeMap<&'static str, String>,
        _now: Timestamp,
    ) -> BoxFuture<'a, Result<(), PutError>> {
        Box::pin(async {
            let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            self.get().attributes.extend(attributes);
            Ok(())
        })
    }
}

impl Machine for Shared {
    fn now(&self) -> Timestamp {
        self.get().now()
    }

    fn boot(&self) -> Boot {
        let world = self.get();
        Boot { id: Some(world.host.boot_id().into()), at: Some(world.host.btime()) }
    }

    fn may_roll_back(&self) -> bool {
        self.get().rights
    }

    fn roll_back_to_inactive(&self) -> BoxFuture<'_, Result<(), SignpostError>> {
        Box::pin(async {
            let done = self.get().host.signpost_rollback_to_inactive();
            done.map_err(|error| SignpostError::Refused { detail: error.to_string() })
        })
    }

    fn cancel_roll_back(&self) -> BoxFuture<'_, Result<(), SignpostError>> {
        Box::pin(async {
            let mut world = self.get();
            world.host.signpost_cancel_upgrade();
            if std::mem::take(&mut world.signpost_is_late) {
                world.host.signpost_rollback_to_inactive().unwrap();
            }
            Ok(())
        })
    }

    fn other_set(&self) -> BoxFuture<'_, Result<OtherSet, SignpostError>> {
        Box::pin(async {
            let world = self.get();
            let disk = world.host.disk();
            Ok(OtherSet { is_next: disk.next() != Some(disk.active_index()), has_booted: disk.inactive().successful })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_and_a_rollback_by_claim() {
    let (world, journal) = (Shared::new(HostSpec::default()), MemoryJournal::default());
    world.update(&journal).await;
    assert_eq!(world.running(), NEW);
    world.get().claim(ClaimStep::Revert);
    assert!(world.live(&journal, HOUR, |world| world.progress() == Some(Progress::Done)).await);
    assert_eq!(world.running(), OLD);
    world.get().claim = None;
    world.live(&journal, 2 * HOUR, |_| false).await;
    assert_eq!(world.get().boots.len(), 3);
    assert_eq!(world.get().attributes["ecs-updater.os-version"], "1.26.1");
    assert_eq!(world.get().attributes["ecs-updater.update"], "Available/1.27.0/-/refresh/Success/latest/n");
}

#[tokio::test(start_paused = true)]
async fn a_claimed_way_back_needs_no_repository_with_the_hosts_root() {
    for rights in [true, false] {
        let (world, journal) = (Shared::new(HostSpec::default()), MemoryJournal::default());
        world.get().rights = rights;
        world.update(&journal).await;
        world.get().claim = None;
        world.live(&journal, 2 * HOUR, |_| false).await;
        assert_eq!(world.get().attributes["ecs-updater.bridge"].ends_with("/1.26.1"), rights);
        world.get().repository = Repository::of(&[NEW]);
        world.get().claim_back(ClaimStep::Drain);
        let is_over = |world: &mut World| matches!(world.progress(), Some(Progress::Done | Progress::Failed));
        assert!(world.live(&journal, HOUR, is_over).await);
        assert_eq!(world.get().progress(), Some(if rights { Progress::Done } else { Progress::Failed }));
        if !rights {
            continue;
        }
        world.get().claim_back(ClaimStep::Reboot);
        assert!(world.live(&journal, HOUR, |world| world.progress() == Some(Progress::Done)).await);
        assert_eq!((world.running(), world.get().boots.len()), (OLD, 3));
    }
}

/// Between drain and reboot somebody writes a newer release to the other set and activates it, past the host API.
#[tokio::test(start_paused = true)]
async fn a_claimed_way_back_never_boots_what_somebody_else_has_written() {
    for is_offered in [true, false] {
        let journal = MemoryJournal::default();
        let world = Shared::drained_for_the_way_back(&journal).await;
        {
            let mut world = world.get();
            world.repository = if is_offered { Repository::of(&[OLD, NEW]) } else { Repository::of(&[NEW]) };
            world.host.updog_update(NEWER).unwrap();
            world.claim_back(ClaimStep::Reboot);
        }
        let is_over = |world: &mut World| matches!(world.progress(), Some(Progress::Done | Progress::Failed));
        assert!(world.live(&journal, HOUR, is_over).await);
        assert_eq!(world.running(), if is_offered { OLD } else { NEW });
        assert_eq!(world.get().boots.len(), if is_offered { 3 } else { 2 });
        if !is_offered {
            // What it came from is gone: it is not asked to go there again.
            world.get().claim = None;
            world.live(&journal, HOUR, |_| false).await;
            assert!(!world.goes_back_alone());
            assert_eq!(world.running(), NEW);
        }
    }
}

/// While the reboot waits for a task, the same happens.
#[tokio::test(start_paused = true)]
async fn a_way_back_that_waits_looks_again_at_what_it_has_switched_to() {
    let journal = MemoryJournal::default();
    let world = Shared::waiting_for_the_way_back(&journal).await;
    {
        let mut world = world.get();
        world.host.updog_update(NEWER).unwrap();
        world.tasks = 0;
    }
    assert!(world.live(&journal, HOUR, |world| world.progress() == Some(Progress::Done)).await);
    assert_eq!((world.running(), world.get().boots.len()), (OLD, 3));
}

#[tokio::test(start_paused = true)]
async fn a_way_back_that_is_called_off_is_so_although_signpost_is_late() {
    let journal = MemoryJournal::default();
    let world = Shared::waiting_for_the_way_back(&journal).await;
    {
        let mut world = world.get();
        world.signpost_is_late = true;
        world.claim_back(ClaimStep::Cancel);
    }
    let is_over = |world: &mut World| matches!(world.progress(), Some(Progress::Done | Progress::Failed));
    assert!(world.live(&journal, HOUR, is_over).await);
    world.live(&journal, HOUR, |_| false).await;
    assert!(!world.boots_the_other_set_next());
    assert_eq!((world.running(), world.get().boots.len()), (NEW, 2));
}

#[tokio::test(start_paused = true)]
async fn a_dead_ecs_agent_sends_it_back_once_with_and_without_the_hosts_root() {
    for rights in [true, false] {
        let spec = HostSpec { agent_dead_on: vec![NEW], ..HostSpec::default() };
        let (world, journal) = (Shared::new(spec), MemoryJournal::default());
        world.get().rights = rights;
        world.update(&journal).await;
        assert_eq!(world.running(), NEW);
        let fell_back = |world: &mut World| world.progress() == Some(Progress::FellBack) && world.boots.len() == 3;
        assert!(world.live(&journal, HOUR, fell_back).await);
        world.live(&journal, 2 * HOUR, |_| false).await;
        assert_eq!((world.running(), world.get().boots.len()), (OLD, 3), "rights: {rights}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_boot_and_trouble_on_the_way() {
    let spec = HostSpec { fails_to_boot: vec![NEW], workers_killed: 2, ..HostSpec::default() };
    let (world, journal) = (Shared::new(spec), MemoryJournal::default());
    world.update(&journal).await;
    world.live(&journal, HOUR, |_| false).await;
    assert_eq!((world.running(), world.get().boots.len()), (OLD, 2));
}
