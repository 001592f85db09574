//! Tasks without an instance: those that wait in PROVISIONING, and those that have waited in vain.

use serde_json::{Value, json};

use super::time;
use crate::world::{ClusterNo, Desired, FAILED_TO_START, NeverStarted, Service, ServiceNo, Waiting, World};

/// A task without an instance.
pub(super) struct Unplaced<'a> {
    pub(super) arn: &'a str,
    task: &'a Waiting,
    number: ServiceNo,
    service: &'a Service,
    /// What became of it, if it waits no more.
    over: Option<&'a NeverStarted>,
}

/// By what tasks are listed.
#[derive(Clone, Copy)]
pub(super) struct By<'a> {
    pub(super) family: Option<&'a str>,
    pub(super) started_by: Option<&'a str>,
    pub(super) service: Option<ServiceNo>,
    pub(super) desired: Option<Desired>,
}

/// All of a cluster.
pub(super) fn all(world: &World, cluster: ClusterNo) -> Vec<Unplaced<'_>> {
    let waiting = world.clusters[cluster].services.iter().flat_map(|number| {
        let service = &world.services[*number];
        service.waiting.iter().map(move |task| Unplaced { arn: &task.arn, task, number: *number, service, over: None })
    });
    let over = world.shown_never_started(cluster).map(|one| {
        let service = &world.services[one.service];
        Unplaced { arn: &one.task.arn, task: &one.task, number: one.service, service, over: Some(one) }
    });
    waiting.chain(over).collect()
}

impl Unplaced<'_> {
    pub(super) fn is_named(&self, id: &str) -> bool {
        self.arn == id || self.arn.rsplit('/').next() == Some(id)
    }

    /// What waits is desired RUNNING.
    pub(super) fn is_listed(&self, by: By<'_>) -> bool {
        let desired = if self.over.is_some() { Desired::Stopped } else { Desired::Running };
        by.desired == Some(desired)
            && by.family.is_none_or(|family| family == self.service.family)
            && by.started_by.is_none()
            && by.service.is_none_or(|number| number == self.number)
    }
}

/// Nothing of it is on an instance.
pub(super) fn shape(world: &World, one: &Unplaced<'_>) -> Value {
    let Unplaced { arn, task, service, over, .. } = one;
    let family = &service.family;
    let mut answer = json!({
        "taskArn": arn,
        "clusterArn": world.clusters[service.cluster].arn,
        "taskDefinitionArn": format!(
            "arn:aws:ecs:{}:{}:task-definition/{family}:1", world.spec.name, world.spec.account
        ),
        "group": format!("service:{}", service.name),
        "desiredStatus": if over.is_some() { "STOPPED" } else { "RUNNING" },
        "lastStatus": if over.is_some() { "STOPPED" } else { "PROVISIONING" },
        "capacityProviderName": task.provider,
        "cpu": service.shape.cpu.to_string(),
        "memory": service.shape.memory.to_string(),
        "createdAt": time(task.since),
        "version": 1,
        "attachments": [],
        "attributes": [],
        "containers": [],
    });
    if let Some(over) = over {
        answer["stopCode"] = json!(FAILED_TO_START);
        answer["stoppedReason"] = json!(over.reason);
        answer["stoppedAt"] = time(over.at);
    }
    answer
}
