//! The container instances of a cluster.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::types::{ContainerInstance, ContainerInstanceField, ContainerInstanceStatus, Resource, Tag};
use models::attributes::PREFIX;
use models::clean;
use models::fleet::{Attributes, InstanceStatus, Resources};
use models::ids::{ClusterName, ContainerInstanceArn, HostId, ZoneName};
use models::own_host::INSTANCE_TAG;
use models::query::is_unnamed;
use models::selection::InstanceName;
use smol_str::SmolStr;

use super::read::{count, shared};
use crate::aws::client::Aws;
use crate::aws::error::AwsError;
use crate::aws::halving::halving;
use crate::aws::limits::Bucket;

/// Limits of the API (ECS API reference).
const DESCRIBE_INSTANCES: usize = 100;
const UPDATE_STATE: usize = 10;
/// Ids in one filter, so that it stays as short as a placement constraint may be.
const FILTERED_HOSTS: usize = 50;
/// The operation that tags a container instance.
pub(crate) const TAG_RESOURCE: &str = "ecs:TagResource";

/// A container instance as ECS describes it.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    pub(crate) arn: ContainerInstanceArn,
    pub(crate) host: HostId,
    pub(crate) status: InstanceStatus,
    pub(crate) agent_connected: bool,
    pub(crate) running_tasks: u32,
    pub(crate) pending_tasks: u32,
    pub(crate) variant: Option<String>,
    pub(crate) zone: Option<ZoneName>,
    /// Those that placement constraints can name.
    pub(crate) nameable: Attributes,
    pub(crate) registered: Resources,
    pub(crate) remaining: Resources,
    pub(crate) registered_at: i64,
    pub(crate) agent_version: Option<SmolStr>,
    /// Those of the host bridge.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Its capacity provider.
    pub(crate) provider: Option<SmolStr>,
    /// The tag that names its machine; `None` too where tags were not asked for.
    pub(crate) instance_tag: Option<String>,
}

/// What ECS says of the container instances that it was asked about.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) described: Vec<Described>,
    /// Those that it lists under `failures`: nothing is known of them.
    pub(crate) not_described: BTreeSet<ContainerInstanceArn>,
}

/// Which container instances are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// All but INACTIVE.
    All,
    /// Those that are DRAINING.
    Draining,
    /// Those whose agent is not connected, by the cluster query language (ECS developer guide,
    /// `cluster-query-language`).
    Disconnected,
}

/// A part of a call that failed for one instance: its ARN and ECS's reason, such as `MISSING`.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) arn: ContainerInstanceArn,
    pub(crate) reason: String,
}

/// What became of setting the status of container instances.
#[derive(Debug, Default)]
pub(crate) struct StatusesSet {
    /// The statuses that ECS has set.
    pub(crate) done: BTreeMap<ContainerInstanceArn, InstanceStatus>,
    /// The instances that an answer does not have as done.
    pub(crate) failures: Vec<Failure>,
    /// The instances for which alone ECS refused the call.
    pub(crate) refused: Vec<(ContainerInstanceArn, AwsError)>,
    /// The others, and why they were not set.
    pub(crate) error: Option<(Vec<ContainerInstanceArn>, AwsError)>,
}

impl Aws {
    /// ARNs of the cluster's container instances.
    pub(crate) async fn list_container_instances(
        &self,
        cluster: &ClusterName,
        which: Listed,
    ) -> Result<Vec<ContainerInstanceArn>, AwsError> {
        let (status, filter) = match which {
            Listed::All => (None, None),
            Listed::Draining => (Some(ContainerInstanceStatus::Draining), None),
            Listed::Disconnected => (None, Some("agentConnected == false".to_owned())),
        };
        self.list_by(cluster, status, filter).await
    }

    async fn list_by(
        &self,
        cluster: &ClusterName,
        status: Option<ContainerInstanceStatus>,
        filter: Option<String>,
    ) -> Result<Vec<ContainerInstanceArn>, AwsError> {
        let mut pages = self
            .ecs
            .list_container_instances()
            .cluster(cluster.as_str())
            .set_status(status)
            .set_filter(filter)
            .max_results(100)
            .into_paginator()
            .send();
        let mut arns = Vec::new();
        while let Some(page) = self.paced(Bucket::ClusterRead, pages.next()).await {
            let page = page.map_err(|error| AwsError::from_sdk("ecs:ListContainerInstances", error))?;
            let last = page.next_token.is_none();
            arns.extend(page.container_instance_arns.unwrap_or_default().into_iter().map(ContainerInstanceArn::from));
            if last {
                break;
            }
        }
        Ok(arns)
    }

    /// Finds the container instances that have one of these names, each with its machine.
    pub(crate) async fn find_container_instances(
        &self,
        cluster: &ClusterName,
        names: &[InstanceName],
    ) -> Result<Vec<(ContainerInstanceArn, HostId)>, AwsError> {
        let hosts: Vec<&str> = names.iter().filter_map(InstanceName::host).map(HostId::as_str).collect();
        let mut arns = BTreeSet::new();
        for part in hosts.chunks(FILTERED_HOSTS) {
            let filter = format!("ec2InstanceId in [{}]", part.join(", "));
            arns.extend(self.list_by(cluster, None, Some(filter)).await?);
        }
        if hosts.len() < names.len() {
            let all = self.list_container_instances(cluster, Listed::All).await?;
            arns.extend(all.into_iter().filter(|arn| names.iter().any(|name| name.is_of(arn))));
        }
        let arns = Vec::from_iter(arns);
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let Answer { described, .. } = self.describe_container_instances(cluster, &arns, false).await?;
        Ok(described.into_iter().map(|one| (one.arn, one.host)).collect())
    }

    /// Describes any number of container instances, with their tags or without.
    pub(crate) async fn describe_container_instances(
        &self,
        cluster: &ClusterName,
        arns: &[ContainerInstanceArn],
        with_tags: bool,
    ) -> Result<Answer, AwsError> {
        let parts = halving(arns, DESCRIBE_INSTANCES, async |part: &[ContainerInstanceArn]| {
            self.pace(Bucket::ClusterRead).await;
            let arns = part.iter().map(|arn| arn.as_str().to_owned()).collect();
            let call = self.ecs.describe_container_instances().cluster(cluster.as_str());
            let tags = with_tags.then(|| vec![ContainerInstanceField::Tags]);
            let answer = call.set_container_instances(Some(arns)).set_include(tags).send().await;
            answer.map_err(|error| AwsError::from_sdk("ecs:DescribeContainerInstances", error))
        });
        let (answers, refused) = parts.await.read()?;
        let mut not_described: BTreeSet<ContainerInstanceArn> = refused.into_iter().collect();
        let mut described = Vec::with_capacity(arns.len());
        let mut alike = BTreeSet::new();
        for answer in answers {
            for failure in answer.failures() {
                tracing::debug!(arn = failure.arn(), reason = failure.reason(), "container instance not described");
                not_described.extend(failure.arn().map(ContainerInstanceArn::from));
            }
            described.extend(
                answer.container_instances.unwrap_or_default().iter().filter_map(|one| read_instance(one, &mut alike)),
            );
        }
        Ok(Answer { described, not_described })
    }

    /// Writes the tag that names the EC2 instance below a container instance.
    pub(crate) async fn tag_container_instance(
        &self,
        on: &ContainerInstanceArn,
        instance_arn: &str,
    ) -> Result<(), AwsError> {
        self.pace(Bucket::EcsTags).await;
        let tag = Tag::builder().key(INSTANCE_TAG).value(instance_arn).build();
        let call = self.ecs.tag_resource().resource_arn(on.as_str()).tags(tag);
        call.send().await.map(drop).map_err(|error| AwsError::from_sdk(TAG_RESOURCE, error))
    }

    /// Sets the status of any number of container instances.
    pub(crate) async fn update_state(
        &self,
        cluster: &ClusterName,
        arns: &[ContainerInstanceArn],
        status: InstanceStatus,
    ) -> StatusesSet {
        let parts = halving(arns, UPDATE_STATE, async |part: &[ContainerInstanceArn]| {
            self.pace(Bucket::ClusterModify).await;
            self.ecs
                .update_container_instances_state()
                .cluster(cluster.as_str())
                .status(ContainerInstanceStatus::from(status.as_str()))
                .set_container_instances(Some(part.iter().map(|arn| arn.as_str().to_owned()).collect()))
                .send()
                .await
                .map_err(|error| AwsError::from_sdk("ecs:UpdateContainerInstancesState", error))
        })
        .await;
        let mut set = StatusesSet { refused: parts.refused, error: parts.failed, ..StatusesSet::default() };
        for (part, answer) in parts.done {
            for instance in answer.container_instances() {
                if let Some(arn) = instance.container_instance_arn() {
                    set.done.insert(arn.into(), read_status(instance.status()));
                }
            }
            let reason = |arn: &ContainerInstanceArn| {
                let failure = answer.failures().iter().find(|failure| failure.arn() == Some(arn.as_str()));
                failure.and_then(|failure| failure.reason()).unwrap_or("no reason").to_owned()
            };
            let not_done = part.into_iter().filter(|arn| !set.done.contains_key(arn));
            set.failures.extend(not_done.map(|arn| Failure { reason: reason(&arn), arn }));
        }
        set
    }
}

/// `alike`: the attributes that were read before, to be shared.
fn read_instance(instance: &ContainerInstance, alike: &mut BTreeSet<Attributes>) -> Option<Described> {
    let attribute =
        |name: &str| instance.attributes().iter().find(|a| a.name() == name).and_then(|a| a.value()).map(str::to_owned);
    let nameable = instance
        .attributes()
        .iter()
        .filter(|attribute| !is_unnamed(attribute.name()))
        .map(|attribute| (attribute.name().to_owned(), attribute.value().unwrap_or_default().to_owned()));
    Some(Described {
        nameable: shared(nameable.collect::<BTreeMap<_, _>>().into(), alike),
        arn: instance.container_instance_arn()?.into(),
        host: instance.ec2_instance_id()?.into(),
        status: read_status(instance.status()),
        agent_connected: instance.agent_connected(),
        running_tasks: count(instance.running_tasks_count()),
        pending_tasks: count(instance.pending_tasks_count()),
        variant: attribute("bottlerocket.variant").map(|variant| clean::name(&variant)),
        zone: attribute("ecs.availability-zone").map(|zone| ZoneName::from(clean::name(&zone))),
        registered: read_resources(instance.registered_resources()),
        remaining: read_resources(instance.remaining_resources()),
        registered_at: instance.registered_at().map_or(0, aws_smithy_types::DateTime::secs),
        agent_version: instance.version_info().and_then(|info| info.agent_version()).map(|v| clean::name(v).into()),
        attributes: bridge_attributes(instance),
        provider: instance.capacity_provider_name().map(|name| clean::name(name).into()),
        instance_tag: instance.tags().iter().find(|tag| tag.key() == Some(INSTANCE_TAG)).and_then(named),
    })
}

fn named(tag: &Tag) -> Option<String> {
    tag.value().map(str::to_owned)
}

fn bridge_attributes(instance: &ContainerInstance) -> BTreeMap<String, String> {
    let ours = instance.attributes().iter().filter(|attribute| attribute.name().starts_with(PREFIX));
    ours.filter_map(|one| Some((one.name().to_owned(), one.value()?.to_owned()))).collect()
}

fn read_status(status: Option<&str>) -> InstanceStatus {
    use InstanceStatus as S;
    [S::Active, S::Draining, S::Registering, S::RegistrationFailed, S::Deregistering, S::Inactive]
        .into_iter()
        .find(|known| Some(known.as_str()) == status)
        .unwrap_or(S::Unknown)
}

fn read_resources(resources: &[Resource]) -> Resources {
    let integer =
        |name: &str| resources.iter().find(|r| r.name() == Some(name)).map_or(0, |r| i64::from(r.integer_value()));
    let ports = |name: &str| {
        let values = resources.iter().filter(move |r| r.name() == Some(name)).flat_map(|r| r.string_set_value());
        values.filter_map(|port| port.parse::<u16>().ok()).collect::<Vec<_>>()
    };
    let mut used = ports("PORTS");
    used.extend(ports("PORTS_UDP"));
    // On an instance without a free GPU the entry is missing, or empty: both say none. Of GPUs the free ones are listed.
    let free = resources.iter().filter(|r| r.name() == Some("GPU")).flat_map(|r| r.string_set_value()).count();
    let gpus = i64::try_from(free).unwrap_or(i64::MAX);
    Resources { cpu: integer("CPU"), memory: integer("MEMORY"), ports: used, gpus, interfaces: 0 }
}
