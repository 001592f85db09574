//! What Auto Scaling groups take away is not touched.

use jiff::Timestamp;
use models::fleet::AutoScaling;

use super::{Invariants, Rule, UNKNOWABLE};
use crate::world::{MachineNo, World};

impl Invariants {
    /// Whether the caller could know, when it decided, that the group of the machine does not have it in service. Without the
    /// right to ask it cannot.
    pub(super) fn check_group(&mut self, world: &World, machine: MachineNo, what: &str, decided: Timestamp) {
        let Some(since) = world.out_of_group_since(machine) else { return };
        let may_ask = !world.spec.deny.iter().any(|denied| denied == AutoScaling::INSTANCES);
        if may_ask && decided.duration_since(since) >= UNKNOWABLE {
            let state = &world.machines()[machine].in_group.state;
            self.broken(world, Rule::OutOfGroup, machine, format!("{what} while its group has it as {state}"));
        }
    }
}
