//! The command line of the simulator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};
use ecs_updater::cli::{completions, manual};

use crate::conform::{self, ConformArgs, ConformError};
use crate::demo;
use crate::errors::chain;
use crate::host::HostSpec;
use crate::host_server::{HostServer, HostServerError};
use crate::read_report::{self, ReadReportError};
use crate::run::{self, RunArgs, RunError};
use crate::scenario::{host_spec, merge};
use crate::serve::{self, ServeArgs, ServeError};
use crate::until::{positive_duration, stopped};

/// A simulated AWS Region with Bottlerocket hosts.
#[derive(Debug, Parser)]
#[command(name = "fleet-sim", version = models::build::VERSION)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario with the updater on virtual time, and print the result. Exit code 0 if it is right, 1 if not
    Run(RunArgs),
    /// Serve a scenario to any AWS client: set AWS_ENDPOINT_URL to the address that is printed, and any credentials
    Serve(ServeArgs),
    /// Serve the host API of one simulated host on a Unix socket, for host-bridge and other clients
    Host(HostArgs),
    /// Compare a real host API with a simulated host in the same state: 0 without a difference, 1 with one (docs/conformance.md)
    Conform(ConformArgs),
    /// Read on standard input what an SSM document of the updater printed, as the updater does, and print the report
    ReadReport,
    /// Measure scans and rollouts: calls, times, memory and CPU; writes bench.json beside the build
    Bench,
    /// Watch the updater roll 24 simulated instances: one falls back at boot, one holds a standalone task, one is drained by somebody else
    Demo {
        /// Print the table for people, or only the report as JSON
        #[arg(long, value_enum, default_value_t)]
        output: Output,
        /// Write the report as a page for a browser to this file too
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        #[arg(value_enum, value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man {
        /// Write a page for the program and one for each command into this directory, in place of one to standard output
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
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
struct HostArgs {
    /// Where to listen; the socket is there while the host is up
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// The versions in its update repository
    #[arg(long, value_name = "VERSION", value_delimiter = ',', default_value = "1.27.0,1.26.1,1.26.0")]
    releases: Vec<semver::Version>,
    /// A field of the host, as in a scenario's `[[host]]`; may be repeated
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
    Conform(#[from] ConformError),
    #[error(transparent)]
    ReadReport(#[from] ReadReportError),
    #[error(transparent)]
    Demo(#[from] demo::DemoError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("--set {field} is no field of a host: docs/simulator.md lists them")]
    Field { field: String, source: toml::de::Error },
    #[error(transparent)]
    Host(#[from] HostServerError),
    #[error("the text could not be written")]
    Printed(#[source] std::io::Error),
    #[error("failed to start")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = |()| ExitCode::SUCCESS;
    let result = match cli.command {
        Command::Run(args) => run::run(&args).map_err(CliError::from),
        Command::Serve(args) => serve::run(&args).map(done).map_err(CliError::from),
        Command::Host(host) => run_host(host).map(done),
        Command::Conform(args) => conform::run(&args).map_err(CliError::from),
        Command::ReadReport => read_report::run().map(done).map_err(CliError::from),
        Command::Bench => crate::bench::run().map(done).map_err(CliError::from),
        Command::Demo { output, html } => {
            demo::run(output == Output::Json, html.as_deref()).map(done).map_err(CliError::from)
        }
        Command::Completions { shell } => completions(Cli::command(), shell).map(done).map_err(CliError::Printed),
        Command::Man { to } => manual(Cli::command(), to.as_deref()).map(done).map_err(CliError::Printed),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("fleet-sim: {}", chain(&error));
            ExitCode::from(2)
        }
    }
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
}
