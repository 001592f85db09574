//! Is there room elsewhere for the tasks of an instance that is to be drained?
//!
//! Room is counted on instances in service only, first fit, under the services' placement constraints. What drains
//! under way have still to place is taken off first, and what is promised to one drain is not promised to the next. All
//! of this is as it was at the last full look: services first, then instances, so that a task that was placed in
//! between counts twice rather than not at all.
//!
//! What this cannot know (patterns and the like in constraints, constraints of the task definition, GPU) is ECS's to decide: the
//! drain's time-out is the net below.

use std::collections::{BTreeMap, BTreeSet};

use models::clean;
use models::fleet::{FleetSnapshot, Instance, InstanceStatus, Resources, Service, Strategy, Task};
use models::ids::{HostId, ServiceName, ZoneName};
use models::reason::HoldReason;

use super::constraint::{self, Groups, Subject};
use super::scale_out::ScaleOut;
use super::strategy;

/// Of a constraint so many characters are told.
const MAX_CONSTRAINT: usize = 300;

/// The room on the instances in service, and the tasks that services can do without.
#[derive(Debug, Clone)]
pub(crate) struct Room<'a> {
    services: &'a BTreeMap<ServiceName, Service>,
    places: Vec<Place<'a>>,
    /// Tasks that drains stop without a replacement, by service.
    done_without: BTreeMap<&'a ServiceName, u64>,
    /// Per service and capacity provider: the first place that may still fit a task of its usual size; all earlier ones are
    /// full.
    full_until: BTreeMap<(&'a ServiceName, Option<&'a str>), (Resources, usize)>,
}

#[derive(Debug, Clone)]
struct Place<'a> {
    instance: &'a Instance,
    /// What is left of the instance's own.
    cpu: i64,
    memory: i64,
    /// Host ports of tasks that were promised it.
    ports: Vec<u16>,
    /// Services that allow one task an instance and were promised this one.
    promised: BTreeSet<&'a ServiceName>,
    /// What is known of the groups of its tasks; nothing where no constraint asks for them.
    groups: Groups,
    /// The services of all the tasks that were promised it.
    expected: Vec<&'a ServiceName>,
}

/// What was done for one instance, to be undone where it does not come out.
#[derive(Default)]
struct Attempt<'a> {
    /// The place of the instance, and the CPU that was free there.
    left: Option<(usize, i64)>,
    /// So many tasks wait for an instance to be launched.
    launches: usize,
    tasks: Vec<(Moving<'a>, Placement)>,
}

/// A task that its service places elsewhere.
#[derive(Clone, Copy)]
struct Moving<'a> {
    needs: &'a Resources,
    service: &'a Service,
    /// The capacity provider that it stays with.
    provider: Option<&'a str>,
}

/// What a drain does to a task.
enum Placement {
    /// It runs on this place instead.
    Moved(usize),
    /// Its service does without it.
    Stopped,
    Unplaced,
}

impl<'a> Room<'a> {
    /// Returns the room as ECS counts it, with nothing promised.
    pub(crate) fn bare(fleet: &'a FleetSnapshot) -> Self {
        let groups_matter = fleet.services.values().any(asks_for_groups);
        let place = |instance: &'a Instance| {
            let Resources { cpu, memory, .. } = instance.remaining;
            let groups = if groups_matter { Groups::of(instance, fleet.taken_at) } else { Groups::default() };
            let (ports, promised, expected) = (Vec::new(), BTreeSet::new(), Vec::new());
            Place { instance, cpu, memory, ports, promised, groups, expected }
        };
        Self {
            services: &fleet.services,
            places: fleet.instances.values().filter(|instance| instance.in_service()).map(place).collect(),
            done_without: BTreeMap::new(),
            full_until: BTreeMap::new(),
        }
    }

    /// Returns the first machine that does not run, as far as EC2 says, and on which ECS could place a task of these all
    /// the same, with the task's service. What ECS counts there is what was placed before; all of it may be free by then.
    pub(crate) fn could_be_lost(fleet: &'a FleetSnapshot, tasks: &'a [Task]) -> Option<(&'a HostId, &'a ServiceName)> {
        let traps = fleet.instances.values().filter(|one| one.takes_placements() && (one.is_dead() || one.is_off()));
        let moving = moving(tasks, &fleet.services);
        traps.into_iter().find_map(|trap| {
            let groups = Groups::of(trap, fleet.taken_at);
            let takes = |(task, service): &&(&Task, &'a Service)| {
                task.needs.cpu <= trap.registered.cpu
                    && task.needs.memory <= trap.registered.memory
                    && strategy::allows(service, None, trap)
                    && meets_all(service, Subject { instance: trap, groups: &groups, promised: &[] })
            };
            moving.iter().find(takes).map(|(_, service)| (&trap.host, &service.name))
        })
    }

    /// Returns this room, less what services are about to place: replacements of tasks on draining instances that have
    /// none yet, regardless of who drains them, and the new tasks of deployments.
    pub(crate) fn minus_outstanding(&self, fleet: &'a FleetSnapshot) -> Self {
        let mut room = self.clone();
        for moving in outstanding(fleet) {
            if room.place(moving).is_none() {
                *room.done_without.entry(&moving.service.name).or_default() += 1;
            }
        }
        room
    }

    /// Takes `leaving` out and places its service tasks on the others, but for those that `minimumHealthyPercent`
    /// lets the service do without: they are stopped, room or not, and come back with the instance. Nothing is changed
    /// where one of the others has no place. Returns how many wait for an instance to be launched.
    ///
    /// # Errors
    /// The hold that says what is missing.
    pub(crate) fn move_off(
        &mut self,
        leaving: &'a Instance,
        tasks: &'a [Task],
        scale_out: Option<&ScaleOut<'_>>,
    ) -> Result<usize, HoldReason> {
        self.try_off(leaving, tasks, scale_out).map(|attempt| attempt.launches)
    }

    /// Whether [`Room::move_off`] would do; nothing is promised.
    ///
    /// # Errors
    /// The hold that says what is missing.
    pub(crate) fn would_take(
        &mut self,
        leaving: &'a Instance,
        tasks: &'a [Task],
        scale_out: Option<&ScaleOut<'_>>,
    ) -> Result<usize, HoldReason> {
        let attempt = self.try_off(leaving, tasks, scale_out)?;
        let launches = attempt.launches;
        self.undo(attempt);
        Ok(launches)
    }

    fn try_off(
        &mut self,
        leaving: &'a Instance,
        tasks: &'a [Task],
        scale_out: Option<&ScaleOut<'_>>,
    ) -> Result<Attempt<'a>, HoldReason> {
        let mut attempt = Attempt::default();
        if let Ok(at) = self.places.binary_search_by(|place| place.instance.host.cmp(&leaving.host)) {
            // Nothing fits there any more; the list keeps its order.
            attempt.left = Some((at, std::mem::replace(&mut self.places[at].cpu, i64::MIN)));
        }
        for (task, service) in moving(tasks, self.services) {
            let moving = Moving { needs: &task.needs, service, provider: strategy::kept(service, leaving) };
            let placement = match self.place(moving) {
                Some(at) => Placement::Moved(at),
                None if self.can_do_without_one(service) => {
                    *self.done_without.entry(&service.name).or_default() += 1;
                    Placement::Stopped
                }
                None if scale_out.is_some_and(|one| one.launches_for(&task.needs, service, moving.provider)) => {
                    attempt.launches += 1;
                    Placement::Unplaced
                }
                None => {
                    attempt.tasks.push((moving, Placement::Unplaced));
                    let needs = self.words(&task.needs, service) + &strategy::words(service, moving.provider);
                    self.undo(attempt);
                    let hold = HoldReason::NoRoom { service: service.name.to_string(), needs };
                    return Err(match scale_out {
                        Some(one) => one.explain(hold),
                        None => hold,
                    });
                }
            };
            attempt.tasks.push((moving, placement));
        }
        Ok(attempt)
    }

    /// Where the task goes, if anywhere.
    fn place(&mut self, moving: Moving<'a>) -> Option<usize> {
        let Moving { needs, service, provider } = moving;
        let key = (&service.name, provider);
        let from = match self.full_until.get(&key) {
            Some((usual, until)) if usual == needs => *until,
            Some(_) | None => 0,
        };
        let found = self.places[from..].iter().position(|place| place.takes(moving)).map(|after| from + after);
        self.full_until.insert(key, (needs.clone(), found.unwrap_or(self.places.len())));
        let place = &mut self.places[found?];
        place.cpu -= needs.cpu;
        place.memory -= needs.memory;
        place.ports.extend(&needs.ports);
        if service.distinct_instance {
            place.promised.insert(&service.name);
        }
        place.expected.push(&service.name);
        self.look_again_at(found?);
        found
    }

    /// A place that was full for a service may suit it once a task of another group comes there.
    fn look_again_at(&mut self, place: usize) {
        for ((name, _), (_, until)) in &mut self.full_until {
            if self.services.get(*name).is_some_and(asks_for_groups) {
                *until = (*until).min(place);
            }
        }
    }

    fn undo(&mut self, attempt: Attempt<'a>) {
        let Attempt { left, tasks, .. } = attempt;
        let mut touched = Vec::new();
        for (Moving { needs, service, .. }, placement) in tasks.iter().rev() {
            match placement {
                Placement::Moved(at) => {
                    let place = &mut self.places[*at];
                    place.cpu += needs.cpu;
                    place.memory += needs.memory;
                    place.ports.truncate(place.ports.len().saturating_sub(needs.ports.len()));
                    place.promised.remove(&service.name);
                    place.expected.pop();
                    touched.push(*at);
                }
                Placement::Stopped => {
                    if let Some(stopped) = self.done_without.get_mut(&service.name) {
                        *stopped -= 1;
                    }
                }
                Placement::Unplaced => {}
            }
        }
        if let Some((at, cpu)) = left {
            self.places[at].cpu = cpu;
            touched.push(at);
        }
        // What was learned of the places on the way stands, but for those that have their room back.
        for (moving, _) in &tasks {
            let Some((usual, until)) = self.full_until.get_mut(&(&moving.service.name, moving.provider)) else {
                continue;
            };
            let again = touched.iter().filter(|at| self.places[**at].takes(Moving { needs: usual, ..*moving })).min();
            *until = again.map_or(*until, |at| (*until).min(*at));
        }
    }

    fn can_do_without_one(&self, service: &Service) -> bool {
        let stopped = self.done_without.get(&service.name).copied().unwrap_or(0);
        // While tasks move, the leaving ones and their replacements both run.
        u64::from(service.running.min(service.desired)) > service.least_running() + stopped
    }

    /// What a task needs, and where, for people.
    fn words(&self, needs: &Resources, service: &Service) -> String {
        let mut words = format!("{} CPU units and {}", thousands(needs.cpu), mebibytes(needs.memory));
        if !needs.ports.is_empty() {
            let ports: Vec<String> = needs.ports.iter().map(u16::to_string).collect();
            words.push_str(&format!(" and host port {}", ports.join(", ")));
        }
        if !service.member_of.is_empty() {
            let fitting = self.places.iter().filter(|place| meets_all(service, place.subject()));
            let zones: BTreeSet<&ZoneName> = fitting.filter_map(|place| place.instance.zone.as_ref()).collect();
            match (zones.first(), zones.len()) {
                (Some(zone), 1) => words.push_str(&format!(" in {zone}")),
                _ => {
                    words.push_str(&format!(" where {}", clean::cut(&service.member_of.join(" and "), MAX_CONSTRAINT)))
                }
            }
        }
        if service.distinct_instance {
            words.push_str(" on an instance without another of its tasks");
        }
        words
    }
}

impl Place<'_> {
    fn takes(&self, Moving { needs, service, provider }: Moving<'_>) -> bool {
        let taken = || self.promised.contains(&service.name) || service.on.contains(&self.instance.container_instance);
        let in_use = |port| self.ports.contains(port) || self.instance.remaining.ports.contains(port);
        needs.cpu <= self.cpu
            && needs.memory <= self.memory
            && !needs.ports.iter().any(in_use)
            && !(service.distinct_instance && taken())
            && strategy::allows(service, provider, self.instance)
            && meets_all(service, self.subject())
    }

    fn subject(&self) -> Subject<'_> {
        Subject { instance: self.instance, groups: &self.groups, promised: &self.expected }
    }
}

/// Whether nothing that is known keeps a service's task off the instance.
fn meets_all(service: &Service, subject: Subject<'_>) -> bool {
    service.member_of.iter().all(|expression| constraint::meets(expression, subject) != Some(false))
}

fn asks_for_groups(service: &Service) -> bool {
    service.member_of.iter().any(|expression| constraint::asks_for_groups(expression))
}

/// The tasks that services replace elsewhere, the largest first: first fit finds more that way.
pub(crate) fn moving<'a>(
    tasks: &'a [Task],
    services: &'a BTreeMap<ServiceName, Service>,
) -> Vec<(&'a Task, &'a Service)> {
    let mut moving: Vec<(&Task, &Service)> = tasks
        .iter()
        .filter_map(|task| Some((task, services.get(task.service()?)?)))
        .filter(|(task, service)| service.strategy == Strategy::Replica && !task.stopping)
        .collect();
    let size = |task: &Task| (task.needs.memory, task.needs.cpu);
    moving.sort_by(|(a, _), (b, _)| size(b).cmp(&size(a)).then_with(|| a.arn.cmp(&b.arn)));
    moving
}

/// What services have still to place: each entry is one task, by its service and its needs.
fn outstanding(fleet: &FleetSnapshot) -> Vec<Moving<'_>> {
    let mut leaving: BTreeMap<&ServiceName, Vec<Moving<'_>>> = BTreeMap::new();
    let draining = fleet.registered().filter(|instance| instance.status == InstanceStatus::Draining);
    for (instance, seen) in draining.filter_map(|instance| Some((instance, instance.tasks.as_ref()?))) {
        for (task, service) in moving(&seen.tasks, &fleet.services) {
            let provider = strategy::kept(service, instance);
            leaving.entry(&service.name).or_default().push(Moving { needs: &task.needs, service, provider });
        }
    }
    let mut outstanding = Vec::new();
    for service in fleet.services.values().filter(|service| service.strategy == Strategy::Replica) {
        let leaving = leaving.remove(&service.name).unwrap_or_default();
        let staying = service.placed.saturating_sub(u32::try_from(leaving.len()).unwrap_or(u32::MAX));
        let wanted = service.desired.saturating_sub(staying).max(service.deploying) as usize;
        // Its tasks are of one size, unless a deployment changes it: one that leaves stands for one that is short.
        let usual = leaving.first().map(|moving| moving.needs);
        let usual = usual.or_else(|| (wanted > 0).then(|| size_of_one(fleet, service)).flatten());
        let usual = usual.map(|needs| Moving { needs, service, provider: None });
        outstanding.extend(leaving.into_iter().chain(std::iter::repeat_n(usual, wanted).flatten()).take(wanted));
    }
    outstanding
}

/// The needs of any task of the service that was seen.
fn size_of_one<'a>(fleet: &'a FleetSnapshot, service: &Service) -> Option<&'a Resources> {
    let tasks = fleet.instances.values().filter_map(|instance| instance.tasks.as_ref()).flat_map(|seen| &seen.tasks);
    tasks.filter(|task| task.service() == Some(&service.name)).map(|task| &task.needs).next()
}

fn thousands(number: i64) -> String {
    match number {
        1_000.. => format!("{},{:03}", number / 1_000, number % 1_000),
        _ => number.to_string(),
    }
}

fn mebibytes(number: i64) -> String {
    match number % 1_024 {
        0 if number > 0 => format!("{} GiB", thousands(number / 1_024)),
        _ => format!("{} MiB", thousands(number)),
    }
}

#[cfg(test)]
mod tests;
