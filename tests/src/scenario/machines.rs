//! `[[instances]]` and `[[host]]`: groups of machines, and what is special about one of them.
//!
//! A table holds fields of the EC2 instance and of the host beside each other; what is not the instance's is the
//! host's ([`crate::host::HostSpec`]), which refuses what it does not know.

use std::collections::BTreeMap;

use semver::Version;
use serde::Deserialize;
use toml::{Table, Value};

use super::error::ScenarioError;
use super::names::names;
use super::size::Mib;
use crate::dice::Dice;
use crate::host::HostSpec;

/// A machine of the scenario.
#[derive(Debug, Clone)]
pub struct MachineSpec {
    /// The EC2 side.
    pub instance: InstanceSpec,
    pub host: HostSpec,
    /// The host's table as it was written, so that an event can change a field of it.
    pub host_table: Table,
}

/// The fields of an EC2 instance, or an EXTERNAL machine.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstanceSpec {
    pub cluster: String,
    pub zone: String,
    /// Such as `m6i.large`.
    pub instance_type: String,
    /// CPU units for tasks.
    pub cpu: u32,
    /// Memory for tasks.
    pub memory: Mib,
    /// GPUs for tasks.
    pub gpus: u32,
    /// Network interfaces of its type, its own among them.
    pub interfaces: u32,
    /// How many tasks have an interface of their own behind its trunk, where it has one.
    pub trunk: Option<u32>,
    /// `spot` or nothing.
    pub lifecycle: Option<String>,
    /// Whether its agent drains it when EC2 takes the Spot instance back (`ECS_ENABLE_SPOT_INSTANCE_DRAINING`).
    pub spot_draining: bool,
    /// Name of its Auto Scaling group.
    pub asg: Option<String>,
    /// Name of the capacity provider that it was registered with.
    pub provider: Option<String>,
    /// Where its group has it at the start; `InService` where it is missing.
    pub group_state: Option<String>,
    /// Whether AWS manages it: an Amazon ECS Managed Instance.
    pub managed: bool,
    /// The version in the image that it was launched from, and that its Auto Scaling group launches; that of the host
    /// where it is missing.
    pub image: Option<Version>,
    /// EC2 tags.
    pub tags: BTreeMap<String, String>,
    /// How many EC2 tags it has besides: an instance has 50 at most.
    pub other_tags: usize,
    /// Custom attributes of the container instance.
    pub attributes: BTreeMap<String, String>,
    /// Whether it runs Bottlerocket.
    pub bottlerocket: bool,
    /// ECS Anywhere: a managed node `mi-…` that EC2 does not know.
    pub external: bool,
    /// Of `ec2:CreateTags`, `ec2:DeleteTags` and `ssm:SendCommand` those that the caller has no permission for on this one.
    pub deny: Vec<String>,
    /// Whether EC2 leaves it out of its answers, as it does with what the caller does not own
    /// (docs/facts/ec2.md#instances-and-status-checks).
    pub hidden: bool,
    /// Whether the agent of `host-bridge` runs on it.
    pub bridge: bool,
    /// Whether that agent's host container is superpowered, so that it may use the host's root.
    pub superpowered: bool,
    /// Whether its metadata service serves its tags (`InstanceMetadataTags`).
    pub metadata_tags: bool,
    /// Whether SSM knows it.
    pub ssm_registered: bool,
    /// The version of its SSM agent, which tells that of the control container.
    pub ssm_agent: String,
    /// Whether a person has made it DRAINING before the start.
    pub draining: bool,
    /// Whether its agent is connected at the start; where it is not, it never is.
    pub connected: bool,
    /// Whether its agent registers under a new ARN when it comes back on a lower version.
    pub new_arn_after_rollback: Option<bool>,
}

impl Default for InstanceSpec {
    fn default() -> Self {
        Self {
            cluster: String::new(),
            zone: String::new(),
            instance_type: "m6i.large".to_owned(),
            cpu: 2048,
            memory: Mib(7_680),
            gpus: 0,
            interfaces: 3,
            trunk: None,
            lifecycle: None,
            spot_draining: false,
            asg: None,
            provider: None,
            group_state: None,
            managed: false,
            image: None,
            tags: BTreeMap::new(),
            other_tags: 0,
            deny: Vec::new(),
            attributes: BTreeMap::new(),
            bottlerocket: true,
            external: false,
            hidden: false,
            bridge: false,
            superpowered: true,
            metadata_tags: true,
            ssm_registered: true,
            ssm_agent: "3.3.987.0".to_owned(),
            draining: false,
            connected: true,
            new_arn_after_rollback: None,
        }
    }
}

/// Lays out the groups one after the other and applies what is special about single hosts.
pub(super) fn machines(
    groups: Vec<Table>,
    special: Vec<Table>,
    default_cluster: &str,
    region: &str,
    dice: Dice,
) -> Result<Vec<MachineSpec>, ScenarioError> {
    let mut tables = Vec::new();
    for mut group in groups {
        let count = take_count(&mut group)?;
        let zones = take_zones(&mut group, region)?;
        for n in 0..count {
            let mut table = group.clone();
            if !zones.is_empty() {
                table.entry("zone").or_insert_with(|| Value::String(zones[n % zones.len()].clone()));
            }
            table.entry("cluster").or_insert_with(|| Value::String(default_cluster.to_owned()));
            tables.push(table);
        }
    }
    for mut host in special {
        let index = host.remove("index").and_then(|index| index.as_integer());
        let index = index.and_then(|index| usize::try_from(index).ok()).ok_or(ScenarioError::HostWithoutIndex)?;
        let count = tables.len();
        let table = tables.get_mut(index).ok_or(ScenarioError::NoSuchHost { index, count })?;
        merge(table, host);
    }
    tables.into_iter().enumerate().map(|(index, table)| machine(index, table, dice)).collect()
}

fn machine(index: usize, table: Table, dice: Dice) -> Result<MachineSpec, ScenarioError> {
    let (mut instance, mut host) = (Table::new(), Table::new());
    let of_instance = names::<InstanceSpec>();
    for (key, value) in table {
        let side = if of_instance.contains(&key.as_str()) { &mut instance } else { &mut host };
        side.insert(key, value);
    }
    let n = u64::try_from(index).unwrap_or(u64::MAX);
    let seed = i64::try_from(dice.between("update-seed", n, 0, 2047)).unwrap_or(0);
    host.entry("update_seed").or_insert(Value::Integer(seed));
    Ok(MachineSpec {
        instance: InstanceSpec::deserialize(instance).map_err(|source| ScenarioError::Host { index, source })?,
        host: host_spec(&host).map_err(|source| ScenarioError::Host { index, source })?,
        host_table: host,
    })
}

/// Reads a host's table.
pub(crate) fn host_spec(table: &Table) -> Result<HostSpec, toml::de::Error> {
    HostSpec::deserialize(table.clone())
}

/// Puts `over` on top of `under`; tables in tables are merged.
pub(crate) fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

fn take_count(group: &mut Table) -> Result<usize, ScenarioError> {
    let count = group.remove("count").unwrap_or(Value::Integer(1));
    count.as_integer().and_then(|count| usize::try_from(count).ok()).ok_or(ScenarioError::Count)
}

/// `zones = ["a", "b"]`: one letter is the end of the Region's name.
fn take_zones(group: &mut Table, region: &str) -> Result<Vec<String>, ScenarioError> {
    let Some(zones) = group.remove("zones") else {
        return Ok(vec![format!("{region}a")]);
    };
    let zones: Vec<String> = zones.try_into().map_err(ScenarioError::Zones)?;
    Ok(zones.into_iter().map(|zone| if zone.len() == 1 { format!("{region}{zone}") } else { zone }).collect())
}
