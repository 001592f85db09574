//! `DescribeTaskDefinition`.

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::params::Params;
use super::include;
use crate::scenario::TaskShape;
use crate::world::World;

/// By the family, with its revision or without, or by the ARN. Each revision of a family is alike here.
pub(super) fn describe(world: &World, mut params: Params) -> Result<Value, Failure> {
    let asked = params.text("taskDefinition")?.unwrap_or_default();
    include(&mut params, &["TAGS"])?;
    params.done("DescribeTaskDefinition")?;
    let name = asked.rsplit_once("task-definition/").map_or(asked.as_str(), |(_, name)| name);
    let (family, revision) = name.split_once(':').unwrap_or((name, "1"));
    let unknown = || Failure::new("ClientException", "Unable to describe task definition.");
    let revision: u32 = revision.parse().map_err(|_| unknown())?;
    let service = world.services.iter().find(|service| service.family == family);
    let task = world.tasks.iter().find(|task| task.family == family);
    let shape = service.map(|service| &service.shape).or(task.map(|task| &task.shape)).ok_or_else(unknown)?;
    let constraint = service.and_then(|service| service.definition_member_of.as_ref());
    let constraints: Vec<Value> =
        constraint.into_iter().map(|(text, _)| json!({ "type": "memberOf", "expression": text })).collect();
    Ok(json!({ "taskDefinition": {
        "taskDefinitionArn": format!("arn:aws:ecs:{}:{}:task-definition/{family}:{revision}", world.spec.name, world.spec.account),
        "family": family,
        "revision": revision,
        "status": "ACTIVE",
        "networkMode": if shape.awsvpc { "awsvpc" } else { "bridge" },
        "cpu": shape.cpu.to_string(),
        "memory": shape.memory.to_string(),
        "placementConstraints": constraints,
        "containerDefinitions": [container(shape)],
    }, "tags": [] }))
}

fn container(shape: &TaskShape) -> Value {
    let ports = shape.host_port.map(|port| json!({ "containerPort": port, "hostPort": port, "protocol": "tcp" }));
    let gpus = (shape.gpus > 0).then(|| json!({ "type": "GPU", "value": shape.gpus.to_string() }));
    json!({
        "name": "app",
        "image": "app:latest",
        "cpu": shape.cpu,
        "memory": shape.memory,
        "essential": true,
        "portMappings": Vec::from_iter(ports),
        "resourceRequirements": Vec::from_iter(gpus),
    })
}
