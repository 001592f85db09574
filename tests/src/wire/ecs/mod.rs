//! ECS, JSON 1.1.

mod attributes;
mod clusters;
mod definitions;
mod instances;
mod providers;
mod provisioning;
mod services;
mod tags;
mod tasks;

use serde_json::{Value, json};

use super::failure::Failure;
use super::page::{self, Page};
use super::params::Params;
use crate::world::{ClusterNo, RegistrationNo, ServiceNo, TaskNo, World};

pub(super) fn perform(world: &mut World, operation: &str, params: Params) -> Result<Value, Failure> {
    match operation {
        "ListClusters" => clusters::list(world, params),
        "DescribeClusters" => clusters::describe(world, params),
        "DescribeCapacityProviders" => providers::describe(world, params),
        "ListContainerInstances" => instances::list(world, params),
        "DescribeContainerInstances" => instances::describe(world, params),
        "UpdateContainerInstancesState" => instances::update_state(world, params),
        "DescribeTaskDefinition" => definitions::describe(world, params),
        "ListTasks" => tasks::list(world, params),
        "DescribeTasks" => tasks::describe(world, params),
        "StopTask" => tasks::stop(world, params),
        "GetTaskProtection" => tasks::protection(world, params),
        "ListServices" => services::list(world, params),
        "DescribeServices" => services::describe(world, params),
        "PutAttributes" => attributes::put(world, params),
        "DeleteAttributes" => attributes::delete(world, params),
        "ListAttributes" => attributes::list(world, params),
        "TagResource" => tags::tag(world, params),
        "UntagResource" => tags::untag(world, params),
        _ => Err(Failure::unknown("Operation", format!("ecs:{operation} is not modelled"))),
    }
}

/// The cluster that a request names; `default` where it names none.
fn cluster(world: &World, params: &mut Params) -> Result<ClusterNo, Failure> {
    let name = params.text("cluster")?.unwrap_or_else(|| "default".to_owned());
    world.cluster(&name).ok_or_else(|| Failure::new("ClusterNotFoundException", "Cluster not found."))
}

/// The names of launch types.
const LAUNCH_TYPES: [&str; 4] = ["EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES"];

/// A text that must be one of the API model's.
fn one_of(params: &mut Params, name: &str, known: &[&str]) -> Result<Option<String>, Failure> {
    let text = params.text(name)?;
    text.map(|text| check_known(name, &text, known).map(|()| text)).transpose()
}

/// `include`: names of the API model.
fn include(params: &mut Params, known: &[&str]) -> Result<Vec<String>, Failure> {
    let include = params.texts("include")?.unwrap_or_default();
    include.iter().try_for_each(|what| check_known("include", what, known))?;
    Ok(include)
}

fn check_known(name: &str, text: &str, known: &[&str]) -> Result<(), Failure> {
    if known.contains(&text) {
        return Ok(());
    }
    Err(Failure::invalid(format!("{name} {text} is not valid: it must be one of [{}].", known.join(", "))))
}

/// `maxResults` between 1 and `most`.
fn page_size(params: &mut Params, most: usize, default: usize) -> Result<usize, Failure> {
    match params.integer("maxResults")? {
        None => Ok(default),
        Some(size) => usize::try_from(size)
            .ok()
            .filter(|size| (1..=most).contains(size))
            .ok_or_else(|| Failure::invalid(format!("maxResults must be between 1 and {most}"))),
    }
}

/// One page of ARNs.
fn arns(name: &str, arns: Vec<&str>, size: usize, token: Option<&str>) -> Result<Value, Failure> {
    let Page { items, next } =
        page::cut(arns, |arn| arn, size, token).map_err(|_| Failure::invalid("Invalid token."))?;
    let mut answer = json!({ name: items });
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Ok(answer)
}

/// A list of ids that must be there, with at most `most` of them.
fn ids(params: &mut Params, name: &str, most: usize) -> Result<Vec<String>, Failure> {
    let ids = params.texts(name)?.unwrap_or_default();
    if ids.is_empty() {
        return Err(Failure::invalid(format!("{name} can not be empty.")));
    }
    if ids.len() > most {
        return Err(Failure::invalid(format!("{name} can have at most {most} items.")));
    }
    Ok(ids)
}

/// A visible service by its name or ARN. A deleted one stays visible for a while.
fn find_service(world: &World, cluster: ClusterNo, id: &str) -> Option<ServiceNo> {
    let visible = world.spec.deleted_services_visible;
    let known = |number: &&ServiceNo| {
        let service = &world.services[**number];
        (service.name == id || service.arn == id)
            && service.deleted_at.is_none_or(|at| world.now.duration_since(at) < visible)
    };
    world.clusters[cluster].services.iter().find(known).copied()
}

/// A container instance by ARN or by the ARN's last part.
fn registration(world: &World, cluster: ClusterNo, id: &str) -> Option<RegistrationNo> {
    let number = if id.starts_with("arn:") {
        world.registration_arns.get(id)
    } else {
        world.registration_arns.get(&arn(world, cluster, "container-instance", id))
    };
    number.copied().filter(|number| world.registrations[*number].cluster == cluster)
}

/// A visible task by ARN or by the ARN's last part.
fn task(world: &World, cluster: ClusterNo, id: &str) -> Option<TaskNo> {
    let number = if id.starts_with("arn:") {
        world.task_arns.get(id)
    } else {
        world.task_arns.get(&arn(world, cluster, "task", id))
    };
    number.copied().filter(|number| world.tasks[*number].cluster == cluster && world.is_visible(*number))
}

fn arn(world: &World, cluster: ClusterNo, kind: &str, id: &str) -> String {
    let (spec, name) = (&world.spec, &world.clusters[cluster].name);
    format!("arn:aws:ecs:{}:{}:{kind}/{name}/{id}", spec.name, spec.account)
}

/// An entry of `failures`.
pub(super) fn failure(world: &World, kind: &str, id: &str, reason: &str) -> Value {
    let arn = if id.starts_with("arn:") {
        id.to_owned()
    } else {
        format!("arn:aws:ecs:{}:{}:{kind}/{id}", world.spec.name, world.spec.account)
    };
    json!({ "arn": arn, "reason": reason })
}

/// A time in JSON 1.1: seconds since the epoch.
pub(super) fn time(at: jiff::Timestamp) -> Value {
    let seconds = i32::try_from(at.as_second()).map_or(f64::MAX, f64::from);
    json!(seconds + f64::from(at.subsec_millisecond()) / 1000.0)
}
