//! Every scenario under `scenarios/`: run by the real updater over the real SDK, its invariants checked after every
//! event, its `[expect]` held, its report as recorded.
//!
//! `INSTA_UPDATE=always cargo test -p fleet-sim --test scenarios` records again; read what changed.

mod report_schema;
mod walked;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ecs_updater::exit::ExitStatus;
use fleet_sim::Scenario;
use fleet_sim::clock::paused;
use fleet_sim::expect::{BridgeExpect, Exit, Expect, HostEnd};
use fleet_sim::iam::{Need, Role, shipped};
use fleet_sim::limit::Limit;
use fleet_sim::record::record;
use fleet_sim::rollout::Rollout;
use fleet_sim::trial::Trial;
use fleet_sim::verdict::{Strictness, Verdict};
use fleet_sim::wire::Caller;
use models::report::{InstanceReport, Outcome, RunReport};
use walked::{walked, walked_by_bridge};

type Failure = Box<dyn std::error::Error>;

datatest_stable::harness! {
    { test = scenario, root = "scenarios", pattern = r"\.toml$" },
    { test = by_bridge, root = "scenarios", pattern = r"\.toml$" },
    { test = walked, root = "scenarios/walk", pattern = r"\.toml$" },
    { test = walked_by_bridge, root = "scenarios/walk", pattern = r"\.toml$" },
}

fn scenario(path: &Path) -> datatest_stable::Result<()> {
    let scenario = Scenario::load(path)?;
    let by_ssm = rolled_by_ssm(path);
    let Rolled { recorded, problems, .. } = read(&by_ssm)?;
    let name = path.file_stem().and_then(|stem| stem.to_str()).ok_or("a scenario's name is UTF-8")?;
    insta::with_settings!({
        snapshot_path => Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/reports"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
        description => scenario.about.trim(),
    }, { insta::assert_snapshot!(name, recorded) });
    if problems.is_empty() { Ok(()) } else { Err(format!("{}\n{recorded}", problems.join("\n")).into()) }
}

/// The same scenario with an agent on every host: the last report says the same of every instance but for times and
/// calls, or what `[expect.bridge]` says.
fn by_bridge(path: &Path) -> datatest_stable::Result<()> {
    let by_bridge = rolled(&Scenario::load(path)?.by_bridge(), Transport::Bridge)?;
    let mut problems = by_bridge.problems;
    if !by_bridge.differs {
        problems.extend(disagreements(&read(&rolled_by_ssm(path))?.last, &by_bridge.last));
    }
    if problems.is_empty() { Ok(()) } else { Err(format!("{}\n{}", problems.join("\n"), by_bridge.recorded).into()) }
}

/// Instances that the reports disagree on.
///
/// A version that one of them does not know is no disagreement: a bridge has told it also of an instance that is held
/// before it is asked. And whose turn it was is a matter of times: the host that is staged first is drained first, and
/// each host says for itself that it is staged, while SSM tells of all in one poll.
fn disagreements(by_ssm: &RunReport, by_bridge: &RunReport) -> Vec<String> {
    let instances = |report: &RunReport| -> BTreeMap<String, InstanceReport> {
        let all = report.clusters.iter().flat_map(|cluster| &cluster.instances);
        all.map(|one| (one.ec2_instance_id.to_string(), one.clone())).collect()
    };
    let (one, other) = (instances(by_ssm), instances(by_bridge));
    let hosts: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let agree = |a: &InstanceReport, b: &InstanceReport| {
        let versions = [(&a.from, &b.from), (&a.to, &b.to)];
        let same_versions = versions.into_iter().all(|(a, b)| a.is_none() || b.is_none() || a == b);
        HostEnd::of(a) == HostEnd::of(b) && same_versions || turns_differ(a, b) || turns_differ(b, a)
    };
    let said =
        |report: Option<&InstanceReport>| report.map_or("nothing".to_owned(), |one| HostEnd::of(one).to_string());
    hosts
        .into_iter()
        .map(|host| (host, one.get(host), other.get(host)))
        .filter(|(_, a, b)| !matches!((a, b), (Some(a), Some(b)) if agree(a, b)))
        .map(|(host, a, b)| format!("{host}: by SSM {}; by the bridge {}", said(a), said(b)))
        .collect()
}

/// Whether the one had its turn, in this run or in one before, and the other has it in the next run.
fn turns_differ(a: &InstanceReport, b: &InstanceReport) -> bool {
    const TURN: [&str; 5] = ["stopped_after_failures", "out_of_time", "interrupted", "finishing", "budget_used_up"];
    let waits = b.outcome == Outcome::Held && b.reason.as_deref().is_some_and(|reason| TURN.contains(&reason));
    let before = b.outcome == Outcome::Current && b.from == a.to;
    a.outcome == Outcome::Updated && (waits || before)
}

/// How the hosts are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Ssm,
    Bridge,
}

struct Rolled {
    recorded: String,
    problems: Vec<String>,
    last: RunReport,
    /// Whether `[expect.bridge]` says that the ways differ.
    differs: bool,
}

type Once = Arc<OnceLock<Result<Rolled, String>>>;

/// Rolls a scenario out by SSM, once for both tests that need it.
fn rolled_by_ssm(path: &Path) -> Once {
    static ROLLED: Mutex<BTreeMap<PathBuf, Once>> = Mutex::new(BTreeMap::new());
    let mut known = ROLLED.lock().unwrap_or_else(PoisonError::into_inner);
    let once = Arc::clone(known.entry(path.to_owned()).or_default());
    drop(known);
    let roll = || rolled(&Scenario::load(path)?, Transport::Ssm);
    once.get_or_init(|| roll().map_err(|error| error.to_string()));
    once
}

fn read(once: &Once) -> Result<&Rolled, Failure> {
    once.get().ok_or("not rolled out")?.as_ref().map_err(|error| error.as_str().into())
}

fn rolled(scenario: &Scenario, transport: Transport) -> Result<Rolled, Failure> {
    let runtime = paused()?;
    runtime.block_on(roll(scenario, transport))
}

async fn roll(scenario: &Scenario, transport: Transport) -> Result<Rolled, Failure> {
    let mut rollout = Rollout::start(scenario).await?;
    let mut expect = rollout.expect.clone();
    if transport == Transport::Bridge {
        expect = expect.by_bridge();
    }
    // Which process gets how far is a matter of seconds, which the two ways need not share.
    let differs = expect.bridge.as_ref().is_some_and(BridgeExpect::differs) || !expect.process.is_empty();
    let trial = Trial::of(&mut rollout, &expect, Limit::NONE).await;
    let recorded = record(&trial, !expect.times_vary)?;
    let (_, report) = trial.last().ok_or("the last run was killed: add one that finishes")?;
    let verdict = if transport == Transport::Ssm || differs {
        Verdict::of(&rollout, &expect, &trial, Strictness::Whole)
    } else {
        // Without expectations of its own, a rollout by bridges is held to the report by SSM.
        Verdict::of(&rollout, &exit_alone(&expect), &trial, Strictness::Named)
    };
    let mut problems = verdict.problems;
    let planned = expect.process.is_empty() && expect.runs().iter().all(|run| run.dry_run);
    problems.extend(refused(&rollout, &expect, if planned { Role::Plan } else { Role::Run })?);
    problems.extend(trial.ran.iter().filter_map(|ran| ran.report.as_ref()).flat_map(report_schema::misfits));
    Ok(Rolled { recorded, problems, last: report.clone(), differs })
}

/// What stays of an expectation where the report is held to another one.
fn exit_alone(expect: &Expect) -> Expect {
    Expect {
        exit: expect.exit.or(Some(Exit(ExitStatus::Success))),
        outcomes: BTreeMap::new(),
        hosts: BTreeMap::new(),
        versions: BTreeMap::new(),
        ..expect.clone()
    }
}

/// What the shipped policies would have refused. An agent's is for the cluster that it was made for, here web, and for hosts
/// that are limited to themselves.
fn refused(rollout: &Rollout, expect: &Expect, role: Role) -> Result<Vec<String>, Failure> {
    if expect.other_names {
        return Ok(Vec::new());
    }
    let mut agents = rollout.region.needs(Caller::Agent);
    let is_limited = rollout.region.look(|world| world.hosts_are_limited());
    agents.retain(|need| is_limited && need.resource.contains("/web/"));
    let mut problems = Vec::new();
    // What of these a run's tags are touched for, people with the rights of a run do.
    let own_tags =
        |need: &Need| need.to_string().contains("ecs-updater:failed") || need.action.starts_with("dynamodb:");
    let (as_runs, of_people): (BTreeSet<Need>, BTreeSet<Need>) =
        rollout.region.needs(Caller::Person).into_iter().partition(own_tags);
    let mut updater = rollout.region.needs(Caller::Updater);
    updater.extend(as_runs);
    for (role, needs) in [(role, updater), (Role::Person, of_people), (Role::Agent, agents)] {
        let policies = shipped(role)?;
        let refused = needs.into_iter().filter(|need| !policies.allow(need));
        problems.extend(refused.map(|need| format!("the policies in cloudformation/ do not allow {need}")));
    }
    Ok(problems)
}
