//! Every scenario under `scenarios/`: run by the real updater over the real SDK, its invariants checked after every
//! event, its `[expect]` held, its report as recorded.
//!
//! `INSTA_UPDATE=always cargo test -p fleet-sim --test scenarios` records anew; read what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use ecs_updater::exit::ExitStatus;
use ecs_updater::render::duration;
use fleet_sim::Scenario;
use fleet_sim::iam::{Role, shipped};
use fleet_sim::invariants::{Rule, Violation};
use fleet_sim::rollout::{BridgeExpect, Expect, Ran, Rollout, RunSpec};
use fleet_sim::wire::Caller;
use models::report::{InstanceReport, Outcome, RunReport};

type Failure = Box<dyn std::error::Error>;

datatest_stable::harness! {
    { test = scenario, root = "scenarios", pattern = r"\.toml$" },
    { test = by_bridge, root = "scenarios", pattern = r"\.toml$" },
}

fn scenario(path: &Path) -> datatest_stable::Result<()> {
    let scenario = Scenario::load(path)?;
    let Rolled { recorded, problems, .. } = rolled(&scenario, Way::Ssm)?;
    let name = path.file_stem().and_then(|stem| stem.to_str()).ok_or("a scenario's name is UTF-8")?;
    insta::with_settings!({
        snapshot_path => Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/reports"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
        description => scenario.about.trim(),
    }, { insta::assert_snapshot!(name, recorded) });
    match problems.is_empty() {
        true => Ok(()),
        false => Err(format!("{}\n{recorded}", problems.join("\n")).into()),
    }
}

/// The same scenario with an agent on every host: the last report says the same of every instance but for times and
/// calls, or what `[expect.bridge]` says.
fn by_bridge(path: &Path) -> datatest_stable::Result<()> {
    let scenario = Scenario::load(path)?;
    let by_ssm = rolled(&scenario, Way::Ssm)?;
    let by_bridge = rolled(&scenario.by_bridge(), Way::Bridge)?;
    let mut problems = by_bridge.problems;
    if !by_bridge.differs {
        problems.extend(disagreements(&by_ssm.last, &by_bridge.last));
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(format!("{}\n{}", problems.join("\n"), by_bridge.recorded).into()),
    }
}

/// Instances of which the reports do not say the same.
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
        words(a) == words(b) && same_versions || turns_differ(a, b) || turns_differ(b, a)
    };
    let said = |report: Option<&InstanceReport>| report.map_or("nothing".to_owned(), words);
    hosts
        .into_iter()
        .map(|host| (host, one.get(host), other.get(host)))
        .filter(|(_, a, b)| !matches!((a, b), (Some(a), Some(b)) if agree(a, b)))
        .map(|(host, a, b)| format!("{host}: by SSM {}; by the bridge {}", said(a), said(b)))
        .collect()
}

/// Whether the one had its turn, in this run or in one before, and the other has it in the next run.
fn turns_differ(a: &InstanceReport, b: &InstanceReport) -> bool {
    const TURN: [&str; 4] = ["stopped_after_failures", "out_of_time", "interrupted", "budget_used_up"];
    let waits = b.outcome == Outcome::Held && b.reason.as_deref().is_some_and(|reason| TURN.contains(&reason));
    let before = b.outcome == Outcome::Current && b.from == a.to;
    a.outcome == Outcome::Updated && (waits || before)
}

/// How the hosts are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
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

fn rolled(scenario: &Scenario, way: Way) -> Result<Rolled, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    runtime.block_on(roll(scenario, way))
}

async fn roll(scenario: &Scenario, way: Way) -> Result<Rolled, Failure> {
    let mut rollout = Rollout::start(scenario).await?;
    let mut expect = rollout.expect.clone();
    if way == Way::Bridge {
        expect = expect.by_bridge();
    }
    let differs = expect.bridge.as_ref().is_some_and(BridgeExpect::differs);
    if !expect.process.is_empty() {
        return side_by_side(&rollout, &expect).await;
    }
    let runs = if expect.run.is_empty() { vec![RunSpec::default()] } else { expect.run.clone() };
    let (mut recorded, mut last) = (String::new(), None);
    for (number, spec) in runs.iter().enumerate() {
        if runs.len() > 1 {
            writeln!(recorded, "run {} of {}", number + 1, runs.len())?;
        }
        let ran = rollout.run(spec, &()).await;
        record(&mut recorded, &ran, !expect.times_vary)?;
        last = Some(ran);
    }
    let last = last.ok_or("no run")?;
    let report = last.report.as_ref().ok_or("the last run was killed: add one that finishes")?;
    // Without expectations of its own, a rollout by bridges is held to the report by SSM.
    let outcomes = way == Way::Ssm || differs;
    let mut problems = held_to(&expect, outcomes, &rollout, report, &last);
    for violation in rollout.violations(report) {
        if violation.rule == Rule::ClaimLeft && in_progress(report, &violation) {
            continue;
        }
        if !expect.broken_rules.contains(&format!("{:?}", violation.rule)) {
            problems.push(format!("rule broken: {violation}"));
        }
    }
    let role = if runs.iter().all(|run| run.dry_run) { Role::Plan } else { Role::Run };
    problems.extend(refused(&rollout, &expect, role)?);
    problems.extend(rollout.region.unknown().iter().map(|what| format!("not modelled: {what}")));
    Ok(Rolled { recorded, problems, last: report.clone(), differs })
}

async fn side_by_side(rollout: &Rollout, expect: &Expect) -> Result<Rolled, Failure> {
    let ran = rollout.side_by_side(&expect.process).await;
    let (mut recorded, mut problems) = (String::new(), Vec::new());
    for (number, (ran, spec)) in (1..).zip(ran.iter().zip(&expect.process)) {
        writeln!(recorded, "process {number} of {}", expect.process.len())?;
        record(&mut recorded, ran, !expect.times_vary)?;
        let Some(report) = &ran.report else { continue };
        let wanted = spec.exit.as_deref().unwrap_or("success");
        let exit = format!("{:?}", ExitStatus::of(report)).to_lowercase();
        let errors: Vec<_> = report.clusters.iter().filter_map(|cluster| Some(cluster.error.as_ref()?.kind)).collect();
        let error = errors.first().map(serde_json::to_string).transpose()?.map(|kind| kind.replace('"', ""));
        let updated: usize = report.clusters.iter().map(|cluster| cluster.count(Outcome::Updated)).sum();
        for (what, wrong, got) in [
            ("exit", exit != wanted, exit.clone()),
            ("error", error != spec.error, format!("{error:?}")),
            ("updated", spec.updated.is_some_and(|count| count != updated), updated.to_string()),
        ] {
            if wrong {
                problems.push(format!("process {number}: {what} {got} is not as expected"));
            }
        }
    }
    for (index, wanted) in &expect.versions {
        let got = rollout.region.snapshot_of(index.parse()?).map(|host| host.version.to_string());
        if got.as_ref() != Some(wanted) {
            problems.push(format!("version of host {index}: expected {wanted}, got {got:?}"));
        }
    }
    let reports: Vec<&RunReport> = ran.iter().filter_map(|ran| ran.report.as_ref()).collect();
    let last = reports.iter().max_by_key(|report| report.ended_at).ok_or("every process was killed")?;
    for violation in rollout.violations(last) {
        if !expect.broken_rules.contains(&format!("{:?}", violation.rule)) {
            problems.push(format!("rule broken: {violation}"));
        }
    }
    problems.extend(refused(rollout, expect, Role::Run)?);
    problems.extend(rollout.region.unknown().iter().map(|what| format!("not modelled: {what}")));
    // Which process gets how far is a matter of seconds, which the two ways need not share.
    Ok(Rolled { recorded, problems, last: (*last).clone(), differs: true })
}

/// What the shipped policies would have refused. An agent's is for the cluster that it was made for, here web.
fn refused(rollout: &Rollout, expect: &Expect, role: Role) -> Result<Vec<String>, Failure> {
    if expect.other_names {
        return Ok(Vec::new());
    }
    let mut agents = rollout.region.needs(Caller::Agent);
    agents.retain(|need| need.resource.contains("/web/"));
    let mut problems = Vec::new();
    for (role, needs) in [(role, rollout.region.needs(Caller::Updater)), (Role::Agent, agents)] {
        let policies = shipped(role)?;
        let refused = needs.into_iter().filter(|need| !policies.allow(need));
        problems.extend(refused.map(|need| format!("the policies in cloudformation/ do not allow {need}")));
    }
    Ok(problems)
}

/// An instance that a run was interrupted on keeps its claim, and the report says so.
fn in_progress(report: &RunReport, violation: &Violation) -> bool {
    let mut instances = report.clusters.iter().flat_map(|cluster| &cluster.instances);
    instances.any(|one| one.ec2_instance_id == violation.instance && one.outcome == Outcome::InProgress)
}

fn held_to(expect: &Expect, outcomes: bool, rollout: &Rollout, report: &RunReport, ran: &Ran) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |what: &str, wanted: String, got: String| {
        if wanted != got {
            problems.push(format!("{what}: expected {wanted}, got {got}"));
        }
    };
    let exit = format!("{:?}", ExitStatus::of(report)).to_lowercase();
    check("exit", expect.exit.clone().unwrap_or_else(|| "success".to_owned()), exit);
    let instances: Vec<&InstanceReport> = report.clusters.iter().flat_map(|cluster| &cluster.instances).collect();
    for outcome in Outcome::ALL.into_iter().filter(|_| outcomes) {
        let got = instances.iter().filter(|instance| instance.outcome == outcome).count();
        let wanted = expect.outcomes.get(outcome.as_str()).copied().unwrap_or(0);
        check(outcome.as_str(), wanted.to_string(), got.to_string());
    }
    for (index, wanted) in expect.hosts.iter().filter(|_| outcomes) {
        let host = index.parse().ok().and_then(|index| rollout.region.snapshot_of(index));
        let found = host.and_then(|host| instances.iter().find(|instance| instance.ec2_instance_id == host.id));
        let got = found.map_or("not in the report".to_owned(), |instance| words(instance));
        check(&format!("host {index}"), wanted.clone(), got);
    }
    for (index, wanted) in expect.versions.iter().filter(|_| outcomes) {
        let host = index.parse().ok().and_then(|index| rollout.region.snapshot_of(index));
        let got = host.map_or("no such host".to_owned(), |host| host.version.to_string());
        check(&format!("version of host {index}"), wanted.clone(), got);
    }
    let calls: u64 = report.clusters.iter().flat_map(|cluster| cluster.aws_calls.values()).sum();
    if let Some(most) = expect.max_calls.filter(|most| calls > *most) {
        problems.push(format!("{calls} AWS calls, {most} at most"));
    }
    if let Some(most) = expect.max_minutes.filter(|most| ran.took.as_mins() >= *most) {
        problems.push(format!("took {}, {most} minutes at most", duration::short(ran.took)));
    }
    problems
}

fn words(instance: &InstanceReport) -> String {
    match &instance.reason {
        Some(reason) => format!("{}: {reason}", instance.outcome.as_str()),
        None => instance.outcome.as_str().to_owned(),
    }
}

fn record(out: &mut String, ran: &Ran, times: bool) -> Result<(), std::fmt::Error> {
    let Some(report) = &ran.report else {
        return writeln!(out, "killed after {}\n", duration::short(ran.took));
    };
    write!(out, "{:?}", ExitStatus::of(report))?;
    match times {
        true => writeln!(out, " after {}", duration::short(ran.took))?,
        false => writeln!(out)?,
    }
    for cluster in &report.clusters {
        writeln!(out, "\ncluster {}", cluster.cluster)?;
        if let Some(error) = &cluster.error {
            writeln!(out, "  error {:?}: {}", error.kind, error.message)?;
        }
        for instance in &cluster.instances {
            record_instance(out, instance, times)?;
        }
        for group in &cluster.auto_scaling_groups {
            let version =
                |version: &Option<semver::Version>| version.as_ref().map_or("?".to_owned(), ToString::to_string);
            let drifts = if group.drifts() { ", drifts" } else { "" };
            writeln!(
                out,
                "  group {} of {}: {} from {} with {}, newest {}{drifts}",
                group.name,
                group.instances,
                group.youngest,
                group.image,
                version(&group.image_version),
                version(&group.newest)
            )?;
        }
        if let Some(estimate) = &cluster.estimate {
            writeln!(out, "  estimate {}: {}", duration::short(estimate.duration), estimate.rests_on.join("; "))?;
        }
        if !times {
            continue;
        }
        let calls: u64 = cluster.aws_calls.values().sum();
        writeln!(out, "  {calls} AWS calls")?;
        for (operation, count) in &cluster.aws_calls {
            writeln!(out, "    {count:>4} {operation}")?;
        }
    }
    writeln!(out)
}

fn record_instance(out: &mut String, instance: &InstanceReport, times: bool) -> Result<(), std::fmt::Error> {
    let version = |version: &Option<semver::Version>| version.as_ref().map_or("?".to_owned(), ToString::to_string);
    write!(out, "  {} {}", instance.ec2_instance_id, words(instance))?;
    if instance.from.is_some() || instance.to.is_some() {
        write!(out, " {}", version(&instance.from))?;
    }
    if instance.to.is_some() {
        write!(out, " -> {}", version(&instance.to))?;
    }
    if let Some(out_s) = instance.out_of_service_s.filter(|_| times) {
        write!(out, ", out {out_s} s")?;
    }
    writeln!(out)?;
    if let Some(detail) = &instance.detail {
        writeln!(out, "    {detail}")?;
    }
    let phases: Vec<String> = instance
        .phases
        .iter()
        .filter_map(|phase| {
            let ended = phase.ended_at?;
            Some(format!("{} {}s", phase.phase.as_str(), ended.duration_since(phase.began_at).as_secs()))
        })
        .collect();
    match phases.is_empty() || !times {
        true => Ok(()),
        false => writeln!(out, "    {}", phases.join(", ")),
    }
}
