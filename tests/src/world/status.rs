//! Changes of a container instance: status, connection, and who is out of service.

use super::World;
use super::actor::Actor;
use super::cluster::OutOfService;
use super::ids::{MachineNo, RegistrationNo};
use super::log::{Event, InstanceChange};
use super::machine::Ec2State;
use super::queue::Due;
use super::registration::InstanceStatus;
use super::task::LastStatus;
use jiff::{SignedDuration, Timestamp};
use models::claim::{CLAIM_TAG, Claim};

impl World {
    /// Makes a container instance ACTIVE or DRAINING. What is so already stays as it is.
    pub(crate) fn set_status(&mut self, number: RegistrationNo, to: InstanceStatus, by: Actor) {
        let registration = &self.registrations[number];
        let (from, machine) = (registration.status, registration.machine);
        if from == to {
            return;
        }
        let foreign = by == Actor::Person && !self.has_draining_claim(machine);
        self.keep_status(number);
        let registration = &mut self.registrations[number];
        registration.status = to;
        registration.version += 1;
        match to {
            InstanceStatus::Draining => {
                registration.drained_by = Some(by);
                registration.foreign_drain = foreign;
            }
            InstanceStatus::Active | InstanceStatus::Inactive => registration.drained_by = None,
        }
        if to == InstanceStatus::Inactive {
            registration.inactive_since = Some(self.now);
            registration.connected = false;
            registration.connection_epoch += 1;
            let cluster = registration.cluster;
            self.clusters[cluster].registrations.remove(&number);
        }
        self.refresh_service(machine, by);
        self.record(Event::Instance { machine, change: InstanceChange::Status { from, to, by } });
        if to == InstanceStatus::Active {
            self.registrations[number].foreign_drain = false;
        }
        self.touch(number);
        if to == InstanceStatus::Draining {
            self.note_if_drained(number);
        }
    }

    /// Sets `agentConnected`.
    pub(super) fn set_connected(&mut self, number: RegistrationNo, connected: bool) {
        let registration = &mut self.registrations[number];
        registration.connection_epoch += 1;
        if registration.connected == connected || registration.status == InstanceStatus::Inactive {
            return;
        }
        self.keep_status(number);
        let registration = &mut self.registrations[number];
        registration.connected = connected;
        registration.version += 1;
        let machine = registration.machine;
        self.refresh_service(machine, Actor::World);
        self.record(Event::Instance { machine, change: InstanceChange::Connection { connected } });
        self.touch(number);
    }

    /// Keeps status and connection as they are before a change, where answers may show old ones.
    fn keep_status(&mut self, number: RegistrationNo) {
        if self.spec.lists_lag.max(self.spec.describes_lag) > SignedDuration::ZERO {
            let (now, known) = (self.now, &mut self.registrations[number]);
            known.before.push((now, known.status, known.connected));
        }
    }

    /// Status and connection as a listing knows them that is as old as `since`; `None` where it does not know the
    /// instance yet.
    pub(crate) fn listed_as(&self, number: RegistrationNo, since: Timestamp) -> Option<(InstanceStatus, bool)> {
        (self.registrations[number].registered_at <= since).then(|| self.status_at(number, since))
    }

    /// Status and connection as they were at a time.
    pub(crate) fn status_at(&self, number: RegistrationNo, since: Timestamp) -> (InstanceStatus, bool) {
        let known = &self.registrations[number];
        let old = known.before.iter().find(|(changed, ..)| *changed > since).map(|(_, status, up)| (*status, *up));
        old.unwrap_or((known.status, known.connected))
    }

    /// Schedules a look at every service that the change of an instance concerns.
    pub(super) fn touch(&mut self, number: RegistrationNo) {
        self.schedule(SignedDuration::from_secs(2), Due::Daemons(number));
        let registration = &self.registrations[number];
        let (cluster, takes_tasks) = (registration.cluster, registration.takes_tasks());
        let tasks: Vec<_> = registration.tasks.iter().copied().collect();
        for task in tasks {
            if let Some(service) = self.tasks[task].service {
                self.look_soon(service);
            }
        }
        if takes_tasks {
            self.look_at_starved(cluster);
        }
    }

    /// Writes [`InstanceChange::Drained`] when nothing is left on a DRAINING instance.
    pub(super) fn note_if_drained(&mut self, number: RegistrationNo) {
        let registration = &self.registrations[number];
        let empty = registration.tasks.iter().all(|task| self.tasks[*task].last == LastStatus::Stopped);
        if registration.status == InstanceStatus::Draining && empty {
            let machine = registration.machine;
            self.record(Event::Instance { machine, change: InstanceChange::Drained });
        }
    }

    /// Keeps the table of machines that are out of service. A machine without any container instance that is not
    /// INACTIVE has left the cluster and does not count.
    pub(super) fn refresh_service(&mut self, machine: MachineNo, by: Actor) {
        let cluster = self.machines[machine].cluster;
        let out = self.is_registered(machine) && !self.is_in_service(machine);
        let since = self.now;
        let table = &mut self.clusters[cluster].out_of_service;
        if out {
            let entry = table.entry(machine).or_insert(OutOfService { since, by });
            if by == Actor::Updater {
                entry.by = by;
            }
        } else {
            table.remove(&machine);
        }
    }

    /// Whether the machine has a container instance that is not INACTIVE.
    pub(crate) fn is_registered(&self, machine: MachineNo) -> bool {
        let registrations = &self.machines[machine].registrations;
        registrations.iter().any(|number| self.registrations[*number].status != InstanceStatus::Inactive)
    }

    /// Whether the machine is a part of its cluster: of these a percentage is taken, and among these the ones out of service
    /// count. A machine that has ended is none, and no more is one that is stopped without a claim that takes it out of
    /// service, or one that AWS manages. What EC2 hides is known by ECS alone.
    pub(crate) fn counts(&self, machine: MachineNo) -> bool {
        let is_hidden = self.ec2_hides(machine) && self.ec2_shows(machine);
        let is_there = match self.machines[machine].state {
            Ec2State::ShuttingDown | Ec2State::Terminated => is_hidden,
            Ec2State::Stopping | Ec2State::Stopped => is_hidden || self.has_draining_claim(machine),
            Ec2State::Running => true,
        };
        self.is_registered(machine) && is_there && !self.machines[machine].instance.managed
    }

    /// Whether the machine has a well-formed claim that takes it out of service.
    pub(crate) fn has_draining_claim(&self, machine: MachineNo) -> bool {
        self.claim(machine).is_some_and(|claim| claim.step.takes_out_of_service())
    }

    /// The well-formed claim on a machine.
    pub(crate) fn claim(&self, machine: MachineNo) -> Option<Claim> {
        self.machines[machine].tags.get(CLAIM_TAG)?.parse().ok()
    }
}
