//! Puts the parts together: arguments → settings → run → report → exit code.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};
use futures_util::future::{Either, select};
use jiff::Timestamp;
use models::fleet::{Instance, InstanceStatus};
use models::ids::RunId;
use models::plan::Plan;
use models::policy::{Policy, Shelf};
use models::report::RunReport;

use crate::args::{Cli, Command};
use crate::aws::{Aws, SdkConfig};
use crate::clock::Clock;
use crate::cluster_settings::Resolved;
use crate::config::{self, Environment};
use crate::delivery;
use crate::events::{Seen, State, tally};
use crate::exit::ExitStatus;
use crate::own_task;
use crate::render::live::{Live, Manner};
use crate::render::progress::{ClusterView, Line};
use crate::render::terminal::Terminal;
use crate::run::{Job, Signals, View, Watch, run};
use crate::telemetry;

mod check;
mod doctor;
mod error;
mod resolved;
mod saved;
mod shell;
mod signals;
mod status;
mod steer;
mod store;

pub use error::unread_parameter;
pub use shell::{completions, manual};
pub use store::store;

use error::{CliError, tell_error};
use resolved::resolved;
use signals::{Manners, heard};

/// How often the live view is drawn though nothing happens.
const TICK: Duration = Duration::from_secs(1);

/// Runs the command line of this process.
pub fn main() -> ExitStatus {
    let cli = Cli::parse();
    let status_of = if cli.command.fail_on_held() { ExitStatus::of_strict } else { ExitStatus::of };
    let ended = match (&cli.command, cli.command.order()) {
        (Command::Status(args), _) => status::execute(&cli, args),
        (Command::Doctor(args), _) => doctor::execute(&cli, args),
        (Command::Report(args), _) => saved::execute(&cli, args),
        (Command::Config(_), _) => check::execute(&cli),
        (Command::Completions(args), _) => printed(completions(Cli::command(), args.shell)),
        (Command::Man(args), _) => printed(manual(Cli::command(), args.to.as_deref())),
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

fn printed(written: std::io::Result<()>) -> Result<ExitStatus, CliError> {
    written.map(|()| ExitStatus::Success).map_err(CliError::Printed)
}

fn execute(cli: &Cli) -> Result<RunReport, CliError> {
    let environment = config::environment();
    let is_drawn = Terminal::of_stderr().redraws && !cli.global.no_progress;
    let live = Live::new(if is_drawn { Manner::Drawn } else { Manner::Hidden });
    telemetry::init(&cli.global, &environment, &live)?;
    let metrics = telemetry::metrics(&cli.global, &environment)?;
    if let Some(page) = cli.command.page() {
        delivery::check_page(page).map_err(CliError::Page)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    let manners = Manners::of(!cli.command.dry_run() && cli.command.purpose().begins());
    let means = Means { environment: &environment, live: &live, metrics: metrics.as_deref() };
    runtime.block_on(heard(manners, |signals| async move {
        let (report, shelves) = work(cli, means, signals.clone()).await?;
        means.live.finish();
        let delivered = deliver(cli, means.metrics, &report);
        if let Some(Shelves { config, shelves }) = shelves.filter(|kept| !kept.shelves.is_empty()) {
            // A log of both standard output and standard error has the report in one piece then.
            tokio::time::sleep(delivery::BESIDE_FIRST).await;
            store(&config, &shelves, &report, (&Clock::system(), signals)).await;
        }
        delivered.map(|()| report)
    }))
}

/// Tells people and programs how the work ended, before anything else is waited for.
fn deliver(cli: &Cli, metrics: Option<&str>, report: &RunReport) -> Result<(), CliError> {
    delivery::tell_people(&cli.global, report);
    if let Some(updater) = metrics {
        delivery::write_metrics(report, updater);
    }
    let page = cli.command.page().map_or(Ok(()), |page| delivery::write_page(page, report));
    delivery::deliver(&cli.global, report)?;
    page?;
    Ok(())
}

/// The buckets that keep a report, and how to reach them.
struct Shelves {
    config: SdkConfig,
    shelves: BTreeSet<Shelf>,
}

/// What a run has of its process.
#[derive(Clone, Copy)]
struct Means<'a> {
    environment: &'a Environment,
    live: &'a Live,
    /// The name of its metrics.
    metrics: Option<&'a str>,
}

async fn work(cli: &Cli, means: Means<'_>, signals: Signals) -> Result<(RunReport, Option<Shelves>), CliError> {
    let Means { environment, live, metrics } = means;
    let run_id = RunId::new(ulid::Ulid::generate().to_string());
    let started_at = Clock::system().now();
    live.prepare("reading the settings, and asking AWS for the clusters");
    let (mut stopped, mut finishing) = (signals.stop.clone(), signals.finish.clone());
    let resolved = tokio::select! {
        resolved = resolved(cli, environment, &signals.stop) => Some(resolved?),
        _ = stopped.wait_for(|stopped| *stopped) => None,
        _ = finishing.wait_for(|finishing| *finishing) => None,
    };
    let Some((config, Resolved { lease_table, api_share, clusters, locations })) = resolved else {
        tracing::warn!("interrupted before the settings were known: nothing was begun");
        return Ok((begun_nothing(run_id, cli.command.dry_run(), started_at), None));
    };
    live.begin(locations.values(), &run_id, clusters.iter().map(|(cluster, _)| cluster.clone()), started_at);
    let clusters =
        clusters.into_iter().map(|(cluster, policy)| (cluster, policy.map(|policy| for_purpose(cli, policy))));
    let clusters: Vec<_> = clusters.collect();
    let (dry_run, outside_window) = (cli.command.dry_run(), cli.command.outside_window());
    let (purpose, named) = (cli.command.purpose(), cli.command.named());
    let job = Job {
        run: run_id,
        clusters,
        locations,
        purpose,
        dry_run,
        outside_window,
        named,
        lease_table,
        api_share,
        dates_oldest: metrics.is_some(),
    };
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
    let work = async {
        match select(pin!(run(&config, &clock, job.clone(), live, signals)), pin!(tick(live, &clock))).await {
            Either::Left((report, _)) => report,
            Either::Right((never, _)) => match never {},
        }
    };
    let report = match select(pin!(work), pin!(advice)).await {
        Either::Left((report, _)) => report,
        Either::Right(((), work)) => work.await,
    };
    let shelves = shelves(&job);
    Ok((report, Some(Shelves { config, shelves })))
}

/// The report of a run that was interrupted before it knew its clusters.
fn begun_nothing(run: RunId, dry_run: bool, started_at: Timestamp) -> RunReport {
    RunReport {
        version: 1,
        run,
        dry_run,
        started_at,
        ended_at: Clock::system().now(),
        interrupted: true,
        clusters: Vec::new(),
        nothing_updated: None,
    }
}

/// Returns the buckets that keep the report of a run.
pub fn shelves(job: &Job) -> BTreeSet<Shelf> {
    let policies = job.clusters.iter().filter_map(|(_, policy)| policy.as_ref().ok());
    if job.dry_run { BTreeSet::new() } else { policies.filter_map(|policy| policy.reports.clone()).collect() }
}

/// On the way back no target counts, and none is past a skip.
fn for_purpose(cli: &Cli, policy: Policy) -> Policy {
    let is_named = policy.target_is_named && cli.command.purpose().way_back().is_none();
    policy.changed(|policy| policy.target_is_named = is_named)
}

impl Watch for Live {
    fn see(&self, seen: View<'_>) {
        if self.is_shown() {
            self.update(&view(seen), seen.events);
        }
    }
}

/// Draws the view again each second: between two looks the clock goes on.
async fn tick(live: &Live, clock: &Clock) -> Infallible {
    loop {
        tokio::time::sleep(TICK).await;
        live.tick(clock.now());
    }
}

/// A cluster as the live view shows it.
pub fn view(seen: View<'_>) -> ClusterView {
    let View { fleet, plan, policy, run, since, closed, left, now, .. } = seen;
    let mut under_way = Vec::new();
    for (instance, standing) in fleet.instances.values().zip(&plan.standings) {
        if !State::of(instance, standing).is_settled() && standing.phase.is_under_way() {
            under_way.push(Line {
                host: standing.host.clone(),
                zone: instance.zone.clone(),
                phase: standing.phase,
                from: standing.from.clone(),
                to: standing.to.clone(),
                since: since(&standing.host).unwrap_or(now),
            });
        }
    }
    under_way.sort_by_key(|line| (std::cmp::Reverse(line.phase), line.since, line.host.clone()));
    let out = fleet.instances.values().filter(|instance| instance.counts() && !instance.in_service());
    ClusterView {
        cluster: fleet.cluster.clone(),
        tally: tally(&Seen { fleet, plan, policy, now }),
        under_way,
        others: out.filter_map(|one| Some((one.host.clone(), others(one, run)?))).collect(),
        closed: closed.map(|why| why.sentence.clone()).or_else(|| waits(plan)),
        left: left(),
        now,
    }
}

/// Why the rest waits by itself, in the words of the hold that ends first.
fn waits(plan: &Plan) -> Option<String> {
    let holds = plan.standings.iter().filter_map(|standing| standing.hold.as_ref());
    let dated = holds.filter_map(|hold| Some((hold.watched_until()?, hold)));
    dated.min_by_key(|(until, _)| *until).map(|(_, hold)| hold.to_string())
}

/// Who has an instance out of service, where it is not this run.
fn others(instance: &Instance, run: &RunId) -> Option<String> {
    match instance.out_of_service_claim() {
        Some(claim) if claim.run == *run => None,
        Some(claim) if instance.run.verdict.is_some() => Some(format!("left with the claim {}", claim.step.as_str())),
        Some(_) => None,
        None => Some(match instance.status {
            InstanceStatus::Draining => "drained by somebody else".to_owned(),
            InstanceStatus::Active if !instance.agent_connected => "its agent is not connected".to_owned(),
            InstanceStatus::Active
            | InstanceStatus::Registering
            | InstanceStatus::RegistrationFailed
            | InstanceStatus::Deregistering
            | InstanceStatus::Inactive
            | InstanceStatus::Unknown => format!("{}, out of service", instance.status.as_str()),
        }),
    }
}
