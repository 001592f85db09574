//! The run dies at each single AWS call of a rollout, before it is sent and after it was carried out; the next run
//! finishes, or dies as well and the one after it finishes. Nothing is lost.
//!
//! `CRASH=before:17,after:40 cargo test -p fleet-sim --test crash_everywhere` repeats one case, with its log.

#![expect(clippy::unwrap_used, reason = "a test's own set-up")]

use std::time::Instant;

use fleet_sim::dice::Dice;
use fleet_sim::proof::crash::Crashes;
use fleet_sim::proof::{Proof, STEPS, jobs, prove};
use fleet_sim::{CrashPoint, Scenario};

/// Pairs of calls at which two runs die, of all that there are.
const PAIRS: u64 = 60;

const CLUSTER: &str = include_str!("../scenarios/crash_everywhere.toml");

#[test]
fn nothing_is_lost_wherever_runs_die() {
    let cluster = Scenario::parse(CLUSTER).unwrap();
    if let Ok(case) = std::env::var("CRASH") {
        return repeat(&cluster, &case.parse().unwrap());
    }
    let began = Instant::now();
    let whole = prove(&cluster, false).unwrap();
    assert!(whole.problems.is_empty(), "without a crash: {}", whole.problems.join("\n"));
    let missing: Vec<&str> = STEPS.into_iter().filter(|step| !whole.runs[0].steps.contains(step)).collect();
    assert!(missing.is_empty(), "the cluster does not exercise {missing:?}");

    let calls = whole.runs[0].calls;
    let points = (1..=calls).flat_map(|call| [CrashPoint::Before(call), CrashPoint::After(call)]);
    let singles: Vec<Crashes> = points.map(|point| Crashes(vec![point])).collect();
    let proofs = jobs::all(jobs::threads(), &singles, |case| prove(&case.on(&cluster), false).unwrap());
    let mut failed = failures(&singles, &proofs);
    println!("{} crashes, {} failed, {:.1?}", singles.len(), failed.len(), began.elapsed());

    let pairs: Vec<Crashes> = (0..PAIRS).filter_map(|n| pair(n, &singles, &proofs)).collect();
    let twice = jobs::all(jobs::threads(), &pairs, |case| prove(&case.on(&cluster), false).unwrap());
    failed.extend(failures(&pairs, &twice));
    println!("{} pairs of crashes, {} failed in all, {:.1?}", pairs.len(), failed.len(), began.elapsed());
    let count = failed.len();
    failed.truncate(10);
    assert!(failed.is_empty(), "{count} failed, the first of them:\n\n{}", failed.join("\n\n"));
}

/// Two runs that die: the second at one of the calls that it made when it was let alone.
fn pair(n: u64, singles: &[Crashes], proofs: &[Proof]) -> Option<Crashes> {
    let dice = Dice::new(1);
    let most = u64::try_from(singles.len()).ok()? - 1;
    let first = usize::try_from(dice.between("first", n, 0, most)).ok()?;
    let call = dice.between("second", n, 1, proofs[first].runs.get(1)?.calls);
    let second = if dice.between("side", n, 0, 1) == 0 { CrashPoint::Before(call) } else { CrashPoint::After(call) };
    Some(Crashes(vec![singles[first].0[0], second]))
}

fn failures(cases: &[Crashes], proofs: &[Proof]) -> Vec<String> {
    let failed = cases.iter().zip(proofs).filter(|(_, proof)| !proof.problems.is_empty());
    failed.map(|(case, proof)| told(case, proof)).collect()
}

fn told(case: &Crashes, proof: &Proof) -> String {
    let died: Vec<&str> = proof.runs.iter().filter_map(|run| run.died_at.as_deref()).collect();
    format!(
        "died at {case} ({}):\n  {}\nagain, with its log: CRASH={case} cargo test -p fleet-sim --test crash_everywhere",
        died.join(", "),
        proof.problems.join("\n  ")
    )
}

fn repeat(cluster: &Scenario, case: &Crashes) {
    let proof = prove(&case.on(cluster), true).unwrap();
    println!("{}\n", proof.log.join("\n"));
    assert!(proof.problems.is_empty(), "{}", told(case, &proof));
}
