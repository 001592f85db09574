//! Deployments of a service, and the circuit breaker that takes them back (docs/facts/room.md#deployments).

use jiff::{SignedDuration, Timestamp};

use super::World;
use super::ids::ServiceNo;
use super::queue::Due;

/// Between two tries to start a task that finds no place.
const TRIES: SignedDuration = SignedDuration::from_secs(50);
/// The threshold of the circuit breaker is half of the desired count, and at least and at most this.
const THRESHOLD: std::ops::RangeInclusive<u32> = 3..=200;

/// How the newest deployment of a service stands.
#[derive(Debug, Clone)]
pub struct Rollout {
    pub state: RolloutState,
    pub has_circuit_breaker: bool,
    /// Tasks that could not be started.
    pub failed: u32,
    /// Whether one of its tasks has run: failed starts are not counted any more.
    has_run: bool,
    /// How many deployments the circuit breaker has taken back.
    pub taken_back: u32,
    /// The deployment that it goes back to.
    previous: u32,
    /// How many there have been.
    made: u32,
    next_try: Option<Timestamp>,
}

/// `rolloutState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutState {
    InProgress,
    Completed,
    /// By the circuit breaker, which does not take it back.
    Failed,
}

impl RolloutState {
    /// ECS's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

impl Rollout {
    /// One that was over long ago.
    pub(super) fn completed(has_circuit_breaker: bool) -> Self {
        let state = RolloutState::Completed;
        Self {
            state,
            has_circuit_breaker,
            failed: 0,
            has_run: true,
            taken_back: 0,
            previous: 0,
            made: 0,
            next_try: None,
        }
    }
}

impl World {
    /// Begins a deployment.
    pub(super) fn deploy(&mut self, number: ServiceNo) {
        let service = &mut self.services[number];
        let rollout = &mut service.rollout;
        if rollout.state == RolloutState::Completed {
            rollout.previous = service.deployment;
        }
        rollout.made += 1;
        service.deployment = rollout.made;
        (rollout.state, rollout.failed, rollout.next_try) = (RolloutState::InProgress, 0, None);
        rollout.has_run = false;
        service.rebalancing.stop();
        service.steady = false;
        self.look_soon(number);
    }

    /// A task of a service runs.
    pub(super) fn note_running(&mut self, number: ServiceNo, deployment: u32) {
        let service = &mut self.services[number];
        service.rollout.has_run |= service.deployment == deployment;
    }

    /// A task of the deployment in progress finds no place. Once one of them has run, this is not counted any more.
    pub(super) fn note_failed_start(&mut self, number: ServiceNo) {
        let now = self.now;
        let service = &self.services[number];
        let rollout = &service.rollout;
        let is_counted = rollout.state == RolloutState::InProgress
            && rollout.has_circuit_breaker
            && !rollout.has_run
            && rollout.next_try.is_none_or(|at| at <= now);
        if !is_counted {
            return;
        }
        let threshold = (service.desired / 2).clamp(*THRESHOLD.start(), *THRESHOLD.end());
        let rollout = &mut self.services[number].rollout;
        rollout.failed += 1;
        if rollout.failed >= threshold {
            return self.take_back(number);
        }
        let at = now.checked_add(TRIES).unwrap_or(now);
        rollout.next_try = Some(at);
        self.queue.push(at, Due::Service(number));
    }

    fn take_back(&mut self, number: ServiceNo) {
        let service = &mut self.services[number];
        let name = service.name.clone();
        service.deployment = service.rollout.previous;
        (service.rollout.state, service.rollout.failed) = (RolloutState::InProgress, 0);
        service.rollout.taken_back += 1;
        service.rollout.has_circuit_breaker = false;
        self.service_event(number, format!("(service {name}) deployment failed: tasks failed to start."));
        self.service_event(number, format!("(service {name}) rolling back to the last completed deployment."));
        self.look_soon(number);
    }

    /// The service has reached a steady state. A deployment that has failed stays so.
    pub(super) fn note_completed(&mut self, number: ServiceNo) {
        let rollout = &mut self.services[number].rollout;
        if rollout.state == RolloutState::InProgress {
            rollout.state = RolloutState::Completed;
        }
    }

    /// The newest deployment of a service fails, and is not taken back.
    pub(super) fn fail_deployment(&mut self, number: ServiceNo) {
        self.services[number].rollout.state = RolloutState::Failed;
        let name = self.services[number].name.clone();
        self.service_event(number, format!("(service {name}) deployment failed: tasks failed to start."));
    }

    /// The instance that lacks nothing but a GPU or an interface for a task of the service, and ECS's word for that.
    pub(super) fn closest_without_device(&self, number: ServiceNo) -> Option<(String, &'static str)> {
        let service = &self.services[number];
        let registrations = self.clusters[service.cluster].registrations.iter().map(|n| (n, &self.registrations[*n]));
        let fits = registrations.filter(|(number, one)| {
            one.takes_tasks()
                && one.fits_but_for_devices(&service.shape)
                && service.constraints().all(|filter| filter.matches(&self.subject(**number)))
        });
        let mut lacking = fits.filter(|(_, one)| !one.fits(&service.shape));
        let (_, closest) = lacking.next()?;
        let reason = if closest.has_gpus_for(&service.shape) { "RESOURCE:ENI" } else { "RESOURCE:GPU" };
        Some((closest.arn.rsplit('/').next().unwrap_or_default().to_owned(), reason))
    }
}
