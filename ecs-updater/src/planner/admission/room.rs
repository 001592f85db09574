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
use super::moving::{Moving, moved_off, moving};
use super::outstanding::outstanding;
use super::place::{Place, TAKEN_OUT, asks_for_groups, meets_all};
use super::scale_out::ScaleOut;
use super::strategy;

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
    /// The deployments whose room is theirs.
    deployments: Option<Deployments<'a>>,
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
        let to_place = outstanding(fleet);
        room.deployments = Deployments::among(&to_place, &self.places);
        for moving in to_place {
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
        let attempt = self.try_off(leaving, tasks, scale_out)?;
        if let Some(deployments) = &mut self.deployments {
            deployments.moved(&leaving.host, moved_off(leaving, tasks, self.services));
        }
        Ok(attempt.launches)
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
        let all = moved_off(leaving, tasks, self.services);
        if let Some(why) = self.deployments.as_ref().and_then(|deployments| deployments.hold(&leaving.host, &all)) {
            return Err(why);
        }
        let mut attempt = Attempt::default();
        if let Ok(at) = self.places.binary_search_by(|place| place.instance.host.cmp(&leaving.host)) {
            // Nothing fits there any more; the list keeps its order.
            attempt.left = Some((at, std::mem::replace(&mut self.places[at].cpu, TAKEN_OUT)));
        }
        for moving in all {
            let Moving { needs, service, provider } = moving;
            let placement = match self.place(moving) {
                Some(at) => Placement::Moved(at),
                None if self.can_do_without_one(service) => {
                    *self.done_without.entry(&service.name).or_default() += 1;
                    Placement::Stopped
                }
                None if scale_out.is_some_and(|one| one.launches_for(needs, service, provider)) => {
                    attempt.launches += 1;
                    Placement::Unplaced
                }
                None => {
                    attempt.tasks.push((moving, Placement::Unplaced));
                    let words = missing::needs(&self.places, needs, service) + &strategy::words(service, provider);
                    let missing = missing::words(&self.places, moving);
                    self.undo(attempt);
                    let hold = HoldReason::NoRoom { service: service.name.to_string(), needs: words, missing };
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
}

#[cfg(test)]
mod tests;
