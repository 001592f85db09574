//! Where a new task goes: first its capacity provider, where its service has a strategy; then spread over zones, then over
//! instances (the default strategy of a service, ECS developer guide, "Task placement strategies").

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use super::ids::{MachineNo, RegistrationNo, ServiceNo};
use super::registration::InstanceStatus;
use super::task::Desired;
use super::tasks::NewTask;
use crate::query::Subject;
use crate::scenario::{ServiceKind, StrategyItem};

/// The instances that could take a task of one service now. Good for one look at the service.
pub(super) struct Candidates {
    /// The tasks of the service in each zone.
    in_zone: BTreeMap<String, usize>,
    /// The tasks of the service by their providers, where it has a strategy.
    of_provider: BTreeMap<String, usize>,
    /// Instances by provider, nothing for the launch type, and by zone; with the tasks of the service on them, and all tasks.
    instances: BTreeMap<Option<String>, BTreeMap<String, BTreeSet<Candidate>>>,
}

type Candidate = (usize, usize, RegistrationNo);

/// How a task is placed.
#[derive(Debug, Clone)]
pub(super) struct Placing {
    /// The capacity provider that was chosen for it; nothing for the launch type.
    pub(super) provider: Option<String>,
    /// Its ARN, where it has waited.
    pub(super) arn: Option<String>,
    /// It has been running for long.
    pub(super) settled: bool,
}

impl Candidates {
    /// Leaves out the other zones.
    pub(super) fn only_in(&mut self, zone: &str) {
        for zones in self.instances.values_mut() {
            zones.retain(|name, _| name == zone);
        }
    }
}

impl World {
    /// Every instance that a task of the service fits on now.
    pub(super) fn candidates(&self, service: ServiceNo) -> Candidates {
        let of = &self.services[service];
        let mut on_instance: BTreeMap<RegistrationNo, usize> = BTreeMap::new();
        let mut in_zone: BTreeMap<String, usize> = BTreeMap::new();
        for task in &of.tasks {
            let registration = self.tasks[*task].registration;
            *on_instance.entry(registration).or_default() += 1;
            let machine = self.registrations[registration].machine;
            if self.registrations[registration].takes_tasks() {
                *in_zone.entry(self.machines[machine].zone.clone()).or_default() += 1;
            }
        }
        let mut instances: BTreeMap<Option<String>, BTreeMap<String, BTreeSet<Candidate>>> = BTreeMap::new();
        for number in &self.clusters[of.cluster].registrations {
            let own = on_instance.get(number).copied().unwrap_or(0);
            if (of.distinct_instance && own > 0) || !self.can_take(service, *number) {
                continue;
            }
            let registration = &self.registrations[*number];
            let machine = &self.machines[registration.machine];
            let provider = machine.provider().filter(|_| !of.strategy.is_empty()).map(str::to_owned);
            let place = (own, registration.tasks.len(), *number);
            instances.entry(provider).or_default().entry(machine.zone.clone()).or_default().insert(place);
        }
        Candidates { in_zone, of_provider: self.tasks_by_provider(service), instances }
    }

    /// The tasks of a service by their providers, as they count where the next one's is chosen.
    fn tasks_by_provider(&self, service: ServiceNo) -> BTreeMap<String, usize> {
        let mut by_provider = BTreeMap::new();
        for task in self.services[service].tasks.iter().map(|task| &self.tasks[*task]) {
            let is_leaving = self.registrations[task.registration].status != InstanceStatus::Active;
            let counts = task.desired == Desired::Running && (!is_leaving || self.spec.strategy_counts_leaving);
            if let Some(provider) = task.provider.as_ref().filter(|_| counts) {
                *by_provider.entry(provider.clone()).or_default() += 1;
            }
        }
        for task in &self.services[service].waiting {
            *by_provider.entry(task.provider.clone()).or_default() += 1;
        }
        by_provider
    }

    /// Whether one task of the service could be placed on the instance now, others of it aside.
    pub(super) fn can_take(&self, service: ServiceNo, number: RegistrationNo) -> bool {
        let (of, registration) = (&self.services[service], &self.registrations[number]);
        let provider = self.machines[registration.machine].provider();
        let is_of_strategy = |item: &StrategyItem| Some(item.provider.as_str()) == provider;
        registration.takes_tasks()
            && (of.strategy.is_empty() || of.strategy.iter().any(is_of_strategy))
            && registration.fits(&of.shape)
            && of.constraints().all(|filter| filter.matches(&self.subject(number)))
    }

    /// Whether a task of a service that is on the first machine could be placed on the second one now. A strategy puts it
    /// on a machine of the same provider.
    pub(crate) fn could_move(&self, from: MachineNo, to: MachineNo) -> bool {
        let registrations = self.machines[from].registrations.iter();
        let tasks = registrations.flat_map(|number| &self.registrations[*number].tasks);
        let services: BTreeSet<ServiceNo> = tasks.filter_map(|task| self.tasks[*task].service).collect();
        let is_on = |service: ServiceNo, number: RegistrationNo| {
            self.services[service].tasks.iter().any(|task| self.tasks[*task].registration == number)
        };
        let same_provider = self.machines[from].provider() == self.machines[to].provider();
        services.into_iter().filter(|service| self.services[*service].kind == ServiceKind::Replica).any(|service| {
            let of = &self.services[service];
            (of.strategy.is_empty() || same_provider)
                && self.machines[to].registrations.iter().any(|number| {
                    self.can_take(service, *number)
                        && !(self.services[service].distinct_instance && is_on(service, *number))
                })
        })
    }

    /// An instance as the cluster query language sees it.
    pub(crate) fn subject(&self, number: RegistrationNo) -> Subject<'_> {
        let registration = &self.registrations[number];
        Subject {
            attributes: &registration.attributes,
            agent_connected: registration.connected,
            agent_version: AGENT_VERSION,
            ec2_instance_id: &self.machines[registration.machine].id,
            registered_at: registration.registered_at,
            task_groups: registration.tasks.iter().map(|task| self.tasks[*task].group.as_str()).collect(),
            running_tasks: self.running_tasks(number),
        }
    }

    /// `runningTasksCount`: tasks whose *desired* status is RUNNING (docs/facts/ecs.md#container-instances).
    pub(crate) fn running_tasks(&self, number: RegistrationNo) -> usize {
        let tasks = &self.registrations[number].tasks;
        tasks.iter().filter(|task| self.tasks[**task].desired == super::Desired::Running).count()
    }

    /// Puts one task of a service on the best candidate; `None` when there is no room. A strategy chooses the provider first,
    /// and room at another one does not help (ECS developer guide, "managed scaling behavior").
    pub(super) fn place(
        &mut self,
        service: ServiceNo,
        candidates: &mut Candidates,
        placing: Placing,
    ) -> Option<RegistrationNo> {
        let Placing { provider, arn, settled } = placing;
        let zones = candidates.instances.get_mut(&provider)?;
        let in_zone = &mut candidates.in_zone;
        let tasks = |zone: &String| in_zone.get(zone).copied().unwrap_or(0);
        let with_room = zones.iter_mut().filter(|(_, instances)| !instances.is_empty());
        let (zone, instances) = with_room.min_by_key(|(zone, _)| tasks(zone))?;
        let (own, all, number) = instances.pop_first()?;
        *in_zone.entry(zone.clone()).or_default() += 1;
        self.start_service_task(service, number, arn, settled);
        if !self.services[service].distinct_instance && self.can_take(service, number) {
            instances.insert((own + 1, all + 1, number));
        }
        candidates.count(provider);
        Some(number)
    }

    /// The provider of a service's next task; nothing where it has no strategy.
    pub(super) fn next_provider(&self, service: ServiceNo, candidates: &Candidates) -> Option<String> {
        let of = &self.services[service];
        of.pinned.last().cloned().or_else(|| candidates.next_provider(&of.strategy))
    }

    /// Starts a task of a service on an instance.
    pub(super) fn start_service_task(
        &mut self,
        service: ServiceNo,
        number: RegistrationNo,
        arn: Option<String>,
        settled: bool,
    ) {
        let of = &self.services[service];
        let n = u64::try_from(service.0).unwrap_or(0);
        let new = NewTask {
            arn,
            registration: number,
            service: Some(service),
            by_strategy: !of.strategy.is_empty(),
            group: format!("service:{}", of.name),
            family: of.family.clone(),
            started_by: Some(format!("ecs-svc/{:019}", self.dice.bits("deployment", n) % 10_u64.pow(19))),
            shape: of.shape.clone(),
        };
        self.start_task(new, settled);
    }
}

impl Candidates {
    /// Counts a task that goes to a provider, or waits for one of its instances.
    pub(super) fn count(&mut self, provider: Option<String>) {
        if let Some(provider) = provider {
            *self.of_provider.entry(provider).or_default() += 1;
        }
    }

    /// The provider that a strategy chooses for the next task: the one whose base is not reached, then the one that is
    /// furthest behind its share; nothing where there is no strategy.
    fn next_provider(&self, strategy: &[StrategyItem]) -> Option<String> {
        let count = |item: &StrategyItem| self.of_provider.get(&item.provider).copied().unwrap_or(0) as u64;
        let below_base = strategy.iter().find(|item| count(item) < u64::from(item.base));
        let share = |item: &&StrategyItem| {
            (count(item).saturating_sub(u64::from(item.base)) + 1) * 1_000_000 / u64::from(item.weight)
        };
        let chosen = below_base.or_else(|| strategy.iter().filter(|item| item.weight > 0).min_by_key(share));
        chosen.map(|item| item.provider.clone())
    }
}

/// The agent's version, on every instance.
pub(crate) const AGENT_VERSION: &str = "1.98.0";
