//! What shows that nothing is lost: scenarios that are run to their end, whatever dies on the way, and looked at
//! afterwards.
//!
//! - [`prove`]: one scenario, its runs one after the other, and everything that is wrong with what came of it.
//! - [`crash`]: the run dies at a call, and the next one too.
//! - [`interfere`]: somebody acts between two calls of the run.
//! - [`walk`]: a scenario drawn by a seed; [`shrink`] makes one that fails smaller.
//! - [`jobs`]: many of them side by side.

pub mod crash;
mod ending;
pub mod interfere;
pub mod jobs;
pub mod shrink;
pub mod walk;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use models::plan::{End, Step};
use models::policy::{Policy, StandaloneTasks};
use models::report::RunReport;

use crate::clock::paused;
use crate::limit::Limit;
use crate::rollout::{Ran, Rollout, RolloutError};
use crate::scenario::Scenario;

/// No run may take longer: what waits for something that never comes must give up long before.
const LONGEST_RUN: Limit = Limit { time: Duration::from_secs(12 * 3600), calls: 50_000 };
/// After the last run the services have so long to come to rest.
const REST: Duration = Duration::from_secs(15 * 60);

/// What came of a scenario.
#[derive(Debug, Default)]
pub struct Proof {
    /// Everything that is wrong, a line each.
    pub problems: Vec<String>,
    pub runs: Vec<RunSeen>,
    /// How many calls reached the Region in all, those before the first run included.
    pub calls: u64,
    /// The report of the last run, where it gave one.
    pub report: Option<RunReport>,
    /// Everything that happened, where it was asked for.
    pub log: Vec<String>,
}

/// What was seen of a run.
#[derive(Debug, Default)]
pub struct RunSeen {
    /// How many calls reached the Region.
    pub calls: u64,
    /// The call at which it died.
    pub died_at: Option<String>,
    /// The kinds of steps that it planned.
    pub steps: BTreeSet<&'static str>,
}

/// Runs a scenario in a runtime of its own, on this thread.
///
/// # Errors
/// A scenario that cannot be run with the updater.
pub fn prove(scenario: &Scenario, with_log: bool) -> Result<Proof, ProofError> {
    let runtime = paused()?;
    runtime.block_on(prove_here(scenario, with_log))
}

/// Why a scenario cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The scenario.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// No runtime.
    #[error("the asynchronous runtime did not start")]
    Runtime(#[from] std::io::Error),
}

async fn prove_here(scenario: &Scenario, with_log: bool) -> Result<Proof, ProofError> {
    let mut rollout = Rollout::start(scenario).await?;
    let runs = rollout.expect.runs();
    let mut proof = Proof::default();
    let mut may_stop_tasks = allows_to_stop_tasks(&rollout);
    for (index, spec) in runs.iter().enumerate() {
        let steps = StepsSeen::default();
        let before = rollout.region.call_count();
        rollout.wait_for(spec).await;
        let Ran { report, died_at, endless, stalls, .. } = rollout.run_within(LONGEST_RUN, spec, &steps).await;
        let calls = rollout.region.call_count() - before;
        may_stop_tasks |= allows_to_stop_tasks(&rollout);
        proof.problems.extend(stalls.into_iter().map(|stall| format!("run {}: {stall}", index + 1)));
        if let Some(endless) = endless {
            proof.problems.push(format!("run {} {endless}", index + 1));
            proof.report = None;
            break;
        }
        proof.runs.push(RunSeen { calls, died_at, steps: steps.0.into_inner() });
        if let Some(report) = &report {
            let problems = rollout.region.look(|world| ending::of_run(world, report));
            proof.problems.extend(problems.into_iter().map(|problem| format!("run {}: {problem}", index + 1)));
        }
        proof.report = report;
    }
    proof.calls = rollout.region.call_count();
    if let Some(report) = &proof.report {
        tokio::time::sleep(REST).await;
        let mut broken = rollout.violations(report);
        let disturbed = rollout.expect.disturbed;
        if disturbed {
            broken.retain(|violation| !rollout.region.look(|world| ending::is_excused(world, report, violation)));
        } else {
            broken.retain(|violation| !ending::is_left_on_purpose(report, violation));
        }
        proof.problems.extend(broken.iter().map(|violation| format!("rule broken: {violation}")));
        let end = if disturbed { ending::disturbed } else { ending::at_rest };
        proof.problems.extend(rollout.region.look(|world| end(world, report)));
    } else {
        let broken = rollout.region.violations();
        proof.problems.extend(broken.iter().map(|violation| format!("rule broken: {violation}")));
    }
    proof.problems.extend(stopped_tasks(&rollout, may_stop_tasks));
    proof.problems.extend(rollout.region.unknown().iter().map(|what| format!("not modelled: {what}")));
    if with_log {
        proof.log = rollout.region.log_lines();
    }
    Ok(proof)
}

/// Whether a cluster's settings of the last run allow that.
fn allows_to_stop_tasks(rollout: &Rollout) -> bool {
    let stops = |policy: &Policy| policy.standalone_tasks == StandaloneTasks::Stop;
    let may = |policy: &Policy| stops(policy) || policy.groups.iter().any(|group| stops(&group.policy));
    rollout.clusters.iter().any(|(_, policy)| policy.as_ref().is_ok_and(may))
}

/// Tasks that were asked to stop although no run's settings allow it.
fn stopped_tasks(rollout: &Rollout, allowed: bool) -> Option<String> {
    let asked = rollout.region.call_counts().get("ecs:StopTask").copied().filter(|_| !allowed)?;
    Some(format!("{asked} tasks were asked to stop, and standalone_tasks does not say so"))
}

/// Keeps which steps a run planned.
#[derive(Debug, Default)]
struct StepsSeen(RefCell<BTreeSet<&'static str>>);

impl ecs_updater::run::Watch for StepsSeen {
    fn see(&self, view: ecs_updater::run::View<'_>) {
        self.0.borrow_mut().extend(view.plan.steps.iter().map(|planned| step_name(&planned.step)));
    }
}

/// Every kind of step that a run takes by SSM or by the bridge alone, and how an instance can be done with. `confirm` is for
/// where both are used, and a bridge is not believed.
pub const STEPS: [&str; 16] = [
    "reach",
    "inspect",
    "look at tasks",
    "look at checks",
    "stage",
    "drain",
    "stop tasks",
    "reboot",
    "mark failed",
    "revert",
    "cancel",
    "finish: updated",
    "finish: rolled back",
    "finish: failed",
    "finish: held or current",
    "leave",
];

fn step_name(step: &Step) -> &'static str {
    match step {
        Step::Reach => "reach",
        Step::Inspect(_) => "inspect",
        Step::Confirm => "confirm",
        Step::LookAtTasks => "look at tasks",
        Step::LookAtChecks => "look at checks",
        Step::Stage(_) => "stage",
        Step::Drain(_) => "drain",
        Step::StopTasks(_) => "stop tasks",
        Step::Reboot(_) => "reboot",
        Step::MarkFailed(_) => "mark failed",
        Step::Revert(_) => "revert",
        Step::Cancel(_) => "cancel",
        Step::Finish(End::Updated { .. }) => "finish: updated",
        Step::Finish(End::RolledBack { .. }) => "finish: rolled back",
        Step::Finish(End::Failed { .. }) => "finish: failed",
        Step::Finish(End::Held { .. } | End::Current | End::Gone | End::ScaledIn { .. }) => "finish: held or current",
        Step::Leave(_) => "leave",
    }
}
