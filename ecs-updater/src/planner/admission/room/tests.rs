//! What a room remembers.

use proptest::prelude::{any, prop_assert_eq, proptest};
use proptest::strategy::Strategy as Draw;

use super::*;
use crate::planner::fixtures::{at, fleet, instance, service, task};

/// What an instance has free, its capacity provider, and the tasks on it: each is of one of two services, and of this size.
type Drawn = (Resources, Option<&'static str>, Vec<(bool, Resources)>);

fn instances() -> impl Draw<Value = Vec<Drawn>> {
    let size =
        |most: i64| {
            (0..=most, 0..=most, proptest::collection::vec(80..82_u16, 0..2))
                .prop_map(|(cpu, memory, ports)| Resources { cpu, memory, ports })
        };
    let tasks = proptest::collection::vec((any::<bool>(), size(3)), 0..4);
    let provider = proptest::option::of(proptest::sample::select(vec!["a", "b"]));
    proptest::collection::vec((size(6), provider, tasks), 1..9)
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
        strategy in proptest::sample::subsequence(vec!["a", "b"], 0..=2),
        acts in proptest::collection::vec((any::<bool>(), 0..9_usize), 1..30),
    ) {
        let names = ["web", "api"];
        let hosts = (0..).zip(instances).map(|(number, (free, provider, tasks))| {
            let mut host = instance(number, None, at(0));
            (host.remaining, host.provider) = (free, provider.map(Into::into));
            let tasks = (0..).zip(tasks).map(|(index, (web, needs))| {
                Task { needs, ..task(number * 10 + index, Some(names[usize::from(!web)])) }
            });
            host.tasks.as_mut().unwrap().tasks = tasks.collect();
            host
        });
        let mut api = service("api", 8, 50, 100);
        api.distinct_instance = true;
        api.member_of = constraint.into_iter().map(str::to_owned).collect();
        let mut web = service("web", 8, 100, 200);
        web.providers = strategy.iter().copied().map(Into::into).collect();
        let fleet = fleet(hosts.collect(), vec![web, api]);
        let (mut one, mut other) = (Room::bare(&fleet), Room::bare(&fleet));
        for (moves, number) in acts {
            let Some(leaving) = fleet.instances.values().nth(number) else { continue };
            let tasks = &leaving.tasks.as_ref().unwrap().tasks;
            other.full_until.clear();
            if moves {
                prop_assert_eq!(one.move_off(leaving, tasks, None), other.move_off(leaving, tasks, None));
            } else {
                prop_assert_eq!(one.would_take(leaving, tasks, None), other.would_take(leaving, tasks, None));
            }
            for (place, twin) in one.places.iter().zip(&other.places) {
                prop_assert_eq!((place.cpu, place.memory), (twin.cpu, twin.memory));
                prop_assert_eq!((&place.ports, &place.promised), (&twin.ports, &twin.promised));
            }
        }
    }
}
