//! The tests of the tests: an updater with a deliberate mistake (`ecs_updater::broken`) must be found out, by the rules, at
//! the end of a run, or by what a scenario expects of it, in a bounded number of simulations.
//!
//! `MISTAKE=BudgetOffByOne cargo test -p fleet-sim --test suite mutants` tries one of them.

use std::collections::BTreeMap;

use ecs_updater::broken::{Mistake, make};
use fleet_sim::clock::paused;
use fleet_sim::expect::Expect;
use fleet_sim::proof::crash::{self, Crashes};
use fleet_sim::proof::{jobs, prove, walk};
use fleet_sim::rollout::Rollout;
use fleet_sim::wire::Caller;
use fleet_sim::{CrashPoint, Scenario};
use models::claim::Transport;
use models::report::{Outcome, RunReport};

const CLUSTER: &str = include_str!("../../scenarios/crash_everywhere.toml");
/// Each has something that a careful updater sees and a careless one does not.
const STAGED: [&str; 30] = [
    include_str!("../../scenarios/agent_dies_while_tasks_stop.toml"),
    include_str!("../../scenarios/alarm_fires_in_the_middle.toml"),
    include_str!("../../scenarios/canary_then_all.toml"),
    include_str!("../../scenarios/drain_timed_out.toml"),
    include_str!("../../scenarios/drained_by_a_person_after_staging.toml"),
    include_str!("../../scenarios/drained_by_others_after_the_look.toml"),
    include_str!("../../scenarios/excluded.toml"),
    include_str!("../../scenarios/excluded_after_the_look.toml"),
    include_str!("../../scenarios/fell_back_and_slow_to_register.toml"),
    include_str!("../../scenarios/groups_in_order.toml"),
    include_str!("../../scenarios/groups_own_budget.toml"),
    include_str!("../../scenarios/hook_before_reboot_waits.toml"),
    include_str!("../../scenarios/lock_left_by_a_reboot.toml"),
    include_str!("../../scenarios/malformed_claim.toml"),
    include_str!("../../scenarios/min_size_held.toml"),
    include_str!("../../scenarios/no_answer_for_a_while.toml"),
    include_str!("../../scenarios/no_room.toml"),
    include_str!("../../scenarios/placed_after_the_look.toml"),
    include_str!("../../scenarios/protected_tasks.toml"),
    include_str!("../../scenarios/rollback.toml"),
    include_str!("../../scenarios/rollback_old_version_unhealthy.toml"),
    include_str!("../../scenarios/skip_versions.toml"),
    include_str!("../../scenarios/scale_in_before_the_last_look.toml"),
    include_str!("../../scenarios/scale_in_waits_after_the_reboot.toml"),
    include_str!("../../scenarios/scale_in_would_end_tasks.toml"),
    include_str!("../../scenarios/slow_drain_overtaken.toml"),
    include_str!("../../scenarios/soak.toml"),
    include_str!("../../scenarios/standalone_wait.toml"),
    include_str!("../../scenarios/stale_image_of_a_dead_run.toml"),
    include_str!("../../scenarios/too_young.toml"),
];
/// A process that sleeps until its lease is another's, and wakes with a request that is due.
const SIDE_BY_SIDE: [&str; 1] = [include_str!("../../scenarios/lease_paused_in_a_retry.toml")];
/// Between the drain and ACTIVE the host bridge does what documents do by SSM: mistakes there are tried by it too.
const AT_THE_REBOOT: [Mistake; 7] = [
    Mistake::NoLookBeforeReboot,
    Mistake::DrainedByCount,
    Mistake::RebootWithoutBootId,
    Mistake::VerifyByAgentConnectedOnly,
    Mistake::ActiveBeforeVerify,
    Mistake::NoVerifyAfterFallBack,
    Mistake::UpdatedUnseen,
];
/// The calls by which a run takes instances out of service, puts them back, and says so on them. At each it dies once.
const WRITES: [&str; 3] = ["ec2:CreateTags", "ec2:DeleteTags", "ecs:UpdateContainerInstancesState"];
/// Random scenarios at most.
const SEEDS: u64 = 40;

#[test]
fn nothing_is_found_without_a_mistake() {
    let staged = [Transport::Ssm, Transport::Bridge]
        .map(|transport| STAGED.iter().chain(&[CLUSTER]).map(move |text| Case::staged(text, transport)));
    let together = SIDE_BY_SIDE.iter().map(|text| Case::SideBySide(Scenario::parse(text).unwrap()));
    for case in staged.into_iter().flatten().chain(together) {
        assert_eq!(case.problems(), Vec::<String>::new(), "{}", case.about());
    }
}

#[test]
fn every_mistake_is_found_out() {
    are_found_out(&Mistake::ALL, Transport::Ssm);
}

#[test]
fn mistakes_at_the_reboot_are_found_out_by_bridge() {
    are_found_out(&AT_THE_REBOOT, Transport::Bridge);
}

fn are_found_out(mistakes: &[Mistake], transport: Transport) {
    let only = std::env::var("MISTAKE").ok();
    let chosen = |mistake: &Mistake| only.as_ref().is_none_or(|name| *name == format!("{mistake:?}"));
    let mistakes: Vec<Mistake> = mistakes.iter().copied().filter(chosen).collect();
    let found = jobs::all(jobs::threads(), &mistakes, |mistake| {
        make(Some(*mistake));
        let by = found_by(transport);
        make(None);
        println!("{mistake:?} by {transport:?}: {}", by.as_deref().unwrap_or("not noticed"));
        by
    });
    let missed: Vec<&Mistake> = mistakes.iter().zip(found).filter(|(_, by)| by.is_none()).map(|(one, _)| one).collect();
    assert!(missed.is_empty(), "by {transport:?} nothing notices {missed:?}");
}

enum Case {
    /// The runs of a scenario, one after the other.
    Runs(Scenario),
    /// The same, and what it expects of the last report.
    Staged(Scenario, Box<Expect>),
    /// Its processes, all together.
    SideBySide(Scenario),
}

impl Case {
    fn staged(text: &str, transport: Transport) -> Self {
        let scenario = Scenario::parse(text).unwrap();
        let expect = Expect::read(&scenario).unwrap();
        match transport {
            Transport::Ssm => Self::Staged(scenario, Box::new(expect)),
            Transport::Bridge => Self::Staged(scenario.by_bridge(), Box::new(expect.by_bridge())),
        }
    }

    fn about(&self) -> &str {
        match self {
            Self::Runs(scenario) | Self::Staged(scenario, _) | Self::SideBySide(scenario) => &scenario.about,
        }
    }

    fn problems(&self) -> Vec<String> {
        match self {
            Self::Runs(scenario) => prove(scenario, false).unwrap().problems,
            Self::Staged(scenario, expect) => {
                let proof = prove(scenario, false).unwrap();
                let unexpected = proof.report.iter().flat_map(|report| unexpected(expect, report));
                proof.problems.iter().cloned().chain(unexpected).collect()
            }
            Self::SideBySide(scenario) => side_by_side(scenario),
        }
    }
}

/// What notices the mistake of this thread first.
fn found_by(transport: Transport) -> Option<String> {
    let by_way = |scenario: Scenario| if transport == Transport::Bridge { scenario.by_bridge() } else { scenario };
    let cluster = by_way(Scenario::parse(CLUSTER).unwrap());
    let staged = std::iter::once(&CLUSTER).chain(&STAGED).map(|text| Case::staged(text, transport));
    let together = SIDE_BY_SIDE.iter().map(|text| Case::SideBySide(Scenario::parse(text).unwrap()));
    let named = staged.chain(together).map(|case| (case.about().to_owned(), case));
    let crash = |point: CrashPoint| {
        let case = crash::Case { transport, crashes: Crashes(vec![point]) };
        (format!("the crash cluster, died at {case}"), Case::Runs(case.on(&cluster)))
    };
    let crashes = std::iter::once_with(|| writes(&cluster)).flatten().map(CrashPoint::After).map(crash);
    let seeds = (0..SEEDS).map(|seed| {
        let text = toml::to_string(&walk::draw(seed)).unwrap();
        (format!("seed {seed}"), Case::Runs(by_way(Scenario::parse(&text).unwrap())))
    });
    let mut cases = named.chain(crashes).chain(seeds);
    cases.find_map(|(name, case)| case.problems().first().map(|problem| format!("{name}: {problem}")))
}

/// Which of a run's calls are [`WRITES`], counted from its first.
fn writes(scenario: &Scenario) -> Vec<u64> {
    in_a_runtime(async {
        let mut rollout = Rollout::start(scenario).await.unwrap();
        let before = rollout.region.calls().len();
        rollout.run(&Default::default(), &()).await;
        let calls = rollout.region.calls_since(before).into_iter().filter(|call| call.by == Caller::Updater);
        let writes = (1..).zip(calls).filter(|(_, call)| WRITES.contains(&call.name().as_str()));
        writes.map(|(number, _)| number).collect()
    })
}

/// Which rules are broken by processes that run together.
fn side_by_side(scenario: &Scenario) -> Vec<String> {
    in_a_runtime(async {
        let rollout = Rollout::start(scenario).await.unwrap();
        rollout.side_by_side(&rollout.expect.process).await;
        rollout.region.violations().iter().map(|broken| format!("rule broken: {broken}")).collect()
    })
}

fn in_a_runtime<T>(work: impl Future<Output = T>) -> T {
    paused().unwrap().block_on(work)
}

/// What a scenario expects otherwise.
fn unexpected(expect: &Expect, report: &RunReport) -> Option<String> {
    let mut outcomes: BTreeMap<Outcome, usize> = BTreeMap::new();
    for line in report.clusters.iter().flat_map(|cluster| &cluster.instances) {
        *outcomes.entry(line.outcome).or_default() += 1;
    }
    let differs = !expect.outcomes.is_empty() && outcomes != expect.outcomes;
    differs.then(|| format!("the outcomes are {outcomes:?}, and not {:?}", expect.outcomes))
}
