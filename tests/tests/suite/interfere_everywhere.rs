//! Somebody drains, activates, excludes, reboots, stops, terminates, deregisters, disconnects an instance, starts a task on it,
//! or forgets its failed versions, right after each single AWS call of a rollout: between any look and the act that rests on it. Every
//! rule holds, and the run brings everything to an end. Of all these cases a part is taken; `EVERY=1` takes all.
//!
//! `DEED=drain:2:17 cargo test -p fleet-sim --test suite interfere_everywhere` repeats one case, with its log; `BY=bridge`
//! does it by the host bridge.

use std::time::Instant;

use fleet_sim::Scenario;
use fleet_sim::proof::interfere::{Deed, Interference};
use fleet_sim::proof::{Proof, jobs, prove};

/// Of all deeds, each so-manyth; prime, so that every deed on every host comes after calls of every kind.
const EVERY: usize = 181;

const CLUSTER: &str = include_str!("../../scenarios/interfere_everywhere.toml");

#[test]
fn nothing_is_lost_whatever_others_do_by_ssm() {
    everywhere(&Scenario::parse(CLUSTER).unwrap(), "ssm");
}

#[test]
fn nothing_is_lost_whatever_others_do_by_bridge() {
    everywhere(&Scenario::parse(CLUSTER).unwrap().by_bridge(), "bridge");
}

fn everywhere(cluster: &Scenario, transport: &str) {
    if let Ok(case) = std::env::var("DEED") {
        if std::env::var("BY").map_or(transport == "ssm", |by| by == transport) {
            repeat(cluster, &case.parse().unwrap(), transport);
        }
        return;
    }
    let began = Instant::now();
    let whole = prove(cluster, false).unwrap();
    assert!(whole.problems.is_empty(), "with nobody else: {}", whole.problems.join("\n"));
    let all = cases(cluster, whole.calls);
    let cases: Vec<Interference> = all.into_iter().step_by(jobs::every(EVERY)).collect();
    let proofs = jobs::all(jobs::threads(), &cases, |case| {
        let proof = prove(&case.on(cluster), false).unwrap();
        if !proof.problems.is_empty() {
            println!("{}", told(case, &proof, transport));
        }
        proof
    });
    let failed: Vec<_> = cases.iter().zip(&proofs).filter(|(_, proof)| !proof.problems.is_empty()).collect();
    println!("{} deeds by {transport}, {} failed, {:.1?}", cases.len(), failed.len(), began.elapsed());
    let cases: Vec<String> = failed.iter().map(|(case, _)| case.to_string()).collect();
    assert!(failed.is_empty(), "{} failed, as told above: {}", failed.len(), cases.join(" "));
}

/// Every deed on every host after every call.
fn cases(cluster: &Scenario, calls: u64) -> Vec<Interference> {
    let hosts = 0..cluster.machines.len();
    let deeds = hosts.flat_map(|host| Deed::ALL.map(|deed| (host, deed)));
    deeds.flat_map(|(host, deed)| (1..=calls).map(move |call| Interference { deed, host, call })).collect()
}

fn told(case: &Interference, proof: &Proof, transport: &str) -> String {
    format!(
        "{case}:\n  {}\nagain, with its log: BY={transport} DEED={case} cargo test -p fleet-sim --test suite interfere_everywhere",
        proof.problems.join("\n  ")
    )
}

fn repeat(cluster: &Scenario, case: &Interference, transport: &str) {
    let proof = prove(&case.on(cluster), true).unwrap();
    println!("{}\n", proof.log.join("\n"));
    for line in proof.report.iter().flat_map(|report| &report.clusters).flat_map(|cluster| &cluster.instances) {
        println!("{} {:?} {:?}", line.ec2_instance_id, line.outcome, line.detail);
    }
    assert!(proof.problems.is_empty(), "{}", told(case, &proof, transport));
}
