//! `plan` says what `run` does: who is updated, in which order, who is held and why. It is asked of every scenario in which
//! nothing happens meanwhile: no event, no fault, no host that fails, no time limit that is reached.
//!
//! `ONLY=happy cargo test -p fleet-sim --test suite plan_and_run` takes the scenarios with that in their names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fleet_sim::Scenario;
use fleet_sim::clock::paused;
use fleet_sim::expect::{Expect, RunSpec};
use fleet_sim::proof::jobs;
use fleet_sim::rollout::Rollout;
use jiff::{SignedDuration, Timestamp};
use models::ids::HostId;
use models::plan::Phase;
use models::report::{ClusterReport, InstanceReport, Outcome, RunReport};

/// Reasons that are a matter of how far a run gets in its time.
const TIMES: [&str; 3] = ["out_of_time", "interrupted", "drain_timed_out"];
/// A plan takes no lease: it does not know that the run will get none, nor what the lease's table says of a claim.
const LEASES: [&str; 4] = ["claim_with_a_huge_epoch", "lease_not_permitted", "lease_plan", "lease_table_missing"];
/// Who waits for room that drains under way take lets the next in line go: when that is, only the run knows.
const ROOM: [&str; 2] = ["one_task_an_instance", "slow_drain_overtaken"];
/// The zone of the host that is staged first is finished first: which that is depends on the hosts.
const ZONES: [&str; 1] = ["zones_one_at_a_time"];
/// What managed scaling ends, and whom its clock lets wait, is seen while it happens.
const SCALING: [&str; 2] = ["scale_in_paced", "scale_in_paced_without_protection"];
/// One whose tasks are looked at once more lets the next in line go first, and has its turn in the next round.
const A_LOOK: SignedDuration = SignedDuration::from_secs(10);
/// At least so many scenarios are compared by each way.
const COMPARED: usize = 70;

#[test]
fn plan_says_what_run_does_by_ssm() {
    are_compared("SSM", |scenario| scenario);
}

#[test]
fn plan_says_what_run_does_by_bridge() {
    are_compared("bridge", Scenario::by_bridge);
}

fn are_compared(way: &str, by: fn(Scenario) -> Scenario) {
    let only = std::env::var("ONLY").unwrap_or_default();
    let files: Vec<PathBuf> =
        scenarios().into_iter().filter(|path| path.to_string_lossy().contains(only.as_str())).collect();
    let compared = jobs::all(jobs::threads(), &files, |path| compare(path, by));
    let count = compared.iter().flatten().count();
    let differ: Vec<String> = files
        .iter()
        .zip(&compared)
        .flat_map(|(path, problems)| problems.iter().flatten().map(move |problem| (path, problem)))
        .map(|(path, problem)| format!("{}: {problem}", path.file_stem().unwrap_or_default().display()))
        .collect();
    println!("{count} scenarios compared by {way}");
    assert_eq!(differ, Vec::<String>::new(), "by {way}");
    assert!(count >= COMPARED || !only.is_empty(), "{count} scenarios are comparable by {way}");
}

fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    files.sort();
    files
}

/// Returns how the two differ; `None` where something happens in the scenario that no plan can foresee.
fn compare(path: &Path, by: fn(Scenario) -> Scenario) -> Option<Vec<String>> {
    let mut scenario = by(Scenario::load(path).unwrap());
    let expect = Expect::read(&scenario).unwrap();
    let is_disturbed = !scenario.events.is_empty() || !scenario.faults.is_empty() || !scenario.region.deny.is_empty();
    let is_among = |names: &[&str]| path.file_stem().is_some_and(|stem| names.iter().any(|name| stem == *name));
    let flaps = scenario.region.agent_flap_every.is_some();
    // A window is a time limit; and a plan tags no instance, without which no bridge reports.
    let is_timed = scenario.updater.to_string().contains("windows");
    let is_unnamed = !scenario.region.instances_named;
    // A plan asks no function of the user's.
    let is_asked = !scenario.functions.is_empty();
    if is_disturbed
        || flaps
        || is_timed
        || is_unnamed
        || is_asked
        || is_among(&LEASES)
        || is_among(&SCALING)
        || !expect.process.is_empty()
    {
        return None;
    }
    for machine in &mut scenario.machines {
        // Hosts that are alike take equally long.
        machine.host.jitter_percent = 0;
    }
    let run = reported(&scenario, false);
    if run.clusters.iter().any(|cluster| cluster.error.is_none() && is_unforeseen(cluster)) {
        return None;
    }
    let plan = reported(&scenario, true);
    let pairs = plan.clusters.iter().zip(&run.clusters);
    Some(pairs.flat_map(|(plan, run)| differences(plan, run, !is_among(&ROOM) && !is_among(&ZONES))).collect())
}

fn reported(scenario: &Scenario, dry_run: bool) -> RunReport {
    let runtime = paused().unwrap();
    runtime.block_on(async {
        let mut rollout = Rollout::start(scenario).await.unwrap();
        rollout.run(&RunSpec { dry_run, ..RunSpec::default() }, &()).await.report.unwrap()
    })
}

/// Whether a host has failed, or a time limit was reached.
fn is_unforeseen(cluster: &ClusterReport) -> bool {
    cluster.instances.iter().any(|one| {
        let is_over_time = one.reason.as_deref().is_some_and(|reason| TIMES.contains(&reason));
        one.outcome.is_failure() || one.outcome == Outcome::InProgress || is_over_time
    })
}

fn differences(plan: &ClusterReport, run: &ClusterReport, in_order: bool) -> Vec<String> {
    if plan.error.as_ref().map(|error| error.kind) != run.error.as_ref().map(|error| error.kind) {
        return vec![format!("plan ends with {:?} and run with {:?}", plan.error, run.error)];
    }
    let planned: BTreeMap<_, _> = plan.instances.iter().map(|one| (&one.ec2_instance_id, one)).collect();
    let done: BTreeMap<_, _> = run.instances.iter().map(|one| (&one.ec2_instance_id, one)).collect();
    // What is launched meanwhile no plan knows.
    let hosts: BTreeSet<_> = planned.keys().copied().collect();
    let mut differences: Vec<String> = hosts
        .into_iter()
        .map(|host| (host, planned.get(host).map(|one| end(one)), done.get(host).map(|one| end(one))))
        .filter(|(_, planned, done)| planned != done)
        .map(|(host, planned, done)| format!("{host}: planned {planned:?}, done {done:?}"))
        .collect();
    differences.extend(disorder(plan, &done).filter(|_| in_order));
    differences
}

/// How an instance ends, in one word for both.
fn end(one: &InstanceReport) -> (Outcome, Option<&str>, Option<String>) {
    match one.outcome {
        Outcome::WouldUpdate | Outcome::Updated => (Outcome::Updated, None, one.to.as_ref().map(ToString::to_string)),
        other => (other, one.reason.as_deref().map(paced), None),
    }
}

/// How far a release has come by then is what a run alone sees: a plan says which come first, and a run that ends there what it
/// waits for.
fn paced(reason: &str) -> &str {
    match reason {
        "canary_first" | "checkpoint_first" | "baking" | "soaking" => "paced",
        other => other,
    }
}

/// When an instance was staged and drained.
struct Turn<'a> {
    turn: usize,
    host: &'a HostId,
    staged: Timestamp,
    drained: Timestamp,
}

impl<'a> Turn<'a> {
    fn of(planned: &'a InstanceReport, done: &BTreeMap<&HostId, &InstanceReport>) -> Option<Self> {
        let host = &planned.ec2_instance_id;
        let phases = &done.get(host)?.phases;
        let began = |phase| phases.iter().find(|time| time.phase == phase).map(|time| time.began_at);
        let drained = began(Phase::Draining)?;
        Some(Self { turn: planned.turn?, host, staged: began(Phase::Staged).unwrap_or(drained), drained })
    }
}

/// The first pair that was drained in another order than its turns, although the one before was staged by then: who is
/// staged sooner is drained sooner, which depends on the host.
fn disorder(plan: &ClusterReport, done: &BTreeMap<&HostId, &InstanceReport>) -> Option<String> {
    let mut turns: Vec<Turn<'_>> = plan.instances.iter().filter_map(|one| Turn::of(one, done)).collect();
    turns.sort_by_key(|one| one.turn);
    let pairs = turns.iter().enumerate().flat_map(|(at, one)| turns[at + 1..].iter().map(move |next| (one, next)));
    let mut passed = pairs.filter(|(one, next)| one.drained > next.drained + A_LOOK && one.staged < next.drained);
    passed.next().map(|(one, next)| {
        let Turn { host, drained, .. } = one;
        format!("{host} ({drained}) has its turn before {} ({})", next.host, next.drained)
    })
}
