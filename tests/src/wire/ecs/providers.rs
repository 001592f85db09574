//! `DescribeCapacityProviders`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::page;
use super::super::params::Params;
use super::{cluster, failure, page_size};
use crate::scenario::StrategyItem;
use crate::world::{ClusterNo, World};

/// The capacity provider of all that AWS manages.
pub(super) const MANAGED: &str = "managed-instances";

/// Pages of ten, however many are named.
pub(super) fn describe(world: &World, mut params: Params) -> Result<Value, Failure> {
    let number: ClusterNo = cluster(world, &mut params)?;
    let named = params.texts("capacityProviders")?.unwrap_or_default();
    let size = page_size(&mut params, 10, 10)?;
    let token = params.text("nextToken")?;
    params.done("DescribeCapacityProviders")?;
    let has = world.machines.iter().any(|machine| machine.cluster == number && machine.instance.managed);
    let own = &world.clusters[number].providers;
    let all: BTreeSet<String> = own.iter().cloned().chain(has.then(|| MANAGED.to_owned())).collect();
    let missing = named
        .iter()
        .filter(|name| !all.contains(*name))
        .map(|name| failure(world, "capacity-provider", name, "MISSING"));
    let failures: Vec<Value> = missing.collect();
    let names: Vec<String> = all.into_iter().filter(|name| named.is_empty() || named.contains(name)).collect();
    let paged =
        page::cut(names, String::as_str, size, token.as_deref()).map_err(|_| Failure::invalid("Invalid token."))?;
    let shown: Vec<Value> = paged.items.iter().map(|name| shape(world, name)).collect();
    Ok(json!({ "capacityProviders": shown, "failures": failures, "nextToken": paged.next }))
}

fn shape(world: &World, name: &str) -> Value {
    let arn = format!("arn:aws:ecs:{}:{}:capacity-provider/{name}", world.spec.name, world.spec.account);
    if name == MANAGED {
        return json!({
            "capacityProviderArn": arn, "name": name, "status": "ACTIVE", "type": "MANAGED_INSTANCES",
            "managedInstancesProvider": {},
        });
    }
    let spec = world.providers.get(name).cloned().unwrap_or_default();
    let group = world.group_of_provider(name).unwrap_or(name).to_owned();
    let switch = |is_on: bool| if is_on { "ENABLED" } else { "DISABLED" };
    let scaling = spec.managed_scaling.clone().unwrap_or_default();
    json!({
        "capacityProviderArn": arn,
        "name": name,
        "status": "ACTIVE",
        "type": "EC2_AUTOSCALING",
        "autoScalingGroupProvider": {
            "autoScalingGroupArn": format!(
                "arn:aws:autoscaling:{}:{}:autoScalingGroup:{}:autoScalingGroupName/{group}",
                world.spec.name, world.spec.account, world.dice.uuid(&group, 0)
            ),
            "managedScaling": {
                "status": switch(spec.managed_scaling.is_some()),
                "targetCapacity": scaling.target,
                "minimumScalingStepSize": scaling.minimum_step,
                "maximumScalingStepSize": scaling.maximum_step,
                "instanceWarmupPeriod": scaling.warm_up.as_secs(),
            },
            "managedTerminationProtection": switch(spec.termination_protection),
            "managedDraining": switch(world.group(&group).managed_draining),
        },
        "updateStatus": "UPDATE_COMPLETE",
        "tags": [],
    })
}

/// The items of a capacity provider strategy.
pub(super) fn strategy_items(strategy: &[StrategyItem]) -> Value {
    let item =
        |item: &StrategyItem| json!({ "capacityProvider": item.provider, "base": item.base, "weight": item.weight });
    strategy.iter().map(item).collect()
}
