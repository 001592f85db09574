//! The service scheduler for REPLICA services: keeps the desired count, and moves tasks off DRAINING instances.
//!
//! docs/facts/ecs.md#draining, line by line: PENDING tasks on a DRAINING instance are stopped at once; a
//! replacement starts only within `maximumPercent` (rounded down), where a task counts until it is STOPPED; a task is
//! stopped only while enough others are healthy for `minimumHealthyPercent` (rounded up). From these it follows that
//! 100/100 never drains, and that one task with max < 200 and min > 0 never does. Without room for the replacement the
//! service says so and waits without end.

use jiff::SignedDuration;

use super::World;
use super::ids::{ClusterNo, ServiceNo, TaskNo};
use super::log::Event;
use super::placement::Placing;
use super::queue::Due;
use super::registration::InstanceStatus;
use super::service::{Service, ServiceEvent};
use super::task::{Desired, LastStatus};
use crate::scenario::ServiceKind;

impl World {
    /// Schedules a look at a service; several reasons within two seconds make one look.
    pub(super) fn look_soon(&mut self, number: ServiceNo) {
        let at = self.now.checked_add(SignedDuration::from_secs(2)).unwrap_or(self.now);
        let service = &mut self.services[number];
        if service.look_at.is_none() {
            service.look_at = Some(at);
            self.queue.push(at, Due::Service(number));
        }
    }

    /// Something became free: services that found no room look again.
    pub(super) fn look_at_starved(&mut self, cluster: ClusterNo) {
        let starved: Vec<ServiceNo> =
            self.clusters[cluster].services.iter().copied().filter(|service| self.is_starved(*service)).collect();
        for service in starved {
            self.look_soon(service);
        }
    }

    /// Whether it looks for room: for a new task, or for one that waits.
    fn is_starved(&self, service: ServiceNo) -> bool {
        self.services[service].starved || !self.services[service].waiting.is_empty()
    }

    /// One look at a service.
    pub(super) fn look_at_service(&mut self, number: ServiceNo) {
        let now = self.now;
        let service = &mut self.services[number];
        if service.look_at.is_some_and(|at| at <= now) {
            service.look_at = None;
        }
        match service.kind {
            ServiceKind::Replica => self.look_at_replicas(number),
            ServiceKind::Daemon => {}
        }
    }

    fn look_at_replicas(&mut self, number: ServiceNo) {
        let sorted = self.sort_tasks(number);
        for task in &sorted.pending_to_move {
            self.stop_for_service(*task, "draining");
        }
        let service = &self.services[number];
        let (desired, min_healthy) = (service.desired, service.min_healthy());
        let room = usize::try_from(service.max_total()).unwrap_or(usize::MAX);
        // What zone rebalancing has started beside the others stays until it is healthy.
        let extra = usize::from(service.rebalancing.is_moving());
        let desired_count = usize::try_from(desired).unwrap_or(usize::MAX).saturating_add(extra);
        let keepers = sorted.keepers.len();
        self.drop_waiting(number, desired_count.saturating_sub(keepers));
        let waiting = self.services[number].waiting.len();
        let counted = sorted.not_stopped + if self.spec.managed_scaling.waiting_counts { waiting } else { 0 };
        let wanted = desired_count.saturating_sub(keepers + waiting).min(room.saturating_sub(counted));
        self.start_replicas(number, wanted);

        let all_stay = sorted.pending_to_move.is_empty() && sorted.running_to_move.is_empty();
        let mut healthy = sorted.healthy;
        let may_stop = |world: &Self, task: TaskNo, healthy: &mut usize| {
            let counts = usize::from(world.tasks[task].is_healthy(world.now));
            let left = healthy.saturating_sub(counts);
            let allowed = left >= usize::try_from(min_healthy).unwrap_or(usize::MAX);
            if allowed {
                *healthy = left;
            }
            allowed
        };
        for task in sorted.running_to_move {
            if !self.is_shielded(task) && may_stop(self, task, &mut healthy) {
                self.stop_for_service(task, "draining");
            }
        }
        // A drain that was taken back leaves too many: the youngest go, the not yet healthy first; scale-in
        // protection holds here for certain.
        let mut surplus = keepers.saturating_sub(desired_count);
        let mut youngest = sorted.keepers;
        youngest.sort_by_key(|task| (self.tasks[*task].is_healthy(self.now), std::cmp::Reverse(*task)));
        for task in youngest {
            if surplus == 0 {
                break;
            }
            if !self.tasks[task].is_protected(self.now) && may_stop(self, task, &mut healthy) {
                surplus -= 1;
                self.stop_for_service(task, "scale-in");
            }
        }
        self.finish_rebalancing(number);
        self.note_steady(number, all_stay);
    }

    fn start_replicas(&mut self, number: ServiceNo, wanted: usize) {
        let throttled = self.services[number].throttled_until.is_some_and(|until| self.now < until);
        let wanted = if throttled { 0 } else { wanted };
        if wanted == 0 && self.services[number].waiting.is_empty() {
            self.services[number].starved = false;
            return;
        }
        let mut candidates = self.candidates(number);
        let mut started = self.place_waiting(number, &mut candidates);
        let mut left = wanted;
        while left > 0 {
            let provider = self.next_provider(number, &candidates);
            let placing = Placing { provider: provider.clone(), arn: None, settled: false };
            if self.place(number, &mut candidates, placing).is_some() {
                started += 1;
            } else if self.begin_to_wait(number, provider.clone()) {
                candidates.count(provider);
            } else {
                break;
            }
            self.services[number].pinned.pop();
            left -= 1;
        }
        let starved = left > 0;
        let was_starved = std::mem::replace(&mut self.services[number].starved, starved);
        if started > 0 {
            let name = self.services[number].name.clone();
            self.service_event(number, format!("(service {name}) has started {started} tasks."));
        }
        let is_told = self.spec.managed_scaling.quota_event || !self.waits_at_quota(number);
        if starved && !was_starved && is_told {
            self.no_room(number);
        }
        if starved {
            self.note_failed_start(number);
        }
    }

    /// The event of a service that found no room for a task.
    pub(super) fn no_room(&mut self, number: ServiceNo) {
        let name = self.services[number].name.clone();
        if let Some((instance, reason)) = self.closest_without_device(number) {
            let message = format!(
                "(service {name}) was unable to place a task because no container instance met all of its requirements. \
                 The closest matching (container-instance {instance}) encountered error \"{reason}\"."
            );
            return self.service_event(number, message);
        }
        self.service_event(
            number,
            format!(
                "(service {name}) was unable to place a task because no container instance met all of its requirements. \
                 Reason: No Container Instances were found in your cluster with sufficient resources. For more \
                 information, see the Troubleshooting section of the Amazon ECS Developer Guide."
            ),
        );
    }

    fn stop_for_service(&mut self, task: TaskNo, why: &str) {
        let of = self.tasks[task].service;
        let reason = match (why, of) {
            ("draining", Some(_)) => "Service scheduler stopped the task: its container instance is draining.",
            _ => "Scaling activity initiated by service scheduler",
        };
        self.stop_task(task, "ServiceSchedulerInitiated", reason);
    }

    /// A service is steady once it has what it wants, and where it wants it: one whose tasks are to leave DRAINING
    /// instances, with or without room elsewhere, is not.
    fn note_steady(&mut self, number: ServiceNo, all_stay: bool) {
        let service = &self.services[number];
        let steady = all_stay
            && !service.starved
            && service.waiting.is_empty()
            && service.tasks.len() == usize::try_from(service.desired).unwrap_or(usize::MAX)
            && service.tasks.iter().all(|task| self.tasks[*task].is_healthy(self.now));
        let was = service.steady;
        let name = service.name.clone();
        self.services[number].steady = steady;
        if steady && !was {
            self.service_event(number, format!("(service {name}) has reached a steady state."));
            self.note_completed(number);
            self.look_at_zones_later(number);
        }
    }

    /// Writes an event of a service.
    pub(super) fn service_event(&mut self, number: ServiceNo, message: String) {
        let n = self.next_use();
        let event = ServiceEvent { id: self.dice.uuid("service-event", n), at: self.now, message: message.clone() };
        let service = &mut self.services[number];
        service.events.push_front(event);
        service.events.truncate(Service::MOST_EVENTS);
        let service = service.name.clone();
        self.record(Event::Service { service, message });
    }

    fn sort_tasks(&self, number: ServiceNo) -> SortedTasks {
        let mut sorted = SortedTasks::default();
        for task in &self.services[number].tasks {
            let known = &self.tasks[*task];
            sorted.not_stopped += 1;
            sorted.healthy += usize::from(known.is_healthy(self.now));
            if known.desired == Desired::Stopped {
                continue;
            }
            let status = self.registrations[known.registration].status;
            let newest = known.deployment == self.services[number].deployment;
            match (status, known.last) {
                (InstanceStatus::Active, _) if newest => sorted.keepers.push(*task),
                (_, LastStatus::Pending) => sorted.pending_to_move.push(*task),
                (_, _) => sorted.running_to_move.push(*task),
            }
        }
        sorted
    }
}

/// The tasks of a service, by what is to become of them.
#[derive(Debug, Default)]
struct SortedTasks {
    /// Everything that is not STOPPED.
    not_stopped: usize,
    healthy: usize,
    /// Of the newest deployment, on ACTIVE instances, and to run.
    keepers: Vec<TaskNo>,
    pending_to_move: Vec<TaskNo>,
    running_to_move: Vec<TaskNo>,
}
