//! ECS: the clusters' own tags.

use std::collections::BTreeMap;

use aws_sdk_ecs::types::ClusterField;
use models::ids::ClusterName;

use super::{Aws, AwsError};

/// Clusters in one request (ECS API reference, `DescribeClusters`).
const DESCRIBE_CLUSTERS: usize = 100;

impl Aws {
    /// The tags of these clusters; those that ECS does not know are left out.
    pub(crate) async fn cluster_tags(
        &self,
        clusters: &[ClusterName],
    ) -> Result<BTreeMap<ClusterName, BTreeMap<String, String>>, AwsError> {
        let mut tags = BTreeMap::new();
        for chunk in clusters.chunks(DESCRIBE_CLUSTERS) {
            let answer = self
                .ecs
                .describe_clusters()
                .set_clusters(Some(chunk.iter().map(|name| name.as_str().to_owned()).collect()))
                .include(ClusterField::Tags)
                .send()
                .await
                .map_err(|error| AwsError::from_sdk("ecs:DescribeClusters", error))?;
            for cluster in answer.clusters() {
                let Some(name) = cluster.cluster_name() else { continue };
                let own = cluster
                    .tags()
                    .iter()
                    .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())));
                tags.insert(ClusterName::from(name), own.collect());
            }
        }
        Ok(tags)
    }
}
