//! EC2 Auto Scaling: where instances are in their groups, and what the groups do.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types::{AutoScalingGroup, InstanceRefreshStatus, Tag};
use models::clean;
use models::fleet::{GroupMember, GroupSize};
use models::ids::HostId;
use models::min_size::{BadMinSize, HeldMinSize, MIN_SIZE_TAG};
use smol_str::SmolStr;

use super::client::Aws;
use super::error::AwsError;
use super::limits::Bucket;

/// Ids of one `DescribeAutoScalingInstances`, and names of one `DescribeAutoScalingGroups` (EC2 Auto Scaling API reference).
pub(crate) const MOST_NAMED: usize = 50;
const PAGE: i32 = 50;
/// The process that marks instances as unhealthy (EC2 Auto Scaling user guide, "Suspend-resume processes"). While only
/// `ReplaceUnhealthy` is suspended, they are marked all the same, and replaced later.
const HEALTH_CHECK: &str = "HealthCheck";

impl Aws {
    /// Returns the place of each of these instances in its group. Those that have none are left out: EC2 Auto Scaling passes
    /// over ids that it does not know.
    pub(crate) async fn group_members(&self, hosts: &[HostId]) -> Result<BTreeMap<HostId, GroupMember>, AwsError> {
        let mut members = BTreeMap::new();
        for chunk in hosts.chunks(MOST_NAMED) {
            let mut token = None;
            loop {
                self.pace(Bucket::AutoScalingRead).await;
                let ids = chunk.iter().map(|host| host.as_str().to_owned()).collect();
                let call = self.autoscaling.describe_auto_scaling_instances().set_instance_ids(Some(ids));
                let answer = call.max_records(PAGE).set_next_token(token).send().await;
                let answer =
                    answer.map_err(|error| AwsError::from_sdk("autoscaling:DescribeAutoScalingInstances", error))?;
                for one in answer.auto_scaling_instances() {
                    let (Some(id), Some(group)) = (one.instance_id(), one.auto_scaling_group_name()) else { continue };
                    let state = clean::name(one.lifecycle_state().unwrap_or_default()).into();
                    members.insert(id.into(), GroupMember { group: clean::name(group).into(), state });
                }
                token = answer.next_token.filter(|token| !token.is_empty());
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(members)
    }

    /// Returns, for each of these groups that there is, the load balancers' checks by which it replaces instances, and its size.
    pub(crate) async fn groups(&self, groups: &BTreeSet<SmolStr>) -> Result<BTreeMap<SmolStr, Group>, AwsError> {
        let names: Vec<String> = groups.iter().map(ToString::to_string).collect();
        let mut found = BTreeMap::new();
        for chunk in names.chunks(MOST_NAMED) {
            let mut token = None;
            loop {
                self.pace(Bucket::AutoScalingRead).await;
                let call = self.autoscaling.describe_auto_scaling_groups().include_instances(false);
                let call = call.set_auto_scaling_group_names(Some(chunk.to_vec())).max_records(PAGE);
                let answer = call.set_next_token(token).send().await;
                let answer =
                    answer.map_err(|error| AwsError::from_sdk("autoscaling:DescribeAutoScalingGroups", error))?;
                found.extend(answer.auto_scaling_groups().iter().filter_map(|group| {
                    let check = load_balancer_check(group);
                    let told = Group { load_balancer_check: check, size: size(group), tag: tag(group) };
                    Some((clean::name(group.auto_scaling_group_name()?).into(), told))
                }));
                token = answer.next_token.filter(|token| !token.is_empty());
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Sets `MinSize` of a group. One above its desired capacity raises that too.
    pub(crate) async fn set_min_size(&self, group: &str, least: u32) -> Result<(), AwsError> {
        self.pace(Bucket::AutoScalingRead).await;
        let least = i32::try_from(least).unwrap_or(i32::MAX);
        let call = self.autoscaling.update_auto_scaling_group().auto_scaling_group_name(group).min_size(least);
        let answer = call.send().await;
        answer.map(drop).map_err(|error| AwsError::from_sdk("autoscaling:UpdateAutoScalingGroup", error))
    }

    /// Writes into a tag of the group what is held of its size.
    pub(crate) async fn tag_group(&self, group: &str, held: &HeldMinSize) -> Result<(), AwsError> {
        self.pace(Bucket::AutoScalingRead).await;
        let call = self.autoscaling.create_or_update_tags().tags(tag_of(group, Some(held.to_string())));
        call.send().await.map(drop).map_err(|error| AwsError::from_sdk("autoscaling:CreateOrUpdateTags", error))
    }

    /// Removes that tag.
    pub(crate) async fn untag_group(&self, group: &str) -> Result<(), AwsError> {
        self.pace(Bucket::AutoScalingRead).await;
        let call = self.autoscaling.delete_tags().tags(tag_of(group, None));
        call.send().await.map(drop).map_err(|error| AwsError::from_sdk("autoscaling:DeleteTags", error))
    }

    /// Returns the status of the group's instance refresh that is in progress. The newest come first in the answer, and there
    /// is one in progress at most.
    pub(crate) async fn refresh_in_progress(&self, group: &str) -> Result<Option<SmolStr>, AwsError> {
        self.pace(Bucket::AutoScalingRead).await;
        let call = self.autoscaling.describe_instance_refreshes().auto_scaling_group_name(group).max_records(PAGE);
        let answer =
            call.send().await.map_err(|error| AwsError::from_sdk("autoscaling:DescribeInstanceRefreshes", error))?;
        let mut statuses = answer.instance_refreshes().iter().filter_map(|refresh| refresh.status());
        Ok(statuses.find(|status| !is_over(status)).map(|status| clean::name(status.as_str()).into()))
    }
}

/// What EC2 Auto Scaling says of a group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) load_balancer_check: Option<SmolStr>,
    pub(crate) size: Option<GroupSize>,
    /// What a run holds of its size.
    pub(crate) tag: Option<Result<HeldMinSize, BadMinSize>>,
}

fn tag(group: &AutoScalingGroup) -> Option<Result<HeldMinSize, BadMinSize>> {
    let ours = group.tags().iter().find(|tag| tag.key() == Some(MIN_SIZE_TAG))?;
    Some(ours.value().unwrap_or_default().parse())
}

/// The tag of a group in a request. It is not for the instances that the group launches.
fn tag_of(group: &str, value: Option<String>) -> Tag {
    let tag = Tag::builder().resource_id(group).resource_type("auto-scaling-group").key(MIN_SIZE_TAG);
    tag.set_value(value).propagate_at_launch(false).build()
}

fn size(group: &AutoScalingGroup) -> Option<GroupSize> {
    let suspended = group.suspended_processes().iter().filter_map(|process| process.process_name());
    Some(GroupSize {
        desired: u32::try_from(group.desired_capacity()?).ok()?,
        least: u32::try_from(group.min_size()?).ok()?,
        most: u32::try_from(group.max_size()?).ok()?,
        suspended: suspended.map(|name| clean::name(name).into()).collect(),
    })
}

/// What is newer than this program is taken for a refresh in progress.
fn is_over(status: &InstanceRefreshStatus) -> bool {
    matches!(
        status,
        InstanceRefreshStatus::Successful
            | InstanceRefreshStatus::Failed
            | InstanceRefreshStatus::Cancelled
            | InstanceRefreshStatus::RollbackFailed
            | InstanceRefreshStatus::RollbackSuccessful
    )
}

/// Returns the checks besides EC2's and EBS's own by which the group replaces its instances. Without a load balancer of the
/// group's own no instance is checked so: a service's targets are its tasks.
fn load_balancer_check(group: &AutoScalingGroup) -> Option<SmolStr> {
    let has_own = !group.target_group_arns().is_empty()
        || !group.load_balancer_names().is_empty()
        || !group.traffic_sources().is_empty();
    let is_suspended = group.suspended_processes().iter().any(|process| process.process_name() == Some(HEALTH_CHECK));
    let types = group.health_check_type().unwrap_or_default().split(',').map(str::trim);
    let checks: Vec<String> = types.filter(|kind| ["ELB", "VPC_LATTICE"].contains(kind)).map(str::to_owned).collect();
    (has_own && !is_suspended && !checks.is_empty()).then(|| checks.join(" and ").into())
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::SuspendedProcess;

    use super::*;

    #[test]
    fn a_load_balancer_replaces_only_what_it_checks_itself() {
        let table = [
            ("EC2", true, None, None),
            ("ELB", true, None, Some("ELB")),
            ("ELB", false, None, None),
            ("ELB", true, Some("HealthCheck"), None),
            ("ELB", true, Some("ReplaceUnhealthy"), Some("ELB")),
            ("EC2,EBS", true, None, None),
            ("EBS,ELB,VPC_LATTICE", true, None, Some("ELB and VPC_LATTICE")),
            ("", true, None, None),
        ];
        for (kind, has_own, suspended, expected) in table {
            let processes = suspended.map(|name| vec![SuspendedProcess::builder().process_name(name).build()]);
            let arns = has_own.then(|| vec!["arn".to_owned()]);
            let group = AutoScalingGroup::builder().health_check_type(kind).set_target_group_arns(arns);
            let found = load_balancer_check(&group.set_suspended_processes(processes).build());
            assert_eq!(found.as_deref(), expected, "{kind} {has_own} {suspended:?}");
        }
    }
}
