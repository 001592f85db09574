//! The one write without a claim: a container instance gets the ARN of its own EC2 instance, and nothing else.

use models::own_host::INSTANCE_TAG;

use crate::world::{MachineNo, World};

/// Returns what is wrong with a tag that the caller has written on the container instance of a machine.
pub(super) fn wrong(world: &World, machine: MachineNo, key: &str, value: &str) -> Option<String> {
    let is_its_own = key == INSTANCE_TAG && value == world.instance_arn(machine);
    (!is_its_own).then(|| format!("tagged its container instance with {key}={value}"))
}
