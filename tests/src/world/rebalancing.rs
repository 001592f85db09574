//! Zone rebalancing of a service (docs/facts/room.md#zone-rebalancing): some time after a steady state, a task is
//! started in the emptiest zone, on an instance that is there, and once it is healthy one in the fullest zone is stopped.

use std::collections::BTreeMap;

use super::World;
use super::ids::{ServiceNo, TaskNo};
use super::placement::Placing;
use super::queue::Due;
use super::registration::InstanceStatus;
use super::rollout::RolloutState;
use super::task::Desired;
use crate::scenario::{RebalancedZones, ServiceKind};

/// Whether a service rebalances its zones, and what is being moved.
#[derive(Debug, Clone, Default)]
pub struct Rebalancing {
    pub is_on: bool,
    /// The task that was started in the emptier zone, and the zone that gives one up.
    moving: Option<(TaskNo, String)>,
    is_scheduled: bool,
}

impl Rebalancing {
    pub(super) fn new(is_on: bool) -> Self {
        Self { is_on, ..Self::default() }
    }

    /// Whether a task was started beside the others.
    pub(super) fn is_moving(&self) -> bool {
        self.moving.is_some()
    }

    /// A deployment stops it.
    pub(super) fn stop(&mut self) {
        self.moving = None;
    }
}

impl World {
    /// After a steady state.
    pub(super) fn look_at_zones_later(&mut self, number: ServiceNo) {
        let rebalancing = &mut self.services[number].rebalancing;
        if rebalancing.is_on && !std::mem::replace(&mut rebalancing.is_scheduled, true) {
            self.schedule(self.spec.rebalance_after, Due::Zones(number));
        }
    }

    /// Starts a task in the emptiest zone where the zones differ by more than one.
    pub(super) fn look_at_zones(&mut self, number: ServiceNo) {
        self.services[number].rebalancing.is_scheduled = false;
        let service = &self.services[number];
        let is_eligible =
            service.kind == ServiceKind::Replica && service.max_percent > 100 && service.deleted_at.is_none();
        let is_steady = service.steady && service.rollout.state == RolloutState::Completed;
        if !is_eligible || !is_steady || service.rebalancing.is_moving() {
            return;
        }
        let zones = self.tasks_by_zone(number);
        let (Some(emptiest), Some(fullest)) =
            (zones.iter().min_by_key(|(_, tasks)| tasks.len()), zones.iter().max_by_key(|(_, tasks)| tasks.len()))
        else {
            return;
        };
        if fullest.1.len() <= emptiest.1.len() + 1 {
            return;
        }
        let (to, from, name) = (emptiest.0.clone(), fullest.0.clone(), service.name.clone());
        self.service_event(
            number,
            format!(
                "(service {name}) is not AZ balanced with {} tasks in {from} and {} tasks in {to}. AZ Rebalancing in \
                 progress.",
                fullest.1.len(),
                emptiest.1.len()
            ),
        );
        let mut candidates = self.candidates(number);
        candidates.only_in(&to);
        let placing = Placing { provider: self.next_provider(number, &candidates), arn: None, settled: false };
        let Some(_) = self.place(number, &mut candidates, placing) else {
            let message = "is unable to place a task in AZ because no container instance met all of its requirements.";
            self.service_event(number, format!("(service {name}) {message}"));
            return self.look_at_zones_later(number);
        };
        let service = &mut self.services[number];
        service.steady = false;
        service.rebalancing.moving = service.tasks.last().map(|task| (*task, from));
        self.look_soon(number);
    }

    /// Stops a task in the fuller zone once the new one is healthy; gives up where the new one is lost.
    pub(super) fn finish_rebalancing(&mut self, number: ServiceNo) {
        let Some((task, from)) = self.services[number].rebalancing.moving.clone() else { return };
        let new = &self.tasks[task];
        if new.desired == Desired::Stopped {
            self.services[number].rebalancing.moving = None;
            return self.look_soon(number);
        }
        if !new.is_healthy(self.now) {
            return;
        }
        self.services[number].rebalancing.moving = None;
        let there = self.tasks_by_zone(number).remove(&from).unwrap_or_default();
        let surplus = self.services[number].tasks.len() > usize::try_from(self.services[number].desired).unwrap_or(0);
        if let Some(old) = there.into_iter().rev().find(|old| !self.tasks[*old].is_protected(self.now) && surplus) {
            let id = self.services[number].deployment;
            let reason = format!("Availability-zone rebalancing initiated by (deployment ecs-svc/{id})");
            self.stop_task(old, "ServiceSchedulerInitiated", &reason);
        }
        self.look_soon(number);
    }

    /// The tasks of a service that stay where they are, by the zones that it is spread over.
    fn tasks_by_zone(&self, number: ServiceNo) -> BTreeMap<String, Vec<TaskNo>> {
        let service = &self.services[number];
        let is_configured = |number: &&super::RegistrationNo| match self.spec.rebalance_over {
            RebalancedZones::InService => self.registrations[**number].takes_tasks(),
            RebalancedZones::Registered => self.registrations[**number].status != InstanceStatus::Inactive,
        };
        let zone = |number: super::RegistrationNo| self.machines[self.registrations[number].machine].zone.clone();
        let registrations = self.clusters[service.cluster].registrations.iter().filter(is_configured);
        let mut zones: BTreeMap<String, Vec<TaskNo>> =
            registrations.map(|number| (zone(*number), Vec::new())).collect();
        for task in service.tasks.iter().filter(|task| self.tasks[**task].desired == Desired::Running) {
            zones.entry(zone(self.tasks[*task].registration)).or_default().push(*task);
        }
        zones
    }
}
