//! The ECS agent: registration, connection, and what ECS sees of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use models::own_host::INSTANCE_TAG;

use super::World;
use super::actor::Actor;
use super::ids::{MachineNo, RegistrationNo};
use super::log::{Event, InstanceChange};
use super::machine::Ec2State;
use super::placement::AGENT_VERSION;
use super::queue::Due;
use super::registration::{InstanceStatus, Registration, Resources};

impl World {
    /// The agent runs and reaches ECS. A reboot keeps the ARN; on a lower version than it registered with it can come
    /// back under a new one, and the old one stays behind, not connected (docs/facts/ecs.md#container-instances).
    pub(super) fn agent_started(&mut self, number: MachineNo) {
        let machine = &self.machines[number];
        if machine.state != Ec2State::Running {
            return;
        }
        let running = machine.host.running_version().clone();
        let gets_new_arn = machine.new_arn_after_rollback && running < machine.registered_version;
        let registration = match machine.registration {
            Some(old) if gets_new_arn && self.registrations[old].status != InstanceStatus::Inactive => {
                self.set_connected(old, false);
                self.register_under_new_arn(number, old)
            }
            Some(known) => {
                self.re_register(known);
                known
            }
            None => return,
        };
        self.machines[number].registered_version = running;
        self.resume_tasks(registration);
        self.touch(registration);
    }

    fn re_register(&mut self, number: RegistrationNo) {
        if !self.spec.attributes_survive {
            let registration = &mut self.registrations[number];
            for name in std::mem::take(&mut registration.custom_attributes) {
                registration.attributes.remove(&name);
            }
        }
        if !self.spec.draining_survives && self.registrations[number].status == InstanceStatus::Draining {
            self.set_status(number, InstanceStatus::Active, Actor::World);
        }
        self.set_connected(number, true);
    }

    fn register_under_new_arn(&mut self, machine: MachineNo, old: RegistrationNo) -> RegistrationNo {
        let known = &self.registrations[old];
        let own = |name: &String| !known.custom_attributes.contains(name);
        let attributes = known.attributes.iter().filter(|(name, _)| own(name)).map(|(k, v)| (k.clone(), v.clone()));
        let (attributes, capacity) = (attributes.collect(), known.capacity.clone());
        let number = self.register(machine, attributes, capacity);
        let arn = self.registrations[number].arn.clone();
        self.refresh_service(machine, Actor::World);
        self.record(Event::Instance { machine, change: InstanceChange::Registered { arn } });
        number
    }

    /// Adds a container instance, ACTIVE and connected, for a machine.
    pub(super) fn register(
        &mut self,
        machine: MachineNo,
        attributes: BTreeMap<String, Option<String>>,
        capacity: Resources,
    ) -> RegistrationNo {
        let number = self.registrations.next_id();
        let cluster = self.machines[machine].cluster;
        let id = self.dice.hex32("container-instance", u64::try_from(number.0).unwrap_or(u64::MAX));
        let arn = format!(
            "arn:aws:ecs:{}:{}:container-instance/{}/{id}",
            self.spec.name, self.spec.account, self.clusters[cluster].name
        );
        self.registrations.push(Registration {
            arn: arn.clone(),
            machine,
            cluster,
            status: InstanceStatus::Active,
            connected: true,
            connection_epoch: 0,
            registered_at: self.now,
            inactive_since: None,
            attributes,
            custom_attributes: BTreeSet::new(),
            tags: BTreeMap::new(),
            capacity,
            used: Resources::default(),
            tasks: BTreeSet::new(),
            stopped: Vec::new(),
            version: 1,
            drained_by: None,
            before: Vec::new(),
            foreign_drain: false,
        });
        self.registration_arns.insert(arn, number);
        self.clusters[cluster].registrations.insert(number);
        self.machines[machine].registration = Some(number);
        self.machines[machine].registrations.push(number);
        if let Some(every) = self.spec.agent_flap_every {
            let n = u64::try_from(number.0).unwrap_or(0);
            let most = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
            let first = i64::try_from(self.dice.between("flap", n, 0, most)).unwrap_or(i64::MAX);
            self.schedule(SignedDuration::from_millis(first), Due::Flap(number));
        }
        number
    }

    /// Returns the EC2 instance that the tag of a container instance names.
    pub(crate) fn named_instance(&self, arn: &str) -> Option<&String> {
        self.registrations[*self.registration_arns.get(arn)?].tags.get(INSTANCE_TAG)
    }

    /// Writes a tag on a container instance.
    pub(crate) fn tag_registration(&mut self, number: RegistrationNo, key: &str, value: &str, by: Actor) {
        let known = &mut self.registrations[number];
        let machine = known.machine;
        let before = known.tags.insert(key.to_owned(), value.to_owned());
        if before.as_deref() != Some(value) {
            let (key, value) = (key.to_owned(), value.to_owned());
            self.record(Event::Instance { machine, change: InstanceChange::Tagged { key, value, by } });
        }
    }

    /// The agent stopped: `agentConnected` follows "within a few minutes".
    pub(super) fn agent_stopped(&mut self, number: MachineNo) {
        let Some(registration) = self.machines[number].registration else { return };
        let epoch = self.registrations[registration].connection_epoch;
        self.schedule(self.spec.agent_lost_after, Due::AgentLost(registration, epoch));
    }

    /// ECS notices, unless the agent was back first: a quick reboot never shows.
    pub(super) fn agent_lost(&mut self, number: RegistrationNo, epoch: u32) {
        if self.registrations[number].connection_epoch == epoch {
            self.set_connected(number, false);
        }
    }

    /// A break of the connection as it happens several times an hour in normal life.
    pub(super) fn flap(&mut self, number: RegistrationNo) {
        if let Some(every) = self.spec.agent_flap_every {
            self.schedule(every.max(SignedDuration::from_secs(1)), Due::Flap(number));
        }
        self.disconnect_for(number, self.spec.agent_flap_for);
    }

    /// Breaks the connection of an agent that runs.
    pub(super) fn disconnect_for(&mut self, number: RegistrationNo, time: SignedDuration) {
        let registration = &self.registrations[number];
        let machine = registration.machine;
        if registration.connected && self.machines[machine].seen.ecs {
            self.set_connected(number, false);
            let epoch = self.registrations[number].connection_epoch;
            self.schedule(time, Due::FlapEnds(number, epoch));
        }
    }

    pub(super) fn flap_ends(&mut self, number: RegistrationNo, epoch: u32) {
        let registration = &self.registrations[number];
        if registration.connection_epoch == epoch && self.machines[registration.machine].seen.ecs {
            self.set_connected(number, true);
        }
    }

    /// `version` of the agent in its answers.
    pub(crate) fn agent_version(&self) -> &'static str {
        AGENT_VERSION
    }
}
