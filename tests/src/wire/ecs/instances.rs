//! `ListContainerInstances`, `DescribeContainerInstances` and `UpdateContainerInstancesState`.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::params::Params;
use super::providers::MANAGED;
use super::{arns, cluster, failure, ids, include, one_of, page_size, registration, time};
use crate::query::{Filter, Subject};
use crate::world::{
    Actor, Desired, InstanceStatus, LastStatus, RESERVED_PORTS, Registration, RegistrationNo, Resources, World,
};

/// By which instances can be listed.
const STATUSES: [&str; 5] = ["ACTIVE", "DRAINING", "REGISTERING", "DEREGISTERING", "REGISTRATION_FAILED"];

pub(super) fn list(world: &World, mut params: Params) -> Result<Value, Failure> {
    let cluster = cluster(world, &mut params)?;
    let filter = params.text("filter")?;
    let status = one_of(&mut params, "status", &STATUSES)?;
    let size = page_size(&mut params, 100, 100)?;
    let token = params.text("nextToken")?;
    params.done("ListContainerInstances")?;
    let filter = filter.map(|text| Filter::parse(&text)).transpose();
    let filter = filter.map_err(|error| Failure::invalid(format!("Invalid filter expression: {error}")))?;
    let status = match status.as_deref() {
        None => None,
        Some("ACTIVE") => Some(Some(InstanceStatus::Active)),
        Some("DRAINING") => Some(Some(InstanceStatus::Draining)),
        Some(_) => Some(None),
    };
    let since = world.now - world.lag("lists-lag", world.spec.lists_lag);
    let found = world.clusters[cluster]
        .registrations
        .iter()
        .filter_map(|number| Some((number, world.listed_as(*number, since)?)))
        .filter(|(_, (listed, _))| status.is_none_or(|status| status == Some(*listed)))
        .filter(|(number, (_, agent_connected))| {
            filter.as_ref().is_none_or(|filter| {
                filter.matches(&Subject { agent_connected: *agent_connected, ..world.subject(**number) })
            })
        })
        .map(|(number, _)| number)
        .map(|number| world.registrations[*number].arn.as_str())
        .collect();
    arns("containerInstanceArns", found, size, token.as_deref())
}

pub(super) fn describe(world: &World, mut params: Params) -> Result<Value, Failure> {
    let cluster = cluster(world, &mut params)?;
    let wanted = ids(&mut params, "containerInstances", 100)?;
    let include = include(&mut params, &["TAGS", "CONTAINER_INSTANCE_HEALTH"])?;
    params.done("DescribeContainerInstances")?;
    let since = world.now - world.lag("describes-lag", world.spec.describes_lag);
    let (mut instances, mut failures) = (Vec::new(), Vec::new());
    for id in wanted {
        match registration(world, cluster, &id).filter(|number| is_visible(world, *number)) {
            Some(number) => instances.push(shape(world, number, since, &include)),
            None => failures.push(failure(world, "container-instance", &id, "MISSING")),
        }
    }
    Ok(json!({ "containerInstances": instances, "failures": failures }))
}

/// An INACTIVE instance "may remain discoverable for a period of time" (API model, `DeregisterContainerInstance`);
/// here for an hour.
fn is_visible(world: &World, number: RegistrationNo) -> bool {
    world.registrations[number]
        .inactive_since
        .is_none_or(|since| world.now.duration_since(since) < SignedDuration::from_hours(1))
}

pub(super) fn update_state(world: &mut World, mut params: Params) -> Result<Value, Failure> {
    let cluster = cluster(world, &mut params)?;
    let wanted = ids(&mut params, "containerInstances", 10)?;
    let status = params.text("status")?;
    params.done("UpdateContainerInstancesState")?;
    let to = match status.as_deref() {
        Some("ACTIVE") => InstanceStatus::Active,
        Some("DRAINING") => InstanceStatus::Draining,
        Some(_) | None => {
            return Err(Failure::invalid("Container instance status must be one of [ACTIVE, DRAINING]."));
        }
    };
    let (mut instances, mut failures) = (Vec::new(), Vec::new());
    for id in wanted {
        let Some(number) = registration(world, cluster, &id).filter(|number| is_visible(world, *number)) else {
            failures.push(failure(world, "container-instance", &id, "MISSING"));
            continue;
        };
        if world.registrations[number].status == InstanceStatus::Inactive {
            failures.push(failure(world, "container-instance", &id, "INACTIVE"));
            continue;
        }
        world.set_status(number, to, Actor::Updater);
        instances.push(shape(world, number, world.now, &[]));
    }
    Ok(json!({ "containerInstances": instances, "failures": failures }))
}

/// An instance, with status and connection as they were at a time.
fn shape(world: &World, number: RegistrationNo, since: Timestamp, include: &[String]) -> Value {
    let known = &world.registrations[number];
    let (status, connected) = world.status_at(number, since);
    let machine = &world.machines[known.machine];
    let pending = known.tasks.iter().filter(|task| {
        let task = &world.tasks[**task];
        task.last == LastStatus::Pending && task.desired == Desired::Running
    });
    let attributes: Vec<Value> = known
        .attributes
        .iter()
        .map(|(name, value)| match value {
            Some(value) => json!({ "name": name, "value": value }),
            None => json!({ "name": name }),
        })
        .collect();
    let mut answer = json!({
        "containerInstanceArn": known.arn,
        "ec2InstanceId": machine.id,
        "version": known.version,
        "versionInfo": {
            "agentVersion": world.agent_version(),
            "agentHash": "1a2b3c4d",
            "dockerVersion": "DockerVersion: 25.0.6",
        },
        "status": status.name(),
        "agentConnected": connected,
        "runningTasksCount": world.running_tasks(number),
        "pendingTasksCount": pending.count(),
        "registeredAt": time(known.registered_at),
        "registeredResources": resources(world, known, &Resources::default()),
        "remainingResources": resources(world, known, &known.used),
        "attributes": attributes,
        "attachments": [],
    });
    if let Some(provider) = machine.provider().or(machine.instance.managed.then_some(MANAGED)) {
        answer["capacityProviderName"] = json!(provider);
    }
    if include.iter().any(|what| what == "TAGS") {
        let tags: Vec<Value> = known.tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
        answer["tags"] = json!(tags);
    }
    if include.iter().any(|what| what == "CONTAINER_INSTANCE_HEALTH") {
        let status = if connected { "OK" } else { "INSUFFICIENT_DATA" };
        answer["healthStatus"] = json!({
            "overallStatus": status,
            "details": [{ "type": "CONTAINER_RUNTIME", "status": status }],
        });
    }
    answer
}

/// Capacity less what is used; the ports are those that are taken, the GPUs those that are free.
fn resources(world: &World, known: &Registration, used: &Resources) -> Value {
    let integer = |name: &str, value: u32| json!({ "name": name, "type": "INTEGER", "doubleValue": 0.0, "longValue": 0, "integerValue": value });
    let ports: Vec<String> = RESERVED_PORTS.iter().chain(&used.ports).map(ToString::to_string).collect();
    let set = |name: &str, values: Vec<String>| {
        json!({
            "name": name, "type": "STRINGSET", "doubleValue": 0.0, "longValue": 0, "integerValue": 0,
            "stringSetValue": values,
        })
    };
    let gpus: Vec<String> = known.capacity.gpus.difference(&used.gpus).cloned().collect();
    let has_entry = !gpus.is_empty() || world.spec.empty_gpu_entry;
    let gpus = has_entry.then(|| set("GPU", gpus));
    let mut resources = vec![
        integer("CPU", known.capacity.cpu.saturating_sub(used.cpu)),
        integer("MEMORY", known.capacity.memory.saturating_sub(used.memory)),
        set("PORTS", ports),
        set("PORTS_UDP", Vec::new()),
    ];
    resources.extend(gpus);
    resources.into()
}
