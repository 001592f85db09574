//! `DescribeCapacityProviders`.

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::page;
use super::super::params::Params;
use super::{cluster, page_size};
use crate::world::{ClusterNo, World};

/// The capacity provider of all that AWS manages.
pub(super) const MANAGED: &str = "managed-instances";

/// Pages of ten, however many are named.
pub(super) fn describe(world: &World, mut params: Params) -> Result<Value, Failure> {
    let number: ClusterNo = cluster(world, &mut params)?;
    let size = page_size(&mut params, 10, 10)?;
    let token = params.text("nextToken")?;
    params.done("DescribeCapacityProviders")?;
    let has = world.machines.iter().any(|machine| machine.cluster == number && machine.instance.managed);
    let names: Vec<String> = has.then(|| MANAGED.to_owned()).into_iter().collect();
    let paged =
        page::cut(names, String::as_str, size, token.as_deref()).map_err(|_| Failure::invalid("Invalid token."))?;
    let shape = |name: &String| json!({ "name": name, "status": "ACTIVE", "type": "MANAGED_INSTANCES", "managedInstancesProvider": {} });
    let shown: Vec<Value> = paged.items.iter().map(shape).collect();
    Ok(json!({ "capacityProviders": shown, "failures": [], "nextToken": paged.next }))
}
