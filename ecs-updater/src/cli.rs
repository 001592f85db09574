//! Puts the parts together: arguments → settings → run → report → exit code.

mod status;

use std::io::{IsTerminal as _, Write as _};
use std::pin::pin;

use clap::Parser as _;
use futures_util::future::{Either, select};
use models::clean;
use models::ids::RunId;
use models::report::RunReport;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::args::{Cli, Command};
use crate::aws::{self, Access, Aws, AwsError, ErrorKind, ProfileError, SdkConfig};
use crate::clock::Clock;
use crate::cluster_settings::{self, OtherAccount, Resolved};
use crate::config::{self, ConfigError, Environment, Inputs};
use crate::delivery::{self, DeliveryError};
use crate::exit::ExitStatus;
use crate::own_task;
use crate::render::progress::{ClusterView, Line, Live};
use crate::run::{Job, View, Watch, run};
use crate::telemetry::{self, TelemetryError};

/// Why the program ended without a report.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("the settings are not usable")]
    Config(#[from] ConfigError),
    #[error(
        "the configuration could not be read from SSM parameter {name} (it needs ssm:GetParameter on it); {}",
        source.advice()
    )]
    Parameter { name: String, source: AwsError },
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Account(#[from] OtherAccount),
    #[error("the logs could not be set up")]
    Telemetry(#[from] TelemetryError),
    #[error("the asynchronous runtime did not start")]
    Runtime(#[source] std::io::Error),
    #[error("signals cannot be caught")]
    Signals(#[source] std::io::Error),
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    #[error("the status could not be printed")]
    Status(#[source] std::io::Error),
}

impl CliError {
    fn status(&self) -> ExitStatus {
        match self {
            Self::Config(_)
            | Self::Profile(_)
            | Self::Account(_)
            | Self::Telemetry(TelemetryError::BadLevel { .. }) => ExitStatus::Usage,
            Self::Parameter { source, .. } => unread_parameter(source),
            Self::Telemetry(TelemetryError::SetAlready(_))
            | Self::Runtime(_)
            | Self::Signals(_)
            | Self::Delivery(_)
            | Self::Status(_) => ExitStatus::Failures,
        }
    }
}

/// Returns the status of a run whose configuration could not be read from its SSM parameter.
pub fn unread_parameter(error: &AwsError) -> ExitStatus {
    match error.kind {
        ErrorKind::Denied
        | ErrorKind::NotFound
        | ErrorKind::Throttled
        | ErrorKind::NoAnswer
        | ErrorKind::LeaseOver
        | ErrorKind::Stopped => ExitStatus::NotReached,
        ErrorKind::Refused(_) => ExitStatus::Usage,
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitStatus {
    let cli = Cli::parse();
    match execute(&cli) {
        Ok(status) => status,
        Err(error) => {
            let mut text = format!("ecs-updater: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            // With standard error gone, there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "{}", clean::lines(&text));
            error.status()
        }
    }
}

fn execute(cli: &Cli) -> Result<ExitStatus, CliError> {
    let environment = config::environment();
    let is_run = !matches!(cli.command, Command::Status(_));
    let live = Live::new(is_run && std::io::stderr().is_terminal() && !cli.global.no_progress);
    telemetry::init(&cli.global, &environment, &live)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    if let Command::Status(args) = &cli.command {
        return runtime.block_on(with_signals(|stopped| status::show(cli, args, &environment, stopped)));
    }
    let report = runtime.block_on(with_signals(|stopped| work(cli, &environment, &live, stopped)))?;
    live.finish();
    delivery::deliver(&cli.global, &report)?;
    Ok(ExitStatus::of(&report))
}

async fn with_signals<T, W>(work: impl FnOnce(watch::Receiver<bool>) -> W) -> Result<T, CliError>
where
    W: Future<Output = Result<T, CliError>>,
{
    let (stop, stopped) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Signals)?;
    // Under nohup this one is ignored, and stays so.
    let mut hangup = if is_ignored(SignalKind::hangup()) {
        None
    } else {
        Some(signal(SignalKind::hangup()).map_err(CliError::Signals)?)
    };
    let mut work = pin!(work(stopped));
    loop {
        let hung_up = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            report = &mut work => return report,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hung_up => {}
        }
        // The run ends by itself soon after; a second signal changes nothing.
        stop.send_replace(true);
    }
}

/// Whether this process was started with the signal ignored. Linux tells, as a mask with a bit for each signal from the
/// lowest on; elsewhere it is not known, and none counts as ignored.
fn is_ignored(signal: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal.as_raw_value() - 1)) != 0
}

async fn work(
    cli: &Cli,
    environment: &Environment,
    live: &Live,
    stop: watch::Receiver<bool>,
) -> Result<RunReport, CliError> {
    let run_id = RunId::new(ulid::Ulid::generate().to_string());
    let started_at = Clock::system().now();
    let mut stopped = stop.clone();
    let resolved = tokio::select! {
        resolved = resolved(cli, environment, &stop) => Some(resolved?),
        _ = stopped.wait_for(|stopped| *stopped) => None,
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
        });
    };
    live.head(locations.values());
    let (dry_run, outside_window) = (cli.command.dry_run(), cli.command.outside_window());
    let job = Job { run: run_id, clusters, locations, dry_run, outside_window, lease_table };
    let advice = async {
        if job.lease_table.is_none() && !job.dry_run {
            let metadata = std::env::var(own_task::METADATA_VARIABLE).ok();
            tokio::select! {
                () = own_task::look_for_others(metadata.as_deref(), |region| Aws::reading_in(&config, region)) => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        }
    };
    // Beside the run, which does not wait for it.
    let clock = Clock::system();
    let work = pin!(run(&config, &clock, job.clone(), live, stop));
    Ok(match select(work, pin!(advice)).await {
        Either::Left((report, _)) => report,
        Either::Right(((), work)) => work.await,
    })
}

/// The SDK's configuration and what to work by, which AWS may have to be asked for.
async fn resolved(
    cli: &Cli,
    environment: &Environment,
    stop: &watch::Receiver<bool>,
) -> Result<(SdkConfig, Resolved), CliError> {
    let (args, given) = (&cli.global, cli.command.settings().given());
    let access =
        Access { region: args.region.clone(), profile: args.profile.clone(), endpoint_url: args.endpoint_url.clone() };
    // What is wrong without asking AWS is told without asking AWS.
    let (config, inputs) = match config::parameter(&given, environment)? {
        None => {
            let inputs = Inputs::gather(&given, environment, None)?;
            inputs.settings()?;
            (aws::load(&access).await?, inputs)
        }
        Some(name) => {
            let config = aws::load(&access).await?;
            let text = cluster_settings::parameter(&Aws::reading(&config), &name).await;
            let text = text.map_err(|source| CliError::Parameter { name, source })?;
            (config, Inputs::gather(&given, environment, text.as_deref())?)
        }
    };
    let resolved = cluster_settings::resolve(&Aws::reading(&config), inputs, stop).await?;
    if let Some(expected) = &args.expect_account {
        resolved.expect_account(expected)?;
    }
    Ok((config, resolved))
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
        now,
    };
    for standing in &plan.standings {
        let Some(instance) = fleet.instances.get(&standing.host) else { continue };
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
