//! Lifts the skip of a version in a cluster: a tag, which a rollback writes and every run reads at each full look and just
//! before each drain.

use models::cluster_tags::{SKIP_TAG, skipped};
use semver::Version;

use super::error::SteerError;
use super::steering::{Steered, Steering};
use crate::aws::AwsError;

/// Takes a version out of those that the cluster's tag says to skip.
pub(super) async fn unskip(at: &Steering<'_>, version: &Version) -> Result<Steered, SteerError> {
    let described = at.aws().describe_clusters(std::slice::from_ref(at.cluster)).await;
    let described = described.map_err(|source| at.failed(source))?;
    let (Some(arn), Some(tags)) = (described.arns.get(at.cluster), described.tags.get(at.cluster)) else {
        return Err(at.failed(described.failure(at.cluster).unwrap_or_else(AwsError::not_described)));
    };
    let mut left = skipped(tags);
    if !left.remove(version) {
        at.say(format!("cluster {}: its tag {SKIP_TAG} does not name {version}", at.cluster));
        tell_of_settings(at, version);
        return Ok(Steered::DONE);
    }
    let value = left.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let (aws, region) = (at.aws(), at.region_flag());
    let (done, by_hand) = if value.is_empty() {
        let by_hand = format!("aws ecs untag-resource{region} --resource-arn {arn} --tag-keys {SKIP_TAG}");
        (aws.untag_cluster(arn, SKIP_TAG).await, by_hand)
    } else {
        let by_hand =
            format!("aws ecs tag-resource{region} --resource-arn {arn} --tags 'key={SKIP_TAG},value={value}'");
        (aws.tag_cluster(arn, SKIP_TAG, &value).await, by_hand)
    };
    done.map_err(|source| SteerError::NotDone { cluster: at.cluster.clone(), source, by_hand })?;
    at.say(format!("cluster {}: {version} is not skipped any more by its tag {SKIP_TAG}", at.cluster));
    tell_of_settings(at, version);
    Ok(Steered::DONE)
}

/// What the settings skip, no tag can lift.
fn tell_of_settings(at: &Steering<'_>, version: &Version) {
    if at.policy.skip_versions.contains(version) {
        at.say(
            "runs skip it still where skip_versions names it in their settings (file, variable or flag), which no tag lifts",
        );
    }
}
