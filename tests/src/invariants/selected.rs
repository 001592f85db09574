//! Which instances are selected, by `select` of their cluster and by what a run was told; and since when one is not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::ids::ClusterName;
use models::selection::{InstanceName, Named};

use crate::query::{Extra, Filter};
use crate::world::{MachineNo, World};

/// What is selected. It is read by the simulator's own parser, not by that of the program under test.
#[derive(Debug, Clone, Default)]
pub(super) struct Selected {
    selects: BTreeMap<ClusterName, Filter>,
    named: Named,
    /// Since when a machine is not selected.
    unselected: BTreeMap<MachineNo, Timestamp>,
}

impl Selected {
    pub(super) fn set_select(&mut self, cluster: ClusterName, select: Option<Filter>) {
        match select {
            Some(select) => drop(self.selects.insert(cluster, select)),
            None => drop(self.selects.remove(&cluster)),
        }
    }

    /// What a run is told that begins now.
    pub(super) fn set_named(&mut self, world: &World, named: Named) {
        self.named = named;
        for machine in world.machines().ids() {
            self.follow(world, machine, Timestamp::MIN);
        }
    }

    /// Something has happened to a machine.
    pub(super) fn follow(&mut self, world: &World, machine: MachineNo, now: Timestamp) {
        if self.selects.is_empty() && self.named.is_empty() {
            self.unselected.clear();
        } else if self.is_selected(world, machine) {
            self.unselected.remove(&machine);
        } else {
            self.unselected.entry(machine).or_insert(now);
        }
    }

    /// Since when the machine is not selected, if so.
    pub(super) fn unselected_since(&self, machine: MachineNo) -> Option<Timestamp> {
        self.unselected.get(&machine).copied()
    }

    fn is_selected(&self, world: &World, number: MachineNo) -> bool {
        let machine = &world.machines()[number];
        let is = |name: &InstanceName| {
            let mut known = machine.registrations.iter().map(|one| world.registrations[*one].arn.as_str().into());
            name.host().is_some_and(|host| host.as_str() == machine.id) || known.any(|arn| name.is_of(&arn))
        };
        if self.named.skip.iter().any(is) || !(self.named.only.is_empty() || self.named.only.iter().any(is)) {
            return false;
        }
        let cluster = ClusterName::from(world.clusters()[machine.cluster].name.as_str());
        let Some(select) = self.selects.get(&cluster) else { return true };
        let Some(registration) = machine.registration else { return false };
        let extra = Extra { tags: &machine.tags, provider: machine.provider() };
        select.matches_with(&world.subject(registration), &extra)
    }
}
