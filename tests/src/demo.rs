//! `fleet-sim demo`: a rollout to look at. The real updater rolls 24 simulated instances; on a terminal a simulated
//! minute takes about a second, elsewhere it takes no time at all.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use ecs_updater::cli::view;
use ecs_updater::render::duration;
use ecs_updater::render::live::{Live, Manner};
use ecs_updater::render::terminal::Terminal;
use ecs_updater::render::{html, json, stdout_width, table};
use ecs_updater::run::{View, Watch};
use jiff::{SignedDuration, Timestamp};
use models::ids::ClusterName;
use models::location::Location;
use models::report::{Outcome, RunReport};

use crate::expect::RunSpec;
use crate::rollout::{Rollout, RolloutError};
use crate::scenario::Scenario;

const SCENARIO: &str = include_str!("../scenarios/demo.toml");

/// Simulated seconds in a second of show.
const SPEED: i64 = 60;

/// Simulated seconds between two drawings, where nothing happens.
const FRAME: i64 = 6;

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
    /// The file for the page.
    #[error("the page could not be written")]
    Page(#[source] std::io::Error),
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
pub fn run(as_json: bool, page: Option<&Path>) -> Result<(), DemoError> {
    let scenario: Scenario = Scenario::parse(SCENARIO).map_err(RolloutError::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .map_err(DemoError::Runtime)?;
    let manner = match (as_json, Terminal::of_stderr().redraws) {
        (true, _) => Manner::Hidden,
        (false, true) => Manner::Drawn,
        (false, false) => Manner::Lines,
    };
    let live = Live::new(manner);
    let began = std::time::Instant::now();
    let (report, closing) = runtime.block_on(async {
        let mut rollout = Rollout::start(&scenario).await?;
        let machines = scenario.machines.len();
        if live.is_drawn() {
            eprint_line(&format!("A simulated cluster of {machines} Bottlerocket instances; a minute takes a second."));
        }
        let show = Show { live: live.clone(), locations: rollout.locations.clone(), shown: Cell::new(None) };
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
    if let Some(page) = page {
        std::fs::write(page, html::render(&report)).map_err(DemoError::Page)?;
    }
    print(&report, as_json, &closing)
}

fn print(report: &RunReport, as_json: bool, closing: &str) -> Result<(), DemoError> {
    let text = if as_json {
        json::render(report, json::Layout::Pretty)?
    } else {
        let failures = report.clusters.iter().map(|c| c.count(Outcome::RolledBack) + c.count(Outcome::Failed));
        let code = match failures.sum::<usize>() {
            0 => "",
            _ => "A real run would exit with code 1, since not every update succeeded.\n",
        };
        let (width, table) = (stdout_width(), table::render(report, stdout_width()));
        format!("{}\n\n{}\n{code}", table.trim_end(), table::wrap(closing, width, ""))
    };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        // Its reader has seen enough, as `head` has.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(DemoError::Output),
    }
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
    locations: BTreeMap<ClusterName, Location>,
    shown: Cell<Option<Timestamp>>,
}

impl Watch for Show {
    fn see(&self, seen: View<'_>) {
        if !self.live.is_shown() {
            return;
        }
        if self.shown.get().is_none() {
            self.live.begin(self.locations.values(), seen.run, [seen.fleet.cluster.clone()], seen.now);
        }
        let passed =
            self.shown.replace(Some(seen.now)).map_or(SignedDuration::ZERO, |last| seen.now.duration_since(last));
        if self.live.is_drawn() {
            self.let_pass(seen.now - passed, passed);
        }
        self.live.update(&view(seen), seen.events);
    }
}

impl Show {
    /// Lets simulated time pass, with the view's clock. Tokio's stands still meanwhile.
    fn let_pass(&self, from: Timestamp, passed: SignedDuration) {
        let frames = i32::try_from(passed.as_secs() / FRAME).unwrap_or(0).max(1);
        for frame in 1..=frames {
            std::thread::sleep(Duration::from_millis(
                u64::try_from((passed / frames).as_millis()).unwrap_or(0) / SPEED.unsigned_abs(),
            ));
            self.live.tick(from + passed / frames * frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use ecs_updater::events::{Event, What};
    use models::ids::HostId;

    use super::*;
    use crate::clock::paused;

    #[derive(Default)]
    struct Story(RefCell<Vec<Event>>);

    impl Watch for Story {
        fn see(&self, seen: View<'_>) {
            self.0.borrow_mut().extend(seen.events.iter().cloned());
        }
    }

    /// What a pipe, a file and a terminal that takes nothing back are given.
    #[test]
    fn capture_of_plain_lines() {
        let scenario = Scenario::parse(SCENARIO).unwrap();
        let runtime = paused().unwrap();
        let story = Story::default();
        runtime.block_on(async {
            let mut rollout = Rollout::start(&scenario).await.unwrap();
            rollout.run(&RunSpec::default(), &story).await.report.unwrap()
        });
        let lines: String = story.0.into_inner().iter().filter_map(ecs_updater::render::plain::line).collect();
        assert!(lines.lines().all(|line| !line.chars().any(char::is_control)), "{lines}");
        insta::assert_snapshot!(lines);
    }

    #[test]
    fn events_and_timeline_tell_the_way_of_every_instance() {
        let scenario = Scenario::parse(SCENARIO).unwrap();
        let runtime = paused().unwrap();
        let story = Story::default();
        let report = runtime.block_on(async {
            let mut rollout = Rollout::start(&scenario).await.unwrap();
            rollout.run(&RunSpec::default(), &story).await.report.unwrap()
        });
        let (mut ways, mut last) = (BTreeMap::<HostId, Vec<&str>>::new(), None);
        let events = story.0.into_inner();
        for event in &events {
            if let What::Moves(moved) = &event.what {
                ways.entry(moved.host.clone()).or_default().push(moved.is.code());
                last = Some(moved.progress.to_string());
                assert!(!moved.is.is_failure() || moved.why.is_some(), "{moved:?}");
            }
        }
        let cluster = &report.clusters[0];
        for instance in &cluster.instances {
            let way = &ways[&instance.ec2_instance_id];
            assert_eq!(way.last(), Some(&instance.outcome.as_str()), "{way:?}");
            if instance.outcome == Outcome::Updated {
                let steps = ["inspecting", "staging", "draining", "rebooting", "verifying", "updated"];
                let places: Vec<_> = steps.map(|step| way.iter().position(|state| *state == step)).into();
                assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{way:?}");
            }
        }
        assert_eq!(last.as_deref(), Some("24/24"));
        let minutes = report.ended_at.duration_since(report.started_at).as_mins();
        let told = events.iter().filter(|event| matches!(event.what, What::Stands(_))).count();
        assert!((1..=minutes).contains(&i64::try_from(told).unwrap()), "{told} lines in {minutes} minutes");
        let points = &cluster.timeline.out_of_service;
        assert_eq!(points.iter().map(|point| (point.out, point.budget)).max(), Some((4, 4)));
        assert!(cluster.timeline.services.keys().any(|service| service.as_str() == "web"));
        let saved = json::render(&report, json::Layout::Compact).unwrap();
        assert_eq!(html::render(&serde_json::from_str(&saved).unwrap()), html::render(&report));
    }
}
