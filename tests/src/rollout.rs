//! A scenario joined with the updater: the real controller over the real SDK, against the simulated Region, on tokio's
//! clock.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_config::{BehaviorVersion, Region as AwsRegion, SdkConfig};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use ecs_updater::aws::{self, Aws};
use ecs_updater::cli;
use ecs_updater::clock::Clock;
use ecs_updater::cluster_settings::{self, Resolved, ResolvedCluster};
use ecs_updater::config::{self, ConfigError, Environment, Given, Inputs, Key};
use ecs_updater::doctor::{Asked, doctor};
use ecs_updater::exit::ExitStatus;
use ecs_updater::planner::{Purpose, WayBack};
use ecs_updater::run::{Job, Signals, Watch, run};
use ecs_updater::steer::Order;
use ecs_updater::steer::status::{Typed, status};
use jiff::{SignedDuration, Timestamp};
use models::api_share::ApiShare;
use models::doctor::DoctorReport;
use models::ids::{AccountId, ClusterName, HostId, RunId};
use models::location::Location;
use models::policy::{Group, Policy};
use models::query::Select;
use models::report::{ClusterError, ClusterErrorKind, Outcome, RunReport};
use models::status::StatusReport;
use tokio::sync::watch;

use crate::Region;
use crate::clock::SimClock;
use crate::expect::{CommandSpec, Expect, ExpectError, RunSpec};
use crate::invariants::{Limits, Pacing, Part, Violation, kept_min_sizes};
use crate::limit::{Endless, Limit};
use crate::liveness::{Liveness, Waits};
use crate::moment::Moment;
use crate::query::{Filter, FilterError};
use crate::scenario::{Scenario, ScenarioError, means, merge};
use crate::voice::Steered;

/// The number of a person among the processes that call, where runs come one after the other.
const PERSON: u32 = 1_000;

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    /// Its report; `None` where it was killed.
    pub report: Option<RunReport>,
    /// How long it took.
    pub took: SignedDuration,
    /// The call at which it died, where it was to die at one.
    pub died_at: Option<String>,
    /// It ended before the moment at which it was to be killed, interrupted or suspended.
    pub missed: bool,
    /// The limit that it reached before its end.
    pub endless: Option<Endless>,
    /// The times in which nothing moved for too long, a line each.
    pub stalls: Vec<String>,
    /// Whether it was to fail where nothing was updated (`--fail-on-held`).
    pub fail_on_held: bool,
    /// With which status it ended, where its report does not say it.
    pub steered: Option<ExitStatus>,
    /// What it said on the way.
    pub said: Vec<String>,
}

/// How a run lived.
pub(crate) enum Lived {
    /// It ended by itself, or by its signal.
    Ended {
        report: RunReport,
        /// Whether the moment of its kill, its signal or its pause was still to come.
        missed: bool,
    },
    /// It was killed, perhaps at a call.
    Killed(Option<String>),
}

impl Ran {
    pub(crate) fn of(lived: Result<Lived, Endless>, took: SignedDuration, stalls: Vec<String>) -> Self {
        let ran = Self {
            report: None,
            took,
            died_at: None,
            missed: false,
            endless: None,
            stalls,
            fail_on_held: false,
            steered: None,
            said: Vec::new(),
        };
        match lived {
            Ok(Lived::Ended { report, missed }) => Self { report: Some(report), missed, ..ran },
            Ok(Lived::Killed(died_at)) => Self { died_at, ..ran },
            Err(endless) => Self { endless: Some(endless), ..ran },
        }
    }

    /// With what it said, and how it ended, where it was no run.
    pub(crate) fn told(mut self, steered: Steered) -> Self {
        self.steered = steered.exit.into_inner();
        self.said = steered.said.into_inner();
        self
    }

    /// With which status it ended, by its report or by its own word.
    pub fn exit(&self, report: &RunReport) -> ExitStatus {
        let of = if self.fail_on_held { ExitStatus::of_strict } else { ExitStatus::of };
        self.steered.unwrap_or_else(|| of(report))
    }
}

/// Why a scenario cannot be run with the updater.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// The scenario.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// What `[updater]` says cannot be used.
    #[error("the [updater] table is not usable")]
    Config(#[from] ConfigError),
    /// What `[expect]` says cannot be used.
    #[error("the [expect] table is malformed")]
    Expect(#[from] ExpectError),
    /// The updater has taken a `select` that the checker cannot read.
    #[error("the checker cannot read select = {text:?}")]
    Select { text: String, source: FilterError },
    /// `parameter` of `[updater]`.
    #[error("the SSM parameter {name} could not be read")]
    Parameter {
        name: String,
        /// What AWS said.
        source: aws::AwsError,
    },
}

impl RolloutError {
    /// With which status the updater itself ends where its settings are not usable; `None`: it is the scenario that is
    /// not.
    pub fn exit(&self) -> Option<ExitStatus> {
        match self {
            Self::Config(_) => Some(ExitStatus::Usage),
            Self::Parameter { source, .. } => Some(cli::unread_parameter(source)),
            Self::Scenario(_) | Self::Expect(_) | Self::Select { .. } => None,
        }
    }
}

/// A Region and the updater's settings for it.
#[derive(Debug)]
pub struct Rollout {
    pub region: Arc<Region>,
    /// The clusters, each with its settings or why it is not worked on.
    pub clusters: Vec<ResolvedCluster>,
    /// Where each cluster is.
    pub locations: BTreeMap<ClusterName, Location>,
    /// What `[expect]` of the scenario says.
    pub expect: Expect,
    pub(crate) lease_table: Option<String>,
    pub(crate) api_share: ApiShare,
    pub(crate) config: SdkConfig,
    /// Where the settings of each run come from.
    scenario: Scenario,
    /// Whether the last run had settings of its own.
    changed: bool,
    /// When the last run began.
    began: Option<Timestamp>,
    runs: u32,
}

/// Reads an expression of the settings by the simulator's own parser.
fn own_filter(select: Option<&Select>) -> Result<Option<Filter>, RolloutError> {
    let read = |select: &Select| {
        let text = select.to_string();
        Filter::parse_select(&text).map_err(|source| RolloutError::Select { text, source })
    };
    select.map(read).transpose()
}

/// The groups of a policy, as the checker knows them.
fn parts(policy: &Policy) -> Result<Vec<Part>, RolloutError> {
    let part = |group: &Group| {
        let Some(matches) = own_filter(Some(&group.matches))? else { return Ok(None) };
        let Group { name, order, max_unavailable, .. } = group;
        Ok(Some(Part { name: name.clone(), matches, order: *order, max_unavailable: *max_unavailable }))
    };
    policy.groups.iter().filter_map(|group| part(group).transpose()).collect()
}

/// How far a release may go in the groups that have canaries or checkpoints of their own.
fn own_courses(policy: &Policy) -> Result<Vec<(Filter, Pacing)>, RolloutError> {
    let mut courses = Vec::new();
    for group in policy.groups.iter().filter(|group| group.has_own_course) {
        let canary_match = own_filter(group.policy.canary_match.as_ref())?;
        let matches = own_filter(Some(&group.matches))?;
        courses.extend(matches.map(|matches| (matches, Pacing::of(&group.policy, canary_match))));
    }
    Ok(courses)
}

impl Rollout {
    /// Starts the scenario's Region. Call it inside a runtime.
    ///
    /// # Errors
    /// A scenario whose tables do not fit together, or whose `[updater]` is not usable.
    pub async fn start(scenario: &Scenario) -> Result<Self, RolloutError> {
        let expect = Expect::read(scenario)?;
        Self::on(Region::start(scenario)?, scenario, expect).await
    }

    /// The same on a Region that has just started.
    ///
    /// # Errors
    /// `[updater]` is not usable.
    pub async fn on(region: Arc<Region>, scenario: &Scenario, expect: Expect) -> Result<Self, RolloutError> {
        tokio::time::sleep(scenario.warm_up.try_into().unwrap_or_default()).await;
        let config = sdk_config(&region, scenario).await;
        let aws = Aws::reading(&config);
        let inputs = inputs(&aws, scenario).await?;
        let (_interrupt, stop) = watch::channel(false);
        let resolved = cluster_settings::resolve(&aws, inputs, &stop).await?;
        let Resolved { lease_table, api_share, clusters, locations } = resolved;
        let rollout = Self {
            region,
            clusters,
            locations,
            expect,
            lease_table,
            api_share,
            config,
            scenario: scenario.clone(),
            changed: false,
            began: None,
            runs: 0,
        };
        rollout.tell_rules()?;
        Ok(rollout)
    }

    /// Tells the checker what the run that begins was told.
    fn tell_rules(&self) -> Result<(), RolloutError> {
        for (cluster, policy) in &self.clusters {
            let Ok(policy) = policy else { continue };
            self.region.set_budget(cluster.as_str(), policy.max_unavailable);
            self.region.set_limits(cluster.as_str(), Limits::of(policy));
            let canary_match = own_filter(policy.canary_match.as_ref())?;
            let pacing = Pacing::of(policy, canary_match).with_groups(own_courses(policy)?);
            self.region.set_pacing(cluster.as_str(), pacing);
            self.region.set_parts(cluster.as_str(), parts(policy)?);
            self.region.set_hooks(cluster.as_str(), policy.hooks.clone());
            self.region.set_select(cluster.as_str(), own_filter(policy.select.as_ref())?);
        }
        Ok(())
    }

    /// Reads the settings again where they may be others than those of the run before: a target's parameter is read when a
    /// run begins.
    async fn settings_of(&mut self, spec: &RunSpec) {
        let by_parameter = self.scenario.updater.to_string().contains("\"ssm:");
        let may_differ = !spec.flags.is_empty() || !spec.defaults.is_empty() || self.changed || by_parameter;
        if !may_differ {
            return;
        }
        let mut scenario = self.scenario.clone();
        let defaults = scenario.updater.entry("defaults").or_insert_with(|| toml::Value::Table(toml::Table::new()));
        if let Some(defaults) = defaults.as_table_mut() {
            merge(defaults, spec.defaults.clone());
        }
        self.changed = !spec.flags.is_empty() || !spec.defaults.is_empty();
        let aws = Aws::reading(&self.config);
        let (_interrupt, stop) = watch::channel(false);
        let resolved = async {
            let inputs = with_flags(inputs(&aws, &scenario).await?, &spec.flags)?;
            Ok::<_, RolloutError>(cluster_settings::resolve(&aws, inputs, &stop).await?)
        };
        let told = resolved.await.and_then(|Resolved { lease_table, api_share, clusters, locations }| {
            (self.lease_table, self.clusters, self.locations) = (lease_table, clusters, locations);
            self.api_share = api_share;
            self.tell_rules()
        });
        if let Err(error) = told {
            let refused = |cluster: &ClusterName| {
                let message = format!("the settings of the run are not usable: {error}");
                (cluster.clone(), Err(ClusterError { kind: ClusterErrorKind::Configuration, message }))
            };
            self.clusters = self.clusters.iter().map(|(cluster, _)| refused(cluster)).collect();
        }
    }

    /// Runs the updater once, when its time has come.
    pub async fn run(&mut self, spec: &RunSpec, watch: &dyn Watch) -> Ran {
        self.wait_for(spec).await;
        self.run_within(Limit::NONE, spec, watch).await
    }

    /// Lets the time before a run pass.
    pub async fn wait_for(&self, spec: &RunSpec) {
        let not_before =
            spec.not_before.map(|since| (self.region.clock().base() + since).duration_since(self.region.clock().now()));
        let wait = spec.after.unwrap_or_default().max(not_before.unwrap_or_default()).max(SignedDuration::ZERO);
        tokio::time::sleep(wait.try_into().unwrap_or_default()).await;
    }

    /// Runs the updater once, whatever the time is, within a limit.
    pub async fn run_within(&mut self, limit: Limit, spec: &RunSpec, watch: &dyn Watch) -> Ran {
        self.runs += 1;
        self.region.spare();
        if self.runs > 1 || !spec.flags.is_empty() || !spec.defaults.is_empty() {
            self.settings_of(spec).await;
        }
        let named =
            self.region.look(|world| spec.named(|index| world.machines().iter().nth(index).map(|one| one.id.clone())));
        self.region.set_named(named.clone());
        let id = RunId::new(format!("01SIM{:021}", self.runs));
        let order = spec.command.as_ref().and_then(|command| self.order(command));
        let job = Job {
            run: id.clone(),
            clusters: self.clusters.clone(),
            locations: self.locations.clone(),
            purpose: purpose(spec.command.as_ref()),
            dry_run: spec.dry_run,
            outside_window: spec.outside_window,
            named,
            lease_table: self.lease_table.clone(),
            api_share: self.api_share,
            dates_oldest: spec.metrics,
        };
        let clock = self.region.clock_of_a_run(SignedDuration::ZERO);
        self.began = Some(self.region.clock().now());
        let began = clock.now();
        let ((stop, stopped), (finish, finishing)) = (watch::channel(false), watch::channel(false));
        let signals = Signals { stop: stopped, finish: finishing };
        let liveness = self.liveness(watch, SignedDuration::ZERO, began);
        let steered = Steered::default();
        let lived = match &order {
            None => {
                let work = pin!(run_and_store(&self.config, &clock, job, &liveness, signals));
                limit.hold(&self.region, self.live(work, spec, (&stop, &finish))).await
            }
            Some(order) => {
                let config = self.config_for(Some(order), PERSON);
                let config = if matches!(order, Order::Release { .. }) { &self.config } else { &config };
                let work = pin!(self.steer(order, config, (id, &clock), signals, &steered));
                limit.hold(&self.region, self.live(work, spec, (&stop, &finish))).await
            }
        };
        self.region.spare();
        let ended = clock.now();
        let stalls = if order.is_some() { Vec::new() } else { liveness.stalls(ended) };
        let ran = Ran::of(lived, ended.duration_since(began), stalls).told(steered);
        Ran { fail_on_held: spec.fail_on_held, ..ran }
    }

    /// Sees whether a run moves that begins now and may be suspended for so long.
    pub(crate) fn liveness<'a>(&self, next: &'a dyn Watch, pause: SignedDuration, began: Timestamp) -> Liveness<'a> {
        let waits = Waits { lease: self.lease_table.is_some(), pause };
        let policies = self.clusters.iter().filter_map(|(_, policy)| policy.as_ref().ok());
        Liveness::new(next, waits, policies, began)
    }

    /// To the run's end, or to its death; what it had begun goes on without it.
    async fn live(
        &self,
        mut work: Pin<&mut impl Future<Output = RunReport>>,
        spec: &RunSpec,
        (stop, finish): (&watch::Sender<bool>, &watch::Sender<bool>),
    ) -> Lived {
        let dies = spec.kill.is_some();
        let Some(moment) = spec.kill.as_ref().or(spec.interrupt.as_ref()).or(spec.sigint.as_ref()) else {
            return Lived::Ended { report: work.await, missed: false };
        };
        let call = tokio::select! {
            biased;
            call = self.comes(moment, dies) => call,
            report = &mut work => return Lived::Ended { report, missed: true },
        };
        if dies {
            return Lived::Killed(call);
        }
        if spec.interrupt.is_some() {
            stop.send_replace(true);
        } else {
            finish.send_replace(true);
            if let Some(again) = spec.sigint_again {
                tokio::select! {
                    biased;
                    report = &mut work => return Lived::Ended { report, missed: false },
                    () = tokio::time::sleep(again.try_into().unwrap_or_default()) => drop(stop.send_replace(true)),
                }
            }
        }
        Lived::Ended { report: work.await, missed: false }
    }

    /// Waits for a moment of the run that begins now; gives the call that it is.
    pub(crate) async fn comes(&self, moment: &Moment, dies: bool) -> Option<String> {
        match moment {
            Moment::At(after) => {
                tokio::time::sleep((*after).try_into().unwrap_or_default()).await;
                None
            }
            Moment::Host(when) => match self.region.comes_to(*when).await {
                Ok(()) => None,
                Err(_) => std::future::pending().await,
            },
            Moment::Call(point) => {
                let call = if dies { self.region.die_at(*point) } else { self.region.reaches(*point) };
                match call.await {
                    Ok(name) => Some(name),
                    Err(_) => std::future::pending().await,
                }
            }
        }
    }

    /// Returns what asks how the clusters stand, also while a run is at work.
    pub fn looker(&self) -> Looker {
        let (lease_table, api_share) = (self.lease_table.clone(), self.api_share);
        let (clusters, locations) = (self.clusters.clone(), self.locations.clone());
        Looker {
            region: Arc::clone(&self.region),
            resolved: Resolved { lease_table, api_share, clusters, locations },
            config: self.config.clone(),
        }
    }

    /// Whether the scenario makes calls of this operation fail, slow, or hang.
    pub(crate) fn may_fail(&self, operation: &str) -> bool {
        self.scenario.faults.iter().any(|fault| means(&fault.operation, operation))
    }

    /// Examines the clusters, as `ecs-updater doctor` does, on a machine whose clock is so far ahead.
    ///
    /// # Errors
    /// `[updater]` is not usable.
    pub async fn doctor(
        &self,
        ahead: SignedDuration,
        expect_account: Option<&AccountId>,
    ) -> Result<DoctorReport, RolloutError> {
        let clock = self.region.clock_of_a_run(ahead);
        let time = SharedTimeSource::new(Ahead(self.region.clock(), ahead));
        let config = self.config.to_builder().time_source(time).build();
        let aws = Aws::reading(&config);
        let inputs = inputs(&aws, &self.scenario).await?;
        let settings = inputs.settings()?.clusters.into_iter();
        let untagged = settings.filter_map(|cluster| Some((cluster.name, cluster.policy.ok()?))).collect();
        let (_interrupt, stop) = watch::channel(false);
        let resolved = cluster_settings::resolve(&aws, inputs, &stop).await?;
        let typed = Typed::default();
        let asked = Asked { resolved: &resolved, untagged: &untagged, expect_account, typed: &typed };
        Ok(doctor(&config, &clock, &asked).await)
    }

    /// Every rule that was broken, those of the end included. Of a machine that had gone before the last run nobody
    /// could tell it.
    pub fn violations(&self, last: &RunReport) -> Vec<Violation> {
        let gone = self.region.gone_before(self.began.unwrap_or(last.started_at));
        let named: BTreeSet<HostId> = last
            .clusters
            .iter()
            .flat_map(|cluster| &cluster.instances)
            .filter(|instance| !matches!(instance.outcome, Outcome::Updated | Outcome::Current))
            .map(|instance| instance.ec2_instance_id.clone())
            .chain(gone)
            .collect();
        let mut broken = self.region.finish(&named);
        broken.extend(self.region.look(|world| kept_min_sizes(world, last)));
        broken
    }
}

/// A run, and what its process does behind it: it keeps the report where the settings say.
pub(crate) async fn run_and_store(
    config: &SdkConfig,
    clock: &Clock,
    job: Job,
    watch: &dyn Watch,
    signals: Signals,
) -> RunReport {
    let shelves = cli::shelves(&job);
    let report = run(config, clock, job, watch, signals.clone()).await;
    cli::store(config, &shelves, &report, (clock, signals)).await;
    report
}

/// The same with flags.
fn with_flags(inputs: Inputs, flags: &BTreeMap<String, String>) -> Result<Inputs, ConfigError> {
    let key = |name: &str| Key::all().find(|key| key.flag() == name);
    let values = flags.iter().filter_map(|(name, value)| Some((key(name)?, value.clone()))).collect();
    let given = Given { values, ..Given::default() };
    Ok(Inputs { flags: Inputs::gather(&given, &Environment::new(), None)?.flags, ..inputs })
}

/// What a run is for, by the command that it is.
pub(crate) fn purpose(command: Option<&CommandSpec>) -> Purpose {
    match command {
        Some(CommandSpec::Finish) => Purpose::Finish,
        Some(CommandSpec::Rollback(release, to)) => {
            Purpose::Rollback(WayBack { release: release.clone(), to: to.clone(), ..WayBack::default() })
        }
        Some(_) | None => Purpose::Update,
    }
}

/// Asks how the clusters of a rollout stand.
#[derive(Debug, Clone)]
pub struct Looker {
    region: Arc<Region>,
    resolved: Resolved,
    config: SdkConfig,
}

impl Looker {
    /// As `ecs-updater status` does.
    pub async fn status(&self) -> StatusReport {
        let clock = self.region.clock_of_a_run(SignedDuration::ZERO);
        status(&self.config, &clock, &self.resolved, &Typed::default()).await
    }
}

/// `[updater]` as the configuration file; or with `parameter`, which names an SSM parameter, as `--config ssm:NAME`.
async fn inputs(aws: &Aws, scenario: &Scenario) -> Result<Inputs, RolloutError> {
    let mut updater = scenario.updater.clone();
    if let Some(toml::Value::String(name)) = updater.get("parameter") {
        let text = cluster_settings::parameter(aws, name).await;
        let text = text.map_err(|source| RolloutError::Parameter { name: name.clone(), source })?;
        let given = Given { config: Some(format!("{}{name}", config::PARAMETER_PREFIX)), ..Given::default() };
        return Ok(Inputs::gather(&given, &Environment::new(), text.as_deref())?);
    }
    if !updater.contains_key("cluster") {
        let clusters = scenario.clusters.iter().map(|name| {
            toml::Value::Table(toml::Table::from_iter([("name".to_owned(), toml::Value::from(name.clone()))]))
        });
        updater.insert("cluster".to_owned(), toml::Value::Array(clusters.collect()));
    }
    Ok(Inputs { file: Some(config::from_table(&updater, "[updater]")?), ..Inputs::default() })
}

/// The SDK's configuration for a simulated Region: its time too, so that signatures and retries are of that world.
async fn sdk_config(region: &Arc<Region>, scenario: &Scenario) -> SdkConfig {
    aws::settings(aws_config::defaults(BehaviorVersion::latest()))
        .http_client(region.http_client())
        .region(AwsRegion::new(own_region(&scenario.region.name)))
        .time_source(SimTime(region.clock()))
        // Without the jitter, so that one seed is one run.
        .retry_config(aws::retries().with_use_static_exponential_base(true))
        .test_credentials()
        .load()
        .await
}

/// A Region name that no other simulation in this process has. The SDK keeps one quota of retries for each service and
/// Region of a process, so that simulations side by side, or one after the other, would take each other's.
fn own_region(name: &str) -> String {
    static SIMULATIONS: AtomicU64 = AtomicU64::new(0);
    format!("{name}-{}", SIMULATIONS.fetch_add(1, Ordering::Relaxed))
}

/// A clock that is so far ahead.
#[derive(Debug)]
struct Ahead(SimClock, SignedDuration);

impl TimeSource for Ahead {
    fn now(&self) -> std::time::SystemTime {
        std::time::SystemTime::from(self.0.now() + self.1)
    }
}

#[derive(Debug)]
struct SimTime(SimClock);

impl TimeSource for SimTime {
    fn now(&self) -> std::time::SystemTime {
        std::time::SystemTime::from(self.0.now())
    }
}
