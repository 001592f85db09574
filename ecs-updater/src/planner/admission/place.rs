//! The room on one instance.

use std::collections::BTreeSet;

use models::fleet::{FleetSnapshot, FreeInterfaces, Instance, Resources, Service};
use models::ids::ServiceName;

use super::constraint::{self, Groups, Subject};
use super::moving::Moving;
use super::strategy;

/// The CPU that is left where nothing fits any more.
pub(super) const TAKEN_OUT: i64 = i64::MIN;

/// What is left of an instance.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub(super) instance: &'a Instance,
    /// What is left of the instance's own.
    pub(super) cpu: i64,
    pub(super) memory: i64,
    pub(super) gpus: i64,
    /// Network interfaces for tasks; `None` where it is not known how many it has.
    pub(super) interfaces: Option<i64>,
    /// Host ports of tasks that were promised it.
    pub(super) ports: Vec<u16>,
    /// Services that allow one task an instance and were promised this one.
    pub(super) promised: BTreeSet<&'a ServiceName>,
    /// What is known of the groups of its tasks; nothing where no constraint asks for them.
    pub(super) groups: Groups,
    /// The services of all the tasks that were promised it.
    pub(super) expected: Vec<&'a ServiceName>,
}

impl<'a> Place<'a> {
    /// Returns the room once the tasks that stop are gone, where its tasks were seen.
    pub(super) fn settled(&self) -> Self {
        let mut settled = self.clone();
        let Some(seen) = &self.instance.tasks else { return settled };
        let stays = || seen.tasks.iter().filter(|task| !task.stopping).map(|task| &task.needs);
        let registered = &self.instance.registered;
        settled.cpu = self.cpu.max(registered.cpu - stays().map(|needs| needs.cpu).sum::<i64>());
        settled.memory = self.memory.max(registered.memory - stays().map(|needs| needs.memory).sum::<i64>());
        settled.gpus = self.gpus.max(registered.gpus - stays().map(|needs| needs.gpus).sum::<i64>());
        settled
    }

    /// Returns an instance's room as ECS counts it; the groups of its tasks where they matter.
    pub(super) fn of(instance: &'a Instance, fleet: &FleetSnapshot, groups_matter: bool) -> Self {
        let Resources { cpu, memory, gpus, .. } = instance.remaining;
        let interfaces = match fleet.room.free_interfaces(instance, fleet.taken_at) {
            FreeInterfaces::Known(free) => Some(free),
            FreeInterfaces::NotSeen => Some(0),
            FreeInterfaces::NoLimit => None,
        };
        let groups = if groups_matter { Groups::of(instance, fleet.taken_at) } else { Groups::default() };
        let (ports, promised, expected) = (Vec::new(), BTreeSet::new(), Vec::new());
        Self { instance, cpu, memory, gpus, interfaces, ports, promised, groups, expected }
    }
}

impl Place<'_> {
    pub(super) fn takes(&self, Moving { needs, service, provider }: Moving<'_>) -> bool {
        needs.cpu <= self.cpu
            && needs.memory <= self.memory
            && needs.gpus <= self.gpus
            && self.interfaces.is_none_or(|free| needs.interfaces <= free)
            && !self.has_port_in_use(needs)
            && !(service.distinct_instance && self.has_one_of(service))
            && strategy::allows(service, provider, self.instance)
            && self.meets_all(service)
    }

    /// Whether its own tasks are being moved off it.
    pub(super) fn is_taken_out(&self) -> bool {
        self.cpu == TAKEN_OUT
    }

    pub(super) fn has_one_of(&self, service: &Service) -> bool {
        self.promised.contains(&service.name) || service.on.contains(&self.instance.container_instance)
    }

    pub(super) fn has_port_in_use(&self, needs: &Resources) -> bool {
        let in_use = |port| self.ports.contains(port) || self.instance.remaining.ports.contains(port);
        needs.ports.iter().any(in_use)
    }

    pub(super) fn meets_all(&self, service: &Service) -> bool {
        meets_all(service, self.subject())
    }

    fn subject(&self) -> Subject<'_> {
        Subject { instance: self.instance, groups: &self.groups, promised: &self.expected }
    }
}

/// Whether nothing that is known keeps a service's task off the instance.
pub(super) fn meets_all(service: &Service, subject: Subject<'_>) -> bool {
    service.member_of.iter().all(|expression| constraint::meets(expression, subject) != Some(false))
}

pub(super) fn asks_for_groups(service: &Service) -> bool {
    service.member_of.iter().any(|expression| constraint::asks_for_groups(expression))
}
