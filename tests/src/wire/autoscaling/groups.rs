//! `DescribeAutoScalingGroups` and `DescribeInstanceRefreshes`.

use std::collections::BTreeSet;

use super::super::failure::Failure;
use super::super::form::Form;
use super::super::xml::{text, wrap};
use super::{invalid, members, names, next_token, page};
use crate::world::{MachineNo, World};

fn all(world: &World) -> BTreeSet<String> {
    let of_machines = world.machines.iter().filter_map(|machine| machine.instance.asg.clone());
    let of_providers = world.providers.values().filter_map(|provider| provider.group.clone());
    of_machines.chain(world.groups.keys().cloned()).chain(of_providers).collect()
}

/// Names that there is no group of are passed over without an error.
pub(super) fn describe(world: &World, mut form: Form) -> Result<String, Failure> {
    const MOST: usize = 100;
    let named = names(&mut form, "AutoScalingGroupNames");
    let with_instances = form.take("IncludeInstances").is_none_or(|include| include == "true");
    let chosen = all(world).into_iter().filter(|name| named.is_empty() || named.contains(name));
    let paged = page(&mut form, MOST, chosen.map(|name| (name, ())).collect())?;
    form.done("DescribeAutoScalingGroups")?;
    let groups = paged.items.iter().map(|(name, ())| group(world, name, with_instances));
    Ok(members("AutoScalingGroups", groups) + &next_token(paged.next.as_deref()))
}

fn group(world: &World, name: &str, with_instances: bool) -> String {
    let spec = world.group(name);
    let had: Vec<MachineNo> = world.machines.ids().filter(|number| world.told_group(*number) == Some(name)).collect();
    let arn = format!("arn:aws:elasticloadbalancing:{}:{}:targetgroup/{name}/1", world.spec.name, world.spec.account);
    let targets = spec.target_group.then_some(arn);
    let source = |arn: String| text("Identifier", arn) + &text("Type", "elbv2");
    let shown = had.iter().filter(|_| with_instances).map(|number| super::instances::instance(world, *number));
    let (least, most) = match world.size_of(name) {
        Some(_) => world.bounds_of(name),
        None => (0, had.len().max(1)),
    };
    let desired = world.size_of(name).map_or(had.len(), |size| size.desired);
    let protects = world
        .providers
        .iter()
        .any(|(provider, spec)| spec.termination_protection && world.group_of_provider(provider) == Some(name));
    [
        text("AutoScalingGroupName", name),
        text("MinSize", least.to_string()),
        text("MaxSize", most.to_string()),
        text("DesiredCapacity", desired.to_string()),
        text("NewInstancesProtectedFromScaleIn", protects.to_string()),
        wrap("TerminationPolicies", text("member", spec.termination_policy.name())),
        text("HealthCheckType", &spec.health_check_type),
        text("HealthCheckGracePeriod", "0"),
        members("SuspendedProcesses", spec.suspended.iter().map(|name| text("ProcessName", name))),
        wrap("TargetGroupARNs", targets.iter().map(|arn| text("member", arn)).collect::<String>()),
        members("TrafficSources", targets.into_iter().map(source)),
        members("Instances", shown),
    ]
    .concat()
}

pub(super) fn refreshes(world: &World, mut form: Form) -> Result<String, Failure> {
    const MOST: usize = 100;
    let name = form.take("AutoScalingGroupName").unwrap_or_default();
    if !all(world).contains(&name) {
        return Err(invalid("AutoScalingGroup name not found - null"));
    }
    let newest = world.group(&name).refresh.into_iter().map(|status| ("0".to_owned(), status)).collect();
    let paged = page(&mut form, MOST, newest)?;
    form.done("DescribeInstanceRefreshes")?;
    let refresh = |(id, status): &(String, String)| {
        text("InstanceRefreshId", id) + &text("AutoScalingGroupName", &name) + &text("Status", status)
    };
    Ok(members("InstanceRefreshes", paged.items.iter().map(refresh)) + &next_token(paged.next.as_deref()))
}
