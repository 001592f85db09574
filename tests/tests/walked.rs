//! Scenarios that the random walk has found, under `scenarios/walk/`: what must hold in any walk and at its end
//! ([`fleet_sim::proof`]) holds in them, as they are written and with an agent on every host. `scenarios.rs` has their
//! `[expect]` and their reports.

use std::path::Path;

use fleet_sim::Scenario;
use fleet_sim::proof::prove;

datatest_stable::harness! {
    { test = as_written, root = "scenarios/walk", pattern = r"\.toml$" },
    { test = by_bridge, root = "scenarios/walk", pattern = r"\.toml$" },
}

fn as_written(path: &Path) -> datatest_stable::Result<()> {
    held(&Scenario::load(path)?)
}

fn by_bridge(path: &Path) -> datatest_stable::Result<()> {
    held(&Scenario::load(path)?.by_bridge())
}

fn held(scenario: &Scenario) -> datatest_stable::Result<()> {
    let proof = prove(scenario, true)?;
    if proof.problems.is_empty() {
        return Ok(());
    }
    println!("{}", proof.log.join("\n"));
    Err(proof.problems.join("; ").into())
}
