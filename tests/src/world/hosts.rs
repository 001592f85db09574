//! The hosts in the world: their time, their reboots, and what they say of themselves.

use super::World;
use super::actor::Actor;
use super::effect::Effect;
use super::ids::MachineNo;
use super::log::{BootStep, Event};
use super::machine::{HostContainer, Seen};
use super::placement::AGENT_VERSION;
use super::queue::Due;
use super::task::{LastStatus, Task};
use crate::host::introspection::{Container, Metadata, Task as AgentTask, Tasks};
use crate::host::{Command, HostEvent, NoAnswer, Request, Response, SignpostError, is_taken};

impl World {
    /// The host has something to do by itself.
    pub(super) fn wake_host(&mut self, number: MachineNo) {
        let machine = &mut self.machines[number];
        if machine.wake_at.is_some_and(|at| at <= self.now) {
            machine.wake_at = None;
        }
        self.settle_host(number);
    }

    /// Lets a host do what is due, and the world see it.
    pub(super) fn settle_host(&mut self, number: MachineNo) {
        let events = self.machines[number].host.advance(self.now, &self.repository);
        for event in events {
            self.host_event(number, event);
        }
        self.look_at_agents(number);
        let machine = &mut self.machines[number];
        if let Some(at) = machine.host.next_event()
            && machine.wake_at.is_none_or(|known| at < known)
        {
            machine.wake_at = Some(at);
            self.queue.push(at, Due::Host(number));
        }
    }

    fn host_event(&mut self, machine: MachineNo, event: HostEvent) {
        let now = self.now;
        match &event {
            HostEvent::WentDown { .. } => {
                let foreign = self.machines[machine].reboot_is_foreign;
                let by = if foreign { Actor::Person } else { Actor::Updater };
                self.machines[machine].down_since = Some(now);
                self.record(Event::Boot { machine, step: BootStep::Begins { by } });
                if let Some(registration) = self.machines[machine].registration {
                    self.kill_tasks(registration);
                }
            }
            HostEvent::CommandEnded { command: Command::Activate, success: true, .. } => {
                let image = self.machines[machine].host.disk().inactive().image.clone();
                if let Some(image) = image {
                    self.record(Event::Boot { machine, step: BootStep::Activated { version: image.version } });
                }
            }
            HostEvent::Booted { .. } => {
                let known = &mut self.machines[machine];
                known.reboot_is_foreign = false;
                known.down_since = None;
                known.up_since = now;
                known.container = known.container.after_boot();
            }
            HostEvent::CommandEnded { .. }
            | HostEvent::WorkerKilled { .. }
            | HostEvent::SettingsApplied { .. }
            | HostEvent::BootFailed { .. }
            | HostEvent::WentDark { .. }
            | HostEvent::SsmAgentUp { .. }
            | HostEvent::EcsAgentUp { .. } => {}
        }
        self.record(Event::Host { machine, event });
    }

    /// Compares the agents with what was seen of them last.
    fn look_at_agents(&mut self, number: MachineNo) {
        let (now, machine) = (self.now, &self.machines[number]);
        let host = &machine.host;
        let seen = Seen {
            up: host.is_up(now),
            ssm: machine.ssm_registered && host.ssm_agent_up(now),
            ecs: !machine.agent_refused && host.ecs_agent_up(now),
            bridge: machine.bridge && machine.container == HostContainer::Enabled && host.is_up(now),
        };
        let before = std::mem::replace(&mut self.machines[number].seen, seen);
        if before.ecs != seen.ecs {
            if seen.ecs {
                self.agent_started(number);
            } else {
                self.agent_stopped(number);
            }
        }
        if before.bridge != seen.bridge {
            self.effects.push(Effect::Bridge { machine: number, runs: seen.bridge });
        }
        if before.ssm != seen.ssm {
            if seen.ssm {
                self.ssm_agent_started(number);
            } else {
                self.ssm_agent_stopped(number);
            }
        }
    }

    /// One request to the host API, from a document that runs on the host.
    ///
    /// # Errors
    /// [`NoAnswer`] where the host does not answer.
    pub(crate) fn host_api(&mut self, machine: MachineNo, request: &Request) -> Result<Response, NoAnswer> {
        let answer = self.machines[machine].host.handle(self.now, &self.repository, request);
        if is_taken(&answer) && request.method == "POST" && request.path() == "/actions/reboot" {
            self.record(Event::Boot { machine, step: BootStep::Accepted { by: Actor::Updater } });
        }
        self.settle_host(machine);
        answer
    }

    /// The same, from the agent of `host-bridge`.
    ///
    /// # Errors
    /// [`NoAnswer`] where the host does not answer.
    pub(crate) fn agent_host_api(&mut self, machine: MachineNo, request: &Request) -> Result<Response, NoAnswer> {
        let answer = self.host_api(machine, request);
        let writes =
            ["/actions/prepare-update", "/actions/activate-update", "/actions/reboot"].contains(&request.path());
        if is_taken(&answer) && writes && request.method == "POST" {
            self.record(Event::AgentActs { machine, action: request.path().to_owned() });
        }
        answer
    }

    /// `signpost rollback-to-inactive` by the agent of `host-bridge`.
    ///
    /// # Errors
    /// As `signpost` refuses it.
    pub(crate) fn agent_rolls_back(&mut self, machine: MachineNo) -> Result<(), SignpostError> {
        self.machines[machine].host.signpost_rollback_to_inactive()?;
        self.record(Event::AgentActs { machine, action: "signpost rollback-to-inactive".to_owned() });
        Ok(())
    }

    /// `signpost cancel-upgrade` by the agent of `host-bridge`.
    pub(crate) fn agent_cancels(&mut self, machine: MachineNo) {
        self.machines[machine].host.signpost_cancel_upgrade();
    }

    /// Whether the host API takes connections.
    pub(crate) fn host_api_listens(&self, machine: MachineNo) -> bool {
        let host = &self.machines[machine].host;
        host.is_up(self.now) && !host.spec().api_down
    }

    /// What the agent of a host draws its waits from.
    pub(crate) fn bridge_seed(&self, machine: MachineNo) -> u64 {
        self.dice.between("bridge", u64::try_from(machine.0).unwrap_or(u64::MAX), 0, u64::MAX - 1)
    }

    /// One request to the ECS agent's introspection port; `None` where nothing listens.
    ///
    /// The rendering cannot fail; if it did the port would answer 500.
    pub(crate) fn introspection(&self, number: MachineNo, path: &str) -> Option<(u16, String)> {
        let machine = &self.machines[number];
        if !machine.seen.ecs {
            return None;
        }
        let rendered = match path {
            "/v1/metadata" => Metadata {
                cluster: self.clusters[machine.cluster].name.clone(),
                container_instance_arn: self.registration_of(number).map(|registration| registration.arn.clone()),
                version: format!("Amazon ECS Agent - v{AGENT_VERSION} (*1a2b3c4d)"),
            }
            .render(),
            "/v1/tasks" => self.agent_tasks(number).render(),
            _ => return Some((404, String::new())),
        };
        Some(rendered.map_or_else(|error| (500, error.to_string()), |body| (200, body)))
    }

    fn agent_tasks(&self, number: MachineNo) -> Tasks {
        let tasks = self.registration_of(number).map(|registration| {
            let known = registration.tasks.iter().chain(&registration.stopped);
            known.map(|task| agent_task(&self.tasks[*task])).collect()
        });
        Tasks { tasks: tasks.unwrap_or_default() }
    }
}

/// A task as the agent knows it: it has no word for what a load balancer does, and `STOPPED` is when the containers
/// are.
fn agent_task(task: &Task) -> AgentTask {
    let known_status = match task.last {
        LastStatus::Pending => "PULLED",
        LastStatus::Running | LastStatus::Deactivating | LastStatus::Stopping => "RUNNING",
        LastStatus::Deprovisioning | LastStatus::Stopped => "STOPPED",
    };
    let id = task.arn.rsplit('/').next().unwrap_or_default();
    AgentTask {
        arn: task.arn.clone(),
        desired_status: task.desired.name().to_owned(),
        known_status: known_status.to_owned(),
        family: task.family.clone(),
        version: "1".to_owned(),
        containers: vec![Container {
            docker_id: format!("{id}{id}"),
            docker_name: format!("ecs-{}-1-app-{id}", task.family),
            name: "app".to_owned(),
        }],
    }
}
