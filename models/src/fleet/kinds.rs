//! What limits the room for tasks beside CPU, memory and ports: network interfaces, and the definitions of the tasks
//! (docs/facts/room.md#network-interfaces).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::FleetSnapshot;
use super::instance::Instance;
use super::tasks::{Resources, SeenTasks, Service};
use crate::ids::HostId;

/// What was seen of an instance's tasks this long ago may have changed since.
pub const TASKS_KNOWN_FOR: SignedDuration = SignedDuration::from_mins(5);

/// What is known of the kinds of room in a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoomFacts {
    /// The network interfaces of each instance type, by its name; `None` where EC2 does not tell.
    pub interfaces: BTreeMap<SmolStr, Option<u32>>,
    /// The task definitions of services, by their ARNs.
    pub definitions: BTreeMap<SmolStr, TaskDefinition>,
    /// AWS's words for each operation that a right is missing for: it is not asked again in this run.
    pub denied: BTreeMap<SmolStr, String>,
}

/// What a task definition says of where its tasks can run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDefinition {
    /// The expressions of its placement constraints.
    pub member_of: Vec<String>,
    /// What one of its tasks takes, without overrides; `None` where ECS does not tell.
    pub needs: Option<Resources>,
}

/// How many more tasks with an interface of their own an instance can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreeInterfaces {
    Known(i64),
    /// How many interfaces it can have is known nowhere.
    NoLimit,
    /// It may have reached its limit: its tasks tell.
    NotSeen,
}

/// The attribute of an instance whose interfaces go through a trunk (ECS developer guide, [trunking]): the account setting
/// alone says nothing.
///
/// [trunking]: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-eni.html
const TRUNK: &str = "ecs.awsvpc-trunk-id";
/// The attribute with an instance's type.
const INSTANCE_TYPE: &str = "ecs.instance-type";

impl RoomFacts {
    /// The operation that tells of task definitions.
    pub const DEFINITIONS: &str = "ecs:DescribeTaskDefinition";
    /// The operation that tells how many interfaces instances can have.
    pub const TYPES: &str = "ec2:DescribeInstanceTypes";

    /// Returns how many tasks with an interface of their own fit on an instance at most: one interface is its own. With a
    /// trunk, no API says it.
    fn limit(&self, instance: &Instance) -> Option<i64> {
        let name = instance.instance_type()?;
        if instance.attributes.get(TRUNK).is_some() {
            return trunk_limit(name);
        }
        let interfaces = (*self.interfaces.get(name)?)?;
        Some(i64::from(interfaces) - 1)
    }

    /// Returns how many more such tasks the instance can take.
    pub fn free_interfaces(&self, instance: &Instance, now: Timestamp) -> FreeInterfaces {
        let Some(limit) = self.limit(instance) else { return FreeInterfaces::NoLimit };
        match &instance.tasks {
            // Where ECS counts as many tasks now as were seen then.
            Some(seen) if now.duration_since(seen.at) <= TASKS_KNOWN_FOR && is_the_count(instance, seen) => {
                FreeInterfaces::Known(limit - seen.tasks.iter().map(|task| task.needs.interfaces).sum::<i64>())
            }
            Some(_) | None => {
                let most = i64::from(instance.running_tasks) + i64::from(instance.pending_tasks);
                if most < limit { FreeInterfaces::Known(limit - most) } else { FreeInterfaces::NotSeen }
            }
        }
    }
}

fn is_the_count(instance: &Instance, seen: &SeenTasks) -> bool {
    let (running, pending) = (instance.running_tasks as usize, instance.pending_tasks as usize);
    [running, running + pending].contains(&seen.tasks.len())
}

impl Instance {
    /// Its instance type, such as `m6i.large`.
    pub fn instance_type(&self) -> Option<&str> {
        self.attributes.get(INSTANCE_TYPE)
    }
}

impl FleetSnapshot {
    /// Whether a task of a service, or of nobody, has a network interface of its own.
    pub fn uses_interfaces(&self) -> bool {
        let starts = |service: &Service| service.new_task.as_ref().is_some_and(|needs| needs.interfaces > 0);
        let seen = self.instances.values().filter_map(|instance| instance.tasks.as_ref());
        self.services.values().any(starts) || seen.flat_map(|seen| &seen.tasks).any(|task| task.needs.interfaces > 0)
    }

    /// Returns the instances in service whose tasks have to be looked at before it is known whether they have an interface
    /// left.
    pub fn interfaces_not_seen(&self, now: Timestamp) -> Vec<&HostId> {
        let in_service = self.instances.values().filter(|instance| instance.in_service());
        let not_seen =
            |instance: &&Instance| matches!(self.room.free_interfaces(instance, now), FreeInterfaces::NotSeen);
        in_service.filter(not_seen).map(|instance| &instance.host).collect()
    }

    /// Returns the instance types in service whose limit of interfaces is unknown; a trunk is named with its type.
    pub fn unknown_limits(&self) -> Vec<String> {
        let in_service = self.instances.values().filter(|instance| instance.in_service());
        let unknown = in_service.filter(|instance| self.room.limit(instance).is_none()).map(|instance| {
            let name = instance.instance_type().unwrap_or("of no known type");
            let trunk = if instance.attributes.get(TRUNK).is_some() { " with a trunk" } else { "" };
            format!("{name}{trunk}")
        });
        let mut unknown: Vec<String> = unknown.collect();
        unknown.sort();
        unknown.dedup();
        unknown
    }
}

/// Returns how many tasks have an interface of their own behind a trunk, at least: the least that AWS's table has for the size
/// among its general families ([supported types]). Others differ by type.
///
/// [supported types]: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/eni-trunking-supported-instance-types.html
fn trunk_limit(name: &str) -> Option<i64> {
    let (family, size) = name.split_once('.')?;
    let is_general = ["a1", "c", "m", "r"].iter().any(|first| family.starts_with(first));
    let has_own = ["c5n", "m5dn", "m5n", "m5zn", "r5b", "r5n", "r5dn"].contains(&family);
    if !is_general || has_own {
        return None;
    }
    match size {
        "medium" => Some(4),
        "large" => Some(10),
        "xlarge" => Some(20),
        "2xlarge" => Some(40),
        "4xlarge" | "8xlarge" | "12xlarge" => Some(60),
        "16xlarge" | "24xlarge" => Some(120),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_is_worth_what_the_size_has_at_least() {
        let table = [
            ("m5.large", Some(10)),
            ("c6g.medium", Some(4)),
            ("r5.16xlarge", Some(120)),
            ("m5n.large", None),
            ("g5.xlarge", None),
            ("t3.large", None),
            ("m5.metal", None),
            ("large", None),
        ];
        for (name, limit) in table {
            assert_eq!(trunk_limit(name), limit, "{name}");
        }
    }
}
