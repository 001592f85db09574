//! What Auto Scaling groups launched last, and what they launch today: for the report, which does without where AWS does not say.

use std::collections::BTreeSet;
use std::time::Duration;

use models::build::DOCS;
use models::ids::ImageId;

use super::cluster::Cluster;
use super::interruption::signal;
use crate::aws::AwsError;
use crate::planner::{self, GroupLaunches};

/// How long the report waits for this, which nothing depends on.
const PATIENCE: Duration = Duration::from_secs(30);

impl Cluster<'_> {
    /// Asks for the images of groups, and for their names.
    pub(super) async fn launched(&self) -> GroupLaunches {
        let found = tokio::select! {
            biased;
            found = tokio::time::timeout(PATIENCE, self.find_launched()) => found,
            () = signal(self.stop.clone()) => {
                tracing::warn!(cluster = %self.name, "interrupted: the report does without the names of images");
                return GroupLaunches::default();
            }
        };
        let trouble = match found {
            Ok(Ok(found)) => return found,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        tracing::warn!(
            cluster = %self.name,
            error = trouble,
            "the report does not tell whether Auto Scaling groups launch old images; {DOCS}/operations.md#permissions lists \
             every permission"
        );
        GroupLaunches::default()
    }

    async fn find_launched(&self) -> Result<GroupLaunches, AwsError> {
        let groups = planner::group_names(&self.fleet);
        let launches = match self.aws.launches(&groups).await {
            // What was launched last is told all the same.
            Err(error) if error.is_missing_right() => Default::default(),
            launches => launches?,
        };
        let mut images: BTreeSet<ImageId> = planner::youngest_images(&self.fleet);
        images.extend(launches.values().flat_map(|launch| &launch.images).map(|launch| launch.image.clone()));
        let names = self.aws.image_names(&Vec::from_iter(images)).await?;
        let versions = names.into_iter().filter_map(|(id, name)| Some((id, planner::image_version(&name)?)));
        Ok(GroupLaunches { versions: versions.collect(), launches })
    }
}
