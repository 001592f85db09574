//! `fleet-sim conform`: drives a real host API beside a simulated host in the same state, and prints each difference: the
//! way to check a new release of Bottlerocket.
//!
//! It asks first what only reads, or is refused. With `--disruptive` it has the host refresh, prepare, activate and
//! deactivate in every order of a length. It never reboots the host and commits no setting.
//!
//! What differs from host to host and from call to call (times, versions, hashes) is read from the real host, and the
//! simulated one is set up to it. A field that the simulator does not know is no difference: every client has to ignore it.
//! It is printed as news.

mod compare;
mod order;
mod real;
mod requests;
mod simulated;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use crate::host::SignpostError;
use crate::until::{positive_duration, stopped};
use compare::{Findings, compare};
use real::{Real, RealError};
use simulated::Simulated;

/// The options of the command.
#[derive(Debug, clap::Args)]
pub(crate) struct ConformArgs {
    /// The host API's socket
    #[arg(long, value_name = "PATH", default_value = "/run/api.sock")]
    socket: PathBuf,
    /// Also refresh, prepare, activate and deactivate: what is on the inactive partition set is lost
    #[arg(long)]
    disruptive: bool,
    /// With --disruptive: every order of so many of these commands comes in the walk
    #[arg(long, value_name = "N", default_value_t = 2, requires = "disruptive", value_parser = clap::value_parser!(u32).range(1..=5))]
    length: u32,
    /// How long one update command may take
    #[arg(long, value_name = "DURATION", default_value = "20m", value_parser = positive_duration)]
    patience: Duration,
    /// Wait for a signal after the end: a host restarts a container that ends
    #[arg(long)]
    stay: bool,
}

/// Why the host could not be compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConformError {
    #[error("failed to start")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Real(#[from] RealError),
    #[error("{request} was answered {status}, so that nothing can be set up beside it: {body}")]
    NotReadable { request: String, status: u16, body: String },
    #[error("the answer to {request} is not what a simulated host can be set up to")]
    NotUnderstood { request: String, source: serde_json::Error },
    #[error("the simulated host cannot be set up like this one")]
    NotLike(#[from] SignpostError),
    #[error("an update command still ran after {patience:?}; nobody else may update this host meanwhile")]
    Endless { patience: Duration },
}

/// Compares, prints what was found, and gives 0 where there is no difference and 1 where there is.
pub(crate) fn run(args: &ConformArgs) -> Result<ExitCode, ConformError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ConformError::Runtime)?;
    runtime.block_on(async {
        let findings = conform(args, &|line| println!("{line}")).await?;
        println!("{}", findings.summary());
        if args.stay {
            stopped(Duration::MAX).map_err(ConformError::Runtime)?.await;
        }
        Ok(if findings.differences == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
    })
}

/// Compares; `say` gets each line as soon as it is known.
async fn conform(args: &ConformArgs, say: &dyn Fn(&str)) -> Result<Findings, ConformError> {
    let real = Real::new(&args.socket, args.patience);
    let mut simulated = Simulated::like(&real).await?;
    say(&format!("comparing with {}", simulated.title()));
    let mut findings = Findings::default();
    for request in requests::harmless(simulated.is_locked_down()) {
        let (ours, theirs) = (simulated.ask(&request.request), real.ask(&request.request).await?);
        findings.add(&request.title(), compare(&request, &theirs, &ours), say);
    }
    if args.disruptive {
        walk(args, &real, &mut simulated, &mut findings, say).await?;
    }
    Ok(findings)
}

/// Every order of the commands, one after the other, on both hosts.
async fn walk(
    args: &ConformArgs,
    real: &Real,
    simulated: &mut Simulated,
    findings: &mut Findings,
    say: &dyn Fn(&str),
) -> Result<(), ConformError> {
    let steps = order::every_order(args.length);
    for (index, command) in steps.iter().enumerate() {
        let request = requests::command(*command);
        let title = format!("{} ({} of {})", request.title(), index + 1, steps.len());
        let theirs = real.ask(&request.request).await?;
        let while_it_runs = real.ask(&requests::status().request).await?;
        real.settled().await?;
        let after = real.ask(&requests::status().request).await?;
        let end = if theirs.status == 204 { after.json() } else { None };
        simulated.goes_like(*command, end.as_ref());
        let ours = simulated.ask(&request.request);
        findings.add(&title, compare(&request, &theirs, &ours), say);
        if while_it_runs.status == 423 {
            let ours = simulated.ask(&requests::status().request);
            findings.add(
                &format!("status while {command} runs"),
                compare(&requests::status(), &while_it_runs, &ours),
                say,
            );
        }
        simulated.settle();
        let ours = simulated.ask(&requests::status().request);
        findings.add(&format!("status after {title}"), compare(&requests::status(), &after, &ours), say);
        if let Some(words) = end.as_ref().and_then(failure) {
            say(&format!("  note: {command} failed on the host: {words}"));
        }
    }
    Ok(())
}

/// What the host said of a command that failed, its first line.
fn failure(status: &Value) -> Option<String> {
    let last = &status["most_recent_command"];
    let words = last["stderr"].as_str().unwrap_or_default().lines().next().unwrap_or_default();
    (last["cmd_status"] == "Failed").then(|| words.chars().take(200).collect())
}
