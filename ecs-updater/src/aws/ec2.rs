//! EC2: instance state, tags, status checks.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{Filter, Instance, InstanceLifecycleType, InstanceStateName, Tag};
use jiff::Timestamp;
use models::claim::{CLAIM_TAG, FAILED_TAG, SAVED_LOCK_TAG, TAG_PREFIX, is_exclusion, is_unknown};
use models::clean;
use models::fleet::{Ec2, MachineState, StatusChecks, Tags};
use models::ids::{HostId, ImageId};
use models::last::LAST_TAG;

use super::client::Aws;
use super::error::AwsError;
use super::halving::{Parts, halving};
use super::limits::Bucket;

/// An EC2 instance: its facts, and those of its tags that are this program's, or were meant to be.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    pub(crate) ec2: Ec2,
    pub(crate) tags: BTreeMap<String, String>,
    /// How many tags it has besides those that this program writes, without AWS's own.
    pub(crate) others: usize,
    /// All its tags, for those that `select` asks for.
    pub(crate) all_tags: BTreeMap<String, String>,
    /// Whether an AWS service manages it (`Operator`).
    pub(crate) managed_by_aws: bool,
}

/// What EC2 says of machines that it was asked about by their ids. One that is in neither was left out of the answer without
/// an error, and says nothing.
#[derive(Debug, Default)]
pub(crate) struct Machines {
    described: BTreeMap<HostId, Described>,
    not_found: BTreeSet<HostId>,
}

impl Machines {
    pub(crate) fn get(&self, host: &HostId) -> Option<&Described> {
        self.described.get(host)
    }

    /// What EC2 says of this machine alone.
    #[cfg(test)]
    pub(crate) fn of(host: HostId, state: MachineState) -> Self {
        let one = Described {
            ec2: Ec2 { state, ..Ec2::default() },
            tags: BTreeMap::new(),
            others: 0,
            all_tags: BTreeMap::new(),
            managed_by_aws: false,
        };
        Self { described: BTreeMap::from([(host, one)]), not_found: BTreeSet::new() }
    }

    /// EC2 does not find this machine.
    #[cfg(test)]
    pub(crate) fn without(host: HostId) -> Self {
        Self { described: BTreeMap::new(), not_found: BTreeSet::from([host]) }
    }

    /// Whether EC2 says that there is no such instance.
    pub(crate) fn is_not_found(&self, host: &HostId) -> bool {
        self.not_found.contains(host)
    }
}

/// The refusal of well-formed ids that no instance has.
const NOT_FOUND: &str = "InvalidInstanceID.NotFound";
/// What the keys of tags begin with that do not count toward the most an instance can have.
const AWS_TAGS: &str = "aws:";
/// The keys that this program writes.
const WRITTEN: [&str; Tags::OURS] = [CLAIM_TAG, LAST_TAG, FAILED_TAG, SAVED_LOCK_TAG];

/// Limits of the API (EC2 API reference): ids in one request.
const DESCRIBE_INSTANCES: usize = 1_000;
const DESCRIBE_STATUS: usize = 100;
const TAG_RESOURCES: usize = 1_000;
/// Values of one filter (EC2 user guide, "Filter your resources").
const FILTER_VALUES: usize = 200;

impl Aws {
    /// The instances of these ids. What an answer leaves out without an error is asked for once more: the SDK reads what is
    /// there of XML that was cut off on its way.
    pub(crate) async fn describe_instances(&self, hosts: &[HostId]) -> Result<Machines, AwsError> {
        let mut machines = Machines::default();
        let left_out = self.describe_or_leave_out(hosts, &mut machines).await?;
        for host in self.describe_or_leave_out(&left_out, &mut machines).await? {
            tracing::debug!(%host, "left out of EC2's answer");
        }
        Ok(machines)
    }

    /// Describes these instances. Returns the ones that the answers leave out.
    async fn describe_or_leave_out(&self, hosts: &[HostId], machines: &mut Machines) -> Result<Vec<HostId>, AwsError> {
        let parts = halving(hosts, DESCRIBE_INSTANCES, async |part| self.describe_part(part, machines).await).await;
        if let Some((_, error)) = parts.failed {
            return Err(error);
        }
        for (host, error) in parts.refused {
            if !error.is_about_an_instance() {
                return Err(error);
            }
            if error.code() == Some(NOT_FOUND) {
                machines.not_found.insert(host);
            }
        }
        Ok(parts.done.into_iter().flat_map(|(_, left_out)| left_out).collect())
    }

    /// As [`Aws::describe_or_leave_out`]. One unknown id fails the whole call; where AWS names it, the rest is asked again.
    async fn describe_part(&self, hosts: &[HostId], machines: &mut Machines) -> Result<Vec<HostId>, AwsError> {
        let mut wanted = hosts.to_vec();
        while !wanted.is_empty() {
            match self.describe_known(&wanted, &mut machines.described).await {
                Ok(()) => break,
                Err(error) => {
                    let is_named = |host: &HostId| error.is_about_an_instance() && names(&error.message, host);
                    let (named, others): (Vec<_>, Vec<_>) = wanted.into_iter().partition(is_named);
                    if named.is_empty() {
                        return Err(error);
                    }
                    if error.code() == Some(NOT_FOUND) {
                        machines.not_found.extend(named);
                    }
                    wanted = others;
                }
            }
        }
        wanted.retain(|host| machines.get(host).is_none());
        Ok(wanted)
    }

    async fn describe_known(
        &self,
        hosts: &[HostId],
        described: &mut BTreeMap<HostId, Described>,
    ) -> Result<(), AwsError> {
        let mut token = None;
        loop {
            self.pace(Bucket::Ec2Read).await;
            let answer = self
                .ec2
                .describe_instances()
                .set_instance_ids(Some(ids(hosts)))
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
                        names.insert(id.into(), clean::name(name));
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

    /// The status checks of these instances; those that are not running are left out of the answers.
    pub(crate) async fn status_checks(
        &self,
        hosts: &[HostId],
        now: Timestamp,
    ) -> Parts<HostId, BTreeMap<HostId, StatusChecks>> {
        halving(hosts, DESCRIBE_STATUS, async |part| self.describe_status(part, now).await).await
    }

    async fn describe_status(
        &self,
        hosts: &[HostId],
        now: Timestamp,
    ) -> Result<BTreeMap<HostId, StatusChecks>, AwsError> {
        self.pace(Bucket::Ec2Read).await;
        let answer = self
            .ec2
            .describe_instance_status()
            .set_instance_ids(Some(ids(hosts)))
            .send()
            .await
            .map_err(|error| AwsError::from_sdk("ec2:DescribeInstanceStatus", error))?;
        let word = |summary: Option<&aws_sdk_ec2::types::InstanceStatusSummary>| {
            summary.and_then(|s| s.status()).map_or("unknown".to_owned(), |s| clean::name(s.as_str()))
        };
        let checks = answer.instance_statuses().iter().filter_map(|status| {
            let (instance, system) = (word(status.instance_status()), word(status.system_status()));
            Some((status.instance_id()?.into(), StatusChecks { at: now, instance, system }))
        });
        Ok(checks.collect())
    }

    /// Sets the same tags on every one of the instances. What is refused may be done in part all the same.
    pub(crate) async fn create_tags(&self, hosts: &[HostId], tags: &[(&str, String)]) -> Parts<HostId, ()> {
        let tags: Vec<Tag> = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(value).build()).collect();
        halving(hosts, TAG_RESOURCES, async |part: &[HostId]| {
            self.pace(Bucket::Ec2Tags).await;
            let call = self.ec2.create_tags().set_resources(Some(ids(part))).set_tags(Some(tags.clone()));
            call.send().await.map(drop).map_err(|error| AwsError::from_sdk("ec2:CreateTags", error))
        })
        .await
    }

    /// Removes the tags with these keys, whatever their values, from every one of the instances. What is refused may be
    /// done in part all the same.
    pub(crate) async fn delete_tags(&self, hosts: &[HostId], keys: &[&str]) -> Parts<HostId, ()> {
        let tags: Vec<Tag> = keys.iter().map(|key| Tag::builder().key(*key).build()).collect();
        halving(hosts, TAG_RESOURCES, async |part: &[HostId]| {
            self.pace(Bucket::Ec2Tags).await;
            let call = self.ec2.delete_tags().set_resources(Some(ids(part))).set_tags(Some(tags.clone()));
            call.send().await.map(drop).map_err(|error| AwsError::from_sdk("ec2:DeleteTags", error))
        })
        .await
    }
}

/// Whether an error's words name this id, and not one that begins like it.
fn names(message: &str, host: &HostId) -> bool {
    message.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(|word| word == host.as_str())
}

fn read_state(state: Option<&InstanceStateName>) -> MachineState {
    match state {
        Some(InstanceStateName::Pending) => MachineState::Pending,
        Some(InstanceStateName::Running) => MachineState::Running,
        Some(InstanceStateName::Stopping) => MachineState::Stopping,
        Some(InstanceStateName::Stopped) => MachineState::Stopped,
        Some(InstanceStateName::ShuttingDown) => MachineState::ShuttingDown,
        Some(InstanceStateName::Terminated) => MachineState::Terminated,
        Some(_) | None => MachineState::Unknown,
    }
}

fn ids(hosts: &[HostId]) -> Vec<String> {
    hosts.iter().map(|host| host.as_str().to_owned()).collect()
}

/// What a tag's value holds (EC2 user guide, "Tag restrictions").
const LONGEST_VALUE: usize = 256;

/// `StateReason` of a Spot instance that EC2 has taken back (EC2 API reference, `StateReason`).
const TAKEN_BACK: [&str; 2] = ["Server.SpotInstanceTermination", "Server.SpotInstanceShutdown"];

fn read(instance: &Instance) -> Described {
    let tags = || instance.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())));
    let why = instance.state_reason();
    let ec2 = Ec2 {
        state: read_state(instance.state().and_then(|state| state.name())),
        spot: instance.instance_lifecycle() == Some(&InstanceLifecycleType::Spot),
        taken_back: why.and_then(|why| why.code()).is_some_and(|code| TAKEN_BACK.contains(&code)),
        auto_scaling_group: tags()
            .find(|(key, _)| *key == "aws:autoscaling:groupName")
            .map(|(_, group)| clean::name(group)),
        image: instance.image_id().map(ImageId::from),
        launched_at: instance.launch_time().and_then(|time| Timestamp::from_second(time.secs()).ok()),
        checks: None,
    };
    let is_ours = |key: &str| key.starts_with(TAG_PREFIX) || is_exclusion(key) || is_unknown(key);
    let ours = tags().filter(|(key, _)| is_ours(key));
    let others = tags().filter(|(key, _)| !key.starts_with(AWS_TAGS) && !WRITTEN.contains(key)).count();
    Described {
        ec2,
        others,
        all_tags: tags().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        managed_by_aws: instance.operator().and_then(|operator| operator.managed()).unwrap_or_default(),
        tags: ours.map(|(key, value)| (key.to_owned(), clean::cut(value, LONGEST_VALUE))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_ours_and_of_aws_are_not_counted() {
        let tag = |key: &str| Tag::builder().key(key).value("x").build();
        let table = [
            (vec![], 0, 0),
            (vec!["Name", "team"], 2, 0),
            (vec!["Name", "aws:autoscaling:groupName", "aws:ec2launchtemplate:id"], 1, 0),
            (vec![CLAIM_TAG, LAST_TAG, FAILED_TAG, SAVED_LOCK_TAG], 0, 4),
            (vec!["ecs-updater:exclude", "ecs-updater:skip"], 2, 2),
        ];
        for (keys, others, ours) in table {
            let instance = Instance::builder().set_tags(Some(keys.iter().map(|key| tag(key)).collect())).build();
            let described = read(&instance);
            assert_eq!((described.others, described.tags.len()), (others, ours), "{keys:?}");
        }
    }

    #[test]
    fn an_error_names_ids_and_not_their_beginnings() {
        let message = "The instance IDs 'i-1234567890abcdef0, i-0a1b2c3d' do not exist (InvalidInstanceID.NotFound)";
        for (host, named) in
            [("i-1234567890abcdef0", true), ("i-0a1b2c3d", true), ("i-12345678", false), ("i-0a1b2c3d4e5f60718", false)]
        {
            assert_eq!(names(message, &host.into()), named, "{host}");
        }
    }
}
