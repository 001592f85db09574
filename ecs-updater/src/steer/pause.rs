//! The pause of a cluster: a tag of it, which every run reads at each full look and just before each drain.

use models::schedule::PAUSE_TAG;

use super::error::SteerError;
use super::steering::{Steered, Steering};
use crate::aws::AwsError;

/// Pauses a cluster, or gives the pause another reason.
pub(super) async fn pause(at: &Steering<'_>, reason: &str) -> Result<Steered, SteerError> {
    let (arn, before) = tags(at).await?;
    match before.as_deref() {
        Some(note) if note == reason => {
            at.say(format!("cluster {} is paused already: {note}", at.cluster));
            return Ok(Steered::DONE);
        }
        Some(note) => at.say(format!("cluster {} was paused: {note}", at.cluster)),
        None => {}
    }
    if let Err(source) = at.aws().tag_cluster(&arn, PAUSE_TAG, reason).await {
        let by_hand = format!(
            "aws ecs tag-resource{} --resource-arn {arn} --tags 'key={PAUSE_TAG},value={reason}'",
            at.region_flag()
        );
        return Err(not_done(at, source, by_hand));
    }
    at.say(format!("cluster {} is paused: {reason}", at.cluster));
    at.say("a run at work begins nothing from its next look on (30 s, and longer for more than 600 instances), and ends what was begun");
    at.say(format!("to lift it: ecs-updater resume --cluster {}", at.cluster));
    Ok(Steered::DONE)
}

/// Lifts the pause of a cluster.
pub(super) async fn resume(at: &Steering<'_>) -> Result<Steered, SteerError> {
    let (arn, before) = tags(at).await?;
    let Some(note) = before else {
        at.say(format!("cluster {} is not paused", at.cluster));
        return Ok(Steered::DONE);
    };
    if let Err(source) = at.aws().untag_cluster(&arn, PAUSE_TAG).await {
        let by_hand = format!("aws ecs untag-resource{} --resource-arn {arn} --tag-keys {PAUSE_TAG}", at.region_flag());
        return Err(not_done(at, source, by_hand));
    }
    at.say(format!("cluster {} is not paused any more; it was: {note}", at.cluster));
    Ok(Steered::DONE)
}

/// Returns the cluster's ARN, and what its tag says.
async fn tags(at: &Steering<'_>) -> Result<(String, Option<String>), SteerError> {
    let described = at.aws().describe_clusters(std::slice::from_ref(at.cluster)).await;
    let described = described.map_err(|source| at.failed(source))?;
    match described.arns.get(at.cluster) {
        Some(arn) => {
            let tags = described.tags.get(at.cluster);
            Ok((arn.clone(), tags.and_then(|tags| tags.get(PAUSE_TAG)).cloned()))
        }
        None => Err(at.failed(described.failure(at.cluster).unwrap_or_else(AwsError::not_described))),
    }
}

fn not_done(at: &Steering<'_>, source: AwsError, by_hand: String) -> SteerError {
    SteerError::NotDone { cluster: at.cluster.clone(), source, by_hand }
}
