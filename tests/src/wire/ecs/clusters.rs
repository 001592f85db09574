//! `ListClusters` and `DescribeClusters`.

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::params::Params;
use super::providers::strategy_items;
use super::{arns, failure, include, page_size};
use crate::world::{ClusterNo, Desired, LastStatus, World};

pub(super) fn list(world: &World, mut params: Params) -> Result<Value, Failure> {
    let size = page_size(&mut params, 100, 100)?;
    let token = params.text("nextToken")?;
    params.done("ListClusters")?;
    let all = world.clusters.iter().map(|cluster| cluster.arn.as_str()).collect();
    arns("clusterArns", all, size, token.as_deref())
}

pub(super) fn describe(world: &World, mut params: Params) -> Result<Value, Failure> {
    let names = params.texts("clusters")?.unwrap_or_else(|| vec!["default".to_owned()]);
    let known = ["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"];
    let included = include(&mut params, &known)?;
    if let Some(what) = included.iter().find(|what| *what != "TAGS") {
        return Err(Failure::unknown("Parameter", format!("DescribeClusters with include {what} is not modelled")));
    }
    params.done("DescribeClusters")?;
    if names.len() > 100 {
        return Err(Failure::invalid("clusters can have at most 100 items."));
    }
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match world.cluster(&name) {
            Some(number) => clusters.push(shape(world, number, !included.is_empty())),
            None => failures.push(failure(world, "cluster", &name, "MISSING")),
        }
    }
    Ok(json!({ "clusters": clusters, "failures": failures }))
}

fn shape(world: &World, number: ClusterNo, with_tags: bool) -> Value {
    let cluster = &world.clusters[number];
    let live = cluster.tasks.iter().map(|task| &world.tasks[*task]).filter(|task| task.desired == Desired::Running);
    let (pending, running): (Vec<_>, Vec<_>) = live.partition(|task| task.last == LastStatus::Pending);
    let tags = cluster.tags.iter().filter(|_| with_tags).map(|(key, value)| json!({ "key": key, "value": value }));
    let active_services =
        cluster.services.iter().filter(|service| world.services[**service].deleted_at.is_none()).count();
    json!({
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": cluster.registrations.len(),
        "runningTasksCount": running.len(),
        "pendingTasksCount": pending.len(),
        "activeServicesCount": active_services,
        "statistics": [],
        "tags": tags.collect::<Vec<_>>(),
        "settings": [],
        "capacityProviders": cluster.providers,
        "defaultCapacityProviderStrategy": strategy_items(&cluster.default_strategy),
    })
}
