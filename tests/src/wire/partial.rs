//! Answers with `failures` beside results (ECS API reference, `Failure`), because the scenario says so.

use serde_json::{Value, json};

use super::asked::{Asked, Body};
use super::dispatch::{Answer, perform as whole};
use super::failure::Failure;
use crate::world::World;

/// The lists of things that requests name, as they name and answer them.
const LISTS: [(&str, &str, &str); 5] = [
    ("DescribeContainerInstances", "containerInstances", "containerInstances"),
    ("UpdateContainerInstancesState", "containerInstances", "containerInstances"),
    ("DescribeTasks", "tasks", "tasks"),
    ("GetTaskProtection", "tasks", "protectedTasks"),
    ("DescribeServices", "services", "services"),
];

/// Does what was asked, but for the first `fails` of the things that the request names. Operations that have no
/// `failures` are done as a whole.
pub(super) fn perform(world: &mut World, mut asked: Asked, fails: Option<(usize, String)>) -> Result<Answer, Failure> {
    let list = LISTS.iter().find(|(operation, ..)| *operation == asked.operation);
    let (Some((most, reason)), Some((_, named, answered)), Body::Json(params)) = (fails, list, &mut asked.body) else {
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
            xml @ Answer::Xml(_) => return Ok(xml),
        }
    };
    if let Some(failures) = answer.get_mut("failures").and_then(Value::as_array_mut) {
        failures.extend(failed.into_iter().map(|arn| json!({ "arn": arn, "reason": reason })));
    }
    Ok(Answer::Json(answer))
}
