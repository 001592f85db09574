//! Puts the parts together: arguments → settings → run → report → exit code.

use std::io::IsTerminal as _;
use std::pin::pin;

use clap::Parser as _;
use futures_util::future::{Either, select};
use models::ids::RunId;
use models::report::RunReport;

use crate::args::{Cli, Command};
use crate::aws::Aws;
use crate::clock::Clock;
use crate::cluster_settings::Resolved;
use crate::config::{self, Environment};
use crate::delivery;
use crate::exit::ExitStatus;
use crate::own_task;
use crate::render::progress::{ClusterView, Line, Live};
use crate::run::{Job, Signals, View, Watch, run};
use crate::telemetry;

mod error;
mod resolved;
mod signals;
mod status;
mod steer;

pub use error::unread_parameter;

use error::{CliError, tell_error};
use resolved::resolved;
use signals::{Manners, heard};

/// Runs the command line of this process.
pub fn main() -> ExitStatus {
    let cli = Cli::parse();
    let status_of = if cli.command.fail_on_held() { ExitStatus::of_strict } else { ExitStatus::of };
    let ended = match (&cli.command, cli.command.order()) {
        (Command::Status(args), _) => status::execute(&cli, args),
        (_, Some(order)) => steer::execute(&cli, &order),
        (_, None) => execute(&cli).map(|report| status_of(&report)),
    };
    match ended {
        Ok(status) => status,
        Err(error) => {
            tell_error(&error);
            error.status()
        }
    }
}

fn execute(cli: &Cli) -> Result<RunReport, CliError> {
    let environment = config::environment();
    let live = Live::new(std::io::stderr().is_terminal() && !cli.global.no_progress);
    telemetry::init(&cli.global, &environment, &live)?;
    let metrics = telemetry::metrics(&cli.global, &environment)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    let manners = Manners::of(!cli.command.dry_run() && cli.command.purpose().begins());
    let report = runtime.block_on(heard(manners, |signals| work(cli, &environment, &live, signals)))?;
    live.finish();
    if let Some(updater) = &metrics {
        delivery::write_metrics(&report, updater);
    }
    delivery::deliver(&cli.global, &report)?;
    Ok(report)
}

async fn work(cli: &Cli, environment: &Environment, live: &Live, signals: Signals) -> Result<RunReport, CliError> {
    let run_id = RunId::new(ulid::Ulid::generate().to_string());
    let started_at = Clock::system().now();
    let (mut stopped, mut finishing) = (signals.stop.clone(), signals.finish.clone());
    let resolved = tokio::select! {
        resolved = resolved(cli, environment, &signals.stop) => Some(resolved?),
        _ = stopped.wait_for(|stopped| *stopped) => None,
        _ = finishing.wait_for(|finishing| *finishing) => None,
    };
    let Some((config, Resolved { lease_table, clusters, locations })) = resolved else {
        tracing::warn!("interrupted before the settings were known: nothing was begun");
        let (dry_run, ended_at) = (cli.command.dry_run(), Clock::system().now());
        return Ok(RunReport {
            version: 1,
            run: run_id,
            dry_run,
            started_at,
            ended_at,
            interrupted: true,
            clusters: Vec::new(),
            nothing_updated: None,
        });
    };
    live.head(locations.values());
    let (dry_run, outside_window) = (cli.command.dry_run(), cli.command.outside_window());
    let (purpose, named) = (cli.command.purpose(), cli.command.named());
    let job = Job { run: run_id, clusters, locations, purpose, dry_run, outside_window, named, lease_table };
    let advice = async {
        if job.lease_table.is_none() && !job.dry_run {
            let metadata = std::env::var(own_task::METADATA_VARIABLE).ok();
            tokio::select! {
                () = own_task::look_for_others(metadata.as_deref(), |region| Aws::reading_in(&config, region)) => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
                _ = finishing.wait_for(|finishing| *finishing) => {}
            }
        }
    };
    // Beside the run, which does not wait for it.
    let clock = Clock::system();
    let work = pin!(run(&config, &clock, job.clone(), live, signals));
    Ok(match select(work, pin!(advice)).await {
        Either::Left((report, _)) => report,
        Either::Right(((), work)) => work.await,
    })
}

impl Watch for Live {
    fn see(&self, seen: View<'_>) {
        if self.is_shown() {
            self.update(&view(seen));
        }
    }
}

/// A cluster as the live view shows it.
pub fn view(View { fleet, plan, policy, since, now }: View<'_>) -> ClusterView {
    let (members, out) = fleet.counted_and_out();
    let mut view = ClusterView {
        cluster: fleet.cluster.clone(),
        total: fleet.instances.len(),
        settled: Default::default(),
        under_way: Vec::new(),
        out_of_service: out,
        budget: policy.max_unavailable.of(members),
        waits: None,
        now,
    };
    for standing in &plan.standings {
        let Some(instance) = fleet.instances.get(&standing.host) else { continue };
        let wait = standing.hold.as_ref().and_then(|hold| Some((hold.watched_until()?, hold.code())));
        if let Some((until, code)) = wait {
            view.waits = Some(view.waits.map_or((code, until), |(_, known)| (code, known.min(until))));
        }
        let settled = match &instance.run.verdict {
            Some(verdict) => Some(verdict.outcome),
            None => crate::track::outcome_of(standing),
        };
        match settled {
            Some(outcome) => *view.settled.entry(outcome).or_default() += 1,
            None if standing.phase.is_under_way() => view.under_way.push(Line {
                host: standing.host.clone(),
                zone: instance.zone.clone(),
                phase: standing.phase,
                from: standing.from.clone(),
                to: standing.to.clone(),
                since: since(&standing.host).unwrap_or(now),
            }),
            None => {}
        }
    }
    view.under_way.sort_by_key(|line| (std::cmp::Reverse(line.phase), line.since, line.host.clone()));
    view
}
