//! `DescribeAutoScalingGroups`, `DescribeInstanceRefreshes` and `DescribeLaunchConfigurations`.

use super::super::failure::Failure;
use super::super::form::Form;
use super::super::xml::{text, wrap};
use super::{invalid, members, names, next_token, page};
use crate::scenario::{GroupSpec, LaunchFrom};
use crate::world::{MachineNo, World, template_id};

/// Names that there is no group of are passed over without an error.
pub(super) fn describe(world: &World, mut form: Form) -> Result<String, Failure> {
    const MOST: usize = 100;
    let named = names(&mut form, "AutoScalingGroupNames");
    let with_instances = form.take("IncludeInstances").is_none_or(|include| include == "true");
    let chosen = world.group_names().into_iter().filter(|name| named.is_empty() || named.contains(name));
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
        members("Tags", world.written_on(name).tags.iter().map(|tag| shown_tag(name, tag))),
        launch(world, name, &spec),
        members("Instances", shown),
    ]
    .concat()
}

fn shown_tag(group: &str, (key, value): (&String, &String)) -> String {
    let resource = text("ResourceId", group) + &text("ResourceType", "auto-scaling-group");
    resource + &text("Key", key) + &text("Value", value) + &text("PropagateAtLaunch", "false")
}

/// What the group launches, in one of the forms that there are.
fn launch(world: &World, name: &str, spec: &GroupSpec) -> String {
    let template = |name: &str| {
        text("LaunchTemplateId", template_id(name)) + &text("LaunchTemplateName", name) + &text("Version", "$Latest")
    };
    let own = text("InstanceType", "m6i.large");
    let overridden = |with: String| {
        let specification = wrap("LaunchTemplateSpecification", template(name));
        let overrides = members("Overrides", [own.clone() + &with].into_iter());
        wrap("MixedInstancesPolicy", wrap("LaunchTemplate", specification + &overrides))
    };
    let pool = if spec.warm_pool { wrap("WarmPoolConfiguration", text("PoolState", "Stopped")) } else { String::new() };
    let launch = match spec.launch {
        LaunchFrom::Template => wrap("LaunchTemplate", template(name)),
        LaunchFrom::OverrideImage => overridden(text("ImageId", world.launch_image(name).unwrap_or_default())),
        LaunchFrom::OverrideTemplate => {
            overridden(wrap("LaunchTemplateSpecification", template(&format!("{name}-own"))))
        }
        LaunchFrom::Configuration => text("LaunchConfigurationName", name),
    };
    launch + &pool
}

/// A group with a launch configuration has one of its own name.
pub(super) fn configurations(world: &World, mut form: Form) -> Result<String, Failure> {
    const MOST: usize = 100;
    let named = names(&mut form, "LaunchConfigurationNames");
    let is_one = |name: &String| world.group(name).launch == LaunchFrom::Configuration;
    let chosen =
        world.group_names().into_iter().filter(|name| is_one(name) && (named.is_empty() || named.contains(name)));
    let paged = page(&mut form, MOST, chosen.map(|name| (name, ())).collect())?;
    form.done("DescribeLaunchConfigurations")?;
    let shown = paged.items.iter().map(|(name, ())| {
        text("LaunchConfigurationName", name) + &text("ImageId", world.launch_image(name).unwrap_or_default())
    });
    Ok(members("LaunchConfigurations", shown) + &next_token(paged.next.as_deref()))
}

pub(super) fn refreshes(world: &World, mut form: Form) -> Result<String, Failure> {
    const MOST: usize = 100;
    let name = form.take("AutoScalingGroupName").unwrap_or_default();
    if !world.group_names().contains(&name) {
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
