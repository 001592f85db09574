//! The tests of the tests: an updater with a deliberate mistake (`ecs_updater::broken`) must be found out, by the rules or
//! at the end of a run, in a bounded number of simulations.

#![expect(clippy::unwrap_used, reason = "a test's own set-up")]

use ecs_updater::broken::{Mistake, make};
use fleet_sim::proof::crash::{Case, Crashes};
use fleet_sim::proof::{jobs, prove, walk};
use fleet_sim::{CrashPoint, Scenario};
use models::claim::Way;

const CLUSTER: &str = include_str!("../scenarios/crash_everywhere.toml");
/// A task stops slowly, and the agent that would tell the host of it dies meanwhile; a drain that cannot end; a person
/// who drains in the moment before our drain.
const STAGED: [&str; 3] = [
    include_str!("../scenarios/agent_dies_while_tasks_stop.toml"),
    include_str!("../scenarios/drain_timed_out.toml"),
    include_str!("../scenarios/drained_by_a_person_after_staging.toml"),
];
/// The last looks stand behind what a run knows anyhow, and since its waits have become shorter no simulation here comes
/// between the two. Whoever adds one takes its mistake out of this list.
const BEHIND_OTHERS: [Mistake; 2] = [Mistake::NoLookBeforeReboot, Mistake::NoLookBeforeDrain];
/// At every so-manyth call of the cluster the run dies once.
const EVERY: usize = 7;
/// Random scenarios at most.
const SEEDS: u64 = 150;

#[test]
fn nothing_is_found_without_a_mistake() {
    for text in STAGED.iter().chain(&[CLUSTER]) {
        let scenario = Scenario::parse(text).unwrap();
        assert_eq!(prove(&scenario, false).unwrap().problems, Vec::<String>::new(), "{}", scenario.about);
    }
}

#[test]
fn every_mistake_is_found_out() {
    let mistakes: Vec<Mistake> = Mistake::ALL.into_iter().filter(|one| !BEHIND_OTHERS.contains(one)).collect();
    let found = jobs::all(jobs::threads(), &mistakes, |mistake| {
        make(Some(*mistake));
        let by = found_by();
        make(None);
        println!("{mistake:?}: {}", by.as_deref().unwrap_or("not noticed"));
        by
    });
    let missed: Vec<&Mistake> = mistakes.iter().zip(found).filter(|(_, by)| by.is_none()).map(|(one, _)| one).collect();
    assert!(missed.is_empty(), "nothing notices {missed:?}");
}

/// What notices the mistake of this thread first.
fn found_by() -> Option<String> {
    let cluster = Scenario::parse(CLUSTER).unwrap();
    let staged = STAGED.iter().map(|text| {
        let scenario = Scenario::parse(text).unwrap();
        (scenario.about.clone(), scenario)
    });
    let whole = std::iter::once(("the crash cluster".to_owned(), cluster.clone()));
    let crashes = (1..400).step_by(EVERY).map(|call| {
        let case = Case { way: Way::Ssm, crashes: Crashes(vec![CrashPoint::After(call)]) };
        (format!("the crash cluster, died at {case}"), case.on(&cluster))
    });
    let seeds = (0..SEEDS).map(|seed| {
        let text = toml::to_string(&walk::draw(seed)).unwrap();
        (format!("seed {seed}"), Scenario::parse(&text).unwrap())
    });
    let mut cases = whole.chain(staged).chain(crashes).chain(seeds);
    cases.find_map(|(name, scenario)| {
        let problems = prove(&scenario, false).unwrap().problems;
        problems.first().map(|problem| format!("{name}: {problem}"))
    })
}
