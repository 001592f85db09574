//! EC2: instance state, tags, status checks.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Filter, Instance, InstanceLifecycleType, Tag};
use jiff::Timestamp;
use models::claim::TAG_PREFIX;
use models::fleet::{Ec2, StatusChecks};
use models::ids::{HostId, ImageId};

use super::client::Aws;
use super::error::{AwsError, ErrorKind};
use super::limits::Bucket;

/// An EC2 instance: its facts, and those of its tags that are this program's.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    pub(crate) ec2: Ec2,
    pub(crate) tags: BTreeMap<String, String>,
}

/// Limits of the API (EC2 API reference): ids in one request.
const DESCRIBE_INSTANCES: usize = 1_000;
const DESCRIBE_STATUS: usize = 100;
const TAG_RESOURCES: usize = 1_000;
/// Values of one filter (EC2 user guide, "Filter your resources").
const FILTER_VALUES: usize = 200;

impl Aws {
    /// The instances of these ids; those that EC2 does not know are left out.
    pub(crate) async fn describe_instances(&self, hosts: &[HostId]) -> Result<BTreeMap<HostId, Described>, AwsError> {
        let mut described = BTreeMap::new();
        for chunk in hosts.chunks(DESCRIBE_INSTANCES) {
            let mut wanted = chunk.to_vec();
            // One unknown id fails the whole call; AWS names it, and the rest is asked again.
            while !wanted.is_empty() {
                match self.describe_known(&wanted, &mut described).await {
                    // EC2 answers for every id or refuses the call. The SDK reads what is there of XML that was cut off,
                    // and a machine that is missing for that reason must not count as gone.
                    Ok(()) => match wanted.iter().find(|host| !described.contains_key(*host)) {
                        None => break,
                        Some(host) => {
                            let message = format!("the answer is not complete: it does not have {host}");
                            return Err(AwsError {
                                operation: "ec2:DescribeInstances",
                                kind: ErrorKind::NoAnswer,
                                message,
                            });
                        }
                    },
                    Err(error) if error.code().is_some_and(|code| code.starts_with("InvalidInstanceID")) => {
                        let before = wanted.len();
                        wanted.retain(|host| !error.message.contains(host.as_str()));
                        if wanted.len() == before {
                            return Err(error);
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(described)
    }

    async fn describe_known(
        &self,
        hosts: &[HostId],
        described: &mut BTreeMap<HostId, Described>,
    ) -> Result<(), AwsError> {
        let ids: Vec<String> = hosts.iter().map(|host| host.as_str().to_owned()).collect();
        let mut token = None;
        loop {
            self.pace(Bucket::Ec2Read).await;
            let answer = self
                .ec2
                .describe_instances()
                .set_instance_ids(Some(ids.clone()))
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| AwsError::from_sdk("ec2:DescribeInstances", error))?;
            for instance in answer.reservations().iter().flat_map(|reservation| reservation.instances()) {
                if let Some(id) = instance.instance_id() {
                    described.insert(id.into(), read(instance));
                }
            }
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(());
            }
        }
    }

    /// The names of these images; those that are not there any more, or are not shown to us, are left out.
    pub(crate) async fn image_names(&self, images: &[ImageId]) -> Result<BTreeMap<ImageId, String>, AwsError> {
        let mut names = BTreeMap::new();
        for chunk in images.chunks(FILTER_VALUES) {
            let ids = chunk.iter().map(|image| image.as_str().to_owned()).collect();
            // By a filter, since one id that is not there any more would fail the whole call.
            let filter = Filter::builder().name("image-id").set_values(Some(ids)).build();
            let mut token = None;
            loop {
                self.pace(Bucket::Ec2Read).await;
                let answer = self
                    .ec2
                    .describe_images()
                    .filters(filter.clone())
                    .include_deprecated(true)
                    .set_next_token(token)
                    .send()
                    .await
                    .map_err(|error| AwsError::from_sdk("ec2:DescribeImages", error))?;
                for image in answer.images() {
                    if let (Some(id), Some(name)) = (image.image_id(), image.name()) {
                        names.insert(id.into(), name.to_owned());
                    }
                }
                token = answer.next_token.filter(|token| !token.is_empty());
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(names)
    }

    /// The status checks of these instances; those that are not running are left out.
    pub(crate) async fn status_checks(
        &self,
        hosts: &[HostId],
        now: Timestamp,
    ) -> Result<BTreeMap<HostId, StatusChecks>, AwsError> {
        let mut checks = BTreeMap::new();
        for chunk in hosts.chunks(DESCRIBE_STATUS) {
            self.pace(Bucket::Ec2Read).await;
            let answer = self
                .ec2
                .describe_instance_status()
                .set_instance_ids(Some(chunk.iter().map(|host| host.as_str().to_owned()).collect()))
                .send()
                .await
                .map_err(|error| AwsError::from_sdk("ec2:DescribeInstanceStatus", error))?;
            for status in answer.instance_statuses() {
                let word = |summary: Option<&aws_sdk_ec2::types::InstanceStatusSummary>| {
                    summary.and_then(|s| s.status()).map_or("unknown".to_owned(), |s| s.as_str().to_owned())
                };
                if let Some(id) = status.instance_id() {
                    let (instance, system) = (word(status.instance_status()), word(status.system_status()));
                    checks.insert(id.into(), StatusChecks { at: now, instance, system });
                }
            }
        }
        Ok(checks)
    }

    /// Sets the same tags on every one of the instances.
    pub(crate) async fn create_tags(&self, hosts: &[HostId], tags: &[(&str, String)]) -> Result<(), AwsError> {
        let tags: Vec<Tag> = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(value).build()).collect();
        for chunk in hosts.chunks(TAG_RESOURCES) {
            self.pace(Bucket::Ec2Tags).await;
            self.ec2
                .create_tags()
                .set_resources(Some(chunk.iter().map(|host| host.as_str().to_owned()).collect()))
                .set_tags(Some(tags.clone()))
                .send()
                .await
                .map_err(|error| AwsError::from_sdk("ec2:CreateTags", error))?;
        }
        Ok(())
    }

    /// Removes the tags with these keys, whatever their values, from every one of the instances.
    pub(crate) async fn delete_tags(&self, hosts: &[HostId], keys: &[&str]) -> Result<(), AwsError> {
        let tags: Vec<Tag> = keys.iter().map(|key| Tag::builder().key(*key).build()).collect();
        for chunk in hosts.chunks(TAG_RESOURCES) {
            self.pace(Bucket::Ec2Tags).await;
            self.ec2
                .delete_tags()
                .set_resources(Some(chunk.iter().map(|host| host.as_str().to_owned()).collect()))
                .set_tags(Some(tags.clone()))
                .send()
                .await
                .map_err(|error| AwsError::from_sdk("ec2:DeleteTags", error))?;
        }
        Ok(())
    }
}

fn read(instance: &Instance) -> Described {
    let tags = || instance.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())));
    let state = instance.state().and_then(|state| state.name()).map_or("unknown", |name| name.as_str());
    let ec2 = Ec2 {
        state: state.into(),
        spot: instance.instance_lifecycle() == Some(&InstanceLifecycleType::Spot),
        auto_scaling_group: tags()
            .find(|(key, _)| *key == "aws:autoscaling:groupName")
            .map(|(_, group)| group.to_owned()),
        image: instance.image_id().map(ImageId::from),
        launched_at: instance.launch_time().and_then(|time| Timestamp::from_second(time.secs()).ok()),
        checks: None,
    };
    let ours = tags().filter(|(key, _)| key.starts_with(TAG_PREFIX));
    Described { ec2, tags: ours.map(|(key, value)| (key.to_owned(), value.to_owned())).collect() }
}
