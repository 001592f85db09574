//! A host with its metadata service, its ECS agent, ECS itself and an updater, in memory and on paused time; and a
//! life in it for the agent, which may be killed at any of its calls.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use host_bridge::agent::{
    Agent, Environment, Imds, Journal, JournalError, Machine, Memory, PutError, Settings, Sink, Target,
};
use host_bridge::client::Client;
use host_bridge::inspect::Boot;
use host_bridge::introspection::Introspection;
use host_bridge::signpost::{OtherSet, SignpostError};
use host_bridge::transport::{BoxFuture, Connect, Limits, Transport, from_fn};
use jiff::{SignedDuration, Timestamp};
use models::attributes::{BridgeReport, Progress};
use models::claim::{Boots, CLAIM_TAG, Claim, ClaimStep};
use models::host::ErrorCode;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::fake::Fake;
use crate::wire::{Reply, Request, answer, serve, text};

pub(crate) const OLD: &str = "1.26.1";
pub(crate) const NEW: &str = "1.27.0";

/// What the introspection port does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EcsAgent {
    Registered,
    Unregistered,
    Down,
    Garbage,
}

/// When the agent dies: at a call, before or after its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kill {
    Before(u32),
    After(u32),
}

pub(crate) struct World {
    pub(crate) fake: Fake,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) tags_shown: bool,
    /// Status and text of the answer to where its Auto Scaling group takes the host.
    pub(crate) target: (u16, &'static str),
    /// The same as soon as an update is activated.
    pub(crate) target_once_activated: Option<&'static str>,
    /// The same for the notice of a Spot interruption.
    pub(crate) spot: (u16, &'static str),
    pub(crate) imds_up: bool,
    pub(crate) api_up: bool,
    pub(crate) ecs_agent: EcsAgent,
    /// What the ECS agent does on the new version.
    pub(crate) ecs_agent_on_new: EcsAgent,
    pub(crate) registers_after: Option<Duration>,
    pub(crate) network_dead_on_new: bool,
    pub(crate) tasks: usize,
    pub(crate) ecs_refuses: Option<&'static str>,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) puts: u32,
    /// The version on the inactive set that has booted before.
    pub(crate) inactive: Option<String>,
    pub(crate) rights: bool,
    pub(crate) signposted: bool,
    /// The next `signpost` that switches is given up as late; it outlasts so many others, and then does its work.
    pub(crate) slow_signpost: Option<u32>,
    /// How many others the late one still outlasts.
    late_signpost: Option<u32>,
    pub(crate) boots: u32,
    pub(crate) fails_to_boot: bool,
    booted: Instant,
    began: Instant,
    going_down: bool,
    pub(crate) prepares: u32,
    pub(crate) calls: u32,
    pub(crate) kill: Option<Kill>,
    pub(crate) journal_fails: bool,
    pub(crate) journal_corrupt: bool,
    pub(crate) memory: Option<Memory>,
    pub(crate) settings: Settings,
    killed: Arc<Notify>,
    rebooting: Arc<Notify>,
}

#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<World>>);

/// The rest of a call.
enum Fate {
    Lives,
    DiesFirst,
    DiesAfter,
}

impl World {
    pub(crate) fn shared() -> Shared {
        let now = Instant::now();
        Shared(Arc::new(Mutex::new(Self {
            fake: Fake { looks: 1, ..Fake::default() },
            tags: BTreeMap::new(),
            tags_shown: true,
            target: (404, ""),
            target_once_activated: None,
            spot: (404, ""),
            imds_up: true,
            api_up: true,
            ecs_agent: EcsAgent::Registered,
            ecs_agent_on_new: EcsAgent::Registered,
            registers_after: None,
            network_dead_on_new: false,
            tasks: 0,
            ecs_refuses: None,
            attributes: BTreeMap::new(),
            puts: 0,
            inactive: None,
            rights: false,
            signposted: false,
            slow_signpost: None,
            late_signpost: None,
            boots: 0,
            fails_to_boot: false,
            booted: now,
            began: now,
            going_down: false,
            prepares: 0,
            calls: 0,
            kill: None,
            journal_fails: false,
            journal_corrupt: false,
            memory: None,
            settings: Settings { jitter: 0.0, ..Settings::default() },
            killed: Arc::default(),
            rebooting: Arc::default(),
        })))
    }

    pub(crate) fn now(&self) -> Timestamp {
        let start: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
        start + SignedDuration::try_from(self.began.elapsed()).unwrap()
    }

    pub(crate) fn up_for(&self) -> Duration {
        self.booted.elapsed()
    }

    pub(crate) fn boot_id(&self) -> String {
        format!("{:08x}-0000-4000-8000-0123456789ab", self.boots + 1)
    }

    pub(crate) fn claim(&mut self, step: ClaimStep) -> String {
        let needs_boot = matches!(step, ClaimStep::Reboot | ClaimStep::Revert);
        let claim = Claim {
            step,
            transport: models::claim::Transport::Bridge,
            run: "01JDBX3Z7G8Y0M2QK4T5V6W7X8".into(),
            epoch: None,
            attempt: 1,
            from: OLD.parse().unwrap(),
            to: NEW.parse().unwrap(),
            since: models::claim::whole_seconds(self.now()),
            boots: if needs_boot { Boots::from(&self.boot_id().as_str().into()) } else { Boots::default() },
        };
        self.tags.insert(CLAIM_TAG.into(), claim.to_string());
        claim.to_string()
    }

    pub(crate) fn unclaim(&mut self) {
        self.tags.remove(CLAIM_TAG);
    }

    /// The report as the updater reads it.
    pub(crate) fn report(&self) -> Option<BridgeReport> {
        BridgeReport::decode(&self.attributes).ok()
    }

    fn fate(&mut self) -> Fate {
        self.calls += 1;
        match self.kill {
            Some(Kill::Before(at)) if at == self.calls => Fate::DiesFirst,
            Some(Kill::After(at)) if at == self.calls => Fate::DiesAfter,
            _ => Fate::Lives,
        }
    }

    fn host(&mut self, request: &Request) -> Reply {
        let prepare = request.target.starts_with("/actions/prepare");
        let reboot = request.target.starts_with("/actions/reboot");
        let network = ["/actions/refresh", "/actions/prepare", "/actions/activate", "/actions/deactivate"];
        if self.network_dead() && network.iter().any(|start| request.target.starts_with(start)) {
            let command = ["refresh", "prepare", "activate", "deactivate"]
                .into_iter()
                .find(|command| request.target.contains(command))
                .unwrap();
            self.fake.fail = Some((command, "Failed to load the update repository".into()));
        }
        let reply = self.fake.handle(request);
        let accepted = matches!(&reply, Reply::Bytes(bytes) if bytes.starts_with(b"HTTP/1.1 204"));
        if prepare && accepted {
            self.prepares += 1;
            self.inactive = None;
        }
        if reboot && accepted && !self.going_down {
            self.going_down = true;
            self.rebooting.notify_one();
        }
        reply
    }

    fn network_dead(&self) -> bool {
        self.network_dead_on_new && self.fake.running == NEW
    }

    fn boot(&mut self) {
        self.boots += 1;
        self.booted = Instant::now();
        self.going_down = false;
        let old = self.fake.running.clone();
        let next = match (self.fake.state, self.signposted) {
            (_, true) => self.inactive.clone(),
            ("Ready", false) if !std::mem::take(&mut self.fails_to_boot) => self.fake.staged.clone(),
            _ => None,
        };
        if let Some(next) = next {
            self.inactive = Some(old);
            self.fake.running = next;
        }
        (self.signposted, self.late_signpost) = (false, None);
        self.fake.state = "Idle";
        self.fake.status_exists = false;
        (self.fake.last, self.fake.chosen, self.fake.staged, self.fake.work) = (None, None, None, None);
        self.fake.applied.clone_from(&self.fake.lock);
        self.tasks = 0;
        self.ecs_agent = if self.fake.running == NEW { self.ecs_agent_on_new } else { EcsAgent::Registered };
    }

    fn ecs_agent(&self) -> EcsAgent {
        match self.registers_after {
            Some(after) if self.fake.running == NEW && self.up_for() >= after => EcsAgent::Registered,
            _ => self.ecs_agent,
        }
    }

    /// What a `signpost` does before anything else: it waits for the end of a late one.
    fn turn(&mut self) -> Result<(), SignpostError> {
        match self.late_signpost {
            Some(0) => (self.late_signpost, self.signposted) = (None, self.inactive.is_some()),
            Some(left) => {
                self.late_signpost = Some(left - 1);
                return Err(SignpostError::Unsure { detail: "waited for an earlier one".into() });
            }
            None => {}
        }
        Ok(())
    }

    fn imds(&self, request: &Request) -> Reply {
        if request.method == "PUT" {
            return text(200, "token");
        }
        assert!(request.head.to_ascii_lowercase().contains("x-aws-ec2-metadata-token: token"));
        const TAGS: &str = "/latest/meta-data/tags/instance";
        if request.target == "/latest/meta-data/autoscaling/target-lifecycle-state" {
            let activated = self.target_once_activated.filter(|_| self.fake.state == "Ready");
            return activated.map_or_else(|| text(self.target.0, self.target.1), |state| text(200, state));
        }
        if request.target == "/latest/meta-data/spot/instance-action" {
            return text(self.spot.0, self.spot.1);
        }
        if !self.tags_shown {
            return text(404, "");
        }
        match request.target.strip_prefix(TAGS) {
            Some("") => {
                let keys: Vec<&str> = ["Name"].into_iter().chain(self.tags.keys().map(String::as_str)).collect();
                text(200, &keys.join("\n"))
            }
            Some(key) => match self.tags.get(&key[1..]) {
                Some(value) => text(200, value),
                None => text(404, ""),
            },
            None => text(404, ""),
        }
    }

    fn introspection(&self, request: &Request) -> Reply {
        match (self.ecs_agent(), request.target.as_str()) {
            (EcsAgent::Garbage, _) => text(200, "not for you"),
            (_, "/v1/tasks") => {
                let tasks = vec![r#"{"Arn":"arn:t","KnownStatus":"RUNNING"}"#; self.tasks];
                text(200, &format!("{{\"Tasks\":[{}]}}", tasks.join(",")))
            }
            (EcsAgent::Registered, _) => text(
                200,
                r#"{"Cluster":"prod","ContainerInstanceArn":"arn:aws:ecs:eu-central-1:1:container-instance/prod/1"}"#,
            ),
            _ => text(200, r#"{"Cluster":"prod","ContainerInstanceArn":null}"#),
        }
    }
}

impl Shared {
    pub(crate) fn get(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub(crate) fn running(&self) -> &'static str {
        if self.get().fake.running == NEW { NEW } else { OLD }
    }

    pub(crate) fn state(&self) -> &'static str {
        self.get().fake.state
    }

    pub(crate) fn lock(&self) -> &'static str {
        if self.get().fake.lock == "latest" { "latest" } else { "pinned" }
    }

    pub(crate) fn boots(&self) -> u32 {
        self.get().boots
    }

    pub(crate) fn prepares(&self) -> u32 {
        self.get().prepares
    }

    pub(crate) fn puts(&self) -> u32 {
        self.get().puts
    }

    pub(crate) fn calls(&self) -> u32 {
        self.get().calls
    }

    pub(crate) fn report(&self) -> Option<BridgeReport> {
        self.get().report()
    }

    pub(crate) fn progress(&self, step: ClaimStep) -> Option<Progress> {
        super::life::progress(&self.get(), step)
    }

    pub(crate) fn error(&self) -> Option<(String, ErrorCode)> {
        super::life::error(&self.get())
    }

    fn connect(&self, up: fn(&World) -> bool, handle: fn(&mut World, &Request) -> Reply) -> impl Connect + 'static {
        let world = self.clone();
        from_fn("the world", move || {
            if !up(&world.get()) {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
            }
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            let world = world.clone();
            tokio::spawn(serve(theirs, move |request| {
                let mut world = world.get();
                match world.fate() {
                    Fate::Lives => handle(&mut world, &request),
                    Fate::DiesFirst => {
                        world.killed.notify_one();
                        Reply::Hang
                    }
                    Fate::DiesAfter => {
                        handle(&mut world, &request);
                        world.killed.notify_one();
                        Reply::Hang
                    }
                }
            }));
            Ok(ours)
        })
    }

    /// One call that is none over a stream.
    async fn call<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let done = {
            let mut world = self.get();
            match world.fate() {
                Fate::Lives => Some(act(&mut world)),
                Fate::DiesFirst => {
                    world.killed.notify_one();
                    None
                }
                Fate::DiesAfter => {
                    act(&mut world);
                    world.killed.notify_one();
                    None
                }
            }
        };
        match done {
            Some(done) => done,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn agent(&self, settings: Settings) -> Agent {
        let api = self.connect(|world| world.api_up, World::host);
        Agent::new(
            Environment {
                client: Client::with_transactions(Transport::new(api, Limits::default()), 7),
                introspection: Introspection::over(self.connect(
                    |world| world.ecs_agent() != EcsAgent::Down,
                    |world, request| world.introspection(request),
                )),
                metadata: Arc::new(Imds::over(
                    self.connect(|world| world.imds_up, |world, request| world.imds(request)),
                )),
                sink: Box::new(self.clone()),
                machine: Box::new(self.clone()),
                journal: Box::new(self.clone()),
            },
            settings,
        )
    }

    /// Lives through kills and reboots until `updater`, asked every second, says that it is done; `false` at the limit.
    pub(crate) async fn live(&self, limit: Duration, updater: impl FnMut(&mut World) -> bool) -> bool {
        timeout(limit, self.live_on(updater)).await.is_ok()
    }

    async fn live_on(&self, mut updater: impl FnMut(&mut World) -> bool) {
        let settings = self.get().settings.clone();
        let killed = Arc::clone(&self.get().killed);
        let rebooting = Arc::clone(&self.get().rebooting);
        let done = async {
            loop {
                sleep(Duration::from_secs(1)).await;
                if updater(&mut self.get()) {
                    return;
                }
            }
        };
        tokio::pin!(done);
        let mut down_at: Option<Instant> = None;
        loop {
            let agent = self.agent(settings.clone()).run();
            tokio::pin!(agent);
            loop {
                tokio::select! {
                    biased;
                    never = &mut agent => match never {},
                    () = killed.notified() => {
                        self.get().kill = None;
                        break;
                    }
                    () = rebooting.notified() => down_at = Some(Instant::now() + Duration::from_secs(10)),
                    () = async { tokio::time::sleep_until(down_at.unwrap()).await }, if down_at.is_some() => {
                        down_at = None;
                        break;
                    }
                    () = &mut done => return,
                }
            }
            let going_down = self.get().going_down;
            if going_down && down_at.is_none() {
                sleep(Duration::from_secs(60)).await;
                self.get().boot();
            }
        }
    }

    /// Lets the agent live for a while, with nobody else about.
    pub(crate) async fn pass(&self, time: Duration) {
        self.live(time, |_| false).await;
    }
}

impl Sink for Shared {
    fn put<'a>(
        &'a self,
        target: &'a Target,
        attributes: &'a BTreeMap<&'static str, String>,
        _now: Timestamp,
    ) -> BoxFuture<'a, Result<(), PutError>> {
        assert_eq!(target.cluster.as_str(), "prod");
        Box::pin(self.call(move |world| {
            if world.network_dead() {
                return Err(PutError::Refused { code: "none".into(), message: String::new() });
            }
            if let Some(code) = world.ecs_refuses {
                return Err(PutError::Refused { code: code.into(), message: String::new() });
            }
            world.puts += 1;
            for (name, value) in attributes {
                world.attributes.insert((*name).to_owned(), value.clone());
            }
            Ok(())
        }))
    }
}

impl Machine for Shared {
    fn now(&self) -> Timestamp {
        self.get().now()
    }

    fn boot(&self) -> Boot {
        let world = self.get();
        let at = world.now() - SignedDuration::try_from(world.up_for()).unwrap();
        Boot { id: Some(world.boot_id().as_str().into()), at: Some(at.as_second()) }
    }

    fn may_roll_back(&self) -> bool {
        self.get().rights
    }

    fn roll_back_to_inactive(&self) -> BoxFuture<'_, Result<(), SignpostError>> {
        Box::pin(self.call(|world| {
            world.turn()?;
            if world.inactive.is_none() {
                let detail = "Inactive partition is not valid to roll back to".into();
                return Err(SignpostError::Refused { detail });
            }
            if let Some(outlasts) = world.slow_signpost.take() {
                world.late_signpost = Some(outlasts);
                return Err(SignpostError::Unsure { detail: "was still running".into() });
            }
            world.signposted = true;
            Ok(())
        }))
    }

    fn cancel_roll_back(&self) -> BoxFuture<'_, Result<(), SignpostError>> {
        Box::pin(self.call(|world| {
            world.turn()?;
            world.signposted = false;
            Ok(())
        }))
    }

    fn other_set(&self) -> BoxFuture<'_, Result<OtherSet, SignpostError>> {
        Box::pin(self.call(|world| {
            world.turn()?;
            let is_next = world.signposted || world.fake.state == "Ready";
            Ok(OtherSet { is_next, has_booted: world.inactive.is_some() })
        }))
    }
}

impl Journal for Shared {
    fn load(&self) -> BoxFuture<'_, Result<Option<Memory>, JournalError>> {
        Box::pin(async {
            let world = self.get();
            if world.journal_corrupt {
                Err(JournalError::Read { path: "journal.json".into(), source: io::Error::other("torn") })
            } else {
                Ok(world.memory.clone())
            }
        })
    }

    fn save<'a>(&'a self, memory: &'a Memory) -> BoxFuture<'a, Result<(), JournalError>> {
        Box::pin(self.call(move |world| {
            if world.journal_fails {
                let source = io::Error::from(io::ErrorKind::StorageFull);
                Err(JournalError::Write { path: "journal.json".into(), source })
            } else {
                world.memory = Some(memory.clone());
                Ok(())
            }
        }))
    }
}

/// A metadata service that answers by a function.
pub(crate) fn served<F>(handle: F) -> impl Connect + 'static
where
    F: Fn(&Request) -> Reply + Send + Sync + 'static,
{
    let handle = Arc::new(handle);
    from_fn("a server", move || {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let handle = Arc::clone(&handle);
        tokio::spawn(serve(theirs, move |request| handle(&request)));
        Ok(ours)
    })
}

pub(crate) fn json(status: u16, value: &serde_json::Value) -> Reply {
    Reply::Bytes(answer(status, value.to_string()))
}
