//! Tasks with a network interface of their own.

use super::*;

/// A staged instance of a type with three interfaces, with so many tasks that have one.
fn with_tasks(number: u32, tasks: u32, now: Timestamp) -> Instance {
    let mut one = instance(number, Some(staged()), now);
    one.attributes = attributes(&[("ecs.instance-type", "c5.large")]);
    one.running_tasks = tasks;
    let with_interface = |index| {
        let mut task = task(10 * number + index, Some("shop"));
        task.needs.interfaces = 1;
        task
    };
    one.tasks = Some(SeenTasks { at: now, tasks: (0..tasks).map(with_interface).collect() });
    one
}

fn fleet_of(instances: Vec<Instance>) -> FleetSnapshot {
    let desired = instances.iter().map(|instance| instance.running_tasks).sum();
    let mut fleet = fleet(instances, vec![service("shop", desired, 100, 200)]);
    fleet.room.interfaces.insert("c5.large".into(), Some(3));
    FleetSnapshot { taken_at: at(1), ..fleet }
}

#[test]
fn one_interface_of_an_instance_is_its_own() {
    let now = at(1);
    let table = [
        ("two of the three serve tasks on each other one", [1, 2, 2], vec![]),
        ("one of them is free on one", [1, 2, 1], vec!["i-0"]),
        ("for two tasks one is too few", [2, 2, 1], vec![]),
    ];
    for (name, tasks, drained) in table {
        let instances = (0..).zip(tasks).map(|(number, tasks)| with_tasks(number, tasks, now)).collect();
        let plan = plan(&fleet_of(instances), &Policy::default(), &facts(), now);
        assert_eq!(drains(&plan), drained, "{name}");
        let held = plan.standings[0].hold.as_ref().map(HoldReason::code);
        assert_eq!(held == Some("no_room"), !drained.contains(&"i-0"), "{name}: {held:?}");
    }
}

/// Named twice in one question to EC2 Auto Scaling, it was once taken for one without a group.
#[test]
fn a_candidate_whose_interfaces_are_not_seen_is_looked_at_once() {
    let now = at(1);
    let unseen = Instance { tasks: None, ..with_tasks(0, 2, now) };
    let plan = plan(&fleet_of(vec![unseen, with_tasks(1, 1, now)]), &Policy::default(), &facts(), now);
    let own = plan.steps.iter().filter(|planned| planned.host.as_str() == "i-0");
    assert_eq!(own.map(|planned| planned.step.name()).collect::<Vec<_>>(), ["look_at_tasks"]);
}
