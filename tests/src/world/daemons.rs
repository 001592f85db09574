//! DAEMON services: one task on every ACTIVE instance; on DRAINING ones none is placed and the task is stopped last,
//! after all replica tasks (docs/facts/ecs.md#draining).

use super::World;
use super::ids::{RegistrationNo, ServiceNo, TaskNo};
use super::registration::InstanceStatus;
use super::service::ServiceKind;
use super::task::Desired;

impl World {
    /// One look at the daemons of an instance.
    pub(super) fn look_at_daemons(&mut self, number: RegistrationNo) {
        let cluster = self.registrations[number.0].cluster;
        let daemons: Vec<ServiceNo> = self.clusters[cluster.0]
            .services
            .iter()
            .copied()
            .filter(|service| self.services[service.0].kind == ServiceKind::Daemon)
            .collect();
        for service in daemons {
            self.look_at_daemon(service, number);
        }
    }

    fn look_at_daemon(&mut self, service: ServiceNo, number: RegistrationNo) {
        let own: Vec<TaskNo> = self.registrations[number.0]
            .tasks
            .iter()
            .copied()
            .filter(|task| self.tasks[task.0].service == Some(service))
            .collect();
        match self.registrations[number.0].status {
            InstanceStatus::Active if own.is_empty() => self.start_daemon(service, number),
            InstanceStatus::Active => {}
            InstanceStatus::Draining if self.has_replicas(number) => {}
            InstanceStatus::Draining => {
                for task in own {
                    if self.tasks[task.0].desired == Desired::Running && !self.is_shielded(task) {
                        let reason = "Service scheduler stopped the task: its container instance is draining.";
                        self.stop_task(task, "ServiceSchedulerInitiated", reason);
                    }
                }
            }
            InstanceStatus::Inactive => {}
        }
    }

    fn start_daemon(&mut self, service: ServiceNo, number: RegistrationNo) {
        let of = &self.services[service.0];
        let registration = &self.registrations[number.0];
        let wanted = registration.takes_tasks()
            && of.member_of.as_ref().is_none_or(|(_, filter)| filter.matches(&self.subject(number)));
        if !wanted {
            return;
        }
        let settled = self.now == self.start;
        if self.can_take(service, number) {
            self.start_service_task(service, number, settled);
        } else {
            self.no_room(service);
        }
    }

    fn has_replicas(&self, number: RegistrationNo) -> bool {
        self.registrations[number.0].tasks.iter().any(|task| {
            self.tasks[task.0].service.is_some_and(|service| self.services[service.0].kind == ServiceKind::Replica)
        })
    }

    /// `desiredCount` of a DAEMON service: the instances that it should run on.
    pub(crate) fn daemon_count(&self, service: ServiceNo) -> usize {
        let of = &self.services[service.0];
        self.clusters[of.cluster.0]
            .registrations
            .iter()
            .filter(|number| self.registrations[number.0].takes_tasks())
            .filter(|number| of.member_of.as_ref().is_none_or(|(_, filter)| filter.matches(&self.subject(**number))))
            .count()
    }
}
