//! What is on its way from one instance to another: tasks that leave, and services that place new ones.

use std::collections::BTreeSet;

use jiff::Timestamp;
use models::fleet::{FleetSnapshot, Instance, InstanceStatus, Task};
use models::ids::{HostId, ServiceName, TaskArn};

use super::room;
use crate::aws::ecs::services::Services;
use crate::aws::{Aws, AwsError};

/// Reads which tasks are leaving draining instances, and what services have placed already. This comes before the instances'
/// resources, so that what is placed in between is counted twice rather than not at all.
pub(super) async fn look(aws: &Aws, fleet: &mut FleetSnapshot, now: Timestamp) -> Result<(), AwsError> {
    let draining = |instance: &&Instance| instance.status == InstanceStatus::Draining;
    let leaving = fleet.instances.values().filter(draining).filter_map(|instance| instance.tasks.as_ref());
    let arns: Vec<TaskArn> = leaving.flat_map(|seen| &seen.tasks).map(|task| task.arn.clone()).collect();
    let mut live = aws.live_tasks(&fleet.cluster, arns).await?;
    for instance in fleet.instances.values_mut().filter(|instance| instance.status == InstanceStatus::Draining) {
        let Some(seen) = &mut instance.tasks else { continue };
        let mut left = live.on.remove(&instance.container_instance).unwrap_or_default();
        for task in &mut left {
            task.protected_until =
                seen.tasks.iter().find(|other| other.arn == task.arn).and_then(|t| t.protected_until);
        }
        left.extend(still_undescribed(&seen.tasks, &live.not_described));
        seen.tasks = left;
    }
    let ours = |instance: &&Instance| draining(instance) && instance.run.drained_at.is_some();
    let leaving: Vec<HostId> = fleet.instances.values().filter(ours).map(|instance| instance.host.clone()).collect();
    for host in &leaving {
        fleet.note_moves(host, now);
    }
    let names: Vec<ServiceName> = fleet.services.keys().cloned().collect();
    merge_services(aws, fleet, &names, now).await.map(drop)
}

/// Returns those of an instance's known tasks that ECS did not describe: they are not known to have stopped.
pub(crate) fn undescribed(instance: &Instance, not_described: &BTreeSet<TaskArn>) -> Vec<Task> {
    instance.tasks.iter().flat_map(|seen| still_undescribed(&seen.tasks, not_described)).collect()
}

fn still_undescribed(known: &[Task], not_described: &BTreeSet<TaskArn>) -> Vec<Task> {
    let left = known.iter().filter(|task| not_described.contains(&task.arn));
    left.map(|task| Task { undescribed: true, ..task.clone() }).collect()
}

/// Describes services, with the places of the tasks where a service allows one an instance. One that was deleted is
/// forgotten: nothing replaces a task of it. Returns those that ECS refuses to describe.
pub(crate) async fn merge_services(
    aws: &Aws,
    fleet: &mut FleetSnapshot,
    names: &[ServiceName],
    now: Timestamp,
) -> Result<BTreeSet<ServiceName>, AwsError> {
    let Services { mut described, gone, refused } = aws.describe_services(&fleet.cluster, names, now).await?;
    for service in described.iter_mut().filter(|service| service.distinct_instance) {
        let arns = aws.list_tasks_of(&fleet.cluster, &service.name).await?;
        let live = aws.live_tasks(&fleet.cluster, arns).await?;
        service.on = live.on.into_keys().collect();
        if !live.not_described.is_empty()
            && let Some(before) = fleet.services.get(&service.name)
        {
            service.on.extend(before.on.iter().cloned());
        }
    }
    room::add_definitions(aws, fleet, &mut described).await?;
    fleet.services.retain(|name, _| !gone.contains(name));
    fleet.services.extend(described.into_iter().map(|service| (service.name.clone(), service)));
    Ok(refused)
}
