//! Where a new task goes: spread over zones, then over instances (the default strategy of a service, ECS developer
//! guide, "Task placement strategies").

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use super::ids::{MachineNo, RegistrationNo, ServiceNo};
use super::tasks::NewTask;
use crate::query::Subject;
use crate::scenario::ServiceKind;

/// The instances that could take a task of one service now. Good for one look at the service.
pub(super) struct Candidates {
    by_zone: BTreeMap<String, Zone>,
}

#[derive(Default)]
struct Zone {
    tasks: usize,
    instances: BTreeSet<(usize, usize, RegistrationNo)>,
}

impl Candidates {
    /// Leaves out the other zones.
    pub(super) fn only_in(&mut self, zone: &str) {
        self.by_zone.retain(|name, _| name == zone);
    }
}

impl World {
    /// Every instance that a task of the service fits on now.
    pub(super) fn candidates(&self, service: ServiceNo) -> Candidates {
        let of = &self.services[service];
        let mut on_instance: BTreeMap<RegistrationNo, usize> = BTreeMap::new();
        let mut by_zone: BTreeMap<String, Zone> = BTreeMap::new();
        for task in &of.tasks {
            let registration = self.tasks[*task].registration;
            *on_instance.entry(registration).or_default() += 1;
            let machine = self.registrations[registration].machine;
            if self.registrations[registration].takes_tasks() {
                by_zone.entry(self.machines[machine].zone.clone()).or_default().tasks += 1;
            }
        }
        for number in &self.clusters[of.cluster].registrations {
            let own = on_instance.get(number).copied().unwrap_or(0);
            if (of.distinct_instance && own > 0) || !self.can_take(service, *number) {
                continue;
            }
            let registration = &self.registrations[*number];
            let zone = self.machines[registration.machine].zone.clone();
            let place = (own, registration.tasks.len(), *number);
            by_zone.entry(zone).or_default().instances.insert(place);
        }
        Candidates { by_zone }
    }

    /// Whether one task of the service could be placed on the instance now, others of it aside.
    pub(super) fn can_take(&self, service: ServiceNo, number: RegistrationNo) -> bool {
        let (of, registration) = (&self.services[service], &self.registrations[number]);
        registration.takes_tasks()
            && registration.fits(&of.shape)
            && of.constraints().all(|filter| filter.matches(&self.subject(number)))
    }

    /// Whether a task of a service that is on the first machine could be placed on the second one now.
    pub(crate) fn could_move(&self, from: MachineNo, to: MachineNo) -> bool {
        let registrations = self.machines[from].registrations.iter();
        let tasks = registrations.flat_map(|number| &self.registrations[*number].tasks);
        let services: BTreeSet<ServiceNo> = tasks.filter_map(|task| self.tasks[*task].service).collect();
        let is_on = |service: ServiceNo, number: RegistrationNo| {
            self.services[service].tasks.iter().any(|task| self.tasks[*task].registration == number)
        };
        services.into_iter().filter(|service| self.services[*service].kind == ServiceKind::Replica).any(|service| {
            self.machines[to].registrations.iter().any(|number| {
                self.can_take(service, *number)
                    && !(self.services[service].distinct_instance && is_on(service, *number))
            })
        })
    }

    /// An instance as the cluster query language sees it.
    pub(crate) fn subject(&self, number: RegistrationNo) -> Subject<'_> {
        let registration = &self.registrations[number];
        Subject {
            attributes: &registration.attributes,
            agent_connected: registration.connected,
            agent_version: AGENT_VERSION,
            ec2_instance_id: &self.machines[registration.machine].id,
            registered_at: registration.registered_at,
            task_groups: registration.tasks.iter().map(|task| self.tasks[*task].group.as_str()).collect(),
            running_tasks: self.running_tasks(number),
        }
    }

    /// `runningTasksCount`: tasks whose *desired* status is RUNNING (docs/facts/ecs.md#container-instances).
    pub(crate) fn running_tasks(&self, number: RegistrationNo) -> usize {
        let tasks = &self.registrations[number].tasks;
        tasks.iter().filter(|task| self.tasks[**task].desired == super::Desired::Running).count()
    }

    /// Puts one task of a service on the best candidate; `None` when there is no room.
    pub(super) fn place(
        &mut self,
        service: ServiceNo,
        candidates: &mut Candidates,
        settled: bool,
    ) -> Option<RegistrationNo> {
        let zone =
            candidates.by_zone.values_mut().filter(|zone| !zone.instances.is_empty()).min_by_key(|zone| zone.tasks)?;
        let (own, all, number) = zone.instances.pop_first()?;
        zone.tasks += 1;
        self.start_service_task(service, number, settled);
        if !self.services[service].distinct_instance && self.can_take(service, number) {
            zone.instances.insert((own + 1, all + 1, number));
        }
        Some(number)
    }

    /// Starts a task of a service on an instance.
    pub(super) fn start_service_task(&mut self, service: ServiceNo, number: RegistrationNo, settled: bool) {
        let of = &self.services[service];
        let n = u64::try_from(service.0).unwrap_or(0);
        let new = NewTask {
            registration: number,
            service: Some(service),
            group: format!("service:{}", of.name),
            family: of.family.clone(),
            started_by: Some(format!("ecs-svc/{:019}", self.dice.bits("deployment", n) % 10_u64.pow(19))),
            shape: of.shape.clone(),
        };
        self.start_task(new, settled);
    }
}

/// The agent's version, on every instance.
pub(crate) const AGENT_VERSION: &str = "1.98.0";
