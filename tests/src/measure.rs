//! What a scan and a rollout cost on a simulated fleet: calls, time, time out of service, use of AWS's token buckets.
//!
//! Calls and virtual times are the same on every machine and are held to their limits by `tests/suite/budgets.rs`;
//! [`crate::bench`] adds what depends on the machine, and writes `target/bench.json`. docs/benchmarks.md has the
//! results and says how the lower bound is computed.

mod lives;
pub mod packed;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use ecs_updater::planner::{self, RunFacts};
use ecs_updater::render::html;
use ecs_updater::run::{View, Watch};
use jiff::{SignedDuration, Timestamp};
use models::policy::Policy;
use models::report::{Outcome, RunReport};

pub use lives::Lives;
use lives::lives;

use crate::clock::paused;
use crate::expect::RunSpec;
use crate::meter::{self, Cpu};
use crate::rollout::{Rollout, RolloutError};
use crate::scenario::{Scenario, ScenarioError};

/// A way to the hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Systems Manager documents.
    Ssm,
    /// The host bridge on each host.
    Bridge,
}

impl Way {
    /// All that there are.
    pub const ALL: [Self; 2] = [Self::Ssm, Self::Bridge];

    /// Its key in `bench.json`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Ssm => "ssm",
            Self::Bridge => "bridge",
        }
    }

    /// What a scenario needs of it: lines of its first `[[instances]]`, and of `[updater.defaults]`.
    fn lines(self) -> (&'static str, &'static str) {
        match self {
            Self::Ssm => ("", "host = \"ssm\""),
            Self::Bridge => ("bridge = true", "host = \"bridge\""),
        }
    }
}

/// `max_unavailable` of the measured rollouts, in percent.
pub const BUDGET_PERCENT: usize = 10;

/// A cluster of `size` current instances.
pub fn current(size: usize, way: Way) -> String {
    let (instances, defaults) = way.lines();
    format!(
        "clusters = [\"fleet\"]\nseed = 390\n\
         [repository]\nversions = [\"1.26.1\", \"1.27.0\"]\n\
         [[instances]]\ncount = {size}\nzones = [\"a\", \"b\", \"c\"]\nversion = \"1.27.0\"\n{instances}\n\
         [updater.defaults]\nmax_unavailable = \"{BUDGET_PERCENT}%\"\n{defaults}\n"
    )
}

/// A cluster of `size` outdated instances of an Auto Scaling group, in three zones, with the demo's mix of work: one service that is moved before
/// it is stopped, one that may lose half its tasks, and a daemon. Everything that takes time is at the simulator's
/// default.
pub fn outdated(size: usize, way: Way) -> String {
    let (instances, defaults) = way.lines();
    let (web, api) = (size * 5 / 4, size * 3 / 4);
    let mut text = format!(
        "clusters = [\"fleet\"]\nseed = 391\n\
         [repository]\nversions = [\"1.26.1\", \"1.27.0\"]\n\
         [[instances]]\ncount = {size}\nzones = [\"a\", \"b\", \"c\"]\nversion = \"1.26.1\"\nasg = \"workers\"\n{instances}\n\
         [updater.defaults]\nmax_unavailable = \"{BUDGET_PERCENT}%\"\n{defaults}\n"
    );
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "[[service]]\nname = \"web\"\ndesired = {web}\ncpu = 256\nmemory = \"512 MiB\"\n\
         [[service]]\nname = \"api\"\ndesired = {api}\ncpu = 512\nmemory = \"1 GiB\"\nmin_percent = 50\n\
         [[service]]\nname = \"logs\"\nkind = \"DAEMON\"\ncpu = 64\nmemory = \"128 MiB\"\n"
    );
    text
}

/// Why a measurement came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The scenario's text.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The scenario with the updater.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// The run was to end.
    #[error("the run did not come to a report")]
    NoReport,
    /// What was measured is not what should have been.
    #[error("not a sound measurement: {0}")]
    Unsound(String),
}

/// What one run cost.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Instances in the cluster.
    pub size: usize,
    /// AWS calls by operation, retries included.
    pub calls: BTreeMap<String, u64>,
    /// How long it took, in simulated time.
    pub took: SignedDuration,
    /// What the instances went through; `None` for a scan.
    pub lives: Option<Lives>,
    /// The largest share of each token bucket of the account that was in use at once, from 0 to 1.
    pub buckets: BTreeMap<String, f64>,
    /// Answers that were throttling.
    pub throttled: usize,
    /// CPU time.
    pub cpu: Cpu,
    /// One plan: the median and the longest of those that were timed, every tenth.
    pub plan: Planning,
    pub page: Page,
}

/// The page of a run's report.
#[derive(Debug, Clone, Copy, Default)]
pub struct Page {
    pub bytes: usize,
    /// How long it took to make, on this machine.
    pub made_in: Duration,
}

impl Page {
    fn of(report: &RunReport) -> Self {
        let began = Instant::now();
        let bytes = std::hint::black_box(html::render(report)).len();
        Self { bytes, made_in: began.elapsed() }
    }
}

/// How long the planner took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Planning {
    /// Plans that were timed.
    pub timed: usize,
    pub median: Duration,
    pub longest: Duration,
}

impl Measured {
    pub fn all_calls(&self) -> u64 {
        self.calls.values().sum()
    }

    /// Calls for each instance.
    pub fn calls_each(&self) -> f64 {
        ratio(self.all_calls(), self.size)
    }

    /// The time over the lower bound; `None` for a scan.
    pub fn makespan_ratio(&self) -> Option<f64> {
        self.lives.as_ref().map(|lives| self.took.as_secs_f64() / lives.bound(self.size).as_secs_f64())
    }

    /// The time over the bound of a rollout with stages; `None` for a scan.
    pub fn staged_ratio(&self) -> Option<f64> {
        let lives = self.lives.as_ref()?;
        let bound = lives.bound(self.size) + lives.bound(1) + BAKE * BAKES;
        Some(self.took.as_secs_f64() / bound.as_secs_f64())
    }

    /// The same over the bound that knows of no agent.
    pub fn strict_makespan_ratio(&self) -> Option<f64> {
        self.lives.as_ref().map(|lives| self.took.as_secs_f64() / lives.strict_bound(self.size).as_secs_f64())
    }

    /// The largest share of any token bucket that was in use.
    pub fn fullest_bucket(&self) -> (&str, f64) {
        let most = self.buckets.iter().max_by(|a, b| a.1.total_cmp(b.1));
        most.map_or(("none", 0.0), |(name, share)| (name.as_str(), *share))
    }
}

/// The calls of a scan of `size` current instances.
///
/// # Errors
/// Where it does not find each of them current, or breaks a rule.
pub fn scan(size: usize, way: Way) -> Result<Measured, MeasureError> {
    one_run(&current(size, way), size, Outcome::Current)
}

/// A rollout of `size` instances, [`BUDGET_PERCENT`] at once.
///
/// # Errors
/// Where it does not update each of them, or breaks a rule.
pub fn rollout(size: usize, way: Way) -> Result<Measured, MeasureError> {
    one_run(&outdated(size, way), size, Outcome::Updated)
}

/// The same as [`rollout`] with this share of the account's token buckets.
///
/// # Errors
/// As [`rollout`].
pub fn rollout_with_share(size: usize, way: Way, api_share: &str) -> Result<Measured, MeasureError> {
    let text = outdated(size, way);
    let text =
        text.replace("[updater.defaults]\n", &format!("[updater]\napi_share = {api_share}\n[updater.defaults]\n"));
    one_run(&text, size, Outcome::Updated)
}

/// A rollout of three instances, one at a time: what a small cluster has.
///
/// # Errors
/// As [`rollout`].
pub fn one_at_a_time(way: Way) -> Result<Measured, MeasureError> {
    const SIZE: usize = 3;
    let (instances, defaults) = way.lines();
    let text = format!(
        "clusters = [\"web\"]\nseed = 181\n\
         [repository]\nversions = [\"1.26.0\", \"1.26.1\", \"1.27.0\"]\n\
         [[instances]]\ncount = {SIZE}\nzones = [\"a\", \"b\", \"c\"]\nversion = \"1.26.1\"\n{instances}\n\
         [updater.defaults]\nmax_unavailable = 1\n{defaults}\n\
         [[service]]\nname = \"web\"\ndesired = {SIZE}\ncpu = 256\nmemory = \"512 MiB\"\n"
    );
    one_run(&text, SIZE, Outcome::Updated)
}

/// How long a release is watched in the measured rollout with stages: a run waits that out.
pub const BAKE: SignedDuration = SignedDuration::from_mins(20);
/// The bakes of such a rollout: after its canary, and after each of two checkpoints.
pub const BAKES: i32 = 3;

/// The same with a canary, two checkpoints, their bakes, and an alarm.
///
/// # Errors
/// As [`rollout`].
pub fn staged_rollout(size: usize, way: Way) -> Result<Measured, MeasureError> {
    let keys = format!(
        "max_unavailable = \"{BUDGET_PERCENT}%\"\ncanary = 1\ncheckpoints = [\"10%\", \"50%\"]\nbake = \"{}m\"\nalarms = [\"web\"]\n",
        BAKE.as_mins()
    );
    let text = outdated(size, way).replace(&format!("max_unavailable = \"{BUDGET_PERCENT}%\"\n"), &keys);
    one_run(&(text + "[alarms]\nweb = {}\n"), size, Outcome::Updated)
}

/// Before the run begins, so that every host bridge has reported.
const SETTLING: Duration = Duration::from_secs(600);

/// Runs a scenario's text once, in a runtime of its own with paused time.
fn one_run(text: &str, size: usize, wanted: Outcome) -> Result<Measured, MeasureError> {
    let runtime = paused();
    let runtime = runtime.map_err(|error| MeasureError::Unsound(error.to_string()))?;
    runtime.block_on(async {
        let scenario = Scenario::parse(text)?;
        let mut rollout = Rollout::start(&scenario).await?;
        let policy = rollout.clusters.first().and_then(|(_, policy)| policy.clone().ok()).unwrap_or_default();
        // Agents that begin in the same second share the account's bucket for their first reports.
        tokio::time::sleep(SETTLING).await;
        let timer = Timer::new(policy, rollout.region.clock().now());
        let (ran, cpu) = meter::measure(rollout.run(&RunSpec::default(), &timer)).await;
        let report = ran.report.ok_or(MeasureError::NoReport)?;
        sound(&rollout, &report, size, wanted)?;
        let host = scenario.machines.first().map(|machine| machine.host.durations).unwrap_or_default();
        let at_once = (size * BUDGET_PERCENT / 100).max(1);
        let lives = (wanted == Outcome::Updated).then(|| lives(&rollout.region, host, at_once));
        let throttled = rollout.region.calls().iter().filter(|call| call.outcome.is_throttling()).count();
        Ok(Measured {
            size,
            calls: report.clusters.first().map(|cluster| cluster.aws_calls.clone()).unwrap_or_default(),
            took: ran.took,
            lives,
            buckets: rollout.region.bucket_use(),
            throttled,
            cpu: Cpu { program: cpu.program.saturating_sub(timer.spent()), ..cpu },
            plan: timer.planning(),
            page: Page::of(&report),
        })
    })
}

fn sound(rollout: &Rollout, report: &RunReport, size: usize, wanted: Outcome) -> Result<(), MeasureError> {
    let unsound = |what: String| Err(MeasureError::Unsound(what));
    let done = report.clusters.iter().flat_map(|cluster| &cluster.instances);
    let done = done.filter(|instance| instance.outcome == wanted).count();
    if done != size {
        return unsound(format!("{done} of {size} instances are {}", wanted.as_str()));
    }
    if let Some(violation) = rollout.violations(report).first() {
        return unsound(format!("a rule was broken: {violation}"));
    }
    match rollout.region.unknown().first() {
        Some(what) => unsound(format!("not modelled: {what}")),
        None => Ok(()),
    }
}

/// Times plans again, from the same facts.
struct Timer {
    policy: Policy,
    facts: RunFacts,
    seen: RefCell<(usize, Vec<Duration>)>,
}

impl Timer {
    fn new(policy: Policy, started_at: Timestamp) -> Self {
        let facts = RunFacts {
            run: "TIMED".into(),
            started_at,
            purpose: planner::Purpose::Update,
            dry_run: false,
            stop: None,
            idle_since: None,
            outside_window: false,
            selection: Default::default(),
            api_share: Default::default(),
        };
        Self { policy, facts, seen: RefCell::default() }
    }

    fn spent(&self) -> Duration {
        self.seen.borrow().1.iter().sum()
    }

    fn planning(&self) -> Planning {
        let mut times = self.seen.borrow().1.clone();
        times.sort();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        Planning { timed: times.len(), median, longest: times.last().copied().unwrap_or_default() }
    }
}

impl Watch for Timer {
    fn see(&self, View { fleet, now, .. }: View<'_>) {
        const EVERY: usize = 10;
        let mut seen = self.seen.borrow_mut();
        seen.0 += 1;
        if seen.0.is_multiple_of(EVERY) {
            let began = Instant::now();
            let _ = std::hint::black_box(planner::plan(fleet, &self.policy, &self.facts, now));
            seen.1.push(began.elapsed());
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of calls and instances are far below 2^52")]
fn ratio(count: u64, of: usize) -> f64 {
    count as f64 / of.max(1) as f64
}
