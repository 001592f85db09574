//! The life of tasks: PENDING, RUNNING, and the way to STOPPED.

use jiff::SignedDuration;

use super::World;
use super::ids::{ClusterNo, RegistrationNo, ServiceNo, TaskNo};
use super::log::{Event, TaskChange};
use super::queue::Due;
use super::registration::InstanceStatus;
use super::task::{Desired, LastStatus, Task};
use crate::scenario::TaskShape;

/// What a new task is.
#[derive(Debug, Clone)]
pub(crate) struct NewTask {
    /// Its ARN, where it has waited for an instance.
    pub(crate) arn: Option<String>,
    pub(crate) registration: RegistrationNo,
    pub(crate) service: Option<ServiceNo>,
    /// Whether a capacity provider strategy chose the provider of its instance.
    pub(crate) by_strategy: bool,
    pub(crate) group: String,
    pub(crate) family: String,
    pub(crate) started_by: Option<String>,
    pub(crate) shape: TaskShape,
}

impl World {
    /// Puts a task on an instance. A `settled` one has been running and healthy for long.
    pub(crate) fn start_task(&mut self, new: NewTask, settled: bool) -> TaskNo {
        let number = self.tasks.next_id();
        let registration = &mut self.registrations[new.registration];
        let (cluster, machine) = (registration.cluster, registration.machine);
        registration.tasks.insert(number);
        registration.used.cpu += new.shape.cpu;
        registration.used.memory += new.shape.memory;
        registration.used.ports.extend(new.shape.host_port);
        registration.used.interfaces += u32::from(new.shape.awsvpc);
        let wanted = usize::try_from(new.shape.gpus).unwrap_or(usize::MAX);
        let gpu_ids: Vec<String> = registration.free_gpus().take(wanted).cloned().collect();
        registration.used.gpus.extend(gpu_ids.iter().cloned());
        registration.version += 1;
        let arn = new.arn.unwrap_or_else(|| self.task_arn(cluster, u64::try_from(number.0).unwrap_or(u64::MAX)));
        let past = self.now - SignedDuration::from_hours(24);
        let settled_at = settled.then_some(past);
        let deployment = new.service.map_or(0, |service| self.services[service].deployment);
        let provider = self.machines[machine].provider().filter(|_| new.by_strategy).map(str::to_owned);
        let task = Task {
            arn: arn.clone(),
            cluster,
            registration: new.registration,
            group: new.group,
            provider,
            family: new.family,
            service: new.service,
            deployment,
            started_by: new.started_by,
            desired: Desired::Running,
            last: if settled { LastStatus::Running } else { LastStatus::Pending },
            epoch: 0,
            heard_of: settled || self.machines[machine].seen.ecs,
            killed: false,
            created_at: settled_at.unwrap_or(self.now),
            started_at: settled_at,
            healthy_at: settled_at,
            stopping_at: None,
            stopped_at: None,
            stopped_reason: None,
            stop_code: None,
            protected_until: None,
            shape: new.shape,
            gpu_ids,
        };
        let (start_delay, group, last) = (task.shape.start_delay, task.group.clone(), task.last);
        self.clusters[cluster].tasks.insert(number);
        if let Some(service) = task.service {
            self.services[service].tasks.insert(number);
        }
        self.task_arns.insert(arn.clone(), number);
        self.tasks.push(task);
        if !settled {
            self.schedule(start_delay, Due::Task(number, 0));
            self.record(Event::Task { arn, machine, group, change: TaskChange::Status(last) });
        }
        number
    }

    /// The ARN of a task by its number.
    pub(super) fn task_arn(&self, cluster: ClusterNo, number: u64) -> String {
        let id = self.dice.hex32("task", number);
        format!("arn:aws:ecs:{}:{}:task/{}/{id}", self.spec.name, self.spec.account, self.clusters[cluster].name)
    }

    /// Tells a task to stop. What has been told already stays so.
    pub(crate) fn stop_task(&mut self, number: TaskNo, code: &'static str, reason: &str) {
        let now = self.now;
        let task = &mut self.tasks[number];
        if task.desired == Desired::Stopped {
            return;
        }
        task.desired = Desired::Stopped;
        task.stopping_at = Some(now);
        task.stop_code = Some(code);
        task.stopped_reason = Some(reason.to_owned());
        task.epoch += 1;
        let registration = task.registration;
        self.registrations[registration].version += 1;
        self.continue_stop(number);
    }

    /// Goes on with a stop, if the agent is there to do it: containers are stopped by the agent alone.
    pub(super) fn continue_stop(&mut self, number: TaskNo) {
        let task = &self.tasks[number];
        let machine = self.registrations[task.registration].machine;
        if task.desired != Desired::Stopped || !self.machines[machine].seen.ecs {
            return;
        }
        match task.last {
            LastStatus::Pending => {
                let epoch = task.epoch;
                self.schedule(SignedDuration::from_secs(1), Due::Task(number, epoch));
            }
            LastStatus::Running if task.shape.deregistration_delay > SignedDuration::ZERO => {
                let delay = task.shape.deregistration_delay;
                self.move_task(number, LastStatus::Deactivating, delay);
            }
            LastStatus::Running | LastStatus::Deactivating => {
                let time = task.shape.stop_time.min(task.shape.stop_timeout);
                self.move_task(number, LastStatus::Stopping, time);
            }
            LastStatus::Stopping => self.move_task(number, LastStatus::Deprovisioning, SignedDuration::from_secs(1)),
            LastStatus::Deprovisioning => self.finish_task(number),
            LastStatus::Stopped => {}
        }
    }

    fn move_task(&mut self, number: TaskNo, to: LastStatus, next_after: SignedDuration) {
        let task = &mut self.tasks[number];
        task.last = to;
        task.epoch += 1;
        let epoch = task.epoch;
        let (arn, group, registration) = (task.arn.clone(), task.group.clone(), task.registration);
        let machine = self.registrations[registration].machine;
        self.schedule(next_after, Due::Task(number, epoch));
        self.record(Event::Task { arn, machine, group, change: TaskChange::Status(to) });
    }

    /// The next step of a task's life, when it is due.
    pub(super) fn step_task(&mut self, number: TaskNo, epoch: u32) {
        let task = &self.tasks[number];
        let machine = self.registrations[task.registration].machine;
        if task.epoch != epoch || task.killed || !self.machines[machine].seen.ecs {
            return;
        }
        match (task.desired, task.last) {
            (Desired::Running, LastStatus::Pending) => self.task_runs(number),
            (Desired::Running, _) => {}
            (Desired::Stopped, LastStatus::Pending) => self.finish_task(number),
            (Desired::Stopped, LastStatus::Running) => self.continue_stop(number),
            (Desired::Stopped, LastStatus::Deactivating) => {
                let time = task.shape.stop_time.min(task.shape.stop_timeout);
                self.move_task(number, LastStatus::Stopping, time);
            }
            (Desired::Stopped, LastStatus::Stopping) => {
                self.move_task(number, LastStatus::Deprovisioning, SignedDuration::from_secs(1));
            }
            (Desired::Stopped, LastStatus::Deprovisioning) => self.finish_task(number),
            (Desired::Stopped, LastStatus::Stopped) => {}
        }
    }

    fn task_runs(&mut self, number: TaskNo) {
        let now = self.now;
        let task = &mut self.tasks[number];
        task.last = LastStatus::Running;
        task.epoch += 1;
        task.started_at = Some(now);
        let delay = task.shape.health_delay;
        task.healthy_at = now.checked_add(delay).ok();
        let (arn, group, service) = (task.arn.clone(), task.group.clone(), task.service);
        let machine = self.registrations[task.registration].machine;
        let deployment = task.deployment;
        if let Some(service) = service {
            self.note_running(service, deployment);
            self.schedule(delay, Due::Service(service));
        }
        self.record(Event::Task { arn, machine, group, change: TaskChange::Status(LastStatus::Running) });
    }

    /// Nothing of the task is left.
    pub(super) fn finish_task(&mut self, number: TaskNo) {
        let now = self.now;
        let task = &mut self.tasks[number];
        if task.last == LastStatus::Stopped {
            return;
        }
        task.last = LastStatus::Stopped;
        task.desired = Desired::Stopped;
        task.epoch += 1;
        task.stopping_at.get_or_insert(now);
        task.stopped_at = Some(now);
        let (arn, group, registration, service) =
            (task.arn.clone(), task.group.clone(), task.registration, task.service);
        let (shape, gpu_ids) = (&task.shape, &task.gpu_ids);
        let instance = &mut self.registrations[registration];
        instance.used.cpu = instance.used.cpu.saturating_sub(shape.cpu);
        instance.used.memory = instance.used.memory.saturating_sub(shape.memory);
        instance.used.interfaces = instance.used.interfaces.saturating_sub(u32::from(shape.awsvpc));
        instance.used.gpus.retain(|id| !gpu_ids.contains(id));
        if let Some(port) = shape.host_port {
            instance.used.ports.remove(&port);
        }
        instance.tasks.remove(&number);
        instance.stopped.push(number);
        instance.version += 1;
        let (machine, cluster, status) = (instance.machine, instance.cluster, instance.status);
        if let Some(service) = service {
            self.services[service].tasks.remove(&number);
            self.look_soon(service);
        }
        self.look_at_starved(cluster);
        self.forget_old_tasks(registration);
        self.record(Event::Task { arn, machine, group, change: TaskChange::Status(LastStatus::Stopped) });
        self.schedule(SignedDuration::from_secs(1), Due::Daemons(registration));
        if status == InstanceStatus::Draining {
            self.note_if_drained(registration);
        }
    }

    /// STOPPED tasks stay visible for at least an hour (docs/facts/ecs.md#tasks-and-services).
    fn forget_old_tasks(&mut self, registration: RegistrationNo) {
        let since = self.now - self.spec.stopped_tasks_visible;
        let instance = &mut self.registrations[registration];
        let cluster = instance.cluster;
        let tasks = &self.tasks;
        let old = instance.stopped.partition_point(|task| tasks[*task].stopped_at.is_some_and(|at| at < since));
        let old: Vec<TaskNo> = instance.stopped.drain(..old).collect();
        for task in old {
            self.clusters[cluster].tasks.remove(&task);
        }
    }

    /// Whether ECS still shows a task.
    pub(crate) fn is_visible(&self, number: TaskNo) -> bool {
        let since = self.now - self.spec.stopped_tasks_visible;
        self.tasks[number].stopped_at.is_none_or(|at| at >= since)
    }

    /// A standalone task that was to end by itself does.
    pub(super) fn end_task_by_itself(&mut self, number: TaskNo) {
        let machine = self.registrations[self.tasks[number].registration].machine;
        if !self.machines[machine].seen.ecs {
            return self.schedule(SignedDuration::from_secs(5), Due::TaskEnds(number));
        }
        self.stop_task(number, "EssentialContainerExited", "Essential container in task exited");
    }

    /// The host goes down: every container on it dies. ECS does not know before the agent is back.
    pub(super) fn kill_tasks(&mut self, registration: RegistrationNo) {
        let tasks: Vec<TaskNo> = self.registrations[registration].tasks.iter().copied().collect();
        for number in tasks {
            let task = &mut self.tasks[number];
            if task.killed || !task.heard_of {
                continue;
            }
            task.killed = true;
            task.epoch += 1;
            let (arn, group, last) = (task.arn.clone(), task.group.clone(), task.last);
            let machine = self.registrations[registration].machine;
            if matches!(last, LastStatus::Running | LastStatus::Deactivating | LastStatus::Stopping) {
                self.record(Event::Task { arn, machine, group, change: TaskChange::KilledByReboot });
            }
        }
    }

    /// The agent is there (again): what died is reported, what was to stop or start goes on.
    pub(super) fn resume_tasks(&mut self, registration: RegistrationNo) {
        let tasks: Vec<TaskNo> = self.registrations[registration].tasks.iter().copied().collect();
        for number in tasks {
            let task = &mut self.tasks[number];
            task.heard_of = true;
            if task.killed {
                task.stop_code.get_or_insert("EssentialContainerExited");
                task.stopped_reason.get_or_insert_with(|| "Essential container in task exited".to_owned());
                self.finish_task(number);
            } else if task.desired == Desired::Stopped {
                self.continue_stop(number);
            } else if task.last == LastStatus::Pending {
                let (delay, epoch) = (task.shape.start_delay, task.epoch);
                self.schedule(delay, Due::Task(number, epoch));
            }
        }
    }

    /// The instance is gone: its tasks are.
    pub(super) fn lose_tasks(&mut self, registration: RegistrationNo, id: &str) {
        let tasks: Vec<TaskNo> = self.registrations[registration].tasks.iter().copied().collect();
        for number in tasks {
            let task = &mut self.tasks[number];
            task.killed = true;
            task.stop_code = Some("TerminationNotice");
            task.stopped_reason = Some(format!("Host EC2 (instance {id}) terminated."));
            self.finish_task(number);
        }
    }

    /// Protects a service's tasks from scale-in until a time; the first `count` of them. Protection ends by itself
    /// (docs/facts/ecs.md#draining), and then the scheduler goes on with what it had to leave alone.
    pub(super) fn protect_tasks(&mut self, service: ServiceNo, count: usize, until: jiff::Timestamp) {
        let tasks: Vec<TaskNo> = self.services[service].tasks.iter().copied().take(count).collect();
        for task in tasks {
            let task = &mut self.tasks[task];
            task.protected_until = Some(until);
            self.queue.push(until, Due::Daemons(task.registration));
        }
        self.look_soon(service);
        self.queue.push(until, Due::Service(service));
    }

    /// Whether draining must leave a task alone (a switch: it is unknown, docs/facts/ecs.md#draining).
    pub(super) fn is_shielded(&self, task: TaskNo) -> bool {
        self.spec.drain_honours_protection && self.tasks[task].is_protected(self.now)
    }

    /// Stops a task at a person's or the caller's wish.
    pub(crate) fn stop_by_request(&mut self, number: TaskNo, reason: Option<&str>) {
        self.stop_task(number, "UserInitiated", reason.unwrap_or("Task stopped by user"));
    }
}
