//! The services of a cluster.

use std::collections::BTreeSet;

use aws_sdk_ecs::types::{
    AvailabilityZoneRebalancing, DeploymentRolloutState, PlacementConstraint, PlacementConstraintType,
    SchedulingStrategy,
};
use jiff::Timestamp;
use models::clean;
use models::fleet::{Service, Strategy};
use models::ids::{ClusterName, ServiceName};

use smol_str::SmolStr;

use super::read::count;
use crate::aws::client::Aws;
use crate::aws::error::AwsError;
use crate::aws::halving::halving;
use crate::aws::limits::Bucket;

/// Limits of the API (ECS API reference).
const DESCRIBE_SERVICES: usize = 10;

/// How much is kept of the reason why a deployment failed.
const LONGEST_REASON: usize = 200;

/// What ECS says of services. One that is in neither is not known: it stays as it was.
#[derive(Debug, Default)]
pub(crate) struct Services {
    pub(crate) described: Vec<Service>,
    /// Deleted: INACTIVE, or missing.
    pub(crate) gone: BTreeSet<ServiceName>,
    /// Those that ECS refuses to describe.
    pub(crate) refused: BTreeSet<ServiceName>,
}

impl Aws {
    /// Describes the services of these names.
    pub(crate) async fn describe_services(
        &self,
        cluster: &ClusterName,
        names: &[ServiceName],
        now: Timestamp,
    ) -> Result<Services, AwsError> {
        let mut services = Services::default();
        let parts = halving(names, DESCRIBE_SERVICES, async |part: &[ServiceName]| {
            self.pace(Bucket::ServiceRead).await;
            let names = part.iter().map(|name| name.as_str().to_owned()).collect();
            let call = self.ecs.describe_services().cluster(cluster.as_str()).set_services(Some(names));
            call.send().await.map_err(|error| AwsError::from_sdk("ecs:DescribeServices", error))
        });
        let (answers, refused) = parts.await.read()?;
        services.refused.extend(refused);
        for answer in answers {
            let missing = answer.failures().iter().filter(|failure| failure.reason() == Some("MISSING"));
            services.gone.extend(missing.filter_map(|failure| name_of(failure.arn()?)));
            let (gone, there): (Vec<_>, Vec<_>) =
                answer.services().iter().partition(|service| service.status() == Some("INACTIVE"));
            services.gone.extend(gone.iter().filter_map(|service| service.service_name().map(named)));
            services.described.extend(there.into_iter().filter_map(|service| {
                let deployment = service.deployment_configuration();
                let (running, pending) = (count(service.running_count()), count(service.pending_count()));
                let constraints = service.placement_constraints();
                let providers = providers(service);
                let is = |one: &PlacementConstraint, kind| one.r#type() == Some(&kind);
                Some(Service {
                    definition: service.task_definition().map(Into::into),
                    new_task: None,
                    rebalances: service.availability_zone_rebalancing() == Some(&AvailabilityZoneRebalancing::Enabled),
                    name: named(service.service_name()?),
                    at: now,
                    strategy: match service.scheduling_strategy() {
                        Some(SchedulingStrategy::Daemon) => Strategy::Daemon,
                        Some(_) | None => Strategy::Replica,
                    },
                    desired: count(service.desired_count()),
                    running,
                    placed: if providers.is_empty() { running + pending } else { running },
                    deploying: deploying(service),
                    failed_deployment: failed_deployment(service),
                    // Defaults of the API for REPLICA services.
                    minimum_healthy_percent: deployment.and_then(|d| d.minimum_healthy_percent()).map_or(100, count),
                    maximum_percent: deployment.and_then(|d| d.maximum_percent()).map_or(200, count),
                    distinct_instance: constraints.iter().any(|one| is(one, PlacementConstraintType::DistinctInstance)),
                    on: BTreeSet::new(),
                    providers,
                    member_of: constraints
                        .iter()
                        .filter(|one| is(one, PlacementConstraintType::MemberOf))
                        .filter_map(|one| one.expression().map(str::to_owned))
                        .collect(),
                })
            }));
        }
        Ok(services)
    }
}

fn named(name: &str) -> ServiceName {
    clean::name(name).into()
}

/// The name at the end of a service's ARN, or by itself.
fn name_of(arn: &str) -> Option<ServiceName> {
    arn.rsplit('/').next().map(named)
}

/// The capacity providers that its strategy gives tasks to. Where there is one, a pending task may wait for an instance to be
/// launched, so that no instance knows of it.
fn providers(service: &aws_sdk_ecs::types::Service) -> BTreeSet<SmolStr> {
    let items = service.capacity_provider_strategy().iter().filter(|item| item.weight() > 0 || item.base() > 0);
    items.map(|item| clean::name(item.capacity_provider()).into()).collect()
}

/// Returns why a deployment has failed that ECS still lists. One that is completed proves nothing: it may be so before its
/// tasks are healthy (`earlySuccessCriteria`).
fn failed_deployment(service: &aws_sdk_ecs::types::Service) -> Option<String> {
    let is_failed =
        |one: &&aws_sdk_ecs::types::Deployment| one.rollout_state() == Some(&DeploymentRolloutState::Failed);
    let failed = service.deployments().iter().find(is_failed)?;
    Some(clean::cut(failed.rollout_state_reason().unwrap_or("without a reason"), LONGEST_REASON))
}

/// What the newest deployment has still to place, while an older one has tasks, or none has been completed.
fn deploying(service: &aws_sdk_ecs::types::Service) -> u32 {
    let deployments = service.deployments();
    let newest = deployments.iter().find(|deployment| deployment.status() == Some("PRIMARY"));
    let is_under_way = |newest: &&aws_sdk_ecs::types::Deployment| {
        deployments.len() > 1 || newest.rollout_state() == Some(&DeploymentRolloutState::InProgress)
    };
    match newest.filter(is_under_way) {
        Some(newest) => count(newest.desired_count() - newest.running_count() - newest.pending_count()),
        None => 0,
    }
}
