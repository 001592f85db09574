//! `DescribeAutoScalingInstances`.

use super::super::failure::Failure;
use super::super::form::Form;
use super::super::xml::text;
use super::{invalid, members, names, next_token, page};
use crate::world::{MachineNo, World};

/// Ids that belong to no group are passed over without an error.
pub(super) fn describe(world: &World, mut form: Form) -> Result<String, Failure> {
    const MOST: usize = 50;
    let ids = names(&mut form, "InstanceIds");
    if ids.len() > MOST {
        return Err(invalid(format!("Number of instance ids exceeds the maximum of {MOST}")));
    }
    let is_asked = |number: &MachineNo| {
        let id = &world.machines[*number].id;
        world.told_group(*number).is_some() && (ids.is_empty() || ids.contains(id))
    };
    let chosen = world.machines.ids().filter(is_asked);
    let items = chosen.map(|number| (world.machines[number].id.clone(), number)).collect();
    let paged = page(&mut form, MOST, items)?;
    form.done("DescribeAutoScalingInstances")?;
    let shown = members("AutoScalingInstances", paged.items.iter().map(|(_, number)| instance(world, *number)));
    Ok(shown + &next_token(paged.next.as_deref()))
}

pub(super) fn instance(world: &World, number: MachineNo) -> String {
    let machine = &world.machines[number];
    [
        text("InstanceId", &machine.id),
        text("InstanceType", &machine.instance_type),
        text("AutoScalingGroupName", world.told_group(number).unwrap_or_default()),
        text("AvailabilityZone", &machine.zone),
        text("LifecycleState", &machine.in_group.state),
        text("HealthStatus", "HEALTHY"),
        text("ProtectedFromScaleIn", machine.in_group.protected.to_string()),
    ]
    .concat()
}
