//! The command line of the simulator.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::demo;
use crate::errors::chain;
use crate::host::HostSpec;
use crate::host_server::{HostServer, HostServerError};
use crate::read_report::{self, ReadReportError};
use crate::region::Region;
use crate::run::{self, RunArgs, RunError};
use crate::scenario::{Scenario, ScenarioError, host_spec, merge};
use crate::server;

/// A simulated AWS Region with Bottlerocket hosts.
#[derive(Debug, Parser)]
#[command(name = "fleet-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario with the updater on virtual time, and print what came of it: 0 where it is right, 1 where it is not
    Run(RunArgs),
    /// Serve a scenario to any AWS client: set AWS_ENDPOINT_URL to the address that is printed, and any credentials
    Serve(Serve),
    /// Serve the host API of one simulated host on a Unix socket, for host-bridge and other clients
    Host(HostArgs),
    /// Read on standard input what an SSM document of the updater printed, as the updater does, and print the report
    ReadReport,
    /// Measure scans and rollouts: calls, times, memory and CPU; writes bench.json beside the build
    Bench,
    /// Watch the updater roll 24 simulated instances: one falls back at boot, one holds a standalone task, one is drained by somebody else
    Demo {
        /// Print the table for people, or only the report as JSON
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

/// How to print a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    #[default]
    Table,
    Json,
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// The scenario, a TOML file (docs/simulator.md has the format)
    scenario: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4599")]
    listen: SocketAddr,
    /// How many simulated seconds pass in a second
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    time_scale: u32,
    /// Ends by itself after this much real time, such as 30m
    #[arg(long = "for", value_name = "DURATION", default_value = "2h", value_parser = positive_duration)]
    lasts: Duration,
    /// Print a line for every call
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Debug, clap::Args)]
struct HostArgs {
    /// Where to listen; the socket is there while the host is up
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// The versions in its update repository
    #[arg(long, value_name = "VERSION", value_delimiter = ',', default_value = "1.27.0,1.26.1,1.26.0")]
    releases: Vec<semver::Version>,
    /// A field of the host, as in a scenario's [[host]]; may be repeated
    ///
    /// Such as version="1.26.0", or fails_to_boot=["1.27.0"]: docs/simulator.md has them all.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    fields: Vec<String>,
    /// Where its ECS agent's introspection listens; without it the host has no ECS agent
    #[arg(long, value_name = "ADDRESS")]
    introspection: Option<SocketAddr>,
    /// How many tasks run on it
    #[arg(long, value_name = "N", default_value_t = 0, requires = "introspection")]
    tasks: u32,
    /// How many simulated seconds pass in a second
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    time_scale: u32,
    /// Ends by itself after this much real time, such as 30m
    #[arg(long = "for", value_name = "DURATION", default_value = "2h", value_parser = positive_duration)]
    lasts: Duration,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Bench(#[from] crate::bench::BenchError),
    #[error(transparent)]
    ReadReport(#[from] ReadReportError),
    #[error(transparent)]
    Demo(#[from] demo::DemoError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error("--set {field} is no field of a host: docs/simulator.md lists them")]
    Field { field: String, source: toml::de::Error },
    #[error(transparent)]
    Host(#[from] HostServerError),
    #[error("failed to start")]
    Runtime(#[source] std::io::Error),
    #[error("failed to listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("failed to serve")]
    Serve(#[source] std::io::Error),
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    match Duration::try_from(duration) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) | Err(_) => Err("must be longer than nothing".to_owned()),
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = |()| ExitCode::SUCCESS;
    let result = match cli.command {
        Command::Run(args) => run::run(&args).map_err(CliError::from),
        Command::Serve(serve) => run_serve(&serve).map(done),
        Command::Host(host) => run_host(host).map(done),
        Command::ReadReport => read_report::run().map(done).map_err(CliError::from),
        Command::Bench => crate::bench::run().map(done).map_err(CliError::from),
        Command::Demo { output } => demo::run(output == Output::Json).map(done).map_err(CliError::from),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("fleet-sim: {}", chain(&error));
            ExitCode::from(2)
        }
    }
}

fn run_serve(serve: &Serve) -> Result<(), CliError> {
    let scenario = Scenario::load(&serve.scenario)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    runtime.block_on(async {
        let listener = TcpListener::bind(serve.listen)
            .await
            .map_err(|source| CliError::Listen { address: serve.listen, source })?;
        let address = listener.local_addr().map_err(|source| CliError::Listen { address: serve.listen, source })?;
        let stop = stopped(serve.lasts).map_err(CliError::Runtime)?;
        let region = Region::start_scaled(&scenario, serve.time_scale)?;
        println!("serving {} at http://{address}", serve.scenario.display());
        println!("clusters: {}", scenario.clusters.join(", "));
        println!(
            "export AWS_ENDPOINT_URL=http://{address} AWS_REGION={} AWS_ACCESS_KEY_ID=simulated \
             AWS_SECRET_ACCESS_KEY=simulated",
            scenario.region.name
        );
        let printer = serve.verbose.then(|| tokio::spawn(print_calls(Arc::clone(&region))));
        let served = server::serve(Arc::clone(&region), listener, stop).await;
        if let Some(printer) = printer {
            printer.abort();
        }
        print_end(&region);
        served.map_err(CliError::Serve)
    })
}

fn run_host(args: HostArgs) -> Result<(), CliError> {
    let spec = host_of(&args.fields)?;
    let HostArgs { socket, releases, introspection, tasks, time_scale, lasts, .. } = args;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    runtime.block_on(async {
        let stop = stopped(lasts).map_err(CliError::Runtime)?;
        println!("a host on {} serves its API at {}", spec.version, socket.display());
        println!("export HOST_BRIDGE_SOCKET={}", socket.display());
        if let Some(address) = introspection {
            println!("export HOST_BRIDGE_ECS_AGENT={address}");
        }
        let server = HostServer { socket, introspection, tasks, time_scale };
        Ok(server.serve(spec, releases, stop, |line| println!("{line}")).await?)
    })
}

/// The host that `--set` describes, one field after the other.
fn host_of(fields: &[String]) -> Result<HostSpec, CliError> {
    let mut table = toml::Table::new();
    let mut spec = HostSpec::default();
    for field in fields {
        let wrong = |source| CliError::Field { field: field.clone(), source };
        merge(&mut table, field.parse().map_err(wrong)?);
        spec = host_spec(&table).map_err(wrong)?;
    }
    Ok(spec)
}

/// Ready when the time is over, or at SIGTERM or SIGINT.
fn stopped(after: Duration) -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = tokio::time::sleep(after) => {}
        }
    })
}

async fn print_calls(region: Arc<Region>) {
    let mut printed = 0;
    loop {
        let new = region.calls_since(printed);
        printed += new.len();
        for call in new {
            println!("{call}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn print_end(region: &Region) {
    for (operation, count) in region.call_counts() {
        println!("{count:>7} {operation}");
    }
    for what in region.unknown() {
        println!("not modelled: {what}");
    }
    for violation in region.violations() {
        println!("rule broken: {violation}");
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_host_is_described_by_its_fields() {
        let fields = ["version=\"1.25.0\"", "durations.boot=\"5s\"", "tasks=1"].map(str::to_owned);
        let spec = host_of(&fields[..2]).unwrap();
        assert_eq!((spec.version.to_string(), spec.durations.boot.as_secs()), ("1.25.0".to_owned(), 5));
        let error = host_of(&fields).unwrap_err();
        assert!(error.to_string().starts_with("--set tasks=1 is no field of a host"), "{error}");
    }

    #[test]
    fn a_duration_is_more_than_nothing() {
        assert_eq!(positive_duration("90s"), Ok(Duration::from_secs(90)));
        assert!(positive_duration("0s").is_err());
        assert!(positive_duration("-1m").is_err());
        assert!(positive_duration("soon").is_err());
    }
}
