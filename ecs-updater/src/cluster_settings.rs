//! Asks AWS for the settings that are kept there: the SSM parameter of `--config ssm:NAME`, and the clusters' tags.

use std::collections::BTreeMap;
use std::time::Duration;

use models::api_share::ApiShare;
use models::clean;
use models::cluster_tags::IgnoredTag;
use models::host::parse_version;
use models::ids::{AccountId, ClusterName};
use models::location::Location;
use models::pace::Pace;
use models::policy::{Policy, Target};
use models::report::{ClusterError, ClusterErrorKind};
use tokio::sync::watch;

use crate::aws::{Aws, AwsError, Described, ErrorKind};
use crate::config::{ConfigError, Inputs, Settings};

/// A cluster, and what it is worked on by, or why it is not.
pub type ResolvedCluster = (ClusterName, Result<Policy, ClusterError>);

/// What a run works by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The DynamoDB table with the leases; `None`: runs are not kept apart.
    pub lease_table: Option<String>,
    /// How much of the account's API rates a run may take.
    pub api_share: ApiShare,
    /// The clusters, in the order in which they were named.
    pub clusters: Vec<ResolvedCluster>,
    /// Where each cluster is, or was looked for; the Region alone where ECS does not say more.
    pub locations: BTreeMap<ClusterName, Location>,
}

/// A cluster that is in another account than it should be, or nobody knows in which.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cluster {cluster} is in {location}, but --expect-account says {expected}: nothing was done")]
pub struct OtherAccount {
    pub cluster: ClusterName,
    pub location: Location,
    pub expected: AccountId,
}

impl Resolved {
    /// Refuses clusters in any account but this one. Those that cannot be worked on count where they are written on all the
    /// same (`whatever`), and are there.
    ///
    /// # Errors
    /// The first cluster that is not known to be in it.
    pub fn expect_account(&self, expected: &AccountId, whatever: bool) -> Result<(), OtherAccount> {
        let counts = |policy: &Result<Policy, ClusterError>| match policy {
            Ok(_) => true,
            Err(error) => whatever && error.kind != ClusterErrorKind::ClusterNotFound,
        };
        for (cluster, _) in self.clusters.iter().filter(|(_, policy)| counts(policy)) {
            let location = self.locations.get(cluster).cloned().unwrap_or_default();
            if location.account.as_ref() != Some(expected) {
                return Err(OtherAccount { cluster: cluster.clone(), location, expected: expected.clone() });
            }
        }
        Ok(())
    }
}

/// How often the tags are asked for while AWS throttles: with the waits of [`pace`], a quarter of an hour.
const TRIES: usize = 30;

/// How often for one that ECS does not describe.
const TRIES_OF_ONE: usize = 6;

fn pace() -> Pace {
    Pace::new(Duration::from_secs(2), 2.0, Duration::from_secs(30), 0.0)
}

/// The text of an SSM parameter; `None` where there is none of that name.
///
/// # Errors
/// Whatever else AWS answers, or does not.
pub async fn parameter(aws: &Aws, name: &str) -> Result<Option<String>, AwsError> {
    aws.parameter(name).await
}

/// Joins all places with the clusters' tags, which are read once, for a hundred clusters in one call.
///
/// Without the tags no cluster is worked on: one of them may say to be more careful.
///
/// # Errors
/// No cluster at all, or something wrong with the settings of each.
pub async fn resolve(aws: &Aws, inputs: Inputs, stop: &watch::Receiver<bool>) -> Result<Resolved, ConfigError> {
    let Settings { lease_table, api_share, clusters } = inputs.settings()?;
    let names: Vec<ClusterName> = clusters.into_iter().map(|cluster| cluster.name).collect();
    let here = Location { account: None, region: aws.region() };
    let mut locations: BTreeMap<_, _> = names.iter().map(|name| (name.clone(), here.clone())).collect();
    let described = match describe(aws, &names, stop.clone()).await {
        Ok(described) => described,
        Err(error) => {
            let clusters = names.into_iter().map(|name| (name.clone(), Err(error.on(&name)))).collect();
            return Ok(Resolved { lease_table, api_share, clusters, locations });
        }
    };
    locations.extend(described.locations.clone());
    let settings = inputs.with_tags(&described.tags).settings()?;
    let approved = approved(aws, settings.clusters.iter().filter_map(|cluster| cluster.policy.as_ref().ok())).await;
    let clusters = settings
        .clusters
        .into_iter()
        .map(|cluster| {
            let refuse = |error: ConfigError| {
                let message = format!("cluster {}: {error}", cluster.name);
                let location = locations.get(&cluster.name).cloned().unwrap_or_default();
                tracing::error!(
                    cluster = %cluster.name,
                    region = location.region.map(tracing::field::display),
                    account = location.account.map(tracing::field::display),
                    %error,
                    "not worked on: its settings are not usable"
                );
                ClusterError { kind: ClusterErrorKind::Configuration, message }
            };
            for tag in cluster.policy.iter().flat_map(|policy| &policy.from_tags.ignored) {
                let IgnoredTag { tag, value, setting, stands } = tag;
                tracing::warn!(cluster = %cluster.name, tag, value, setting, stands, "tag ignored: it loosens a setting");
            }
            let policy = match described.failure(&cluster.name) {
                Some(error) => Err(error.on(&cluster.name)),
                None => {
                    let policy = cluster.policy.map_err(refuse);
                    policy.and_then(|policy| policy_by_approval(policy, &cluster.name, &approved))
                }
            };
            (cluster.name.clone(), policy)
        })
        .collect();
    Ok(Resolved { lease_table, api_share, clusters, locations })
}

/// What the parameters say that targets name. Each is read once.
type Approved = BTreeMap<String, Result<Option<String>, AwsError>>;

async fn approved(aws: &Aws, policies: impl Iterator<Item = &Policy>) -> Approved {
    let mut approved = Approved::new();
    for policy in policies {
        if let Target::Parameter(name) = &policy.target
            && !approved.contains_key(name)
        {
            approved.insert(name.clone(), aws.parameter(name).await);
        }
    }
    approved
}

/// Puts the version that its parameter holds in the place of a target that names one.
fn policy_by_approval(policy: Policy, cluster: &ClusterName, approved: &Approved) -> Result<Policy, ClusterError> {
    let Target::Parameter(name) = &policy.target else { return Ok(policy) };
    let refuse = |why: String| {
        let message = format!(
            "cluster {cluster}: nothing is begun, since {why}; let the pipeline that promotes versions write one to it, such \
             as 1.27.0 (aws ssm put-parameter --name {name} --type String --overwrite --value VERSION)"
        );
        ClusterError { kind: ClusterErrorKind::Configuration, message }
    };
    let text = match approved.get(name) {
        Some(Ok(Some(text))) => text.trim(),
        Some(Ok(None)) | None => return Err(refuse(format!("there is no SSM parameter {name}, which target names"))),
        Some(Err(error)) => {
            let ClusterError { kind, message } = error.on(cluster);
            let message = format!("{message} (target = \"ssm:{name}\" needs ssm:GetParameter on that parameter)");
            return Err(ClusterError { kind, message });
        }
    };
    let Some(version) = parse_version(text) else {
        let shown = clean::cut(text, LONGEST_SHOWN);
        return Err(refuse(format!(
            "the SSM parameter {name}, which target names, says {shown:?}, which is not a version"
        )));
    };
    tracing::info!(%cluster, parameter = name, %version, "approved version");
    let name = name.clone();
    Ok(policy.changed(|policy| {
        policy.target = Target::Version(version.clone());
        policy.approved_by = Some(name.clone());
    }))
}

/// How many characters of a value are shown that is no version.
const LONGEST_SHOWN: usize = 60;

/// Waits out throttling, as a run's first look does, and for a minute a cluster that is there and not described.
async fn describe(aws: &Aws, names: &[ClusterName], mut stop: watch::Receiver<bool>) -> Result<Described, AwsError> {
    let mut pace = pace();
    for tried in 1..TRIES {
        let answer = aws.describe_clusters(names).await;
        let wait = match &answer {
            Err(error) => error.kind == ErrorKind::Throttled || error.is_of_a_name() && tried == 1,
            Ok(described) => tried < TRIES_OF_ONE && names.iter().any(|name| is_silent(described, name)),
        };
        if !wait || *stop.borrow() {
            return answer;
        }
        tracing::warn!(?answer, "waiting before the next try");
        tokio::select! {
            () = tokio::time::sleep(pace.next_wait()) => {}
            _ = stop.wait_for(|stopped| *stopped) => {}
        }
    }
    aws.describe_clusters(names).await
}

fn is_silent(described: &Described, cluster: &ClusterName) -> bool {
    described.failure(cluster).is_some_and(|error| error.kind.is_silence())
}
