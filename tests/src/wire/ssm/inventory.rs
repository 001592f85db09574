//! `DescribeInstanceInformation`: the hosts that SSM knows, and how long ago it heard of them.

use serde_json::{Value, json};

use super::super::ecs::time;
use super::super::failure::Failure;
use super::super::page::{self, Page};
use super::super::params::Params;
use super::page_size;
use crate::world::{Ec2State, Machine, Ping, World};

pub(super) fn describe(world: &World, mut params: Params) -> Result<Value, Failure> {
    let mut filters = filters(&mut params, "Filters", "Key", "Values")?;
    filters.extend(self::filters(&mut params, "InstanceInformationFilterList", "key", "valueSet")?);
    let size = page_size(&mut params, 5, 50)?;
    let token = params.text("NextToken")?;
    params.done("DescribeInstanceInformation")?;
    for (key, _) in &filters {
        if !matches!(key.as_str(), "InstanceIds" | "PingStatus" | "ResourceType" | "PlatformTypes") {
            return Err(Failure::unknown("Parameter", format!("SSM filter {key} is not modelled")));
        }
    }
    let passes = |machine: &Machine, ping: Ping| {
        filters.iter().all(|(key, values)| {
            let own = match key.as_str() {
                "InstanceIds" => machine.id.as_str(),
                "PingStatus" => ping.name(),
                "ResourceType" => resource_type(machine.is_external()),
                _ => "Linux",
            };
            values.iter().any(|value| value == own)
        })
    };
    let found: Vec<(String, Value)> = world
        .machines
        .iter_with_ids()
        .filter(|(_, machine)| machine.state != Ec2State::Terminated)
        .filter_map(|(number, machine)| {
            let (ping, heard_at) = world.ping(number)?;
            passes(machine, ping).then(|| {
                let value = json!({
                    "InstanceId": machine.id,
                    "PingStatus": ping.name(),
                    "LastPingDateTime": time(heard_at),
                    "AgentVersion": machine.ssm_agent,
                    "IsLatestVersion": false,
                    "PlatformType": "Linux",
                    "PlatformName": "Bottlerocket",
                    "PlatformVersion": machine.host.running_version().to_string(),
                    "ResourceType": resource_type(machine.is_external()),
                    "IPAddress": machine.private_ip,
                    "ComputerName": format!("ip-{}", machine.private_ip.replace('.', "-")),
                });
                (machine.id.clone(), value)
            })
        })
        .collect();
    let Page { items, next } = page::cut(found, |item| &item.0, size, token.as_deref())
        .map_err(|_| Failure::new("InvalidNextToken", "The specified token isn't valid."))?;
    let items: Vec<Value> = items.into_iter().map(|(_, value)| value).collect();
    let mut answer = json!({ "InstanceInformationList": items });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

fn filters(params: &mut Params, name: &str, key: &str, values: &str) -> Result<Vec<(String, Vec<String>)>, Failure> {
    params
        .objects(name)?
        .into_iter()
        .map(|mut filter| {
            let pair = (filter.text(key)?.unwrap_or_default(), filter.texts(values)?.unwrap_or_default());
            filter.done("DescribeInstanceInformation")?;
            if pair.1.is_empty() || pair.1.len() > 100 {
                return Err(Failure::new("InvalidInstanceInformationFilterValue", "a filter has 1 to 100 values"));
            }
            Ok(pair)
        })
        .collect()
}

fn resource_type(external: bool) -> &'static str {
    if external { "ManagedInstance" } else { "EC2Instance" }
}
