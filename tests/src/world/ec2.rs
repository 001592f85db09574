//! EC2's side of the machines: tags and instance states.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::World;
use super::actor::Actor;
use super::ids::MachineNo;
use super::log::{Event, InstanceChange};
use super::machine::{Ec2State, Machine, TagError};
use super::queue::Due;
use super::registration::InstanceStatus;
use crate::scenario::{InstanceSpec, MachineSpec};

/// Tags of an instance; those that AWS sets do not count.
const MOST_TAGS: usize = 50;
/// From the end of an instance to the registration of the one that an Auto Scaling group launches in its place.
const LAUNCH: SignedDuration = SignedDuration::from_secs(150);

impl World {
    /// Whether an instance can take all of these tags.
    pub(crate) fn has_room_for_tags(&self, machine: MachineNo, tags: &[(String, String)]) -> bool {
        let known = &self.machines[machine].tags;
        let own = known.keys().filter(|key| !key.starts_with("aws:")).count();
        let added: BTreeSet<&String> =
            tags.iter().map(|(key, _)| key).filter(|key| !known.contains_key(*key)).collect();
        own + added.len() <= MOST_TAGS
    }

    /// Writes a tag.
    ///
    /// # Errors
    /// [`TagError::TooMany`] for the 51st.
    pub(crate) fn set_tag(&mut self, machine: MachineNo, key: &str, value: &str, by: Actor) -> Result<(), TagError> {
        let tags = &self.machines[machine].tags;
        let own = tags.keys().filter(|key| !key.starts_with("aws:")).count();
        if !tags.contains_key(key) && own >= MOST_TAGS {
            return Err(TagError::TooMany);
        }
        let changes = tags.get(key).map(String::as_str) != Some(value);
        if changes {
            self.keep_tags(machine);
        }
        self.machines[machine].tags.insert(key.to_owned(), value.to_owned());
        if changes {
            self.record(Event::Tag { machine, key: key.to_owned(), value: Some(value.to_owned()), by });
        }
        Ok(())
    }

    /// Deletes a tag; with a value only if it has that.
    pub(crate) fn delete_tag(&mut self, machine: MachineNo, key: &str, value: Option<&str>, by: Actor) {
        let tags = &self.machines[machine].tags;
        let matches = tags.get(key).is_some_and(|known| value.is_none_or(|value| value == known));
        if matches {
            self.keep_tags(machine);
            self.machines[machine].tags.remove(key);
            self.record(Event::Tag { machine, key: key.to_owned(), value: None, by });
        }
    }

    /// Keeps the tags as they are before a change, where answers may show old ones.
    fn keep_tags(&mut self, machine: MachineNo) {
        if self.spec.tags_lag > SignedDuration::ZERO || self.spec.metadata_lag > SignedDuration::ZERO {
            let (now, known) = (self.now, &mut self.machines[machine]);
            known.tags_before.push((now, known.tags.clone()));
        }
    }

    /// The tags as an answer shows them, up to `tags_lag` late.
    pub(crate) fn tags_shown(&self, machine: &Machine) -> BTreeMap<String, String> {
        machine.tags_at(self.now - self.lag("tags-lag", self.spec.tags_lag)).clone()
    }

    /// How old an answer is that is given now: between nothing and `most`, by the seed.
    pub(crate) fn lag(&self, purpose: &str, most: SignedDuration) -> SignedDuration {
        let n = u64::try_from(self.now.as_millisecond()).unwrap_or(0);
        let most = u64::try_from(most.as_millis()).unwrap_or(0);
        SignedDuration::from_millis(i64::try_from(self.dice.between(purpose, n, 0, most)).unwrap_or(0))
    }

    /// What an Auto Scaling group does with an instance that it takes for broken: it is terminated, and one from the
    /// launch template's image comes up.
    pub(super) fn replace(&mut self, machine: MachineNo) {
        let group = self.machines[machine].instance.asg.as_deref();
        let by_itself = group.is_some_and(|group| self.size_of(group).is_some());
        self.terminate(machine);
        if !by_itself {
            self.schedule(LAUNCH, Due::Launch(machine));
        }
    }

    /// An instance like this one has booted, and its agent registers: in the same zone where none is named.
    pub(super) fn launch_in(&mut self, like: MachineNo, zone: Option<String>) -> MachineNo {
        let old = &self.machines[like];
        let cluster = old.cluster;
        let instance = InstanceSpec {
            zone: zone.unwrap_or_else(|| old.zone.clone()),
            tags: BTreeMap::new(),
            other_tags: 0,
            draining: false,
            group_state: None,
            ..old.instance.clone()
        };
        let (number, now) = (self.machines.next_id(), self.now);
        let launched = old.instance.asg.as_deref().and_then(|group| self.launched_by(group));
        let has_image = old.instance.asg.as_deref().is_some_and(|group| self.group(group).image.is_some());
        let host = launched.filter(|_| has_image).unwrap_or_else(|| old.launched_as.clone());
        let instance = InstanceSpec { image: instance.image.filter(|_| !has_image), ..instance };
        let spec = MachineSpec { instance, host, host_table: old.host_table.clone() };
        self.add_machine(cluster, &spec);
        let machine = &mut self.machines[number];
        (machine.launched_at, machine.up_since, machine.state_since) = (now, now, now);
        if let Some(registration) = machine.registration {
            self.registrations[registration].registered_at = now;
            let arn = self.registrations[registration].arn.clone();
            self.record(Event::Instance { machine: number, change: InstanceChange::Registered { arn } });
            self.touch(registration);
        }
        number
    }

    /// Ends an instance. ECS deregisters it only if its agent was connected (ECS developer guide,
    /// `DeregisterContainerInstance`); otherwise the container instance stays behind, not connected.
    pub(crate) fn terminate(&mut self, machine: MachineNo) {
        if matches!(self.machines[machine].state, Ec2State::ShuttingDown | Ec2State::Terminated) {
            return;
        }
        self.cut_power(machine, Ec2State::ShuttingDown);
        let connected = self.registration_of(machine).is_some_and(|registration| registration.connected);
        if connected {
            self.schedule(self.spec.deregister_after, Due::Deregister(machine));
        }
    }

    /// Switches an instance off.
    pub(crate) fn stop_instance(&mut self, machine: MachineNo) {
        if self.machines[machine].state == Ec2State::Running {
            self.cut_power(machine, Ec2State::Stopping);
        }
    }

    /// Switches an instance on again.
    pub(super) fn start_instance(&mut self, machine: MachineNo) {
        if self.machines[machine].state == Ec2State::Stopped {
            self.machines[machine].reboot_is_foreign = true;
            self.set_ec2_state(machine, Ec2State::Running);
            self.machines[machine].host.power_on(self.now);
            self.settle_host(machine);
        }
    }

    /// Resets the machine at once, as a panic does, or a person who reboots it.
    pub(super) fn reset(&mut self, machine: MachineNo) {
        self.settle_host(machine);
        self.machines[machine].reboot_is_foreign = true;
        self.machines[machine].host.spontaneous_reboot(self.now, &self.repository);
        self.settle_host(machine);
    }

    fn cut_power(&mut self, machine: MachineNo, to: Ec2State) {
        self.settle_host(machine);
        self.machines[machine].host.power_off(self.now, &self.repository);
        self.machines[machine].down_since = Some(self.now);
        if let Some(registration) = self.machines[machine].registration {
            self.kill_tasks(registration);
        }
        self.set_ec2_state(machine, to);
        let epoch = self.machines[machine].state_epoch;
        self.schedule(SignedDuration::from_secs(30), Due::Ec2State(machine, epoch));
        self.settle_host(machine);
    }

    fn set_ec2_state(&mut self, number: MachineNo, to: Ec2State) {
        let machine = &mut self.machines[number];
        machine.state = to;
        machine.state_since = self.now;
        machine.state_epoch += 1;
        self.record(Event::Ec2State { machine: number, to });
    }

    pub(super) fn step_ec2_state(&mut self, machine: MachineNo, epoch: u32) {
        if self.machines[machine].state_epoch != epoch {
            return;
        }
        match self.machines[machine].state {
            Ec2State::ShuttingDown => self.set_ec2_state(machine, Ec2State::Terminated),
            Ec2State::Stopping => self.set_ec2_state(machine, Ec2State::Stopped),
            Ec2State::Running | Ec2State::Stopped | Ec2State::Terminated => {}
        }
    }

    pub(super) fn deregister_terminated(&mut self, machine: MachineNo) {
        if let Some(registration) = self.machines[machine].registration {
            let id = self.machines[machine].id.clone();
            self.set_status(registration, InstanceStatus::Inactive, Actor::World);
            self.lose_tasks(registration, &id);
        }
    }

    /// A person deregisters a container instance by force: its tasks are orphaned, the host runs on.
    pub(super) fn deregister(&mut self, machine: MachineNo) {
        if let Some(registration) = self.machines[machine].registration.take() {
            let id = self.machines[machine].id.clone();
            self.set_status(registration, InstanceStatus::Inactive, Actor::Person);
            self.lose_tasks(registration, &id);
        }
    }

    /// Whether EC2 leaves it out of its answers, without an error.
    pub(crate) fn ec2_hides(&self, machine: MachineNo) -> bool {
        self.machines[machine].instance.hidden
    }

    /// Whether the caller has no permission for an operation on it.
    pub(crate) fn ec2_denies(&self, machine: MachineNo, operation: &str) -> bool {
        self.machines[machine].instance.deny.iter().any(|denied| denied == operation)
    }

    /// Whether `DescribeInstances` still knows it: for an hour after its end.
    pub(crate) fn ec2_shows(&self, machine: MachineNo) -> bool {
        let machine = &self.machines[machine];
        let gone = machine.state == Ec2State::Terminated
            && self.now.duration_since(machine.state_since) > SignedDuration::from_hours(1);
        !machine.is_external() && !gone
    }
}
