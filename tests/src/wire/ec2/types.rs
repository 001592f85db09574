//! `DescribeInstanceTypes`.

use std::collections::BTreeMap;

use super::super::failure::Failure;
use super::super::form::Form;
use super::super::xml::{text, wrap};
use super::matches_pattern;
use crate::world::World;

/// The types of the machines that there are.
pub(super) fn describe(world: &World, mut form: Form) -> Result<String, Failure> {
    let named = form.list("InstanceType");
    let filters = form.filters();
    form.done("DescribeInstanceTypes")?;
    let mut types: BTreeMap<&str, u32> =
        world.machines.iter().map(|machine| (machine.instance_type.as_str(), machine.instance.interfaces)).collect();
    if let Some(unknown) = named.iter().find(|name| !types.contains_key(name.as_str())) {
        let message = format!("The following supplied instance types do not exist: [{unknown}]");
        return Err(Failure::new("InvalidInstanceType", message));
    }
    types.retain(|name, _| named.is_empty() || named.iter().any(|one| one == name));
    for filter in &filters {
        match filter.name.as_str() {
            "instance-type" => types.retain(|name, _| filter.values.iter().any(|value| matches_pattern(value, name))),
            name => return Err(Failure::unknown("Parameter", format!("EC2 filter {name} is not modelled"))),
        }
    }
    let items = types.into_iter().map(|(name, interfaces)| {
        let network = wrap("networkInfo", text("maximumNetworkInterfaces", interfaces.to_string()));
        wrap("item", text("instanceType", name) + &network)
    });
    Ok(wrap("instanceTypeSet", items.collect::<String>()))
}
