//! A scenario joined with the updater: the real controller over the real SDK, against the simulated Region, on tokio's
//! clock.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_config::{BehaviorVersion, Region as AwsRegion, SdkConfig};
use aws_smithy_async::time::TimeSource;
use ecs_updater::aws::{self, Aws};
use ecs_updater::clock::Clock;
use ecs_updater::config::{self, ConfigError, Environment, Given, Inputs};
use ecs_updater::run::{Job, Watch, run};
use ecs_updater::settle::{self, Settled, SettledCluster};
use jiff::{SignedDuration, Timestamp};
use models::ids::{HostId, RunId};
use models::report::{Outcome, RunReport};
use serde::Deserialize;
use tokio::sync::watch;

use crate::clock::SimClock;
use crate::invariants::Violation;
use crate::processes::ProcessSpec;
use crate::scenario::{Scenario, ScenarioError};
use crate::world::InstanceStatus;
use crate::{CrashPoint, HostSnapshot, Region};

/// `[expect]` of a scenario: how the updater is run on it, and what must come of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// The runs, one after the other; one plain run where there is none.
    pub run: Vec<RunSpec>,
    /// Processes that run side by side, instead of `run`.
    pub process: Vec<ProcessSpec>,
    /// Name of the exit status of the last run; `success` where it is missing.
    pub exit: Option<String>,
    /// How many instances have which outcome in the last report; outcomes that are missing: none.
    pub outcomes: std::collections::BTreeMap<String, usize>,
    /// Outcome and reason of single hosts by index: `"held: standalone_tasks"`.
    pub hosts: std::collections::BTreeMap<String, String>,
    /// The running version of single hosts at the end, by index.
    pub versions: std::collections::BTreeMap<String, String>,
    /// The most AWS calls of the last run.
    pub max_calls: Option<u64>,
    /// The most minutes that the last run may take.
    pub max_minutes: Option<i64>,
    /// Times and calls are not recorded: the SDK's own quota of retries, which no seed governs, decides them.
    pub times_vary: bool,
    /// What differs where the hosts are reached by their host bridge, with the reason in a comment beside it. Where it
    /// says more than `max_calls`, the report is not compared with the one by SSM.
    pub bridge: Option<BridgeExpect>,
    /// Clusters or documents have other names than those that the policies under `cloudformation/` are tried with.
    pub other_names: bool,
    /// Rules that the scenario itself makes impossible to keep, with the reason in a comment beside it.
    pub broken_rules: Vec<String>,
}

/// `[expect.bridge]`: what stands there takes the place of the same in `[expect]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BridgeExpect {
    /// As in [`Expect::exit`].
    pub exit: Option<String>,
    /// As in [`Expect::outcomes`].
    pub outcomes: Option<std::collections::BTreeMap<String, usize>>,
    /// As in [`Expect::hosts`].
    pub hosts: Option<std::collections::BTreeMap<String, String>>,
    /// As in [`Expect::versions`].
    pub versions: Option<std::collections::BTreeMap<String, String>>,
    /// As in [`Expect::max_calls`].
    pub max_calls: Option<u64>,
}

impl BridgeExpect {
    /// Whether another report is expected than by SSM.
    pub fn differs(&self) -> bool {
        self.exit.is_some() || self.outcomes.is_some() || self.hosts.is_some() || self.versions.is_some()
    }
}

impl Expect {
    /// What is expected of a rollout by host bridges. Calls and times are not held to those by SSM.
    #[must_use]
    pub fn by_bridge(mut self) -> Self {
        self.max_calls = self.bridge.as_ref().and_then(|other| other.max_calls);
        self.max_minutes = None;
        if let Some(other) = self.bridge.clone() {
            self.exit = other.exit.or(self.exit);
            self.outcomes = other.outcomes.unwrap_or(self.outcomes);
            self.hosts = other.hosts.unwrap_or(self.hosts);
            self.versions = other.versions.unwrap_or(self.versions);
        }
        self
    }
}

/// One run of the updater on the scenario.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunSpec {
    /// Only plan.
    pub dry_run: bool,
    /// Die without a word at this point.
    pub kill: Option<Moment>,
    /// Get a signal at this point.
    pub interrupt: Option<Moment>,
    /// Time that passes before the run.
    pub after: Option<SignedDuration>,
    /// It does not begin earlier than so long after the scenario's start.
    pub not_before: Option<SignedDuration>,
}

/// A point in a run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Moment {
    /// So long after the run's start, …
    pub at: Option<SignedDuration>,
    /// … or when this host …
    pub host: usize,
    /// … is `draining`, `rebooting` or `booted`; …
    pub is: Option<String>,
    /// … or, to die, before its so-manyth call is sent, …
    pub before_call: Option<u64>,
    /// … or after that call was carried out.
    pub after_call: Option<u64>,
}

impl Moment {
    fn crash_point(&self) -> Option<CrashPoint> {
        self.before_call.map(CrashPoint::Before).or(self.after_call.map(CrashPoint::After))
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    /// Its report; `None` where it was killed.
    pub report: Option<RunReport>,
    /// How long it took.
    pub took: SignedDuration,
    /// The call at which it died, where it was to die at one.
    pub died_at: Option<String>,
}

/// Why a scenario cannot be run with the updater.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// The scenario.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// `[updater]`.
    #[error("the [updater] table is not usable")]
    Config(#[from] ConfigError),
    /// `[expect]`.
    #[error("the [expect] table is malformed")]
    Expect(#[from] toml::de::Error),
    /// `parameter` of `[updater]`.
    #[error("the SSM parameter {name} could not be read")]
    Parameter {
        /// Its name.
        name: String,
        /// Why.
        source: aws::AwsError,
    },
}

/// A Region and the updater's settings for it.
#[derive(Debug)]
pub struct Rollout {
    /// The Region.
    pub region: Arc<Region>,
    /// The clusters, each with its settings or why it is not worked on.
    pub clusters: Vec<SettledCluster>,
    /// `[expect]`.
    pub expect: Expect,
    pub(crate) lease_table: Option<String>,
    pub(crate) config: SdkConfig,
    clock: Clock,
    runs: u32,
}

/// Time between two looks at the Region while a [`Moment`] is waited for.
const WATCH_EVERY: std::time::Duration = std::time::Duration::from_millis(200);

impl Rollout {
    /// Starts the scenario's Region. Call it inside a runtime.
    ///
    /// # Errors
    /// A scenario whose tables do not fit together, or whose `[updater]` is not usable.
    pub async fn start(scenario: &Scenario) -> Result<Self, RolloutError> {
        let region = Region::start(scenario)?;
        tokio::time::sleep(scenario.warm_up.try_into().unwrap_or_default()).await;
        Self::on(region, scenario).await
    }

    async fn on(region: Arc<Region>, scenario: &Scenario) -> Result<Self, RolloutError> {
        let config = sdk_config(&region, scenario).await;
        let aws = Aws::reading(&config);
        let inputs = inputs(&aws, scenario).await?;
        let (_interrupt, stop) = watch::channel(false);
        let Settled { lease_table, clusters } = settle::settle(&aws, inputs, &stop).await?;
        for (cluster, policy) in &clusters {
            let Ok(policy) = policy else { continue };
            region.set_budget(cluster.as_str(), policy.max_unavailable);
        }
        let clock = Clock::tokio(region.clock().now());
        let expect = Expect::deserialize(scenario.expect.clone())?;
        Ok(Self { region, clusters, expect, lease_table, config, clock, runs: 0 })
    }

    /// Runs the updater once, when its time has come.
    pub async fn run(&mut self, spec: &RunSpec, watch: &dyn Watch) -> Ran {
        self.wait_for(spec).await;
        self.run_now(spec, watch).await
    }

    /// Lets the time before a run pass.
    pub async fn wait_for(&self, spec: &RunSpec) {
        let not_before =
            spec.not_before.map(|since| (self.region.clock().base() + since).duration_since(self.region.clock().now()));
        let wait = spec.after.unwrap_or_default().max(not_before.unwrap_or_default()).max(SignedDuration::ZERO);
        tokio::time::sleep(wait.try_into().unwrap_or_default()).await;
    }

    /// Runs the updater once, whatever the time is.
    pub async fn run_now(&mut self, spec: &RunSpec, watch: &dyn Watch) -> Ran {
        self.runs += 1;
        self.region.spare();
        let job = Job {
            run: RunId::new(format!("01SIM{:021}", self.runs)),
            clusters: self.clusters.clone(),
            dry_run: spec.dry_run,
            lease_table: self.lease_table.clone(),
        };
        let began = self.clock.now();
        let (stop, stopped) = watch::channel(false);
        let work = pin!(run(&self.config, &self.clock, job, watch, stopped));
        let (report, died_at) = match spec.kill.as_ref().and_then(Moment::crash_point) {
            Some(point) => self.until_it_dies(work, point).await,
            None => (self.until_it_ends(work, spec, &stop, began).await, None),
        };
        Ran { report, took: self.clock.now().duration_since(began), died_at }
    }

    /// The run's end, or the call at which it died; what it had begun goes on without it.
    async fn until_it_dies(
        &self,
        work: Pin<&mut impl Future<Output = RunReport>>,
        point: CrashPoint,
    ) -> (Option<RunReport>, Option<String>) {
        let death = self.region.die_at(point);
        let ended = tokio::select! {
            biased;
            Ok(call) = death => (None, Some(call)),
            report = work => (Some(report), None),
        };
        self.region.spare();
        ended
    }

    async fn until_it_ends(
        &self,
        mut work: Pin<&mut impl Future<Output = RunReport>>,
        spec: &RunSpec,
        stop: &watch::Sender<bool>,
        began: Timestamp,
    ) -> Option<RunReport> {
        let moment = spec.kill.as_ref().or(spec.interrupt.as_ref());
        let Some(moment) = moment else { return Some(work.await) };
        loop {
            tokio::select! {
                biased;
                report = &mut work => return Some(report),
                () = tokio::time::sleep(WATCH_EVERY) => {}
            }
            if !self.has_come(moment, began) {
                continue;
            }
            if spec.kill.is_some() {
                return None;
            }
            stop.send_replace(true);
            return Some(work.await);
        }
    }

    fn has_come(&self, moment: &Moment, began: Timestamp) -> bool {
        if let Some(at) = moment.at {
            return self.clock.now().duration_since(began) >= at;
        }
        let Some(host) = self.region.snapshot_of(moment.host) else { return false };
        match moment.is.as_deref() {
            Some("draining") => host.status == InstanceStatus::Draining,
            Some("rebooting") => !host.up,
            Some("booted") => host.up && host.status == InstanceStatus::Draining && host.tags_say_rebooted(),
            _ => false,
        }
    }

    /// Every rule that was broken, those of the end included. Of a machine that had gone before the last run nobody
    /// could tell it.
    pub fn violations(&self, last: &RunReport) -> Vec<Violation> {
        let gone = self.region.gone_before(last.started_at);
        let named: BTreeSet<HostId> = last
            .clusters
            .iter()
            .flat_map(|cluster| &cluster.instances)
            .filter(|instance| !matches!(instance.outcome, Outcome::Updated | Outcome::Current))
            .map(|instance| instance.ec2_instance_id.clone())
            .chain(gone)
            .collect();
        self.region.finish(&named)
    }
}

/// `[updater]` as the configuration file; or with `parameter`, which names an SSM parameter, as `--config ssm:NAME`.
async fn inputs(aws: &Aws, scenario: &Scenario) -> Result<Inputs, RolloutError> {
    let mut updater = scenario.updater.clone();
    if let Some(toml::Value::String(name)) = updater.get("parameter") {
        let text = settle::parameter(aws, name).await;
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

impl HostSnapshot {
    fn tags_say_rebooted(&self) -> bool {
        let claim = self.tags.get(models::claim::CLAIM_TAG).and_then(|tag| tag.parse::<models::claim::Claim>().ok());
        claim.is_some_and(|claim| !claim.boots.is_empty() && !claim.is_for(&self.boot_id.as_str().into()))
    }
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

#[derive(Debug)]
struct SimTime(SimClock);

impl TimeSource for SimTime {
    fn now(&self) -> std::time::SystemTime {
        std::time::SystemTime::from(self.0.now())
    }
}
