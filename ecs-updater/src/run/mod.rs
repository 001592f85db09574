//! The loop: observe, plan, act, observe again, until nothing is left that this run could do, or a signal comes.
//!
//! Each cluster has a loop of its own; they share nothing but the signal.
//!
//! - `cluster`: what a loop knows from one round to the next.
//! - `work`: its rounds from beginning to end, under the lease.
//! - `rounds`: one round after the other. `looks`: what a round looks at, and how long the loop sleeps.
//! - `rhythm`: how often it looks, and how fast it may turn; `unhurried`: when the whole cluster need not be looked at as
//!   often.
//! - `naming`: tags container instances with the ARNs of their EC2 instances; `namer`: its calls, beside the loop.
//! - `hooks`: asks the user's functions; `hook_calls`: its calls, beside the loop.
//! - `named`: which instances a person has named for this run.
//! - `versions`: how old releases are, and whether the one that was approved still is.
//! - `way_back`: the release that instances go back from, and its skip; `skip`: what is known of that.
//! - `doubts`: claims that say that another run has the lease.
//! - `acts`: what went wrong with acts, and how long that is waited out.
//! - `signals`: what it is told from outside; `interruption`: what that does.
//! - `report`: what it says when it is over. `watch`: who sees it before. `tell`: who hears what happens.
//! - `post`: messages for an event bus, beside the loop.
//! - `summary`: what it leaves beside its lease, for `status`; `scribe`: its calls, beside the loop.

mod acts;
mod cluster;
mod doubts;
mod hook_calls;
mod hooks;
mod interruption;
mod launched;
mod looks;
mod min_size;
mod named;
mod namer;
mod naming;
mod post;
mod report;
mod rhythm;
mod rounds;
mod scribe;
mod signals;
mod skip;
mod summary;
mod tell;
mod unhurried;
mod versions;
mod watch;
mod way_back;
mod work;

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::api_share::ApiShare;
use models::ids::{ClusterName, RunId};
use models::location::Location;
use models::policy::Policy;
use models::report::{ClusterError, ClusterReport, NothingUpdated, RunReport};
use models::selection::{Named, Selection};

use crate::aws::{Aws, Fence, Limits};
use crate::clock::Clock;
use crate::keeper::HeldLease;
use crate::planner::{Purpose, RunFacts};

pub use signals::Signals;
pub use watch::{View, Watch};

use cluster::{Cluster, Deps, Lease};
use named::Found;
use post::Post;
use report::refused;
use versions::date_oldest;
use work::Worked;

/// What a run is to do.
#[derive(Debug, Clone)]
pub struct Job {
    /// The run's id.
    pub run: RunId,
    /// The clusters and what a person decided for each, or why a cluster cannot be worked on.
    pub clusters: Vec<(ClusterName, Result<Policy, ClusterError>)>,
    /// Where each cluster is, for the log and the report.
    pub locations: BTreeMap<ClusterName, Location>,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether to read only.
    pub dry_run: bool,
    /// Whether to begin updates outside of the windows too.
    pub outside_window: bool,
    /// The instances that a person has named.
    pub named: Named,
    /// The DynamoDB table with the leases, where there is one.
    pub lease_table: Option<String>,
    /// How much of the account's API rates all its clusters together may take.
    pub api_share: ApiShare,
    /// Whether AWS is asked at the end when the oldest releases were published that still run.
    pub dates_oldest: bool,
}

impl Job {
    fn facts(&self, started_at: Timestamp, selection: &Selection) -> RunFacts {
        RunFacts {
            run: self.run.clone(),
            started_at,
            purpose: self.purpose.clone(),
            dry_run: self.dry_run,
            stop: None,
            idle_since: None,
            outside_window: self.outside_window,
            selection: selection.clone(),
            api_share: self.api_share,
        }
    }
}

/// Runs the job to its end, or until a signal: at `stop` nothing new is begun, the writes on their way end, and the report
/// says what is left, within half a minute; at `finish` what was begun is brought to an end.
pub async fn run(
    config: &aws_config::SdkConfig,
    clock: &Clock,
    job: Job,
    watch: &dyn Watch,
    signals: impl Into<Signals>,
) -> RunReport {
    let signals = signals.into();
    let started_at = clock.now();
    let limits = Limits::sharing(job.api_share);
    let asked = job.clusters.iter().filter(|(_, policy)| policy.is_ok());
    let asked = asked.map(|(cluster, _)| (cluster, Aws::new(config, &Fence::open(), limits.clone()))).collect();
    let Found { selection, refused: unnamed } = named::find(asked, &job.named, signals.stop.clone()).await;
    let loops = job.clusters.iter().map(|(cluster, policy)| {
        let facts = job.facts(started_at, &selection);
        let table = job.lease_table.as_deref().filter(|_| !job.dry_run);
        let (limits, signals) = (limits.clone(), signals.clone());
        let location = job.locations.get(cluster).cloned().unwrap_or_default();
        let policy = match unnamed.get(cluster) {
            Some(error) => Err(error),
            None => policy.as_ref(),
        };
        async move {
            let policy = match policy {
                Ok(policy) => policy,
                Err(error) => {
                    let report = refused(cluster, location, error);
                    return Worked { report, is_cut_short: false, oldest: Vec::new() };
                }
            };
            let lease = table.map(|table| Lease { table, hold: HeldLease::default() });
            let fence = lease.as_ref().map_or_else(Fence::open, |lease| lease.hold.fence(clock));
            let bus = policy.events.as_deref().filter(|_| !job.dry_run);
            let post = Post::to(bus, &location);
            let dates_oldest = job.dates_oldest && !job.dry_run;
            let deps = Deps { aws: Aws::new(config, &fence, limits), clock, lease, signals, post, dates_oldest };
            let worked = Cluster::new(cluster, policy, facts, deps).run(watch, &location).await;
            Worked { report: ClusterReport { location, ..worked.report }, ..worked }
        }
    });
    let mut worked = futures_util::future::join_all(loops).await;
    let aws = Aws::new(config, &Fence::open(), limits.clone());
    date_oldest(&aws, &mut worked, clock.now(), signals.stop.clone()).await;
    let (clusters, cut_short): (Vec<_>, Vec<bool>) =
        worked.into_iter().map(|worked| (worked.report, worked.is_cut_short)).unzip();
    let report = RunReport {
        version: 1,
        run: job.run.clone(),
        dry_run: job.dry_run,
        started_at,
        ended_at: clock.now(),
        interrupted: *signals.stop.borrow() || cut_short.contains(&true),
        clusters,
        nothing_updated: None,
    };
    let nothing_updated = NothingUpdated::of(&report);
    if let Some(found) = &nothing_updated {
        tracing::warn!("{found}");
    }
    RunReport { nothing_updated, ..report }
}
