//! Is there room elsewhere for the tasks of an instance that is to be drained?
//!
//! Room is counted on instances in service only, first fit, under the services' placement constraints. What drains
//! under way have still to place is taken off first, and what is promised to one drain is not promised to the next. All
//! of this is as it was at the last full look: services first, then instances, so that a task that was placed in
//! between counts twice rather than not at all.
//!
//! What this cannot know (some words of constraints, constraints of a task definition that may not be read, how many network
//! interfaces a type of instance has) is ECS's to decide: the drain's time-out is the net below.

use std::collections::BTreeMap;

use models::fleet::{FleetSnapshot, Instance, Resources, Service, Task};
use models::ids::{HostId, ServiceName};
use models::reason::HoldReason;

use super::constraint::{Groups, Subject};
use super::deployments::Deployments;
use super::missing;
use super::moving::moving;
use super::outstanding::outstanding;
use super::place::{Place, TAKEN_OUT, asks_for_groups, meets_all};

/// The room on the instances in service, and the tasks that services can do without.
#[derive(Debug, Clone)]
pub(crate) struct Room<'a> {
    services: &'a BTreeMap<ServiceName, Service>,
    places: Vec<Place<'a>>,
    /// Tasks that drains stop without a replacement, by service.
    done_without: BTreeMap<&'a ServiceName, u64>,
    /// Per service: the first place that may still fit a task of its usual size; all earlier ones are full.
    full_until: BTreeMap<&'a ServiceName, (Resources, usize)>,
    /// The deployments whose room is theirs.
    deployments: Option<Deployments<'a>>,
}

/// What was done for one instance, to be undone where it does not come out.
#[derive(Default)]
struct Attempt<'a> {
    /// The place of the instance, and the CPU that was free there.
    left: Option<(usize, i64)>,
    tasks: Vec<(&'a Resources, &'a Service, Placement)>,
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
        let place = |instance: &'a Instance| Place::of(instance, fleet, groups_matter);
        Self {
            services: &fleet.services,
            places: fleet.instances.values().filter(|instance| instance.in_service()).map(place).collect(),
            done_without: BTreeMap::new(),
            full_until: BTreeMap::new(),
            deployments: None,
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
                    && task.needs.gpus <= trap.registered.gpus
                    && meets_all(service, Subject { instance: trap, groups: &groups, promised: &[] })
            };
            moving.iter().find(takes).map(|(_, service)| (&trap.host, &service.name))
        })
    }

    /// Returns this room, less what services are about to place: replacements of tasks on draining instances that have
    /// none yet, regardless of who drains them, and the new tasks of deployments.
    pub(crate) fn minus_outstanding(&self, fleet: &'a FleetSnapshot) -> Self {
        let mut room = self.clone();
        let to_place = outstanding(fleet);
        room.deployments = Deployments::among(&to_place, &self.places);
        for (service, needs) in to_place {
            if room.place(needs, service).is_none() {
                *room.done_without.entry(&service.name).or_default() += 1;
            }
        }
        room
    }

    /// Takes `leaving` out and places its service tasks on the others, but for those that `minimumHealthyPercent`
    /// lets the service do without: they are stopped, room or not, and come back with the instance. Nothing is changed
    /// where one of the others has no place.
    ///
    /// # Errors
    /// The hold that says what is missing.
    pub(crate) fn move_off(&mut self, leaving: &HostId, tasks: &'a [Task]) -> Result<(), HoldReason> {
        self.try_off(leaving, tasks)?;
        if let Some(deployments) = &mut self.deployments {
            deployments.moved(leaving, &moving(tasks, self.services));
        }
        Ok(())
    }

    /// Whether [`Room::move_off`] would do; nothing is promised.
    ///
    /// # Errors
    /// The hold that says what is missing.
    pub(crate) fn would_take(&mut self, leaving: &HostId, tasks: &'a [Task]) -> Result<(), HoldReason> {
        self.try_off(leaving, tasks).map(|attempt| self.undo(attempt))
    }

    fn try_off(&mut self, leaving: &HostId, tasks: &'a [Task]) -> Result<Attempt<'a>, HoldReason> {
        let moving = moving(tasks, self.services);
        if let Some(why) = self.deployments.as_ref().and_then(|deployments| deployments.hold(leaving, &moving)) {
            return Err(why);
        }
        let mut attempt = Attempt::default();
        if let Ok(at) = self.places.binary_search_by(|place| place.instance.host.cmp(leaving)) {
            // Nothing fits there any more; the list keeps its order.
            attempt.left = Some((at, std::mem::replace(&mut self.places[at].cpu, TAKEN_OUT)));
        }
        for (task, service) in moving {
            let placement = match self.place(&task.needs, service) {
                Some(at) => Placement::Moved(at),
                None if self.can_do_without_one(service) => {
                    *self.done_without.entry(&service.name).or_default() += 1;
                    Placement::Stopped
                }
                None => {
                    attempt.tasks.push((&task.needs, service, Placement::Unplaced));
                    let words = missing::needs(&self.places, &task.needs, service);
                    let missing = missing::words(&self.places, &task.needs, service);
                    self.undo(attempt);
                    return Err(HoldReason::NoRoom { service: service.name.to_string(), needs: words, missing });
                }
            };
            attempt.tasks.push((&task.needs, service, placement));
        }
        Ok(attempt)
    }

    /// Where the task goes, if anywhere.
    fn place(&mut self, needs: &Resources, service: &'a Service) -> Option<usize> {
        let from = match self.full_until.get(&service.name) {
            Some((usual, until)) if usual == needs => *until,
            Some(_) | None => 0,
        };
        let found = self.places[from..].iter().position(|place| place.takes(needs, service)).map(|after| from + after);
        self.full_until.insert(&service.name, (needs.clone(), found.unwrap_or(self.places.len())));
        let place = &mut self.places[found?];
        place.cpu -= needs.cpu;
        place.memory -= needs.memory;
        place.gpus -= needs.gpus;
        place.interfaces = place.interfaces.map(|free| free - needs.interfaces);
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
        for (name, (_, until)) in &mut self.full_until {
            if self.services.get(*name).is_some_and(asks_for_groups) {
                *until = (*until).min(place);
            }
        }
    }

    fn undo(&mut self, attempt: Attempt<'a>) {
        let Attempt { left, tasks } = attempt;
        let mut touched = Vec::new();
        for (needs, service, placement) in tasks.iter().rev() {
            match placement {
                Placement::Moved(at) => {
                    let place = &mut self.places[*at];
                    place.cpu += needs.cpu;
                    place.memory += needs.memory;
                    place.gpus += needs.gpus;
                    place.interfaces = place.interfaces.map(|free| free + needs.interfaces);
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
        for (_, service, _) in &tasks {
            let Some((usual, until)) = self.full_until.get_mut(&service.name) else { continue };
            let again = touched.iter().filter(|at| self.places[**at].takes(usual, service)).min();
            *until = again.map_or(*until, |at| (*until).min(*at));
        }
    }

    fn can_do_without_one(&self, service: &Service) -> bool {
        let stopped = self.done_without.get(&service.name).copied().unwrap_or(0);
        // While tasks move, the leaving ones and their replacements both run.
        u64::from(service.running.min(service.desired)) > service.least_running() + stopped
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use proptest::strategy::Strategy as Draw;

    use super::*;
    use crate::planner::fixtures::{at, fleet, instance, service, task};

    /// What an instance has free, and the tasks on it: each is of one of two services, and of this size.
    fn instances() -> impl Draw<Value = Vec<(Resources, Vec<(bool, Resources)>)>> {
        let size = |most: i64| {
            (0..=most, 0..=most, proptest::collection::vec(80..82_u16, 0..2)).prop_map(|(cpu, memory, ports)| {
                Resources { cpu, memory, ports, gpus: memory % 2, ..Resources::default() }
            })
        };
        let tasks = proptest::collection::vec((any::<bool>(), size(3)), 0..4);
        proptest::collection::vec((size(6), tasks), 1..9)
    }

    proptest! {
        /// What a room remembers of its places only saves time: one that forgets it before each question says the same.
        #[test]
        fn what_is_remembered_changes_nothing(
            instances in instances(),
            constraint in proptest::option::of(proptest::sample::select(vec![
                "task:group == service:web",
                "not(task:group == service:web)",
            ])),
            acts in proptest::collection::vec((any::<bool>(), 0..9_usize), 1..30),
        ) {
            let names = ["web", "api"];
            let hosts = (0..).zip(instances).map(|(number, (free, tasks))| {
                let mut host = instance(number, None, at(0));
                host.remaining = free;
                let tasks = (0..).zip(tasks).map(|(index, (web, needs))| {
                    Task { needs, ..task(number * 10 + index, Some(names[usize::from(!web)])) }
                });
                host.tasks.as_mut().unwrap().tasks = tasks.collect();
                host
            });
            let mut api = service("api", 8, 50, 100);
            api.distinct_instance = true;
            api.member_of = constraint.into_iter().map(str::to_owned).collect();
            let fleet = fleet(hosts.collect(), vec![service("web", 8, 100, 200), api]);
            let (mut one, mut other) = (Room::bare(&fleet), Room::bare(&fleet));
            for (moves, number) in acts {
                let Some(leaving) = fleet.instances.values().nth(number) else { continue };
                let tasks = &leaving.tasks.as_ref().unwrap().tasks;
                other.full_until.clear();
                if moves {
                    prop_assert_eq!(one.move_off(&leaving.host, tasks), other.move_off(&leaving.host, tasks));
                } else {
                    prop_assert_eq!(one.would_take(&leaving.host, tasks), other.would_take(&leaving.host, tasks));
                }
                for (place, twin) in one.places.iter().zip(&other.places) {
                    prop_assert_eq!((place.cpu, place.memory, place.gpus), (twin.cpu, twin.memory, twin.gpus));
                    prop_assert_eq!((&place.ports, &place.promised), (&twin.ports, &twin.promised));
                }
            }
        }
    }
}
