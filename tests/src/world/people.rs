//! The scenario's events: people, the course of things, and the update repository.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::World;
use super::ids::{MachineNo, RegistrationNo, ServiceNo, TaskNo};
use super::log::{Actor, Event};
use super::machine::HostContainer;
use super::queue::Due;
use super::registration::InstanceStatus;
use super::task::TaskShape;
use super::tasks::NewTask;
use crate::host::Request;
use crate::host::{Command, HostEvent, Release};
use crate::scenario::{Action, EventSpec, HostWhen, Point, When, host_spec, means, merge};

/// From the end of a host container's process to the next one (`RestartSec` of Bottlerocket's
/// `host-containers@.service`).
const RESTART: SignedDuration = SignedDuration::from_secs(45);

impl World {
    /// Schedules the scenario's events that wait for this.
    pub(super) fn trigger(&mut self, event: &Event) {
        if !self.script.iter().any(|scripted| scripted.armed) {
            return;
        }
        let mut due = Vec::new();
        for (index, scripted) in self.script.iter_mut().enumerate() {
            let matches = match &scripted.spec.when {
                Some(When::Host(when)) => comes_to(*when, event),
                Some(When::Call(_)) | None => false,
            };
            if scripted.armed && matches {
                scripted.armed = false;
                due.push((scripted.spec.after, index));
            }
        }
        for (after, index) in due {
            self.schedule(after, Due::Scripted(index));
        }
    }

    /// The program under test has made a call: schedules the events that waited for it.
    pub(crate) fn called(&mut self, name: &str) {
        let mut due = Vec::new();
        for (index, scripted) in self.script.iter_mut().enumerate().filter(|(_, scripted)| scripted.armed) {
            let Some(When::Call(when)) = &scripted.spec.when else { continue };
            scripted.calls += u64::from(means(&when.call, name));
            if scripted.calls == when.nth {
                scripted.armed = false;
                due.push((scripted.spec.after, index));
            }
        }
        for (after, index) in due {
            self.schedule(after, Due::Scripted(index));
        }
    }

    /// Does what an event of the scenario says.
    pub(super) fn perform(&mut self, index: usize) {
        let spec = self.script[index].spec.clone();
        let what = format!("{:?}", spec.action);
        self.record(Event::Scripted { index, what });
        for machine in spec.host.iter().chain(&spec.hosts) {
            self.perform_on(MachineNo(*machine), &spec);
        }
        match spec.action {
            Action::Protect => {
                let until = self.now + spec.lasts.unwrap_or_default();
                let count = spec.count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
                for service in self.named_services(&spec) {
                    self.protect_tasks(service, count, until);
                }
            }
            Action::Scale => {
                for service in self.named_services(&spec) {
                    self.services[service].desired = spec.count.unwrap_or_default();
                    self.look_soon(service);
                }
            }
            Action::Deploy => {
                for service in self.named_services(&spec) {
                    self.services[service].deployment += 1;
                    self.look_soon(service);
                }
            }
            Action::Release => {
                if let Some(release) = spec.release.or_else(|| spec.version.map(Release::new)) {
                    self.repository.publish(release);
                }
            }
            Action::Withdraw => {
                if let Some(version) = &spec.version {
                    self.repository.withdraw(version);
                }
            }
            Action::MaxVersion => self.repository.max_version = spec.version,
            Action::RepositoryDown => self.repository.reachable = false,
            Action::RepositoryUp => self.repository.reachable = true,
            Action::Drain
            | Action::Activate
            | Action::Deregister
            | Action::Terminate
            | Action::Replace
            | Action::Stop
            | Action::Start
            | Action::Reboot
            | Action::Tag
            | Action::Untag
            | Action::StartTask
            | Action::StopTasks
            | Action::Disconnect
            | Action::BridgeRestarts
            | Action::BridgeStops
            | Action::BridgeStarts
            | Action::MetadataAway
            | Action::MetadataTagsOn
            | Action::MetadataTagsOff
            | Action::Set => {}
        }
    }

    fn perform_on(&mut self, machine: MachineNo, spec: &EventSpec) {
        let registration = self.machines[machine].registration;
        let key = spec.key.as_deref().unwrap_or_default();
        match (spec.action, registration) {
            (Action::Drain, Some(number)) if self.registrations[number].status == InstanceStatus::Active => {
                self.set_status(number, InstanceStatus::Draining, Actor::Person);
            }
            (Action::Activate, Some(number)) if self.registrations[number].status == InstanceStatus::Draining => {
                self.set_status(number, InstanceStatus::Active, Actor::Person);
            }
            (Action::Deregister, Some(_)) => self.deregister(machine),
            (Action::Terminate, _) => self.terminate(machine),
            (Action::Replace, _) => self.replace(machine),
            (Action::Stop, _) => self.stop_instance(machine),
            (Action::Start, _) => self.start_instance(machine),
            (Action::Reboot, _) => self.reset(machine),
            (Action::Tag, _) => {
                let value = spec.value.as_deref().unwrap_or_default();
                if let Err(error) = self.set_tag(machine, key, value, Actor::Person) {
                    tracing::warn!(host = machine.0, key, %error, "the scenario's tag was refused");
                }
            }
            (Action::Untag, _) => self.delete_tag(machine, key, None, Actor::Person),
            (Action::StartTask, Some(number)) => self.start_by_hand(number, spec),
            (Action::StopTasks, Some(number)) => {
                let tasks: BTreeSet<TaskNo> = self.registrations[number].tasks.clone();
                for task in tasks {
                    if self.tasks[task].service.is_none() {
                        self.stop_by_request(task, None);
                    }
                }
            }
            (Action::Disconnect, Some(number)) => self.disconnect_for(number, spec.lasts.unwrap_or_default()),
            (Action::BridgeRestarts, _) => self.container_ends(machine, spec.lasts.unwrap_or(RESTART)),
            (Action::BridgeStops, _) => self.switch_container(machine, HostContainer::Disabled),
            (Action::BridgeStarts, _) => self.switch_container(machine, HostContainer::Enabled),
            (Action::MetadataAway, _) => {
                let until = self.now + spec.lasts.unwrap_or_default();
                self.machines[machine].metadata_away_until = Some(until);
            }
            (Action::MetadataTagsOn, _) => self.serve_tags(machine, true),
            (Action::MetadataTagsOff, _) => self.serve_tags(machine, false),
            (Action::Set, _) => self.change_host(machine, spec),
            (
                Action::Drain
                | Action::Activate
                | Action::Deregister
                | Action::StartTask
                | Action::StopTasks
                | Action::Disconnect
                | Action::Protect
                | Action::Scale
                | Action::Deploy
                | Action::Release
                | Action::Withdraw
                | Action::MaxVersion
                | Action::RepositoryDown
                | Action::RepositoryUp,
                _,
            ) => {}
        }
    }

    /// The bridge's process ends, and the host waits a while before it starts the container again.
    fn container_ends(&mut self, number: MachineNo, wait: SignedDuration) {
        let restart = self.next_use();
        let restart = u32::try_from(restart).unwrap_or(u32::MAX);
        if self.machines[number].container == HostContainer::Enabled {
            self.switch_container(number, HostContainer::Restarting(restart));
            self.schedule(wait, Due::Container(number, restart));
        }
    }

    /// It starts it again, unless a boot or a person came first.
    pub(super) fn container_again(&mut self, number: MachineNo, restart: u32) {
        if self.machines[number].container == HostContainer::Restarting(restart) {
            self.switch_container(number, HostContainer::Enabled);
        }
    }

    fn switch_container(&mut self, number: MachineNo, to: HostContainer) {
        self.machines[number].container = to;
        self.settle_host(number);
    }

    /// `StartTask`: on the instance that the caller names, without the scheduler. It is refused where the agent is known
    /// to be away or there is no room; what becomes of it on a DRAINING one is a switch
    /// (docs/facts/ecs.md#tasks-and-services).
    fn start_by_hand(&mut self, number: RegistrationNo, spec: &EventSpec) {
        let shape = TaskShape::default();
        let known = &self.registrations[number];
        let takes = match known.status {
            InstanceStatus::Active => true,
            InstanceStatus::Draining => self.spec.start_task_on_draining,
            InstanceStatus::Inactive => false,
        };
        if !takes || !known.connected || !known.fits(shape.cpu, shape.memory, None) {
            return;
        }
        let family = spec.family.clone().unwrap_or_else(|| "by-hand".to_owned());
        let group = format!("family:{family}");
        let new = NewTask { registration: number, service: None, group, family, started_by: None, shape };
        let task = self.start_task(new, false);
        if let Some(lasts) = spec.lasts {
            self.schedule(lasts, Due::TaskEnds(task));
        }
    }

    /// Changes fields of a host. Counts of failures start again from the scenario's.
    fn change_host(&mut self, number: MachineNo, spec: &EventSpec) {
        let machine = &mut self.machines[number];
        merge(&mut machine.host_table, spec.set.clone());
        match host_spec(&machine.host_table) {
            Ok(changed) => *machine.host.spec_mut() = changed,
            Err(error) => tracing::warn!(host = number.0, %error, "the scenario's change of a host was refused"),
        }
        self.settle_host(number);
        if let Some(lock) = spec.set.get("version_lock").and_then(toml::Value::as_str) {
            self.lock_version(number, lock);
        }
    }

    /// A person's `apiclient set updates.version-lock=…`: what the host starts with is no setting of a host that runs.
    fn lock_version(&mut self, number: MachineNo, lock: &str) {
        let settings = serde_json::json!({ "updates": { "version-lock": lock } }).to_string();
        let requests =
            [Request::patch("/settings?tx=person", &settings), Request::post("/tx/commit_and_apply?tx=person")];
        for request in requests {
            match self.host_api(number, &request) {
                Ok(answer) if answer.is_success() => {}
                refused => tracing::warn!(host = number.0, ?refused, "a person's change of a setting was refused"),
            }
        }
    }

    fn named_services(&self, spec: &EventSpec) -> Vec<ServiceNo> {
        let named = |service: &super::Service| {
            spec.service.as_ref() == Some(&service.name)
                && spec.cluster.as_ref().is_none_or(|name| self.clusters[service.cluster].name == *name)
        };
        self.services.iter_with_ids().filter(|(_, service)| named(service)).map(|(number, _)| number).collect()
    }
}

/// Whether an event is the point in the life of a host that something waits for.
pub(crate) fn comes_to(when: HostWhen, event: &Event) -> bool {
    let machine = event.machine().map(|MachineNo(machine)| machine);
    point(event) == Some(when.is) && when.host.is_none_or(|host| machine == Some(host))
}

/// The point in the life of a host that an event is.
fn point(event: &Event) -> Option<Point> {
    match event {
        Event::Status { to: InstanceStatus::Draining, .. } => Some(Point::Draining),
        Event::Status { to: InstanceStatus::Active, .. } => Some(Point::Active),
        Event::Drained { .. } => Some(Point::Drained),
        Event::Activated { .. } => Some(Point::Activated),
        Event::RebootBegins { .. } => Some(Point::Rebooting),
        Event::Host { event: HostEvent::Booted { .. }, .. } => Some(Point::Booted),
        Event::Host { event: HostEvent::CommandEnded { command: Command::Prepare, success: true, .. }, .. } => {
            Some(Point::Staged)
        }
        Event::Tag { key, value: Some(_), .. } if key == models::claim::CLAIM_TAG => Some(Point::Claimed),
        Event::Status { .. }
        | Event::Connection { .. }
        | Event::Registered { .. }
        | Event::Task { .. }
        | Event::TaskKilledByReboot { .. }
        | Event::Service { .. }
        | Event::Host { .. }
        | Event::RebootAccepted { .. }
        | Event::AgentActs { .. }
        | Event::Ec2State { .. }
        | Event::Tag { .. }
        | Event::Stored { .. }
        | Event::CommandSent { .. }
        | Event::CommandEnded { .. }
        | Event::Scripted { .. } => None,
    }
}
