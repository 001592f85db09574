//! What is read of a cluster.

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::fleet::FleetSnapshot;
use models::ids::ClusterName;
use models::min_size::HeldMinSize;
use models::policy::Policy;
use models::status::LeaseStatus;
use models::summary::Summary;
use smol_str::SmolStr;

use crate::aws::{Aws, AwsError};
use crate::clock::Clock;
use crate::lease::{Entry, LASTS};
use crate::observe;

/// One cluster, as far as it could be read.
pub(crate) struct Facts<'a> {
    pub(crate) fleet: FleetSnapshot,
    pub(crate) policy: &'a Policy,
    /// Why no tag is known, where EC2 does not tell, and what to do about that.
    pub(crate) no_tags: Option<String>,
    pub(crate) lease: LeaseStatus,
    /// What the last run left, or why that is not known.
    pub(crate) summary: Result<Summary, String>,
    /// What runs hold of the least sizes of Auto Scaling groups, as far as that is told.
    pub(crate) held: BTreeMap<SmolStr, HeldMinSize>,
    pub(crate) now: Timestamp,
}

/// Reads a cluster.
///
/// # Errors
/// ECS could not be read. What the others do not tell is not known.
pub(super) async fn gather<'a>(
    aws: &Aws,
    cluster: &ClusterName,
    policy: &'a Policy,
    table: Option<&str>,
    clock: &Clock,
) -> Result<Facts<'a>, AwsError> {
    let mut fleet = FleetSnapshot::nothing_seen(cluster, clock.now());
    let (trouble, beside) =
        tokio::join!(observe::glance(aws, &mut fleet, policy, clock.now()), beside(aws, cluster, table, clock));
    let Beside { lease, summary, .. } = beside;
    let no_tags = trouble?.map(|error| format!("{error}; {}", error.advice()));
    let held = held_sizes(aws, &fleet).await;
    Ok(Facts { fleet, policy, no_tags, lease, summary, held, now: clock.now() })
}

/// Reads what runs hold of the groups of capacity providers. Where that is not told, nothing is known of it: few clusters have any.
async fn held_sizes(aws: &Aws, fleet: &FleetSnapshot) -> BTreeMap<SmolStr, HeldMinSize> {
    let names = fleet.groups_of_providers();
    if names.is_empty() {
        return BTreeMap::new();
    }
    match aws.groups(&names).await {
        Ok(told) => told.into_iter().filter_map(|(name, group)| Some((name, group.tag?.ok()?))).collect(),
        Err(error) => {
            tracing::debug!(cluster = %fleet.cluster, %error, "whether sizes of groups are held is not known");
            BTreeMap::new()
        }
    }
}

/// The lease, and what the last run left beside it.
pub(crate) struct Beside {
    pub(crate) lease: LeaseStatus,
    /// Why the lease is not known.
    pub(crate) error: Option<AwsError>,
    pub(crate) summary: Result<Summary, String>,
}

/// Reads the lease, and what the last run left beside it.
pub(crate) async fn beside(aws: &Aws, cluster: &ClusterName, table: Option<&str>, clock: &Clock) -> Beside {
    let Some(table) = table else {
        let summary = Err("there is no lease table".to_owned());
        return Beside { lease: LeaseStatus::NoTable, error: None, summary };
    };
    let (lease, summary) = tokio::join!(aws.lease_entry(table, cluster), aws.summary(table, cluster));
    let why = |error: &AwsError| format!("{error}; {}", error.advice());
    let error = lease.as_ref().err().cloned();
    let lease = match lease {
        Ok(entry) => lease_status(entry, clock.now()),
        Err(error) => LeaseStatus::NotKnown { why: why(&error) },
    };
    let summary = match summary {
        Ok(Some(read)) => read.map_err(|error| error.to_string()),
        Ok(None) => Err("no run has left a summary in the lease table".to_owned()),
        Err(error) => Err(why(&error)),
    };
    Beside { lease, error, summary }
}

/// Returns what an item says of a lease at a moment. The expiry is by its holder's clock.
pub(super) fn lease_status(entry: Option<Entry>, now: Timestamp) -> LeaseStatus {
    let Some(Entry { holder: run, epoch, expires }) = entry else { return LeaseStatus::Never };
    if expires == Timestamp::UNIX_EPOCH {
        LeaseStatus::Free { run }
    } else if expires > now {
        let renewed_at = expires.checked_sub(LASTS).unwrap_or(Timestamp::MIN);
        LeaseStatus::Held { run, epoch, until: expires, renewed_at }
    } else {
        LeaseStatus::Expired { run, epoch, at: expires }
    }
}
