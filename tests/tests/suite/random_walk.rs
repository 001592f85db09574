//! Scenarios drawn at random: whatever the hosts, AWS and people do, and wherever runs die, nothing is lost.
//!
//! `SEED=17 cargo test -p fleet-sim --test suite random_walk` repeats one seed, with its log; `SEEDS=n` takes so many (from
//! `FROM=n` on), as `make soak SEEDS=n` does. The seed draws how the hosts are reached; `WAY=ssm`, `bridge` or `auto`
//! takes of these seeds only those that have drawn this, `DISTURBED=1` only those in which something stays broken.

use std::time::Instant;

use fleet_sim::Scenario;
use fleet_sim::proof::{jobs, prove, shrink, walk};
use toml::Table;

/// Seeds without `SEEDS`.
const USUAL: u64 = 600;
/// Tries to make a scenario that fails smaller.
const SHRINKS: usize = 300;

#[test]
fn nothing_is_lost_whatever_happens() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("SEED") {
        return repeat(seed);
    }
    let (from, count) = (number("FROM").unwrap_or(0), number("SEEDS").unwrap_or(USUAL));
    let began = Instant::now();
    let transport = std::env::var("WAY").ok();
    let disturbed = std::env::var_os("DISTURBED").is_some();
    let drawn = |seed: &u64| {
        let scenario = walk::draw(*seed);
        transport.as_ref().is_none_or(|transport| walk::transport(&scenario) == transport)
            && (!disturbed || walk::stays_broken(&scenario))
    };
    let seeds: Vec<u64> = (from..from + count).filter(drawn).collect();
    let problems = jobs::all(jobs::threads(), &seeds, |seed| problems(&walk::draw(*seed)));
    let failed: Vec<(u64, &Vec<String>)> =
        seeds.iter().copied().zip(&problems).filter(|(_, problems)| !problems.is_empty()).collect();
    println!("{} seeds from {from}: {} failed, {:.1?}", seeds.len(), failed.len(), began.elapsed());
    for (seed, problems) in &failed {
        println!("seed {seed}: {}", problems.join("\n  "));
    }
    if let Some((seed, problems)) = failed.first() {
        panic!("{} seeds failed; the first:\n{}", failed.len(), told(*seed, problems));
    }
}

fn problems(scenario: &Table) -> Vec<String> {
    prove(&parsed(scenario), false).unwrap().problems
}

fn parsed(scenario: &Table) -> Scenario {
    let text = toml::to_string(scenario).unwrap();
    Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

fn told(seed: u64, problems: &[String]) -> String {
    let small = shrink::shrink(&walk::draw(seed), SHRINKS, |candidate| !self::problems(candidate).is_empty());
    format!(
        "seed {seed}:\n  {}\nagain, with its log: SEED={seed} cargo test -p fleet-sim --test suite random_walk\n\
         as small as it gets, for tests/scenarios/walk/ ({}):\n\n{}",
        problems.join("\n  "),
        self::problems(&small).join("; "),
        toml::to_string(&small).unwrap()
    )
}

fn repeat(seed: u64) {
    println!("{}", toml::to_string(&walk::draw(seed)).unwrap());
    let proof = prove(&parsed(&walk::draw(seed)), true).unwrap();
    println!("{}", proof.log.join("\n"));
    for line in proof.report.iter().flat_map(|report| &report.clusters).flat_map(|cluster| &cluster.instances) {
        println!("{} {:?} {:?}", line.ec2_instance_id, line.outcome, line.detail);
    }
    assert!(proof.problems.is_empty(), "{}", told(seed, &proof.problems));
}
