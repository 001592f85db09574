//! Carries out what a person asks for by a command that is no run, cluster by cluster.

use std::cell::RefCell;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::pin::Pin;

use models::clean;
use models::ids::{ClusterName, RunId};
use models::policy::Policy;
use models::report::ClusterError;
use tokio::sync::oneshot;

use super::error::{CliError, tell_error};
use super::resolved::resolved;
use super::signals::{Manners, heard};
use crate::args::{Cli, Output};
use crate::aws::SdkConfig;
use crate::clock::Clock;
use crate::cluster_settings::Resolved;
use crate::config;
use crate::exit::ExitStatus;
use crate::render::live::{Live, Manner};
use crate::run::Signals;
use crate::steer::{Answer, Order, SteerError, Steered, Steering, Voice, steer};
use crate::telemetry;

/// Does it on each cluster. The status is the gravest of all.
pub(super) fn execute(cli: &Cli, order: &Order) -> Result<ExitStatus, CliError> {
    let environment = config::environment();
    telemetry::init(&cli.global, &environment, &Live::new(Manner::Hidden))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    runtime.block_on(heard(Manners::of(false), async |signals| {
        let mut stopped = signals.stop.clone();
        let resolved = tokio::select! {
            resolved = resolved(cli, &environment, &signals.stop) => resolved?,
            _ = stopped.wait_for(|stopped| *stopped) => return Ok(ExitStatus::Interrupted),
        };
        let (config, resolved) = resolved;
        let wish = Wish { cli, order, config: &config, signals: &signals };
        Ok(wish.on_each(&resolved).await)
    }))
}

/// What is to be done, and by which means.
struct Wish<'a> {
    cli: &'a Cli,
    order: &'a Order,
    config: &'a SdkConfig,
    signals: &'a Signals,
}

impl Wish<'_> {
    async fn on_each(&self, resolved: &Resolved) -> ExitStatus {
        let mut gravest = ExitStatus::Success;
        if self.order.is_about_instances() && resolved.clusters.len() > 1 {
            tell_error(&SteerError::WhichCluster);
            return SteerError::WhichCluster.status();
        }
        for (cluster, policy) in &resolved.clusters {
            let voice = OfProcess::of(self.cli);
            let ended = self.on(resolved, (cluster, policy), &voice).await;
            let (status, error) = match &ended {
                Ok(steered) => (steered.status, None),
                Err(error) => (error.status(), Some(error)),
            };
            if let Some(error) = error {
                tell_error(error);
            }
            if voice.is_json {
                let told = serde_json::json!({
                    "command": self.order.name(),
                    "cluster": cluster,
                    "exit": status.code(),
                    "said": *voice.said.borrow(),
                    "error": error.map(|error| clean::lines(&error.to_string()).into_owned()),
                });
                print_line(&told.to_string());
            }
            gravest = gravest.max(status);
            if *self.signals.stop.borrow() {
                return gravest;
            }
        }
        gravest
    }

    async fn on(
        &self,
        resolved: &Resolved,
        (cluster, policy): (&ClusterName, &Result<Policy, ClusterError>),
        voice: &OfProcess,
    ) -> Result<Steered, SteerError> {
        let plain = Policy::default();
        let policy = match policy {
            // Where the cluster itself is the trouble, its own call says so.
            Err(_) if self.order.needs_no_settings() => &plain,
            Ok(policy) => policy,
            Err(error) => return Err(SteerError::Cluster(error.clone())),
        };
        let clock = Clock::system();
        let at = Steering {
            config: self.config,
            clock: &clock,
            run: RunId::new(ulid::Ulid::generate().to_string()),
            cluster,
            policy,
            location: resolved.locations.get(cluster).cloned().unwrap_or_default(),
            lease_table: resolved.lease_table.as_deref(),
            api_share: resolved.api_share,
            signals: self.signals.clone(),
            voice,
        };
        let mut stopped = self.signals.stop.clone();
        // What takes the lease hears the signal itself; all else can be done again.
        let takes_lease = matches!(self.order, Order::Release { .. } | Order::ForgetFailed { .. });
        tokio::select! {
            biased;
            ended = steer(self.order, &at) => ended,
            _ = stopped.wait_for(|stopped| *stopped), if !takes_lease => Ok(Steered::STOPPED),
        }
    }
}

/// Speaks on standard output, and asks on the terminal.
struct OfProcess {
    yes: bool,
    is_json: bool,
    said: RefCell<Vec<String>>,
}

impl OfProcess {
    fn of(cli: &Cli) -> Self {
        let is_json = cli.global.output == Output::Json;
        Self { yes: cli.command.says_yes(), is_json, said: RefCell::default() }
    }
}

impl Voice for OfProcess {
    fn say(&self, line: &str) {
        let line = clean::lines(line);
        if !self.is_json {
            print_line(&line);
        }
        self.said.borrow_mut().push(line.into_owned());
    }

    fn ask(&self) -> Pin<Box<dyn Future<Output = Answer> + '_>> {
        let is_there = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if self.yes {
            return Box::pin(std::future::ready(Answer::Yes));
        }
        if !is_there {
            return Box::pin(std::future::ready(Answer::NobodyThere));
        }
        let (tell, told) = oneshot::channel();
        // A thread of its own: reading from a terminal cannot be given up, and signals are to be heard meanwhile.
        std::thread::spawn(move || {
            // Nobody is there for it where a signal came first.
            let _ = tell.send(asked());
        });
        Box::pin(async move { told.await.unwrap_or(Answer::No) })
    }
}

fn asked() -> Answer {
    let mut stderr = std::io::stderr();
    let mut line = String::new();
    let asked = stderr.write_all(b"Go on? [y/N] ").and_then(|()| stderr.flush());
    match asked.and_then(|()| std::io::stdin().lock().read_line(&mut line)) {
        Ok(_) if is_yes(&line) => Answer::Yes,
        Ok(_) | Err(_) => Answer::No,
    }
}

fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Prints a line; where nobody reads it any more, the work goes on.
fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_one() {
        for (line, yes) in
            [("y\n", true), ("YES\n", true), ("\n", false), ("", false), ("n\n", false), ("yep\n", false)]
        {
            assert_eq!(is_yes(line), yes, "{line:?}");
        }
    }
}
