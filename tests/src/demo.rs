//! `fleet-sim demo`: a rollout to look at. The real updater rolls 24 simulated instances; on a terminal a simulated
//! minute takes about a second, elsewhere it takes no time at all.

use std::cell::Cell;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use ecs_updater::cli::view;
use ecs_updater::render::duration;
use ecs_updater::render::progress::Live;
use ecs_updater::render::{json, stdout_width, table};
use ecs_updater::run::{View, Watch};
use jiff::{SignedDuration, Timestamp};
use models::report::{Outcome, RunReport};

use crate::expect::RunSpec;
use crate::rollout::{Rollout, RolloutError};
use crate::scenario::Scenario;

const SCENARIO: &str = include_str!("../scenarios/demo.toml");

/// Simulated seconds in a second of show.
const SPEED: i64 = 60;

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// It could not be set up.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// No runtime.
    #[error("the asynchronous runtime did not start")]
    Runtime(#[source] std::io::Error),
    /// The report.
    #[error("the report could not be made")]
    Render(#[from] serde_json::Error),
    /// Standard output.
    #[error("the report could not be written")]
    Output(#[source] std::io::Error),
    /// A rule was broken: the show found a bug.
    #[error("the updater broke a rule:\n{0}")]
    RuleBroken(String),
}

/// Runs the demo.
///
/// # Errors
/// [`DemoError`]; a rule of [`crate::invariants`] that was broken is one too.
pub fn run(as_json: bool) -> Result<(), DemoError> {
    let scenario: Scenario = Scenario::parse(SCENARIO).map_err(RolloutError::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .map_err(DemoError::Runtime)?;
    let live = Live::new(!as_json && std::io::stderr().is_terminal());
    let show = Show { live: live.clone(), shown: Cell::new(None) };
    let began = std::time::Instant::now();
    let (report, closing) = runtime.block_on(async {
        let mut rollout = Rollout::start(&scenario).await?;
        live.head(rollout.locations.values());
        if live.is_shown() {
            let machines = scenario.machines.len();
            eprint_line(&format!("A simulated cluster of {machines} Bottlerocket instances; a minute takes a second."));
        }
        let ran = rollout.run(&RunSpec::default(), &show).await;
        let report = ran.report.ok_or_else(|| DemoError::RuleBroken("the run gave no report".to_owned()))?;
        let broken = rollout.violations(&report);
        if !broken.is_empty() {
            let lines: Vec<String> = broken.iter().map(ToString::to_string).collect();
            return Err(DemoError::RuleBroken(lines.join("\n")));
        }
        let events = rollout.region.log().len();
        Ok((report, closing(ran.took, began.elapsed(), events)))
    })?;
    live.finish();
    print(&report, as_json, &closing)
}

fn print(report: &RunReport, as_json: bool, closing: &str) -> Result<(), DemoError> {
    let mut out = std::io::stdout().lock();
    if as_json {
        return writeln!(out, "{}", json::render(report, json::Layout::Pretty)?).map_err(DemoError::Output);
    }
    writeln!(out, "{}\n\n{closing}", table::render(report, stdout_width()).trim_end()).map_err(DemoError::Output)?;
    let failures =
        report.clusters.iter().map(|c| c.count(Outcome::RolledBack) + c.count(Outcome::Failed)).sum::<usize>();
    if failures > 0 {
        writeln!(out, "A real run would exit with code 1, since not every update succeeded.")
            .map_err(DemoError::Output)?;
    }
    Ok(())
}

fn closing(simulated: SignedDuration, real: Duration, events: usize) -> String {
    format!(
        "Simulated {} in {:.1} s; every safety rule was checked after each of {events} events, and none was broken.",
        duration::short(simulated),
        real.as_secs_f64()
    )
}

fn eprint_line(line: &str) {
    // A show without a terminal to write to is none; nothing is lost.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The live view, slowed down to be seen.
struct Show {
    live: Live,
    shown: Cell<Option<Timestamp>>,
}

impl Watch for Show {
    fn see(&self, seen: View<'_>) {
        if !self.live.is_shown() {
            return;
        }
        let passed =
            self.shown.replace(Some(seen.now)).map_or(SignedDuration::ZERO, |last| seen.now.duration_since(last));
        // Tokio's clock stands still meanwhile.
        std::thread::sleep(Duration::from_millis(
            u64::try_from(passed.as_millis()).unwrap_or(0) / SPEED.unsigned_abs(),
        ));
        self.live.update(&view(seen));
    }
}
