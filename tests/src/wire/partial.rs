//! Answers with `failures` beside results (ECS API reference, `Failure`), because the scenario says so.

use serde_json::{Value, json};

use super::asked::{Asked, Body};
use super::dispatch::{Answer, perform as whole};
use super::ecs::failure;
use super::failure::Failure;
use crate::world::World;

/// The lists of things that requests name, as they name and answer them, and what the things are in an ARN.
const LISTS: [(&str, &str, &str, &str); 6] = [
    ("DescribeClusters", "clusters", "clusters", "cluster"),
    ("DescribeContainerInstances", "containerInstances", "containerInstances", "container-instance"),
    ("UpdateContainerInstancesState", "containerInstances", "containerInstances", "container-instance"),
    ("DescribeTasks", "tasks", "tasks", "task"),
    ("GetTaskProtection", "tasks", "protectedTasks", "task"),
    ("DescribeServices", "services", "services", "service"),
];

/// Does what was asked, but for the first `fails` of the things that the request names. Operations that have no
/// `failures` are done as a whole.
pub(super) fn perform(world: &mut World, mut asked: Asked, fails: Option<(usize, String)>) -> Result<Answer, Failure> {
    let list = LISTS.iter().find(|(operation, ..)| *operation == asked.operation);
    let (Some((most, reason)), Some((_, named, answered, kind)), Body::Json(params)) = (fails, list, &mut asked.body)
    else {
        return whole(world, asked);
    };
    let mut ids = params.texts(named)?.unwrap_or_default();
    let failed: Vec<String> = ids.drain(..most.min(ids.len())).collect();
    let mut answer = if ids.is_empty() {
        json!({ *answered: [], "failures": [] })
    } else {
        params.put(named, json!(ids));
        match whole(world, asked)? {
            Answer::Json(answer) => answer,
            other @ (Answer::Xml(_) | Answer::Cbor(_) | Answer::Function { .. }) => return Ok(other),
        }
    };
    if let Some(failures) = answer.get_mut("failures").and_then(Value::as_array_mut) {
        failures.extend(failed.iter().map(|id| failure(world, kind, id, &reason)));
    }
    Ok(Answer::Json(answer))
}
