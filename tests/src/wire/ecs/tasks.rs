//! `ListTasks`, `DescribeTasks`, `StopTask` and `GetTaskProtection`.

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::params::Params;
use super::provisioning;
use super::{
    LAUNCH_TYPES, arns, cluster, failure, find_service, ids, include, one_of, page_size, registration, task, time,
};
use crate::world::{ClusterNo, Desired, LastStatus, RegistrationNo, ServiceNo, Task, TaskNo, World};

pub(super) fn list(world: &World, mut params: Params) -> Result<Value, Failure> {
    let cluster = cluster(world, &mut params)?;
    let on = params.text("containerInstance")?;
    let family = params.text("family")?;
    let service = params.text("serviceName")?;
    let started_by = params.text("startedBy")?;
    let desired = one_of(&mut params, "desiredStatus", &["RUNNING", "PENDING", "STOPPED"])?;
    let launch_type = one_of(&mut params, "launchType", &LAUNCH_TYPES)?;
    let size = page_size(&mut params, 100, 100)?;
    let token = params.text("nextToken")?;
    params.done("ListTasks")?;

    let is_filtered = [&on, &family, &service, &desired, &launch_type].into_iter().any(Option::is_some);
    if started_by.is_some() && is_filtered {
        return Err(Failure::invalid("cannot specify startedBy with other arguments"));
    }
    let on = on.map(|id| instance(world, cluster, &id)).transpose()?;
    let service = service.map(|name| known_service(world, cluster, &name)).transpose()?;
    // PENDING may be asked for and returns nothing (docs/facts/ecs.md#tasks-and-services).
    let desired = match desired.as_deref() {
        None | Some("RUNNING") => Some(Desired::Running),
        Some("STOPPED") => Some(Desired::Stopped),
        Some(_) => None,
    };
    let candidates: Vec<TaskNo> = match on {
        Some(number) => {
            let instance = &world.registrations[number];
            instance.tasks.iter().chain(&instance.stopped).copied().collect()
        }
        None => world.clusters[cluster].tasks.iter().copied().collect(),
    };
    let since = world.now - world.lag("lists-lag", world.spec.lists_lag);
    let listed_as = |task: &Task| match task.stopping_at {
        Some(at) if at > since => Desired::Running,
        Some(_) | None => task.desired,
    };
    let on_ec2 = launch_type.is_none_or(|launch_type| launch_type == "EC2");
    let matches = |task: &Task| {
        on_ec2
            && task.created_at <= since
            && Some(listed_as(task)) == desired
            && family.as_ref().is_none_or(|family| task.family == *family)
            && started_by.as_ref().is_none_or(|by| task.started_by.as_ref() == Some(by))
            && service.is_none_or(|service| task.service == Some(service))
    };
    let unplaced = if on.is_none() && on_ec2 { provisioning::all(world, cluster) } else { Vec::new() };
    let by = provisioning::By { family: family.as_deref(), started_by: started_by.as_deref(), service, desired };
    let found = candidates
        .into_iter()
        .filter(|number| world.is_visible(*number))
        .map(|number| &world.tasks[number])
        .filter(|task| matches(task))
        .map(|task| task.arn.as_str())
        .chain(unplaced.iter().filter(|one| one.is_listed(by)).map(|one| one.arn))
        .collect();
    arns("taskArns", found, size, token.as_deref())
}

fn instance(world: &World, cluster: ClusterNo, id: &str) -> Result<RegistrationNo, Failure> {
    let found = registration(world, cluster, id);
    found.ok_or_else(|| Failure::invalid("The referenced container instance was not found."))
}

fn known_service(world: &World, cluster: ClusterNo, name: &str) -> Result<ServiceNo, Failure> {
    find_service(world, cluster, name).ok_or_else(|| Failure::new("ServiceNotFoundException", "Service not found."))
}

pub(super) fn describe(world: &World, mut params: Params) -> Result<Value, Failure> {
    let cluster = cluster(world, &mut params)?;
    let wanted = ids(&mut params, "tasks", 100)?;
    let include = include(&mut params, &["TAGS"])?;
    params.done("DescribeTasks")?;
    let with_tags = include.iter().any(|what| what == "TAGS");
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for id in wanted {
        match task(world, cluster, &id) {
            Some(number) => {
                let mut answer = shape(world, number);
                if with_tags {
                    answer["tags"] = json!([]);
                }
                tasks.push(answer);
            }
            None => match provisioning::all(world, cluster).iter().find(|one| one.is_named(&id)) {
                Some(one) => tasks.push(provisioning::shape(world, one)),
                None => failures.push(failure(world, "task", &id, "MISSING")),
            },
        }
    }
    Ok(json!({ "tasks": tasks, "failures": failures }))
}

pub(super) fn stop(world: &mut World, mut params: Params) -> Result<Value, Failure> {
    let cluster = cluster(world, &mut params)?;
    let id = params.text("task")?.unwrap_or_default();
    let reason = params.text("reason")?;
    params.done("StopTask")?;
    let number = task(world, cluster, &id).ok_or_else(|| Failure::invalid("The referenced task was not found."))?;
    world.stop_by_request(number, reason.as_deref());
    Ok(json!({ "task": shape(world, number) }))
}

pub(super) fn protection(world: &World, mut params: Params) -> Result<Value, Failure> {
    let cluster = cluster(world, &mut params)?;
    let wanted = ids(&mut params, "tasks", 100)?;
    params.done("GetTaskProtection")?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for id in wanted {
        let Some(number) = task(world, cluster, &id) else {
            failures.push(failure(world, "task", &id, "MISSING"));
            continue;
        };
        let known = &world.tasks[number];
        // Service tasks only (docs/facts/ecs.md#draining).
        if known.service.is_none() {
            failures.push(failure(world, "task", &known.arn, "TASK_NOT_VALID"));
            continue;
        }
        let mut entry = json!({ "taskArn": known.arn, "protectionEnabled": known.is_protected(world.now) });
        if let Some(until) = known.protected_until.filter(|_| known.is_protected(world.now)) {
            entry["expirationDate"] = time(until);
        }
        found.push(entry);
    }
    Ok(json!({ "protectedTasks": found, "failures": failures }))
}

fn shape(world: &World, number: TaskNo) -> Value {
    let known = &world.tasks[number];
    let instance = &world.registrations[known.registration];
    let machine = &world.machines[instance.machine];
    let id = known.arn.rsplit('/').next().unwrap_or_default();
    let mut answer = json!({
        "taskArn": known.arn,
        "clusterArn": world.clusters[known.cluster].arn,
        "taskDefinitionArn": known.definition_arn(&world.spec.name, &world.spec.account),
        "containerInstanceArn": instance.arn,
        "availabilityZone": machine.zone,
        "group": known.group,
        "desiredStatus": known.desired.name(),
        "lastStatus": known.last.name(),
        "launchType": "EC2",
        "cpu": known.shape.cpu.to_string(),
        "memory": known.shape.memory.to_string(),
        "healthStatus": "UNKNOWN",
        "createdAt": time(known.created_at),
        "version": u64::from(known.task_version()),
        "attachments": attachments(known),
        "attributes": [],
        "overrides": { "containerOverrides": [] },
        "enableExecuteCommand": false,
        "containers": [{
            "containerArn": format!("{}/app", known.arn.replace(":task/", ":container/")),
            "taskArn": known.arn,
            "name": "app",
            "lastStatus": known.last.name(),
            "runtimeId": format!("{id}{id}"),
            "networkBindings": network_bindings(known),
            "gpuIds": known.gpu_ids,
        }],
    });
    let times = [("startedAt", known.started_at), ("stoppingAt", known.stopping_at), ("stoppedAt", known.stopped_at)];
    for (name, at) in times {
        if let Some(at) = at {
            answer[name] = time(at);
        }
    }
    let texts = [
        ("capacityProviderName", known.provider.as_deref()),
        ("startedBy", known.started_by.as_deref()),
        ("stoppedReason", known.stopped_reason.as_deref()),
        ("stopCode", known.stop_code),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            answer[name] = json!(text);
        }
    }
    answer
}

/// The interface of a task, which is taken away at its end (docs/facts/room.md#network-interfaces).
fn attachments(task: &Task) -> Value {
    if !task.shape.awsvpc {
        return json!([]);
    }
    let status = if task.last == LastStatus::Stopped { "DELETED" } else { "ATTACHED" };
    let id = task.arn.rsplit('/').next().unwrap_or_default();
    json!([{ "id": id, "type": "ElasticNetworkInterface", "status": status, "details": [] }])
}

/// The host ports of a container, known once it runs (ECS API reference, `NetworkBinding`). The container listens on
/// the same port as the host.
fn network_bindings(task: &Task) -> Value {
    match task.shape.host_port.filter(|_| task.started_at.is_some()) {
        Some(port) => json!([{ "bindIP": "0.0.0.0", "containerPort": port, "hostPort": port, "protocol": "tcp" }]),
        None => json!([]),
    }
}

/// The tasks of a service by what they do: running, pending.
pub(super) fn counts(world: &World, service: ServiceNo) -> (usize, usize) {
    counts_of(world, service, |_| true)
}

/// The same of those of its tasks that are chosen.
pub(super) fn counts_of(world: &World, service: ServiceNo, is_chosen: impl Fn(&Task) -> bool) -> (usize, usize) {
    let tasks = &world.services[service].tasks;
    let live = tasks.iter().map(|task| &world.tasks[*task]).filter(|task| is_chosen(task));
    let (mut running, mut pending) = (0, 0);
    for task in live {
        match (task.desired, task.last) {
            (_, crate::world::LastStatus::Pending) => pending += 1,
            (Desired::Running, crate::world::LastStatus::Running) => running += 1,
            (Desired::Running | Desired::Stopped, _) => {}
        }
    }
    let waits = world.services[service].waiting.len();
    (running, pending + if world.spec.managed_scaling.waiting_is_pending { waits } else { 0 })
}
