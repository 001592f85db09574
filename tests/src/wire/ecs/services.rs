//! `ListServices` and `DescribeServices`.

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::params::Params;
use super::providers::strategy_items;
use super::tasks::{counts, counts_of};
use super::{LAUNCH_TYPES, arns, cluster, failure, find_service, ids, include, one_of, page_size, time};
use crate::scenario::ServiceKind;
use crate::world::{Service, ServiceNo, World};

pub(super) fn list(world: &World, mut params: Params) -> Result<Value, Failure> {
    let cluster = cluster(world, &mut params)?;
    let strategy = one_of(&mut params, "schedulingStrategy", &["REPLICA", "DAEMON"])?;
    let launch_type = one_of(&mut params, "launchType", &LAUNCH_TYPES)?;
    let size = page_size(&mut params, 100, 10)?;
    let token = params.text("nextToken")?;
    params.done("ListServices")?;
    let on_ec2 = |service: &Service| {
        launch_type.as_ref().is_none_or(|launch_type| launch_type == "EC2" && service.strategy.is_empty())
    };
    let found = world.clusters[cluster]
        .services
        .iter()
        .map(|number| &world.services[*number])
        .filter(|service| service.deleted_at.is_none())
        .filter(|service| on_ec2(service) && strategy.as_ref().is_none_or(|name| service.kind.name() == name))
        .map(|service| service.arn.as_str())
        .collect();
    arns("serviceArns", found, size, token.as_deref())
}

pub(super) fn describe(world: &World, mut params: Params) -> Result<Value, Failure> {
    let cluster = cluster(world, &mut params)?;
    let wanted = ids(&mut params, "services", 10)?;
    let include = include(&mut params, &["TAGS"])?;
    params.done("DescribeServices")?;
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for id in wanted {
        match find_service(world, cluster, &id) {
            Some(number) => {
                let mut answer = shape(world, number);
                if include.iter().any(|what| what == "TAGS") {
                    answer["tags"] = json!([]);
                }
                services.push(answer);
            }
            None => failures.push(failure(world, "service", &id, "MISSING")),
        }
    }
    Ok(json!({ "services": services, "failures": failures }))
}

fn shape(world: &World, number: ServiceNo) -> Value {
    let service = &world.services[number];
    let (running, pending) = counts(world, number);
    let desired = match service.kind {
        ServiceKind::Replica => usize::try_from(service.desired).unwrap_or(usize::MAX),
        ServiceKind::Daemon => world.daemon_count(number),
    };
    let events: Vec<Value> = service
        .events
        .iter()
        .map(|event| json!({ "id": event.id, "createdAt": time(event.at), "message": event.message }))
        .collect();
    let definition = definition_arn(world, service, service.deployment());
    let created = time(service.created_at);
    let mut answer = json!({
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": world.clusters[service.cluster].arn,
        "status": service.status(),
        "desiredCount": desired,
        "runningCount": running,
        "pendingCount": pending,
        "taskDefinition": definition,
        "schedulingStrategy": service.kind.name(),
        "deploymentConfiguration": {
            "minimumHealthyPercent": service.min_percent,
            "maximumPercent": service.max_percent,
        },
        "deploymentController": { "type": "ECS" },
        "deployments": deployments(world, number, desired),
        "events": events,
        "loadBalancers": [],
        "serviceRegistries": [],
        "placementConstraints": constraints(service),
        "placementStrategy": strategy(service.kind),
        "createdAt": created,
        "availabilityZoneRebalancing": if service.rebalancing.is_on { "ENABLED" } else { "DISABLED" },
        "enableECSManagedTags": false,
        "propagateTags": "NONE",
        "enableExecuteCommand": false,
    });
    let (key, value) = how_launched(service);
    answer[key] = value;
    answer
}

/// A service has either a strategy or a launch type (ECS API reference, `Service`).
fn how_launched(service: &Service) -> (&'static str, Value) {
    if service.strategy.is_empty() {
        ("launchType", json!("EC2"))
    } else {
        ("capacityProviderStrategy", strategy_items(&service.strategy))
    }
}

/// The newest deployment, and the older ones that still have tasks.
fn deployments(world: &World, number: ServiceNo, desired: usize) -> Vec<Value> {
    let service = &world.services[number];
    let created = time(service.created_at);
    let mut shown: Vec<u32> = service.tasks.iter().map(|task| world.tasks[*task].deployment()).collect();
    shown.push(service.deployment());
    shown.sort_unstable();
    shown.dedup();
    let (key, value) = how_launched(service);
    let one = |deployment: u32| {
        let is_newest = deployment == service.deployment();
        let (running, pending) = counts_of(world, number, |task| task.deployment() == deployment);
        let mut answer = json!({
            "id": format!("{}{deployment}", deployment_id(world, number)),
            "status": if is_newest { "PRIMARY" } else { "ACTIVE" },
            "taskDefinition": definition_arn(world, service, deployment),
            "desiredCount": if is_newest { desired } else { 0 },
            "runningCount": running,
            "pendingCount": pending,
            "failedTasks": if is_newest { service.rollout.failed } else { 0 },
            "createdAt": created,
            "updatedAt": created,
            "rolloutState": if is_newest { service.rollout.state.name() } else { "COMPLETED" },
        });
        answer[key] = value.clone();
        answer
    };
    shown.into_iter().rev().map(one).collect()
}

/// Each deployment has a revision of its own.
fn definition_arn(world: &World, service: &Service, deployment: u32) -> String {
    let (region, account, family) = (&world.spec.name, &world.spec.account, &service.family);
    format!("arn:aws:ecs:{region}:{account}:task-definition/{family}:{}", deployment + 1)
}

fn deployment_id(world: &World, number: ServiceNo) -> String {
    let n = u64::try_from(number.0).unwrap_or(0);
    format!("ecs-svc/{:019}", world.dice.bits("deployment", n) % 10_u64.pow(19))
}

fn constraints(service: &Service) -> Vec<Value> {
    let distinct = service.distinct_instance.then(|| json!({ "type": "distinctInstance" }));
    let member_of = service.member_of.as_ref();
    let member_of = member_of.map(|(text, _)| json!({ "type": "memberOf", "expression": text }));
    distinct.into_iter().chain(member_of).collect()
}

fn strategy(kind: ServiceKind) -> Value {
    match kind {
        ServiceKind::Replica => json!([
            { "type": "spread", "field": "attribute:ecs.availability-zone" },
            { "type": "spread", "field": "instanceId" },
        ]),
        ServiceKind::Daemon => json!([]),
    }
}
