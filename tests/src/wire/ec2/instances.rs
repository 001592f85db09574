//! `DescribeInstances`.

use super::super::failure::Failure;
use super::super::form::{EcFilter, Form};
use super::super::xml::{text, wrap};
use super::{Wanted, chosen, matches_pattern, next_token, state};
use crate::world::image_id;
use crate::world::{Ec2State, Machine, World};

pub(super) fn describe(world: &World, mut form: Form) -> Result<String, Failure> {
    let wanted = Wanted::read(&mut form)?;
    form.done("DescribeInstances")?;
    let chosen = chosen(world, &wanted.ids)?;
    let paged = wanted.page(world, chosen, |number, filter| passes(&world.machines[number], filter))?;
    let reservations: String = paged
        .items
        .iter()
        .map(|number| {
            let machine = &world.machines[*number];
            let inner = text("reservationId", machine.id.replace("i-", "r-"))
                + &text("ownerId", &world.spec.account)
                + "<groupSet/>"
                + &wrap("instancesSet", wrap("item", instance(world, machine)));
            wrap("item", inner)
        })
        .collect();
    Ok(wrap("reservationSet", reservations) + &next_token(paged.next.as_deref()))
}

fn passes(machine: &Machine, filter: &EcFilter) -> Result<bool, Failure> {
    let any = |value: &str| filter.values.iter().any(|pattern| matches_pattern(pattern, value));
    Ok(match filter.name.as_str() {
        "instance-id" => any(&machine.id),
        "instance-state-name" => any(machine.state.name()),
        "instance-type" => any(&machine.instance_type),
        "availability-zone" => any(&machine.zone),
        "instance-lifecycle" => machine.lifecycle.as_deref().is_some_and(any),
        "tag-key" => machine.tags.keys().any(|key| any(key)),
        name => match name.strip_prefix("tag:") {
            Some(key) => machine.tags.get(key).is_some_and(|value| any(value)),
            None => return Err(Failure::unknown("Parameter", format!("EC2 filter {name} is not modelled"))),
        },
    })
}

fn instance(world: &World, machine: &Machine) -> String {
    let host = &machine.host.spec();
    let dns = format!("ip-{}.{}.compute.internal", machine.private_ip.replace('.', "-"), world.spec.name);
    let tags: String = world
        .tags_shown(machine)
        .iter()
        .map(|(key, value)| wrap("item", text("key", key) + &text("value", value)))
        .collect();
    let architecture = if host.arch == "aarch64" { "arm64" } else { "x86_64" };
    [
        text("instanceId", &machine.id),
        text("imageId", image_id(&machine.launched_as)),
        state("instanceState", machine.state),
        text("privateDnsName", dns),
        text("privateIpAddress", &machine.private_ip),
        text("instanceType", &machine.instance_type),
        text("launchTime", machine.launched_at.to_string()),
        wrap("placement", text("availabilityZone", &machine.zone) + &text("tenancy", "default")),
        text("architecture", architecture),
        text("rootDeviceType", "ebs"),
        text("rootDeviceName", "/dev/xvda"),
        text("hypervisor", "xen"),
        machine.lifecycle.as_deref().map(|lifecycle| text("instanceLifecycle", lifecycle)).unwrap_or_default(),
        taken_back(world, machine),
        machine.instance.managed.then(operator).unwrap_or_default(),
        wrap(
            "metadataOptions",
            text("state", "applied")
                + &text("httpTokens", "required")
                + &text("instanceMetadataTags", if machine.metadata_tags { "enabled" } else { "disabled" }),
        ),
        wrap("tagSet", tags),
    ]
    .concat()
}

/// Who manages an Amazon ECS Managed Instance.
fn operator() -> String {
    wrap("operator", text("managed", "true") + &text("principal", "ecs.amazonaws.com"))
}

/// Why EC2 ended a Spot instance that it has taken back.
fn taken_back(world: &World, machine: &Machine) -> String {
    let ended = matches!(machine.state, Ec2State::ShuttingDown | Ec2State::Terminated);
    if !ended || machine.spot_notice.is_none_or(|at| world.now() < at) {
        return String::new();
    }
    let (code, message) =
        ("Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance termination");
    wrap("stateReason", text("code", code) + &text("message", message))
}
