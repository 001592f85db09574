//! `fleet-sim run`: a scenario with the real updater on virtual time, and what came of it.

mod hosts;
mod json;
mod text;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ecs_updater::render::stdout_width;
use jiff::Timestamp;

use crate::Region;
use crate::clock::paused;
use crate::errors::{chain, one_line};
use crate::expect::{Exit, Expect, ExpectError};
use crate::limit::Limit;
use crate::rollout::{Rollout, RolloutError};
use crate::scenario::{Scenario, ScenarioError};
use crate::trial::Trial;
use crate::verdict::{Strictness, Verdict};
use hosts::HostState;

/// A run that makes more calls than this, and so many for each machine, does not end: far more than a day of looks at a small
/// cluster, or than the update of a large one (docs/benchmarks.md).
const CALLS: u64 = 100_000;
const CALLS_OF_EACH: u64 = 20;

/// The options of the command.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The scenario, a TOML file (docs/simulator.md has the format)
    scenario: PathBuf,
    /// How the hosts are reached: as the scenario says, which is by SSM where it names no agent; or by the agent of host-bridge on every host
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// Print everything that happened and every call, in order
    #[arg(long)]
    log: bool,
    /// The most simulated hours that one run may take: a longer one does not end
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8760))]
    hours: u32,
    /// Print text for people, or one JSON object
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// How the hosts are reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum By {
    #[default]
    Ssm,
    Bridge,
}

/// How to print what came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

/// Why a scenario was not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The file.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// Its `[expect]`.
    #[error("the [expect] table is malformed")]
    Expect(#[from] ExpectError),
    /// The updater on it.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// No runtime.
    #[error("failed to start")]
    Runtime(#[source] std::io::Error),
    /// The JSON.
    #[error("failed to write the result as JSON")]
    Json(#[from] serde_json::Error),
    /// Standard output.
    #[error("failed to print the result")]
    Output(#[source] std::io::Error),
}

/// What came of a scenario.
#[derive(Debug)]
struct Ended<'a> {
    about: &'a str,
    expect: &'a Expect,
    /// When, in the scenario's time.
    at: Timestamp,
    /// The runs, or why the updater ended before its first one.
    runs: Result<Trial, Refusal>,
    verdict: Verdict,
    hosts: Vec<HostState>,
    /// Everything that happened, where it was asked for.
    log: Option<Vec<String>>,
}

/// The updater ended before its first run.
#[derive(Debug)]
struct Refusal {
    exit: Exit,
    why: String,
}

/// Runs the scenario and prints what came of it. The code is 0 where nothing is wrong with it, else 1.
///
/// # Errors
/// A scenario that cannot be run.
pub fn run(args: &RunArgs) -> Result<ExitCode, RunError> {
    let mut scenario = Scenario::load(&args.scenario)?;
    let mut expect = Expect::read(&scenario)?;
    if args.by == By::Bridge {
        scenario = scenario.by_bridge();
        expect = expect.by_bridge();
    }
    let runtime = paused();
    let ended = runtime.map_err(RunError::Runtime)?.block_on(to_the_end(args, &scenario, &expect))?;
    let printed = match args.output {
        Output::Text => text::render(&ended, stdout_width()),
        Output::Json => json::render(&ended)?,
    };
    let mut out = std::io::stdout().lock();
    match out.write_all(printed.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(RunError::Output(error)),
        Ok(()) | Err(_) => {}
    }
    Ok(if ended.verdict.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn to_the_end<'a>(args: &RunArgs, scenario: &'a Scenario, expect: &'a Expect) -> Result<Ended<'a>, RunError> {
    let region = Region::start(scenario).map_err(RunError::Scenario)?;
    let calls = CALLS + CALLS_OF_EACH * u64::try_from(scenario.machines.len()).unwrap_or(u64::MAX);
    let limit = Limit { time: Duration::from_secs(u64::from(args.hours) * 3600), calls };
    let (runs, verdict) = match Rollout::on(Arc::clone(&region), scenario, expect.clone()).await {
        Ok(mut rollout) => {
            let trial = Trial::of(&mut rollout, expect, limit).await;
            let verdict = Verdict::of(&rollout, expect, &trial, Strictness::Named);
            (Ok(trial), verdict)
        }
        Err(error) => {
            let Some(exit) = error.exit() else { return Err(error.into()) };
            let refusal = Refusal { exit: Exit(exit), why: one_line(&chain(&error)) };
            let verdict = Verdict::of_refusal(expect, refusal.exit, &refusal.why);
            (Err(refusal), verdict)
        }
    };
    Ok(Ended {
        about: scenario.about.trim(),
        expect,
        at: region.clock().now(),
        runs,
        verdict,
        hosts: hosts::all(&region),
        log: args.log.then(|| region.log_lines()),
    })
}
