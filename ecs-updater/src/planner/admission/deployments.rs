//! The room of deployments in progress. A service gives a deployment up after some starts that fail (ECS developer guide,
//! `deployment-circuit-breaker`), so that no drain takes the places of tasks that it has still to start. Where ECS puts the
//! tasks that a drain moves is not known: each could take such a place.

use models::fleet::Resources;
use models::ids::HostId;
use models::reason::HoldReason;

use super::missing;
use super::moving::Moving;
use super::place::Place;
use super::strategy;

/// The deployments that have tasks to start, and what could take their room.
#[derive(Debug, Clone)]
pub(super) struct Deployments<'a> {
    starts: Vec<Start<'a>>,
    /// The places with nothing promised, as they are once the tasks that stop are gone: a deployment may stop its old ones first.
    free: Vec<Place<'a>>,
    /// The tasks that are to be placed beside them.
    coming: Vec<Moving<'a>>,
}

/// The tasks of one service, size and capacity provider that it has still to start.
#[derive(Debug, Clone)]
struct Start<'a> {
    one: Moving<'a>,
    count: i64,
}

impl Start<'_> {
    fn is_of(&self, other: &Moving<'_>) -> bool {
        let Moving { needs, service, provider } = self.one;
        service.name == other.service.name && needs == other.needs && provider == other.provider
    }
}

impl<'a> Deployments<'a> {
    /// Returns those among what services have to place; `None` where none of them is a deployment's.
    pub(super) fn among(outstanding: &[Moving<'a>], free: &[Place<'a>]) -> Option<Self> {
        let mut starts: Vec<Start<'a>> = Vec::new();
        let mut coming = Vec::new();
        for moving in outstanding {
            if moving.service.deploying == 0 {
                coming.push(*moving);
                continue;
            }
            match starts.iter_mut().find(|start| start.is_of(moving)) {
                Some(start) => start.count += 1,
                None => starts.push(Start { one: *moving, count: 1 }),
            }
        }
        (!starts.is_empty()).then(|| Self { starts, free: free.iter().map(Place::settled).collect(), coming })
    }

    /// Returns the hold of an instance whose drain could take the room of one of them. One that has no room anyway loses none.
    pub(super) fn hold(&self, leaving: &HostId, moving: &[Moving<'_>]) -> Option<HoldReason> {
        self.starts.iter().find_map(|start| {
            let Moving { needs, service, .. } = start.one;
            let slots = |place: &Place<'_>| place.slots(start.one);
            // What stays with another capacity provider takes none of its places.
            let could_take = |one: &&Moving<'_>| {
                let allows = |place: &Place<'_>| strategy::allows(one.service, one.provider, place.instance);
                self.free.iter().any(|place| allows(place) && slots(place) > 0)
            };
            let now: i64 = self.free.iter().map(slots).sum();
            let there = self.free.iter().find(|place| place.instance.host == *leaving).map_or(0, slots);
            let moved = self.coming.iter().chain(moving).filter(could_take);
            let taken: i64 = moved.map(|moved| worth(moved.needs, needs)).sum();
            let takes_some = there > 0 || moving.iter().any(|one| could_take(&one));
            (now > 0 && takes_some && now - there - taken < start.count.min(now)).then(|| HoldReason::NoRoom {
                service: service.name.to_string(),
                needs: missing::needs(&self.free, needs, service) + &strategy::words(service, start.one.provider),
                missing: format!(
                    "the tasks of this instance could take the place of {} that its deployment has still to start: this \
                     instance waits for the deployment",
                    start.count
                ),
            })
        })
    }

    /// Records that an instance is drained.
    pub(super) fn moved(&mut self, leaving: &HostId, moving: Vec<Moving<'a>>) {
        self.free.retain(|place| place.instance.host != *leaving);
        self.coming.extend(moving);
    }
}

/// How many places of a size a task takes at most, wherever it goes.
fn worth(task: &Resources, size: &Resources) -> i64 {
    let parts =
        [(task.cpu, size.cpu), (task.memory, size.memory), (task.gpus, size.gpus), (task.interfaces, size.interfaces)];
    let of_one = |(task, size): (i64, i64)| if size > 0 { (task + size - 1) / size } else { 0 };
    parts.into_iter().map(of_one).max().unwrap_or(0).max(1)
}

impl Place<'_> {
    /// How many tasks of the service fit here.
    fn slots(&self, start: Moving<'_>) -> i64 {
        if !self.takes(start) {
            return 0;
        }
        let Moving { needs, service, .. } = start;
        let interfaces = self.interfaces.unwrap_or(i64::MAX);
        let parts = [
            (self.cpu, needs.cpu),
            (self.memory, needs.memory),
            (self.gpus, needs.gpus),
            (interfaces, needs.interfaces),
        ];
        let most =
            if service.distinct_instance || !needs.ports.is_empty() { 1 } else { i64::from(service.desired.max(1)) };
        let fitting = parts.into_iter().filter(|(_, size)| *size > 0).map(|(free, size)| free / size);
        fitting.min().unwrap_or(most).min(most)
    }
}

#[cfg(test)]
mod tests {
    use models::fleet::Service;

    use super::*;
    use crate::planner::fixtures::{at, fleet, instance, service};

    fn start<'a>(service: &'a Service, needs: &'a Resources) -> Moving<'a> {
        Moving { needs, service, provider: None }
    }

    #[test]
    fn a_drain_leaves_the_places_of_a_deployment() {
        let size = |cpu| Resources { cpu, memory: 100, ..Resources::default() };
        let (web, api) = (Service { deploying: 1, ..service("web", 2, 0, 100) }, service("api", 4, 100, 200));
        // Free CPU of the instances, what one task moves, and whether the first may go.
        let table: [(&str, &[i64], Option<i64>, bool); 7] = [
            ("one place, and a task that could take it", &[0, 1_000, 500], Some(500), false),
            ("two places, and one task", &[0, 1_000, 1_000], Some(500), true),
            ("one task that is worth two", &[0, 1_000, 1_000], Some(2_000), false),
            ("no task moves", &[0, 1_000, 0], None, true),
            ("the instance itself is the place", &[1_000, 0, 0], None, false),
            ("the instance is one of two places", &[1_000, 1_000, 0], None, true),
            ("there is no room anyway", &[0, 500, 500], Some(500), true),
        ];
        for (name, free, moves, may_go) in table {
            let hosts = (0..).zip(free).map(|(number, cpu)| {
                let mut host = instance(number, None, at(0));
                host.registered = Resources { cpu: *cpu, memory: 10_000, ..Resources::default() };
                host.remaining = Resources { cpu: *cpu, memory: 10_000, ..Resources::default() };
                host
            });
            let fleet = fleet(hosts.collect(), vec![web.clone(), api.clone()]);
            let places: Vec<Place<'_>> = fleet.instances.values().map(|one| Place::of(one, &fleet, false)).collect();
            let needs = size(1_000);
            let deployments = Deployments::among(&[start(&web, &needs)], &places).unwrap();
            let moves: Vec<Resources> = moves.into_iter().map(size).collect();
            let moving: Vec<Moving<'_>> = moves.iter().map(|needs| start(&api, needs)).collect();
            let leaving = fleet.instances.keys().next().unwrap();
            assert_eq!(deployments.hold(leaving, &moving).is_none(), may_go, "{name}");
        }
        assert!(Deployments::among(&[start(&api, &size(1))], &[]).is_none());
    }

    #[test]
    fn what_stays_with_another_provider_takes_no_place_of_a_deployment() {
        let needs = Resources { cpu: 1_000, memory: 100, ..Resources::default() };
        let of = |provider: &str, service| Service { providers: [provider.into()].into(), ..service };
        let web = of("a", Service { deploying: 1, ..service("web", 2, 0, 100) });
        let api = of("b", service("api", 4, 100, 200));
        for (provider, may_go) in [("a", false), ("b", true)] {
            let hosts = ["b", "a", "b"].into_iter().zip(0..).map(|(provider, number)| {
                let mut host = instance(number, None, at(0));
                host.provider = Some(provider.into());
                host.registered = Resources { cpu: 1_000, memory: 10_000, ..Resources::default() };
                host.remaining = host.registered.clone();
                host
            });
            let api = of(provider, api.clone());
            let fleet = fleet(hosts.collect(), vec![web.clone(), api.clone()]);
            let places: Vec<Place<'_>> = fleet.instances.values().map(|one| Place::of(one, &fleet, false)).collect();
            let deployments = Deployments::among(&[start(&web, &needs)], &places).unwrap();
            let leaving = fleet.instances.keys().next().unwrap();
            assert_eq!(deployments.hold(leaving, &[start(&api, &needs)]).is_none(), may_go, "{provider}");
        }
    }
}
