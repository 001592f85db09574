//! The run dies at each single AWS call of a rollout, before it is sent and after it was carried out; the next run
//! finishes, or dies as well and the one after it finishes. Nothing is lost, by SSM and by the host bridge.
//!
//! Of all these cases a part is taken; `EVERY=1` takes all. `CRASH=before:17,after:40 cargo test -p fleet-sim --test suite crash_everywhere` repeats one case, with its log;
//! `CRASH=bridge/before:17` one on hosts that are reached by their host bridge.

use std::time::Instant;

use fleet_sim::dice::Dice;
use fleet_sim::proof::crash::{Case, Crashes};
use fleet_sim::proof::{Proof, STEPS, jobs, prove};
use fleet_sim::scenario::RegionSpec;
use fleet_sim::{CrashPoint, Scenario};
use models::claim::Transport;

/// Of all cases, each so-manyth: odd, so that runs die before calls as well as after them.
const EVERY: usize = 15;
/// Pairs of calls at which two runs die, of all that there are; of these the same share.
const PAIRS: u64 = 60;

const CLUSTER: &str = include_str!("../../scenarios/crash_everywhere.toml");

#[test]
fn nothing_is_lost_wherever_runs_die() {
    die_everywhere(Transport::Ssm);
}

#[test]
fn nothing_is_lost_wherever_runs_die_by_the_host_bridge() {
    die_everywhere(Transport::Bridge);
}

fn die_everywhere(transport: Transport) {
    let cluster = cluster(transport);
    if let Ok(case) = std::env::var("CRASH") {
        let case: Case = case.parse().unwrap();
        if case.transport == transport {
            repeat(&cluster, &case);
        }
        return;
    }
    let began = Instant::now();
    let whole = prove(&cluster, false).unwrap();
    assert!(whole.problems.is_empty(), "without a crash: {}", whole.problems.join("\n"));
    let missing: Vec<&str> = STEPS.into_iter().filter(|step| !whole.runs[0].steps.contains(step)).collect();
    assert!(missing.is_empty(), "the cluster does not exercise {missing:?}");

    let calls = whole.runs[0].calls;
    let points = (1..=calls).flat_map(|call| [CrashPoint::Before(call), CrashPoint::After(call)]);
    let every = jobs::every(EVERY);
    let singles: Vec<Case> =
        points.step_by(every).map(|point| Case { transport, crashes: Crashes(vec![point]) }).collect();
    let prove = |case: &Case| prove(&case.on(&cluster), false).unwrap();
    let proofs = jobs::all(jobs::threads(), &singles, prove);
    let mut failed = failures(&singles, &proofs);
    println!("{transport:?}: {} crashes, {} failed, {:.1?}", singles.len(), failed.len(), began.elapsed());

    let pairs: Vec<Case> = (0..PAIRS).step_by(every).filter_map(|n| pair(n, &singles, &proofs)).collect();
    let twice = jobs::all(jobs::threads(), &pairs, prove);
    failed.extend(failures(&pairs, &twice));
    println!(
        "{transport:?}: {} pairs of crashes, {} failed in all, {:.1?}",
        pairs.len(),
        failed.len(),
        began.elapsed()
    );
    let count = failed.len();
    failed.truncate(10);
    assert!(failed.is_empty(), "{count} failed, the first of them:\n\n{}", failed.join("\n\n"));
}

/// The least sizes that runs hold are what they were, once a run came to its end.
#[test]
fn groups_have_their_least_size_again_wherever_runs_die() {
    const HELD: &str = include_str!("../../scenarios/min_size_held.toml");
    for transport in [Transport::Ssm, Transport::Bridge] {
        let scenario = Scenario::parse(HELD).unwrap();
        let cluster = if transport == Transport::Bridge { scenario.by_bridge() } else { scenario };
        let whole = prove(&cluster, false).unwrap();
        assert!(whole.problems.is_empty(), "without a crash: {}", whole.problems.join("\n"));
        let points = (1..=whole.runs[0].calls).flat_map(|call| [CrashPoint::Before(call), CrashPoint::After(call)]);
        let points = points.step_by(jobs::every(3));
        let cases: Vec<Case> = points.map(|point| Case { transport, crashes: Crashes(vec![point]) }).collect();
        let proofs = jobs::all(jobs::threads(), &cases, |case| prove(&leased(case.on(&cluster)), false).unwrap());
        let failed = failures(&cases, &proofs);
        assert!(failed.is_empty(), "{} failed, the first of them:\n\n{}", failed.len(), failed[0]);
    }
}

/// The lease of a dead run is free some minutes later: none begins before that.
fn leased(mut scenario: Scenario) -> Scenario {
    let runs = scenario.expect.get_mut("run").and_then(|runs| runs.as_array_mut());
    for run in runs.into_iter().flatten().filter_map(|run| run.as_table_mut()) {
        if run["after"].as_str() == Some("1m") {
            run.insert("after".to_owned(), "12m".into());
        }
    }
    scenario
}

fn cluster(transport: Transport) -> Scenario {
    let scenario = Scenario::parse(CLUSTER).unwrap();
    match transport {
        Transport::Ssm => scenario,
        // Not tagged yet: that is one more call to die at.
        Transport::Bridge => {
            let region = RegionSpec { instances_named: false, ..scenario.region.clone() };
            Scenario { region, ..scenario }.by_bridge()
        }
    }
}

/// Two runs that die: the second at one of the calls that it made when it was let alone.
fn pair(n: u64, singles: &[Case], proofs: &[Proof]) -> Option<Case> {
    let dice = Dice::new(1);
    let most = u64::try_from(singles.len()).ok()? - 1;
    let first = usize::try_from(dice.between("first", n, 0, most)).ok()?;
    let call = dice.between("second", n, 1, proofs[first].runs.get(1)?.calls);
    let second = if dice.between("side", n, 0, 1) == 0 { CrashPoint::Before(call) } else { CrashPoint::After(call) };
    let Case { transport, crashes } = &singles[first];
    Some(Case { transport: *transport, crashes: Crashes(vec![crashes.0[0], second]) })
}

fn failures(cases: &[Case], proofs: &[Proof]) -> Vec<String> {
    let failed = cases.iter().zip(proofs).filter(|(_, proof)| !proof.problems.is_empty());
    failed.map(|(case, proof)| told(case, proof)).collect()
}

fn told(case: &Case, proof: &Proof) -> String {
    let died: Vec<&str> = proof.runs.iter().filter_map(|run| run.died_at.as_deref()).collect();
    format!(
        "died at {case} ({}):\n  {}\nagain, with its log: CRASH={case} cargo test -p fleet-sim --test suite crash_everywhere",
        died.join(", "),
        proof.problems.join("\n  ")
    )
}

fn repeat(cluster: &Scenario, case: &Case) {
    let proof = prove(&case.on(cluster), true).unwrap();
    println!("{}\n", proof.log.join("\n"));
    assert!(proof.problems.is_empty(), "{}", told(case, &proof));
}
