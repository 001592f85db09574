//! DAEMON services: one task on every ACTIVE instance; on DRAINING ones none is placed and the task is stopped last,
//! after all replica tasks (docs/facts/ecs.md#draining).

use super::World;
use super::ids::{RegistrationNo, ServiceNo, TaskNo};
use super::registration::InstanceStatus;
use super::task::Desired;
use crate::scenario::ServiceKind;

impl World {
    /// One look at the daemons of an instance.
    pub(super) fn look_at_daemons(&mut self, number: RegistrationNo) {
        let cluster = self.registrations[number].cluster;
        let daemons: Vec<ServiceNo> = self.clusters[cluster]
            .services
            .iter()
            .copied()
            .filter(|service| self.services[*service].kind == ServiceKind::Daemon)
            .filter(|service| self.services[*service].deleted_at.is_none())
            .collect();
        for service in daemons {
            self.look_at_daemon(service, number);
        }
    }

    fn look_at_daemon(&mut self, service: ServiceNo, number: RegistrationNo) {
        let own: Vec<TaskNo> = self.registrations[number]
            .tasks
            .iter()
            .copied()
            .filter(|task| self.tasks[*task].service == Some(service))
            .collect();
        match self.registrations[number].status {
            InstanceStatus::Active if own.is_empty() => self.start_daemon(service, number),
            InstanceStatus::Active => {}
            InstanceStatus::Draining if self.has_replicas(number) => {}
            InstanceStatus::Draining => {
                for task in own {
                    if self.tasks[task].desired == Desired::Running && !self.is_shielded(task) {
                        let reason = "Service scheduler stopped the task: its container instance is draining.";
                        self.stop_task(task, "ServiceSchedulerInitiated", reason);
                    }
                }
            }
            InstanceStatus::Inactive => {}
        }
    }

    fn start_daemon(&mut self, service: ServiceNo, number: RegistrationNo) {
        let of = &self.services[service];
        let registration = &self.registrations[number];
        let wanted = registration.takes_tasks() && of.constraints().all(|filter| filter.matches(&self.subject(number)));
        if !wanted {
            return;
        }
        let settled = self.now == self.start;
        if self.can_take(service, number) {
            self.start_service_task(service, number, None, settled);
        } else {
            self.no_room(service);
        }
    }

    fn has_replicas(&self, number: RegistrationNo) -> bool {
        self.registrations[number].tasks.iter().any(|task| {
            self.tasks[*task].service.is_some_and(|service| self.services[service].kind == ServiceKind::Replica)
        })
    }

    /// `desiredCount` of a DAEMON service: the instances that it should run on.
    pub(crate) fn daemon_count(&self, service: ServiceNo) -> usize {
        let of = &self.services[service];
        if of.deleted_at.is_some() {
            return 0;
        }
        self.clusters[of.cluster]
            .registrations
            .iter()
            .filter(|number| self.registrations[**number].takes_tasks())
            .filter(|number| of.constraints().all(|filter| filter.matches(&self.subject(**number))))
            .count()
    }
}
