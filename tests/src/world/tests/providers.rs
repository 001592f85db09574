//! Capacity provider strategies.

use super::*;

const TWO: &str = "[[instances]]\ncount = 2\nasg = \"a\"\nprovider = \"a\"\n\
                   [[instances]]\ncount = 2\nasg = \"b\"\nprovider = \"b\"\n\
                   [[instances]]\ncount = 2\nasg = \"b\"\n";

/// The tasks of the first service on each host.
fn spread(world: &World) -> Vec<usize> {
    let own = |host| tasks_on(world, host).into_iter().filter(|task| task.service == Some(ServiceNo(0))).count();
    (0..6).map(own).collect()
}

#[test]
fn a_strategy_shares_tasks_by_base_and_weight() {
    let table = [
        ("[{ provider = \"a\" }]", 4, [2, 2, 0, 0, 0, 0]),
        ("[{ provider = \"a\", base = 2 }, { provider = \"b\", weight = 3 }]", 6, [2, 1, 2, 1, 0, 0]),
        ("[{ provider = \"a\", base = 1, weight = 0 }, { provider = \"b\" }]", 4, [1, 0, 2, 1, 0, 0]),
        ("[{ provider = \"a\" }, { provider = \"b\" }]", 3, [1, 1, 1, 0, 0, 0]),
        ("[]", 6, [1, 1, 1, 1, 1, 1]),
    ];
    for (strategy, desired, expected) in table {
        let service = format!("[[service]]\nname = \"s\"\ndesired = {desired}\nstrategy = {strategy}");
        assert_eq!(spread(&world(&format!("{TWO}{service}"))), expected, "{strategy}");
    }
}

#[test]
fn room_at_another_provider_does_not_help() {
    let service = "[[service]]\nname = \"s\"\ndesired = 2\ncpu = 2048\n\
                   strategy = [{ provider = \"a\" }, { provider = \"b\" }]";
    for (counts_leaving, goes_to) in [(false, Some(1)), (true, Some(1))] {
        let mut world = world(&format!("[region]\nstrategy_counts_leaving = {counts_leaving}\n{TWO}{service}"));
        drain(&mut world, 0);
        assert!(drained_after(&mut world, 0, |_| {}).is_some());
        let to = (1..6).find(|host| *host != 2 && !tasks_on(&world, *host).is_empty());
        assert_eq!(to, goes_to, "counts leaving: {counts_leaving}");
        // Its provider has no room left: neither the other one's nor that of no provider is taken.
        drain(&mut world, 1);
        assert_eq!(drained_after(&mut world, 1, |_| {}), None);
        assert!(world.services[ServiceNo(0)].starved);
        let other = [3, 4, 5].map(|host| tasks_on(&world, host).len());
        assert_eq!(other, [0, 0, 0]);
    }
}

#[test]
fn what_leaves_counts_by_a_switch() {
    let service = "[[service]]\nname = \"s\"\ndesired = 1\nstrategy = [{ provider = \"a\" }, { provider = \"b\" }]";
    for (counts_leaving, goes_to) in [(false, 1), (true, 2)] {
        let mut world = world(&format!("[region]\nstrategy_counts_leaving = {counts_leaving}\n{TWO}{service}"));
        drain(&mut world, 0);
        assert!(drained_after(&mut world, 0, |_| {}).is_some());
        assert_eq!(tasks_on(&world, goes_to).len(), 1, "counts leaving: {counts_leaving}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |text: &str| crate::Scenario::parse(text).unwrap_err().to_string();
    let service = |strategy: &str| format!("{TWO}[[service]]\nname = \"s\"\nstrategy = {strategy}");
    let table = [
        (service("[{ provider = \"c\" }]"), "service s: its strategy names a capacity provider"),
        (
            service("[{ provider = \"a\", weight = 0 }]"),
            "service s: one capacity provider of a strategy must have a weight",
        ),
        (
            service("[{ provider = \"a\", base = 1 }, { provider = \"b\", base = 1 }]"),
            "service s: only one capacity provider of a strategy can have a base",
        ),
        (
            format!("{TWO}[[service]]\nname = \"s\"\nkind = \"DAEMON\"\nstrategy = []"),
            "service s: a strategy is for REPLICA services",
        ),
        (format!("{TWO}[providers.a]\ngroup = \"b\""), "capacity provider a: its machines must be in its"),
        (format!("{TWO}[providers.a]\ntermination_protection = true"), "capacity provider a: managed termination"),
    ];
    for (text, expected) in table {
        let said = refused(&text);
        assert!(said.starts_with(expected), "{said}");
    }
}
