//! Tasks that wait in PROVISIONING for an instance: those of a strategy whose capacity provider has managed scaling
//! (docs/facts/auto-scaling.md#capacity-providers).

use jiff::Timestamp;

use super::World;
use super::ids::{ClusterNo, ServiceNo};
use super::placement::{Candidates, Placing};
use super::queue::Due;

/// A task that waits for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub arn: String,
    /// The capacity provider that was chosen for it.
    pub provider: String,
    pub since: Timestamp,
    serial: u64,
    deployment: u32,
}

/// A task that has waited in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeverStarted {
    pub task: Waiting,
    pub service: ServiceNo,
    pub cluster: ClusterNo,
    pub at: Timestamp,
    /// ECS's words.
    pub reason: String,
}

/// `stopCode` of a task that has waited in vain.
pub(crate) const FAILED_TO_START: &str = "TaskFailedToStart";

impl World {
    /// Whether the provider makes a task wait that finds no place.
    fn makes_wait(&self, provider: &str) -> bool {
        self.providers.get(provider).is_some_and(|provider| provider.managed_scaling.is_some())
    }

    /// The tasks of a cluster that wait.
    pub(crate) fn waiting_in(&self, cluster: ClusterNo) -> usize {
        self.clusters[cluster].services.iter().map(|service| self.services[*service].waiting.len()).sum()
    }

    /// Whether the quota alone keeps its tasks from waiting.
    pub(super) fn waits_at_quota(&self, number: ServiceNo) -> bool {
        let service = &self.services[number];
        self.waiting_in(service.cluster) >= self.spec.managed_scaling.quota
            && service.strategy.iter().any(|item| self.makes_wait(&item.provider))
    }

    /// Places the tasks of a service that wait, each on an instance of its provider. Returns how many were.
    pub(super) fn place_waiting(&mut self, number: ServiceNo, candidates: &mut Candidates) -> usize {
        let mut placed = 0;
        for task in self.services[number].waiting.clone() {
            let placing = Placing { provider: Some(task.provider), arn: Some(task.arn.clone()), settled: false };
            if self.place(number, candidates, placing).is_some() {
                self.services[number].waiting.retain(|one| one.arn != task.arn);
                placed += 1;
            }
        }
        placed
    }

    /// Lets a new task of a service wait, where its provider has managed scaling and the quota is not reached.
    pub(super) fn begin_to_wait(&mut self, number: ServiceNo, provider: Option<String>) -> bool {
        let cluster = self.services[number].cluster;
        let Some(provider) = provider.filter(|provider| self.makes_wait(provider)) else { return false };
        if self.waiting_in(cluster) >= self.spec.managed_scaling.quota {
            return false;
        }
        let (serial, now) = (self.next_use(), self.now);
        let arn = self.task_arn(cluster, serial.wrapping_add(1 << 32));
        let service = &mut self.services[number];
        let deployment = service.deployment;
        service.waiting.push(Waiting { arn, provider, since: now, serial, deployment });
        let (low, high) = self.spec.managed_scaling.waits;
        let time = self.draw_between("waits", low, high);
        self.schedule(time, Due::WaitEnds(number, serial));
        true
    }

    /// Forgets tasks that wait and are not wanted any more: those of older deployments, and the newest that are too many.
    pub(super) fn drop_waiting(&mut self, number: ServiceNo, most: usize) {
        let service = &mut self.services[number];
        let deployment = service.deployment;
        service.waiting.retain(|task| task.deployment == deployment);
        service.waiting.truncate(most);
    }

    /// A task has waited for too long: it is stopped, and its service waits before it starts the next one.
    pub(super) fn wait_ends(&mut self, number: ServiceNo, serial: u64) {
        let service = &mut self.services[number];
        let Some(at) = service.waiting.iter().position(|task| task.serial == serial) else { return };
        let task = service.waiting.remove(at);
        let (cluster, name) = (service.cluster, service.name.clone());
        if self.spec.managed_scaling.same_provider_again {
            self.services[number].pinned.push(task.provider.clone());
        }
        let reason = format!("TaskFailedToStart: {}", self.why_not_placed(cluster, &task.provider));
        self.never_started.push(NeverStarted { task, service: number, cluster, at: self.now, reason });
        let (low, high) = self.spec.managed_scaling.throttle;
        let until = self.now + self.draw_between("throttle", low, high);
        self.services[number].throttled_until = Some(until);
        self.queue.push(until, Due::Service(number));
        self.service_event(
            number,
            format!(
                "(service {name}) is unable to consistently start tasks successfully. For more information, see the \
                 Troubleshooting section of the Amazon ECS Developer Guide."
            ),
        );
    }

    fn why_not_placed(&self, cluster: ClusterNo, provider: &str) -> &'static str {
        let mut own = self.clusters[cluster].registrations.iter().map(|number| &self.registrations[*number]);
        let is_own = |one: &&super::Registration| self.machines[one.machine].provider() == Some(provider);
        let own: Vec<&super::Registration> = own.by_ref().filter(is_own).collect();
        if own.is_empty() {
            "EMPTY CAPACITY PROVIDER"
        } else if !own.iter().any(|one| one.takes_tasks()) {
            "NO ACTIVE INSTANCES"
        } else {
            "RESOURCE:CPU"
        }
    }

    /// The tasks that have waited in vain and that ECS still shows.
    pub(crate) fn shown_never_started(&self, cluster: ClusterNo) -> impl Iterator<Item = &NeverStarted> {
        let since = self.now - self.spec.stopped_tasks_visible;
        self.never_started.iter().filter(move |one| one.cluster == cluster && one.at >= since)
    }
}
