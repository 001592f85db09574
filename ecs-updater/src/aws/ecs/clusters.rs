//! ECS: the clusters themselves.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::types::{ClusterField, Tag};
use models::clean;
use models::cluster_tags::skipped;
use models::ids::{ClusterName, RegionName};
use models::location::Location;
use models::schedule::pause;
use semver::Version;

use crate::aws::client::Aws;
use crate::aws::ecs::instances::TAG_RESOURCE;
use crate::aws::error::{AwsError, ErrorKind};
use crate::aws::limits::Bucket;

/// Clusters in one request (ECS API reference, `DescribeClusters`).
const DESCRIBE_CLUSTERS: usize = 100;

/// What ECS says of some clusters.
#[derive(Debug, Default)]
pub(crate) struct Described {
    /// The tags of those that ECS knows.
    pub(crate) tags: BTreeMap<ClusterName, BTreeMap<String, String>>,
    /// Where each is, or would be: the answer has the ARN of one that is missing too.
    pub(crate) locations: BTreeMap<ClusterName, Location>,
    /// The ARNs of those that ECS knows.
    pub(crate) arns: BTreeMap<ClusterName, String>,
    /// Why it does not describe the others. Their tags are not known.
    pub(crate) failures: BTreeMap<ClusterName, String>,
}

impl Described {
    /// Returns why the tags of this cluster are not known; `None` where they are.
    pub(crate) fn failure(&self, cluster: &ClusterName) -> Option<AwsError> {
        if self.tags.contains_key(cluster) {
            return None;
        }
        let reason = self.failures.get(cluster).map_or("left out of the answer", String::as_str);
        let kind = if reason == MISSING { ErrorKind::NotFound } else { ErrorKind::NoAnswer };
        Some(AwsError { operation: DESCRIBE, kind, message: reason.to_owned() })
    }
}

/// What the tags of a cluster say that every run reads at each look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// The note of a pause.
    pub(crate) pause: Option<String>,
    /// The versions that are not to be installed.
    pub(crate) skipped: BTreeSet<Version>,
}

/// The reason of a failure where there is no such cluster.
const MISSING: &str = "MISSING";
const DESCRIBE: &str = "ecs:DescribeClusters";

/// What a tag's value holds (ECS API reference, `Tag`).
const LONGEST_VALUE: usize = 256;

impl Aws {
    /// Describes these clusters.
    pub(crate) async fn describe_clusters(&self, clusters: &[ClusterName]) -> Result<Described, AwsError> {
        let mut described = Described::default();
        for chunk in clusters.chunks(DESCRIBE_CLUSTERS) {
            let answer = self
                .ecs
                .describe_clusters()
                .set_clusters(Some(chunk.iter().map(|name| name.as_str().to_owned()).collect()))
                .include(ClusterField::Tags)
                .send()
                .await
                .map_err(|error| AwsError::from_sdk(DESCRIBE, error))?;
            for cluster in answer.clusters() {
                let Some(name) = cluster.cluster_name() else { continue };
                let own = cluster.tags().iter().filter_map(|tag| {
                    Some((clean::name(tag.key()?), clean::cut(tag.value().unwrap_or_default(), LONGEST_VALUE)))
                });
                described.tags.insert(ClusterName::from(name), own.collect());
                let arn = cluster.cluster_arn().map(|arn| (ClusterName::from(name), clean::name(arn)));
                described.arns.extend(arn);
            }
            for failure in answer.failures() {
                let Some((_, name)) = failure.arn().and_then(|arn| arn.rsplit_once(":cluster/")) else { continue };
                let reason = clean::name(failure.reason().unwrap_or("no reason"));
                described.failures.insert(ClusterName::from(name), reason);
            }
            let failed = answer.failures().iter().filter_map(|failure| failure.arn());
            let arns = answer.clusters().iter().filter_map(|cluster| cluster.cluster_arn()).chain(failed);
            described.locations.extend(arns.filter_map(|arn| {
                let (_, name) = arn.rsplit_once(":cluster/")?;
                Some((ClusterName::from(name), Location::of_arn(arn)?))
            }));
        }
        Ok(described)
    }

    /// Returns what people wish of every run on a cluster, by its tags.
    pub(crate) async fn wishes(&self, cluster: &ClusterName) -> Result<Wishes, AwsError> {
        let described = self.describe_clusters(std::slice::from_ref(cluster)).await?;
        if let Some(error) = described.failure(cluster) {
            // Whether it is there is said by the list of its container instances.
            return Err(AwsError { kind: ErrorKind::NoAnswer, ..error });
        }
        let tags = described.tags.get(cluster);
        let pause = tags.and_then(pause).map(str::to_owned);
        Ok(Wishes { pause, skipped: tags.map(skipped).unwrap_or_default() })
    }

    /// Writes a tag of a cluster.
    pub(crate) async fn tag_cluster(&self, arn: &str, key: &str, value: &str) -> Result<(), AwsError> {
        self.pace(Bucket::EcsTags).await;
        let call = self.ecs.tag_resource().resource_arn(arn).tags(Tag::builder().key(key).value(value).build());
        call.send().await.map(drop).map_err(|error| AwsError::from_sdk(TAG_RESOURCE, error))
    }

    /// Removes a tag of a cluster.
    pub(crate) async fn untag_cluster(&self, arn: &str, key: &str) -> Result<(), AwsError> {
        self.pace(Bucket::EcsTags).await;
        let call = self.ecs.untag_resource().resource_arn(arn).tag_keys(key);
        call.send().await.map(drop).map_err(|error| AwsError::from_sdk("ecs:UntagResource", error))
    }

    /// Returns the Region that the calls go to.
    pub(crate) fn region(&self) -> Option<RegionName> {
        let Self { ecs, .. } = self;
        ecs.config().region().map(|region| region.as_ref().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_were_not_read_are_not_known() {
        let name = |text: &str| ClusterName::from(text);
        let described = Described {
            tags: BTreeMap::from([(name("web"), BTreeMap::new())]),
            failures: BTreeMap::from([
                (name("gone"), "MISSING".to_owned()),
                (name("slow"), "DEPENDENCY_FAILURE".to_owned()),
            ]),
            ..Described::default()
        };
        let kind = |cluster: &str| described.failure(&name(cluster)).map(|error| error.kind);
        assert_eq!(kind("web"), None);
        assert_eq!(kind("gone"), Some(ErrorKind::NotFound));
        assert_eq!(kind("slow"), Some(ErrorKind::NoAnswer));
        assert_eq!(kind("left-out"), Some(ErrorKind::NoAnswer));
    }
}
