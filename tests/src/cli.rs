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
use crate::region::Region;
use crate::scenario::{Scenario, ScenarioError};
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
    /// Serve a scenario to any AWS client: set AWS_ENDPOINT_URL to the address that is printed, and any credentials
    Serve(Serve),
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

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Demo(#[from] demo::DemoError),
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
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
    let result = match cli.command {
        Command::Serve(serve) => run_serve(&serve),
        Command::Demo { output } => demo::run(output == Output::Json).map_err(CliError::from),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut source = std::error::Error::source(&error);
            eprint!("fleet-sim: {error}");
            while let Some(below) = source {
                eprint!(": {below}");
                source = below.source();
            }
            eprintln!();
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
    fn a_duration_is_more_than_nothing() {
        assert_eq!(positive_duration("90s"), Ok(Duration::from_secs(90)));
        assert!(positive_duration("0s").is_err());
        assert!(positive_duration("-1m").is_err());
        assert!(positive_duration("soon").is_err());
    }
}
