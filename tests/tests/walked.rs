//! Scenarios that the random walk has found, under `scenarios/walk/`: what must hold in any walk and at its end
//! ([`fleet_sim::proof`]) holds in them, as they are written and with an agent on every host. [`super::scenario`] holds their
//! `[expect]` and their reports.

use std::path::Path;

use fleet_sim::Scenario;
use fleet_sim::proof::prove;

pub(crate) fn walked(path: &Path) -> datatest_stable::Result<()> {
    held(&Scenario::load(path)?)
}

pub(crate) fn walked_by_bridge(path: &Path) -> datatest_stable::Result<()> {
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
