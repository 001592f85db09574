//! The scenario's events: people, the course of things, and the update repository.

use std::sync::atomic::Ordering;

use jiff::SignedDuration;
use toml::Table;

use super::World;
use super::actor::Actor;
use super::ids::{ClusterNo, MachineNo, ServiceNo};
use super::log::{Event, InstanceChange};
use super::machine::HostContainer;
use super::points::comes_to;
use super::queue::Due;
use super::registration::InstanceStatus;
use super::tasks::NewTask;
use crate::host::Request;
use crate::scenario::{
    Action, ClockAction, ClusterAction, EventTime, HostAction, ParameterAction, Published, RepositoryAction,
    ServiceAction, ServiceName, TaskShape, When, host_spec, means, merge,
};

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
            if let EventTime::After(When::Host(when), after) = &scripted.spec.due
                && scripted.armed
                && comes_to(*when, event)
            {
                scripted.armed = false;
                due.push((*after, index));
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
            let EventTime::After(When::Call(when), after) = &scripted.spec.due else { continue };
            scripted.calls += u64::from(means(&when.call, name));
            if scripted.calls == when.nth {
                scripted.armed = false;
                due.push((*after, index));
            }
        }
        for (after, index) in due {
            self.schedule(after, Due::Scripted(index));
        }
    }

    /// Does what an event of the scenario says.
    pub(super) fn perform(&mut self, index: usize) {
        let action = self.script[index].spec.action.clone();
        self.record(Event::Scripted { index, what: action.to_string() });
        match action {
            Action::Hosts(hosts, action) => {
                for host in hosts {
                    self.act_on_host(MachineNo(host), &action);
                }
            }
            Action::Service(name, action) => {
                for service in self.named_services(&name) {
                    self.act_on_service(service, &action);
                }
            }
            Action::Cluster(name, action) => self.act_on_cluster(name.as_deref(), action),
            Action::Group(name, action) => self.act_on_group(&name, action),
            Action::Repository(action) => self.change_repository(action),
            Action::Parameter(ParameterAction::PutParameter { name, value }) => {
                self.parameters.entry(name).or_default().put(value);
            }
            Action::Parameter(ParameterAction::DeleteParameter { name }) => {
                self.parameters.remove(&name);
            }
            Action::Alarm(action) => self.act_on_alarm(&action),
            Action::Clock(ClockAction::Clock { by }) => {
                let millis = i64::try_from(by.as_millis()).unwrap_or(0);
                self.date_is_off.fetch_add(millis, Ordering::Relaxed);
            }
        }
    }

    /// Without a name there is one cluster.
    fn act_on_cluster(&mut self, name: Option<&str>, action: ClusterAction) {
        for cluster in self.clusters.iter_mut().filter(|cluster| name.is_none_or(|name| cluster.name == name)) {
            match &action {
                ClusterAction::ClusterTag { key, value } => cluster.tag(key, Some(value), self.now),
                ClusterAction::ClusterUntag { key } => cluster.tag(key, None, self.now),
            }
        }
    }

    /// Writes a tag of a cluster, or deletes it.
    pub(crate) fn tag_cluster(&mut self, number: ClusterNo, key: &str, value: Option<&str>) {
        self.clusters[number].tag(key, value, self.now);
    }

    fn act_on_host(&mut self, machine: MachineNo, action: &HostAction) {
        match action {
            HostAction::Drain => self.change_status(machine, InstanceStatus::Active, InstanceStatus::Draining),
            HostAction::Activate => self.change_status(machine, InstanceStatus::Draining, InstanceStatus::Active),
            HostAction::Deregister => self.deregister(machine),
            HostAction::Terminate => self.terminate(machine),
            HostAction::Replace => self.replace(machine),
            HostAction::ScaleIn => self.scale_in(machine),
            HostAction::GroupState { state } => self.set_group_state(machine, state),
            HostAction::SpotInterruption => self.interrupt_spot(machine),
            HostAction::Stop => self.stop_instance(machine),
            HostAction::Start => self.start_instance(machine),
            HostAction::Reboot => self.reset(machine),
            HostAction::Tag { key, value } => {
                if let Err(error) = self.set_tag(machine, key, value, Actor::Person) {
                    tracing::warn!(host = machine.0, key, %error, "the scenario's tag was refused");
                }
            }
            HostAction::Untag { key } => self.delete_tag(machine, key, None, Actor::Person),
            HostAction::PutAttribute { name, value } => self.change_attribute(machine, name, Some(value)),
            HostAction::DeleteAttribute { name } => self.change_attribute(machine, name, None),
            HostAction::StartTask { family, lasts } => self.start_by_hand(machine, family.as_deref(), *lasts),
            HostAction::StopTasks => self.stop_standalone(machine),
            HostAction::Disconnect { lasts } => {
                if let Some(number) = self.machines[machine].registration {
                    self.disconnect_for(number, *lasts);
                }
            }
            HostAction::BridgeRestarts { lasts } => self.container_ends(machine, lasts.unwrap_or(RESTART)),
            HostAction::BridgeStops => self.switch_container(machine, HostContainer::Disabled),
            HostAction::BridgeStarts => self.switch_container(machine, HostContainer::Enabled),
            HostAction::MetadataAway { lasts } => {
                self.machines[machine].metadata_away_until = Some(self.now + *lasts);
            }
            HostAction::MetadataTagsOn => self.serve_tags(machine, true),
            HostAction::MetadataTagsOff => self.serve_tags(machine, false),
            HostAction::Forge { of, says } => self.forge(machine, MachineNo(*of), *says),
            HostAction::Set { set } => self.change_host(machine, set),
        }
    }

    /// `PutAttributes` or `DeleteAttributes` by a person.
    fn change_attribute(&mut self, machine: MachineNo, name: &str, value: Option<&String>) {
        let Some(number) = self.machines[machine].registration else { return };
        let known = &mut self.registrations[number];
        match value {
            Some(value) => {
                known.custom_attributes.insert(name.to_owned());
                known.attributes.insert(name.to_owned(), Some(value.clone()));
            }
            None if known.custom_attributes.remove(name) => drop(known.attributes.remove(name)),
            None => return,
        }
        known.version += 1;
        let name = name.to_owned();
        self.record(Event::Instance { machine, change: InstanceChange::Attribute { name } });
    }

    fn act_on_service(&mut self, service: ServiceNo, action: &ServiceAction) {
        match action {
            ServiceAction::Protect { count, lasts } => {
                let count = count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
                self.protect_tasks(service, count, self.now + *lasts);
            }
            ServiceAction::Scale { count } => {
                self.services[service].desired = *count;
                self.look_soon(service);
            }
            ServiceAction::Deploy => {
                self.deploy(service);
            }
            ServiceAction::FailDeployment => self.fail_deployment(service),
            ServiceAction::DeleteService => self.delete_service(service),
        }
    }

    fn delete_service(&mut self, service: ServiceNo) {
        let known = &mut self.services[service];
        known.desired = 0;
        known.deleted_at = known.deleted_at.or(Some(self.now));
        for task in known.tasks.clone() {
            self.stop_task(task, "ServiceSchedulerInitiated", "Scaling activity initiated by service scheduler");
        }
    }

    fn change_repository(&mut self, action: RepositoryAction) {
        match action {
            RepositoryAction::Release(Published(release)) => self.repository.publish(release),
            RepositoryAction::Withdraw { version } => self.repository.withdraw(&version),
            RepositoryAction::MaxVersion { version } => self.repository.max_version = Some(version),
            RepositoryAction::RepositoryDown => self.repository.reachable = false,
            RepositoryAction::RepositoryUp => self.repository.reachable = true,
        }
    }

    fn change_status(&mut self, machine: MachineNo, from: InstanceStatus, to: InstanceStatus) {
        if let Some(number) = self.machines[machine].registration
            && self.registrations[number].status == from
        {
            self.set_status(number, to, Actor::Person);
        }
    }

    fn stop_standalone(&mut self, machine: MachineNo) {
        let Some(number) = self.machines[machine].registration else { return };
        for task in self.registrations[number].tasks.clone() {
            if self.tasks[task].service.is_none() {
                self.stop_by_request(task, None);
            }
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
    fn start_by_hand(&mut self, machine: MachineNo, family: Option<&str>, lasts: Option<SignedDuration>) {
        let Some(number) = self.machines[machine].registration else { return };
        let shape = TaskShape::default();
        let known = &self.registrations[number];
        let takes = match known.status {
            InstanceStatus::Active => true,
            InstanceStatus::Draining => self.spec.start_task_on_draining,
            InstanceStatus::Inactive => false,
        };
        if !takes || !known.connected || !known.fits(&shape) {
            return;
        }
        let family = family.unwrap_or("by-hand").to_owned();
        let group = format!("family:{family}");
        let new = NewTask {
            registration: number,
            arn: None,
            service: None,
            by_strategy: false,
            group,
            family,
            started_by: None,
            shape,
        };
        let task = self.start_task(new, false);
        if let Some(lasts) = lasts {
            self.schedule(lasts, Due::TaskEnds(task));
        }
    }

    /// Changes fields of a host. Counts of failures start again from the scenario's.
    fn change_host(&mut self, number: MachineNo, set: &Table) {
        let machine = &mut self.machines[number];
        merge(&mut machine.host_table, set.clone());
        match host_spec(&machine.host_table) {
            Ok(changed) => *machine.host.spec_mut() = changed,
            Err(error) => tracing::warn!(host = number.0, %error, "the scenario's change of a host was refused"),
        }
        self.settle_host(number);
        if let Some(lock) = set.get("version_lock").and_then(toml::Value::as_str) {
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

    fn named_services(&self, name: &ServiceName) -> Vec<ServiceNo> {
        let named = |service: &super::Service| {
            service.name == name.service
                && name.cluster.as_ref().is_none_or(|cluster| self.clusters[service.cluster].name == *cluster)
        };
        self.services.iter_with_ids().filter(|(_, service)| named(service)).map(|(number, _)| number).collect()
    }
}
