//! `fleet-sim serve`: a scenario on TCP, for any AWS client, with the rules watched.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ecs_updater::cluster_settings::ResolvedCluster;
use models::ids::ClusterName;
use models::policy::MaxUnavailable;
use tokio::net::TcpListener;

use crate::clock::paused;
use crate::errors::chain;
use crate::region::Region;
use crate::rollout::{Rollout, RolloutError};
use crate::scenario::{Scenario, ScenarioError};
use crate::server;
use crate::until::{positive_duration, stopped};

/// The options of the command.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
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

/// Why a scenario was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error("failed to start")]
    Runtime(#[source] std::io::Error),
    #[error("failed to listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("failed to serve")]
    Serve(#[source] std::io::Error),
}

/// Serves until its time is over, or a signal ends it.
pub(crate) fn run(serve: &ServeArgs) -> Result<(), ServeError> {
    let scenario = Scenario::load(&serve.scenario)?;
    let budgets = budgets(&scenario)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Runtime)?;
    runtime.block_on(async {
        let listener = TcpListener::bind(serve.listen)
            .await
            .map_err(|source| ServeError::Listen { address: serve.listen, source })?;
        let address = listener.local_addr().map_err(|source| ServeError::Listen { address: serve.listen, source })?;
        let stop = stopped(serve.lasts).map_err(ServeError::Runtime)?;
        let region = Region::start_scaled(&scenario, serve.time_scale)?;
        println!("serving {} at http://{address}", serve.scenario.display());
        println!("clusters: {}", scenario.clusters.join(", "));
        println!(
            "export AWS_ENDPOINT_URL=http://{address} AWS_REGION={} AWS_ACCESS_KEY_ID=simulated \
             AWS_SECRET_ACCESS_KEY=simulated",
            scenario.region.name
        );
        set_budgets(&region, &budgets);
        let printer = serve.verbose.then(|| tokio::spawn(print_calls(Arc::clone(&region))));
        let served = server::serve(Arc::clone(&region), listener, stop).await;
        if let Some(printer) = printer {
            printer.abort();
        }
        print_end(&region);
        served.map_err(ServeError::Serve)
    })
}

/// How many instances of each cluster the scenario's `[updater]` lets be out of service at once. It is read as the updater
/// reads it, in a Region of its own, on virtual time: none of these calls shows in the one that is served.
fn budgets(scenario: &Scenario) -> Result<Budgets, ServeError> {
    let runtime = paused();
    let started = runtime.map_err(ServeError::Runtime)?.block_on(Rollout::start(scenario));
    Ok(started.map(|rollout| {
        let of_one = |(name, policy): &ResolvedCluster| Some((name.clone(), policy.as_ref().ok()?.max_unavailable));
        rollout.clusters.iter().filter_map(of_one).collect()
    }))
}

/// Why there are none, where the settings are not usable: then the rule counts with one.
type Budgets = Result<BTreeMap<ClusterName, MaxUnavailable>, RolloutError>;

/// Has the rule `Budget` count with these, and says so.
fn set_budgets(region: &Region, budgets: &Budgets) {
    match budgets {
        Ok(budgets) => {
            for (cluster, most) in budgets {
                region.set_budget(cluster.as_str(), *most);
                println!("the rule Budget allows {most} of {cluster} out of service at once");
            }
        }
        Err(error) => {
            println!("the rule Budget allows 1 of each cluster out of service at once: {}", chain(error));
        }
    }
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
    use super::*;

    fn budgets_of(updater: &str) -> Budgets {
        let text = format!(
            "[[instances]]\ncluster = \"web\"\n[[instances]]\ncluster = \"api\"\n[cluster_tags.api]\n\
             \"ecs-updater:max-unavailable\" = \"30 percent\"\n[updater.defaults]\n{updater}"
        );
        budgets(&Scenario::parse(&text).unwrap()).unwrap()
    }

    #[test]
    fn the_budget_is_that_of_the_updater() {
        let settings = "max_unavailable = 2";
        let words: Vec<String> =
            budgets_of(settings).unwrap().iter().map(|(name, most)| format!("{name} {most}")).collect();
        assert_eq!(words, ["api 2 or 30%, whichever is fewer", "web 2"]);
        assert!(budgets_of("max_unavailable = 0").is_err());
    }
}
