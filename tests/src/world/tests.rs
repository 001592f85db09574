//! The scheduler and the hosts, driven by hand: each rule of draining, and what ECS sees of a reboot.

mod providers;
mod scaling;

use jiff::SignedDuration;

use super::*;

fn world(text: &str) -> World {
    let scenario = crate::Scenario::parse(text).unwrap_or_else(|error| panic!("{error}"));
    World::new(&scenario).unwrap()
}

fn pass(world: &mut World, seconds: i64) {
    let now = world.now() + SignedDuration::from_secs(seconds);
    world.advance(now);
}

fn set(world: &mut World, host: usize, to: InstanceStatus) {
    let number = world.machines[MachineNo(host)].registration.unwrap();
    world.set_status(number, to, Actor::Person);
}

fn drain(world: &mut World, host: usize) {
    set(world, host, InstanceStatus::Draining);
}

fn registration(world: &World, host: usize) -> &Registration {
    world.registration_of(MachineNo(host)).unwrap()
}

fn tasks_on(world: &World, host: usize) -> Vec<&Task> {
    registration(world, host).tasks.iter().map(|task| &world.tasks[*task]).collect()
}

fn healthy(world: &World, service: usize) -> usize {
    world.services[ServiceNo(service)].tasks.iter().filter(|task| world.tasks[**task].is_healthy(world.now)).count()
}

/// Seconds until nothing is left on the host, watching each second; `None` after two hours.
fn drained_after(world: &mut World, host: usize, mut watch: impl FnMut(&World)) -> Option<i64> {
    (0..7200).find(|_| {
        pass(world, 1);
        watch(world);
        tasks_on(world, host).is_empty()
    })
}

fn fleet(hosts: usize, services: &str) -> String {
    format!("[[instances]]\ncount = {hosts}\nzones = [\"a\", \"b\"]\n{services}")
}

#[test]
fn min_100_stops_a_task_only_after_its_replacement_is_healthy() {
    let mut world = world(&fleet(3, "[[service]]\nname = \"s\"\ndesired = 3\nstop_time = \"10s\""));
    assert_eq!(tasks_on(&world, 0).len(), 1, "spread over instances");
    drain(&mut world, 0);
    let took = drained_after(&mut world, 0, |world| assert!(healthy(world, 0) >= 3)).unwrap();
    // Start 5 s, healthy 40 s, stop 10 s, and the scheduler's own looks.
    assert!((55..75).contains(&took), "{took} s");
    assert_eq!(world.services[ServiceNo(0)].tasks.len(), 3);
}

#[test]
fn a_service_whose_tasks_are_to_leave_is_not_steady() {
    let is_steady = |world: &World| world.services[ServiceNo(0)].steady;
    let last_word = |world: &World| world.services[ServiceNo(0)].events[0].message.clone();
    for (hosts, max_percent) in [(1, 200), (2, 100)] {
        let service = format!("[[service]]\nname = \"s\"\ndesired = {hosts}\nmax_percent = {max_percent}");
        let mut world = world(&fleet(hosts, &service));
        for host in 0..hosts {
            drain(&mut world, host);
        }
        pass(&mut world, 600);
        assert_eq!((healthy(&world, 0), is_steady(&world)), (hosts, false), "{hosts} hosts: no room elsewhere");
        for host in 0..hosts {
            set(&mut world, host, InstanceStatus::Active);
        }
        pass(&mut world, 10);
        assert!(is_steady(&world));
        assert_eq!(last_word(&world), "(service s) has reached a steady state.");
    }
}

#[test]
fn max_100_starts_no_replacement_until_one_has_stopped() {
    let service = "[[service]]\nname = \"s\"\ndesired = 4\nmin_percent = 50\nmax_percent = 100\nstop_time = \"20s\"";
    let mut world = world(&fleet(4, service));
    drain(&mut world, 0);
    let took = drained_after(&mut world, 0, |world| assert!(world.services[ServiceNo(0)].tasks.len() <= 4)).unwrap();
    assert!(took < 40, "{took} s: nothing to wait for before the stop");
    pass(&mut world, 60);
    assert_eq!(healthy(&world, 0), 4);
}

#[test]
fn percentages_are_rounded_against_the_drain() {
    let service = "[[service]]\nname = \"s\"\ndesired = 3\nmin_percent = 50\nmax_percent = 150";
    let world = world(&fleet(3, service));
    assert_eq!(world.services[ServiceNo(0)].min_healthy(), 2, "1.5 rounded up");
    assert_eq!(world.services[ServiceNo(0)].max_total(), 4, "4.5 rounded down");
}

#[test]
fn drains_that_never_end() {
    for (desired, min, max) in [(3, 100, 100), (1, 100, 199), (1, 1, 150), (1, 50, 100)] {
        let service =
            format!("[[service]]\nname = \"s\"\ndesired = {desired}\nmin_percent = {min}\nmax_percent = {max}");
        let mut world = world(&fleet(3, &service));
        let host = (0..3).find(|host| !tasks_on(&world, *host).is_empty()).unwrap();
        drain(&mut world, host);
        assert_eq!(drained_after(&mut world, host, |_| {}), None, "{desired} tasks at {min}/{max}");
    }
}

#[test]
fn drains_that_do_end() {
    for (desired, min, max) in [(1, 0, 100), (1, 100, 200), (2, 100, 150), (4, 75, 100), (3, 66, 100)] {
        let service =
            format!("[[service]]\nname = \"s\"\ndesired = {desired}\nmin_percent = {min}\nmax_percent = {max}");
        let mut world = world(&fleet(4, &service));
        let host = (0..4).find(|host| !tasks_on(&world, *host).is_empty()).unwrap();
        drain(&mut world, host);
        assert!(drained_after(&mut world, host, |_| {}).is_some(), "{desired} tasks at {min}/{max}");
    }
}

#[test]
fn without_room_the_drain_waits_and_the_service_says_so() {
    let mut world = world(&fleet(2, "[[service]]\nname = \"s\"\ndesired = 2\ncpu = 2048"));
    drain(&mut world, 0);
    assert_eq!(drained_after(&mut world, 0, |_| {}), None);
    let unable = |world: &World| {
        world.services[ServiceNo(0)]
            .events
            .iter()
            .filter(|event| event.message.contains("unable to place a task"))
            .count()
    };
    assert_eq!(unable(&world), 1, "said once, not at every look");
    world.services[ServiceNo(0)].shape.cpu = 0;
    set(&mut world, 0, InstanceStatus::Active);
    pass(&mut world, 60);
    drain(&mut world, 0);
    assert!(drained_after(&mut world, 0, |_| {}).is_some(), "room appeared");
}

#[test]
fn ports_and_distinct_instances_limit_the_room() {
    for limit in ["host_port = 8080", "distinct_instance = true"] {
        let mut world = world(&fleet(2, &format!("[[service]]\nname = \"s\"\ndesired = 2\n{limit}")));
        assert!((0..2).all(|host| tasks_on(&world, host).len() == 1), "{limit}");
        drain(&mut world, 0);
        assert_eq!(drained_after(&mut world, 0, |_| {}), None, "{limit}");
    }
}

#[test]
fn pending_tasks_are_stopped_at_once() {
    let mut world = world(&fleet(2, "[[service]]\nname = \"s\"\ndesired = 2\nstart_delay = \"10m\""));
    drain(&mut world, 0);
    pass(&mut world, 5);
    let pending: Vec<usize> =
        (0..2).filter(|host| tasks_on(&world, *host).iter().any(|task| task.last == LastStatus::Pending)).collect();
    assert_eq!(pending, [1], "the replacement starts on the other host");
    drain(&mut world, 1);
    pass(&mut world, 5);
    assert!(tasks_on(&world, 1).iter().all(|task| task.last != LastStatus::Pending));
}

#[test]
fn daemons_are_stopped_last_and_come_back() {
    let services = "[[service]]\nname = \"s\"\ndesired = 2\n[[service]]\nname = \"log\"\nkind = \"DAEMON\"";
    let mut world = world(&fleet(2, services));
    assert!((0..2).all(|host| tasks_on(&world, host).len() == 2));
    drain(&mut world, 0);
    drained_after(&mut world, 0, |world| {
        let left = tasks_on(world, 0);
        let daemon_stops = left.iter().any(|task| task.family == "log" && task.desired == Desired::Stopped);
        let replica_left = left.iter().any(|task| task.family == "s");
        assert!(!(daemon_stops && replica_left), "the daemon waits for the replicas");
    })
    .unwrap();
    pass(&mut world, 600);
    assert!(tasks_on(&world, 0).is_empty(), "no daemon is placed on a DRAINING instance");
    set(&mut world, 0, InstanceStatus::Active);
    pass(&mut world, 60);
    assert_eq!(tasks_on(&world, 0).iter().filter(|task| task.family == "log").count(), 1);
}

#[test]
fn standalone_tasks_are_left_alone_and_may_end_by_themselves() {
    let mut world = world(&fleet(1, "[[task]]\nfamily = \"batch\"\nhost = 0\nends_at = \"30m\""));
    assert_eq!(tasks_on(&world, 0)[0].group, "family:batch");
    drain(&mut world, 0);
    pass(&mut world, 29 * 60);
    assert_eq!(tasks_on(&world, 0)[0].last, LastStatus::Running);
    let took = drained_after(&mut world, 0, |_| {}).unwrap();
    assert!(took < 90, "{took} s");
}

#[test]
fn a_task_can_be_started_by_the_name_of_its_instance() {
    let start = "[[event]]\nat = \"1m\"\ndo = \"start_task\"\nhost = 0\nfor = \"5m\"";
    let draining = "[[host]]\nindex = 0\ndraining = true";
    let cases = [("", "", 1), (draining, "", 1), (draining, "start_task_on_draining = false", 0)];
    for (host, switch, there) in cases {
        let text = format!("[region]\n{switch}\n{}", fleet(1, &format!("{host}\n{start}")));
        let mut world = world(&text);
        pass(&mut world, 90);
        let tasks = tasks_on(&world, 0);
        assert_eq!(tasks.iter().filter(|task| task.last == LastStatus::Running).count(), there, "{host} {switch}");
        assert!(tasks.iter().all(|task| task.group == "family:by-hand" && task.service.is_none()));
        pass(&mut world, 6 * 60);
        assert!(tasks_on(&world, 0).is_empty());
    }
}

#[test]
fn a_task_that_no_agent_has_heard_of_outlasts_a_reboot() {
    let event = |at: &str, what: &str| format!("[[event]]\nat = \"{at}\"\nhost = 0\n{what}\n");
    let dies = event("5s", "do = \"set\"\nset = { agent_dead_on = [\"1.26.1\"] }");
    let starts = event("10s", "do = \"start_task\"");
    let reboots = event("60s", "do = \"reboot\"");
    let comes_back = event("62s", "do = \"set\"\nset = { agent_dead_on = [] }");
    let mut world = world(&fleet(1, &format!("{dies}{starts}{reboots}{comes_back}")));
    pass(&mut world, 50);
    assert_eq!(tasks_on(&world, 0)[0].last, LastStatus::Pending, "the agent is dead, which ECS does not know yet");
    assert!(!tasks_on(&world, 0)[0].heard_of);
    pass(&mut world, 300);
    assert_eq!(tasks_on(&world, 0)[0].last, LastStatus::Running);
}

#[test]
fn protection_is_a_switch() {
    let protect = "protected = 2\nprotected_for = \"1h\"";
    for (honoured, ends) in [(false, true), (true, false)] {
        let service = format!("[[service]]\nname = \"s\"\ndesired = 2\n{protect}");
        let text = format!("[region]\ndrain_honours_protection = {honoured}\n{}", fleet(3, &service));
        let mut world = world(&text);
        let host = (0..3).find(|host| !tasks_on(&world, *host).is_empty()).unwrap();
        drain(&mut world, host);
        pass(&mut world, 1800);
        assert_eq!(tasks_on(&world, host).is_empty(), ends, "honoured: {honoured}");
    }
}

#[test]
fn a_drain_that_honours_protection_goes_on_when_it_ends() {
    for (kind, left) in [("desired = 3", 3), ("kind = \"DAEMON\"", 2)] {
        let service = format!("[[service]]\nname = \"s\"\n{kind}");
        let protect = "[[event]]\nat = \"1s\"\ndo = \"protect\"\nservice = \"s\"\nfor = \"1h\"";
        let text = format!("[region]\ndrain_honours_protection = true\n{}\n{protect}", fleet(3, &service));
        let mut world = world(&text);
        pass(&mut world, 2);
        drain(&mut world, 0);
        let took = drained_after(&mut world, 0, |_| {}).unwrap();
        assert!((3590..3700).contains(&took), "{kind}: {took} s");
        pass(&mut world, 120);
        assert_eq!(world.services[ServiceNo(0)].tasks.len(), left, "{kind}: nothing too much, nothing missing");
    }
}

#[test]
fn a_drain_that_is_taken_back_leaves_no_surplus() {
    let mut world = world(&fleet(3, "[[service]]\nname = \"s\"\ndesired = 3"));
    drain(&mut world, 0);
    pass(&mut world, 20);
    assert_eq!(world.services[ServiceNo(0)].tasks.len(), 4);
    set(&mut world, 0, InstanceStatus::Active);
    pass(&mut world, 120);
    assert_eq!(world.services[ServiceNo(0)].tasks.len(), 3);
    assert_eq!(healthy(&world, 0), 3);
}

#[test]
fn a_stop_passes_through_its_steps_and_stays_visible() {
    let service = "[[service]]\nname = \"s\"\nmin_percent = 0\nderegistration_delay = \"20s\"\nstop_time = \"50s\"";
    let mut world = world(&fleet(1, service));
    drain(&mut world, 0);
    let mut seen = Vec::new();
    let task = TaskNo(0);
    for _ in 0..80 {
        pass(&mut world, 1);
        let last = world.tasks[task].last;
        if seen.last() != Some(&last) {
            seen.push(last);
        }
        assert!(world.running_tasks(world.tasks[task].registration) == 0 || last == LastStatus::Running);
    }
    use LastStatus::{Deactivating, Deprovisioning, Running, Stopped, Stopping};
    assert_eq!(seen, [Running, Deactivating, Stopping, Deprovisioning, Stopped]);
    let stopped = world.tasks[task].stopped_at.unwrap();
    let began = world.tasks[task].stopping_at.unwrap();
    assert_eq!(stopped.duration_since(began).as_secs(), 20 + 30 + 1, "killed after the stop time-out of 30 s");
    pass(&mut world, 3500);
    assert!(world.is_visible(task));
    pass(&mut world, 200);
    assert!(!world.is_visible(task));
}

#[test]
fn a_quick_reboot_never_shows_and_its_tasks_die() {
    let mut world = world(&fleet(2, "[[service]]\nname = \"s\"\ndesired = 2"));
    world.reset(MachineNo(0));
    for _ in 0..75 {
        pass(&mut world, 1);
        assert!(registration(&world, 0).connected);
        assert_eq!(tasks_on(&world, 0).len(), 1, "ECS learns of it when the agent is back");
    }
    let killed = |entry: &&Entry| matches!(entry.event, Event::Task { change: TaskChange::KilledByReboot, .. });
    assert_eq!(world.log().iter().filter(killed).count(), 1);
    pass(&mut world, 120);
    assert!(registration(&world, 0).connected);
    assert_eq!(world.services[ServiceNo(0)].tasks.len(), 2);
    assert_eq!(healthy(&world, 0), 2);
}

#[test]
fn an_agent_that_stays_away_is_noticed_late_and_its_tasks_stay() {
    let hosts = "agent_dead_on = [\"1.26.1\"]";
    let mut world = world("[[instances]]\ncount = 2\n[[service]]\nname = \"s\"\ndesired = 2");
    world.machines[MachineNo(0)].host.spec_mut().agent_dead_on = vec![semver::Version::new(1, 26, 1)];
    world.reset(MachineNo(0));
    pass(&mut world, 170);
    assert!(registration(&world, 0).connected, "{hosts}");
    pass(&mut world, 60);
    assert!(!registration(&world, 0).connected);
    assert!(world.clusters[ClusterNo(0)].out_of_service.contains_key(&MachineNo(0)));
    pass(&mut world, 3600);
    assert_eq!(tasks_on(&world, 0)[0].desired, Desired::Running, "not rescheduled at once");
}

#[test]
fn the_status_check_is_stale_for_a_while() {
    let mut world = world("[[instances]]\nnever_boots_on = [\"1.26.1\"]");
    world.reset(MachineNo(0));
    let check = |world: &World| world.machines[MachineNo(0)].status_check(world.now, &world.spec);
    pass(&mut world, 100);
    assert_eq!(check(&world), StatusCheck::Ok);
    pass(&mut world, 30);
    assert_eq!(check(&world), StatusCheck::Impaired);
    assert_eq!(world.machines[MachineNo(0)].state, Ec2State::Running);
}

#[test]
fn the_status_checks_begin_after_a_start_and_not_after_a_reboot() {
    let mut world = world("[[instances]]");
    let check = |world: &World| world.machines[MachineNo(0)].status_check(world.now, &world.spec);
    assert_eq!(check(&world), StatusCheck::Ok);
    world.reset(MachineNo(0));
    pass(&mut world, 100);
    assert_eq!(check(&world), StatusCheck::Ok, "an OS boot is no start");
    world.stop_instance(MachineNo(0));
    pass(&mut world, 60);
    world.start_instance(MachineNo(0));
    assert_eq!(check(&world), StatusCheck::Initializing);
    pass(&mut world, 120);
    assert_eq!(check(&world), StatusCheck::Ok);
}

#[test]
fn a_terminated_instance_is_deregistered_only_if_its_agent_was_connected() {
    let mut world =
        world("[[instances]]\ncount = 2\n[[host]]\nindex = 1\nconnected = false\n[[service]]\nname = \"s\"");
    world.terminate(MachineNo(0));
    world.terminate(MachineNo(1));
    pass(&mut world, 60);
    assert_eq!(registration(&world, 0).status, InstanceStatus::Inactive);
    assert!(tasks_on(&world, 0).is_empty());
    assert_eq!(registration(&world, 1).status, InstanceStatus::Active);
    assert!(!registration(&world, 1).connected);
    assert_eq!(world.machines[MachineNo(0)].state, Ec2State::Terminated);
}

#[test]
fn a_stopped_instance_looks_connected_for_minutes_and_takes_tasks() {
    let text = fleet(2, "[[service]]\nname = \"s\"\ndesired = 2\nmax_percent = 200");
    let mut world = world(&format!("{text}\n[[event]]\nat = \"30s\"\ndo = \"scale\"\nservice = \"s\"\ncount = 6"));
    world.stop_instance(MachineNo(0));
    pass(&mut world, 60);
    assert_eq!(world.machines[MachineNo(0)].state, Ec2State::Stopped);
    assert!(registration(&world, 0).connected);
    assert!(tasks_on(&world, 0).iter().any(|task| task.last == LastStatus::Pending), "placed on a machine that is off");
    pass(&mut world, 300);
    assert_eq!((registration(&world, 0).status, registration(&world, 0).connected), (InstanceStatus::Active, false));
    pass(&mut world, 3600);
    assert_eq!(registration(&world, 0).status, InstanceStatus::Active, "nobody deregisters it");
}

#[test]
fn after_a_rollback_the_agent_can_come_back_under_a_new_arn() {
    let mut world = world(
        "[repository]\nversions = [\"1.26.1\"]\n[[instances]]\nversion = \"1.27.0\"\nprevious_version = \"1.26.1\"\n\
         new_arn_after_rollback = true",
    );
    let before = registration(&world, 0).arn.clone();
    world.machines[MachineNo(0)].host.signpost_rollback_to_inactive().unwrap();
    world.reset(MachineNo(0));
    pass(&mut world, 300);
    let after = registration(&world, 0);
    assert_ne!(after.arn, before);
    assert!(after.connected && after.status == InstanceStatus::Active);
    assert_eq!(world.clusters[ClusterNo(0)].registrations.len(), 2, "the old one stays behind");
    assert!(world.is_in_service(MachineNo(0)));
}

#[test]
fn whether_draining_survives_is_a_switch() {
    for survives in [true, false] {
        let text = format!("[region]\ndraining_survives = {survives}\n[[instances]]\ncount = 1");
        let mut world = world(&text);
        drain(&mut world, 0);
        world.reset(MachineNo(0));
        pass(&mut world, 300);
        assert_eq!(registration(&world, 0).status == InstanceStatus::Draining, survives);
    }
}

#[test]
fn connections_break_in_normal_life() {
    let mut world = world("[region]\nagent_flap_every = \"15m\"\n[[instances]]\ncount = 1");
    pass(&mut world, 3600);
    let breaks = |entry: &&Entry| {
        matches!(entry.event, Event::Instance { change: InstanceChange::Connection { connected: false }, .. })
    };
    assert_eq!(world.log().iter().filter(breaks).count(), 4);
    pass(&mut world, 10);
    assert!(registration(&world, 0).connected);
}

#[test]
fn events_wait_for_a_time_or_a_point() {
    let text = "[[instances]]\ncount = 2\n\
        [[event]]\nat = \"10m\"\ndo = \"drain\"\nhost = 0\n\
        [[event]]\nwhen = { host = 0, is = \"draining\" }\nafter = \"1m\"\ndo = \"activate\"\nhost = 0\n\
        [[event]]\nwhen = { is = \"active\" }\ndo = \"terminate\"\nhost = 1";
    let mut world = world(text);
    pass(&mut world, 599);
    assert_eq!(registration(&world, 0).status, InstanceStatus::Active);
    pass(&mut world, 2);
    assert_eq!(registration(&world, 0).status, InstanceStatus::Draining);
    assert!(registration(&world, 0).foreign_drain);
    pass(&mut world, 60);
    assert_eq!(registration(&world, 0).status, InstanceStatus::Active);
    assert_eq!(world.machines[MachineNo(1)].state, Ec2State::ShuttingDown);
}

#[test]
fn one_seed_one_run() {
    let run = |seed: u32| {
        let text = format!("seed = {seed}\n{}", fleet(5, "[[service]]\nname = \"s\"\ndesired = 9"));
        let mut world = world(&text);
        drain(&mut world, 0);
        world.reset(MachineNo(1));
        pass(&mut world, 600);
        world.log().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_thousand_instances_are_quick() {
    let services = "[[service]]\nname = \"a\"\ndesired = 2000\n[[service]]\nname = \"log\"\nkind = \"DAEMON\"";
    let began = std::time::Instant::now();
    let mut world = world(&fleet(1000, services));
    for host in 0..50 {
        drain(&mut world, host);
        pass(&mut world, 30);
    }
    pass(&mut world, 3600);
    assert!((0..50).all(|host| tasks_on(&world, host).is_empty()));
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 48, ..Default::default() })]

    /// Whatever people drain and take back, a service keeps its percentages.
    #[test]
    fn percentages_hold_in_any_order_of_drains(
        desired in 1_u32..7,
        min in 0_u32..=100,
        max in 100_u32..=200,
        ports in proptest::bool::ANY,
        steps in proptest::collection::vec((0_usize..4, proptest::bool::ANY, 1_i64..120), 1..12),
    ) {
        let port = if ports { "host_port = 8080" } else { "" };
        let service = format!(
            "[[service]]\nname = \"s\"\ndesired = {desired}\nmin_percent = {min}\nmax_percent = {max}\n{port}"
        );
        let mut world = world(&fleet(4, &service));
        let placed = world.services[ServiceNo(0)].tasks.len();
        let least = usize::try_from(world.services[ServiceNo(0)].min_healthy()).unwrap().min(placed);
        let most = usize::try_from(world.services[ServiceNo(0)].max_total()).unwrap();
        for (host, drains, seconds) in steps {
            set(&mut world, host, if drains { InstanceStatus::Draining } else { InstanceStatus::Active });
            for _ in 0..seconds {
                pass(&mut world, 1);
                proptest::prop_assert!(healthy(&world, 0) >= least);
                proptest::prop_assert!(world.services[ServiceNo(0)].tasks.len() <= most.max(placed));
            }
        }
        for host in 0..4 {
            set(&mut world, host, InstanceStatus::Active);
        }
        pass(&mut world, 600);
        proptest::prop_assert_eq!(healthy(&world, 0), placed);
        for registration in &world.registrations {
            let cpu: u32 = registration.tasks.iter().map(|task| world.tasks[*task].shape.cpu).sum();
            proptest::prop_assert_eq!(registration.used.cpu, cpu);
        }
    }
}
