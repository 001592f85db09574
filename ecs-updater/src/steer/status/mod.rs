//! How clusters stand: from tags, ECS, the lease and what the last run left beside it, in a few reads and without a command
//! to any host.
//!
//! - `gather`: what is read. `report`: what that comes to, a pure function.
//! - `out`: who has an instance out of service. `versions`: what an instance runs.
//! - `needs`: what somebody has to do. `typed`: the commands for it.

mod gather;
mod needs;
mod out;
mod report;
#[cfg(test)]
mod tests;
mod typed;
mod versions;

use models::location::Location;
use models::status::{ClusterStatus, StatusReport};

use crate::aws::{Aws, SdkConfig};
use crate::clock::Clock;
use crate::cluster_settings::Resolved;

pub(crate) use gather::{Beside, Facts, beside};
pub use needs::NEED_CODES;
pub(crate) use report::report;
pub use typed::Typed;

/// The version of the shape of a [`StatusReport`].
const VERSION: u32 = 1;

/// Reads how the clusters stand.
pub async fn status(config: &SdkConfig, clock: &Clock, resolved: &Resolved, typed: &Typed) -> StatusReport {
    let table = resolved.lease_table.as_deref();
    let all = resolved.clusters.iter().map(|(cluster, policy)| async move {
        let location = resolved.locations.get(cluster).cloned().unwrap_or_default();
        let policy = match policy {
            Ok(policy) => policy,
            Err(error) => return ClusterStatus::unread(cluster.clone(), location, error.clone()),
        };
        let aws = Aws::reading(config);
        let status = match gather::gather(&aws, cluster, policy, table, clock).await {
            Ok(facts) => report::report(&facts, typed),
            Err(error) => ClusterStatus::unread(cluster.clone(), Location::default(), error.on(cluster)),
        };
        ClusterStatus { location, aws_calls: aws.calls().counts(), ..status }
    });
    let clusters = futures_util::future::join_all(all).await;
    StatusReport { version: VERSION, at: clock.now(), clusters }
}
