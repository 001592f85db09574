//! Managed scaling: tasks that wait, the metric and its alarms, launches, scale-ins and protection.

use super::*;

/// Packed hosts of one capacity provider, and tasks that fill one each.
fn packed(hosts: usize, tasks: usize, more: &str) -> String {
    format!(
        "[[instances]]\ncount = {hosts}\nzones = [\"a\", \"b\"]\nasg = \"workers\"\nprovider = \"own\"\n\
         [[service]]\nname = \"s\"\ndesired = {tasks}\ncpu = 2048\nstrategy = [{{ provider = \"own\" }}]\n{more}"
    )
}

fn waiting(world: &World) -> usize {
    world.services[ServiceNo(0)].waiting.len()
}

fn minutes(world: &mut World, minutes: i64) {
    for _ in 0..minutes {
        pass(world, 60);
    }
}

fn desired(world: &World) -> usize {
    world.size_of("workers").unwrap().desired
}

fn ended(world: &World) -> Vec<usize> {
    let is_ended = |machine: &Machine| machine.state != Ec2State::Running;
    world.machines.iter_with_ids().filter(|(_, machine)| is_ended(machine)).map(|(number, _)| number.0).collect()
}

#[test]
fn a_task_without_a_place_waits_until_an_instance_is_launched() {
    let mut world = world(&packed(2, 2, "[providers.own]\nmanaged_scaling = {}"));
    drain(&mut world, 0);
    pass(&mut world, 10);
    assert_eq!((waiting(&world), world.services[ServiceNo(0)].starved), (1, false));
    let took = drained_after(&mut world, 0, |world| assert!(healthy(world, 0) >= 2)).unwrap();
    // The metric within a minute, the boot in 150 s, then start and health of the task.
    assert!((180..330).contains(&took), "{took} s");
    assert_eq!((waiting(&world), desired(&world), world.machines.len()), (0, 3, 3));
    assert_eq!(world.machines[MachineNo(2)].zone, "eu-central-1a", "the zone with the fewest, or the first of them");
}

#[test]
fn a_task_waits_in_vain_where_nothing_can_be_launched() {
    let small = "[[instances]]\ncpu = 1024\nasg = \"workers\"\nprovider = \"own\"\n";
    let table = [
        ("nothing launches", packed(2, 2, "[groups.workers]\nmax_size = 2\n[providers.own]\nmanaged_scaling = {}")),
        ("not for its smallest type", packed(2, 2, &format!("{small}[providers.own]\nmanaged_scaling = {{}}"))),
    ];
    for (why, text) in table {
        let mut world = world(&text);
        drain(&mut world, 0);
        minutes(&mut world, 31);
        assert_eq!((waiting(&world) + world.never_started.len() > 0, ended(&world).is_empty()), (true, true), "{why}");
        let over = &world.never_started[0];
        let waited = over.at.duration_since(over.task.since);
        assert!((600..=1800).contains(&waited.as_secs()), "{why}: {waited:?}");
        let said = |text: &str| world.services[ServiceNo(0)].events.iter().any(|event| event.message.contains(text));
        assert!(said("unable to consistently start tasks"), "{why}");
        assert!(world.services[ServiceNo(0)].throttled_until.is_some());
    }
}

#[test]
fn without_managed_scaling_nothing_waits() {
    let mut world = world(&packed(2, 2, ""));
    drain(&mut world, 0);
    minutes(&mut world, 5);
    assert_eq!((waiting(&world), world.services[ServiceNo(0)].starved), (0, true));
}

#[test]
fn the_quota_refuses_or_says_nothing() {
    for says in [true, false] {
        let quota = format!("[region.managed_scaling]\nquota = 1\nquota_event = {says}\n");
        let spec = "[groups.workers]\nmax_size = 3\n[providers.own]\nmanaged_scaling = {}";
        let mut world = world(&format!("{quota}{}", packed(3, 3, spec)));
        drain(&mut world, 0);
        drain(&mut world, 1);
        minutes(&mut world, 3);
        assert_eq!((waiting(&world), world.services[ServiceNo(0)].starved), (1, true));
        let told = world.services[ServiceNo(0)].events.iter().any(|event| event.message.contains("unable to place"));
        assert_eq!(told, says);
    }
}

#[test]
fn fifteen_minutes_below_the_target_end_an_instance() {
    // Four hosts, one without anything to do; every quarter of an hour ends one.
    let mut world = world(&packed(4, 3, "[providers.own]\nmanaged_scaling = {}"));
    minutes(&mut world, 14);
    assert_eq!(desired(&world), 4);
    minutes(&mut world, 2);
    assert_eq!(desired(&world), 3);
    minutes(&mut world, 10);
    assert_eq!(ended(&world).len(), 1);
    minutes(&mut world, 60);
    assert_eq!((desired(&world), healthy(&world, 0)), (3, 3));
}

#[test]
fn a_target_below_100_keeps_an_empty_instance() {
    for (low_alarm_at, target, left) in [(100, 55, 20), (100, 60, 19), (90, 60, 20)] {
        let text = packed(20, 11, &format!("[providers.own]\nmanaged_scaling = {{ target = {target} }}"));
        let mut world = world(&format!("[region.managed_scaling]\nlow_alarm_at = {low_alarm_at}\n{text}"));
        minutes(&mut world, 40);
        assert_eq!(desired(&world), left, "target {target}, Low at {low_alarm_at} % of it");
    }
}

#[test]
fn bounds_and_suspended_processes_hold() {
    let table = [
        ("min_size = 4", 4, 0),
        ("suspended = [\"AlarmNotification\"]", 4, 0),
        ("suspended = [\"Terminate\"]", 3, 0),
        ("", 3, 1),
    ];
    for (group, left, gone) in table {
        let more = format!("[groups.workers]\n{group}\n[providers.own]\nmanaged_scaling = {{}}");
        let mut world = world(&packed(4, 3, &more));
        minutes(&mut world, 30);
        assert_eq!((desired(&world), ended(&world).len()), (left, gone), "{group}");
    }
}

#[test]
fn protection_leaves_only_the_empty_one() {
    let own = "[groups.workers]\ntermination_policy = \"NewestInstance\"\n\
               [providers.own]\nmanaged_scaling = {}\ntermination_protection = true";
    let mut world = world(&packed(4, 3, own));
    let is_empty = |host: &usize| tasks_on(&world, *host).is_empty();
    let empty = (0..4).find(is_empty).unwrap();
    minutes(&mut world, 30);
    assert_eq!(ended(&world), [empty]);
}

#[test]
fn a_drained_host_keeps_its_protection_by_a_switch() {
    for (switch, gone) in [("at-once", 1), ("cycle", 1), ("never", 0)] {
        let region = format!("[region.managed_scaling]\nunprotects_draining = \"{switch}\"\n");
        let own = "[providers.own]\nmanaged_scaling = { target = 70 }\ntermination_protection = true";
        let mut world = world(&format!("{region}{}", packed(4, 2, own)));
        let full: Vec<usize> = (0..4).filter(|host| !tasks_on(&world, *host).is_empty()).collect();
        drain(&mut world, full[0]);
        assert!(drained_after(&mut world, full[0], |_| {}).is_some());
        // What is empty besides takes no task, so that the only instances to end are DRAINING.
        for host in (0..4).filter(|host| tasks_on(&world, *host).is_empty()).collect::<Vec<_>>() {
            drain(&mut world, host);
        }
        minutes(&mut world, 40);
        assert_eq!(ended(&world).len().min(1), gone, "{switch}");
    }
}

#[test]
fn two_are_launched_from_nothing() {
    let mut world = world(&packed(1, 1, "[providers.own]\nmanaged_scaling = {}"));
    world.terminate(MachineNo(0));
    minutes(&mut world, 5);
    assert!(world.machines.len() >= 2, "{}", world.machines.len());
}

#[test]
fn a_warm_up_blocks_the_next_scale_out() {
    let mut world = world(&packed(4, 4, "[providers.own]\nmanaged_scaling = { maximum_step = 1, warm_up = \"10m\" }"));
    drain(&mut world, 0);
    drain(&mut world, 1);
    minutes(&mut world, 10);
    assert_eq!((desired(&world), waiting(&world)), (5, 1));
    minutes(&mut world, 10);
    assert_eq!((desired(&world), waiting(&world)), (6, 0));
}

#[test]
fn what_counts_is_a_switch() {
    // One of two hosts is drained and empty; it counts, or it does not.
    for (counts, gone) in [("[\"draining\"]", true), ("[]", false)] {
        let text = packed(2, 1, "[providers.own]\nmanaged_scaling = {}");
        let mut world = world(&format!("[region.managed_scaling]\ncounts = {counts}\n{text}"));
        let empty = (0..2).find(|host| tasks_on(&world, *host).is_empty()).unwrap();
        drain(&mut world, empty);
        minutes(&mut world, 25);
        assert_eq!(!ended(&world).is_empty(), gone, "{counts}");
    }
}
