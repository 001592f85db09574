//! What an estimate comes to, and what it says of it.

use super::*;
use crate::planner::fixtures::{at, attributes, facts, fleet, instance, task, version};

/// Updates of instances in pools, of which so many run a task of no service.
fn told(updates: &[(&str, &str, &str)], waits: usize, policy: &Policy, bakes: &[Bakes]) -> Estimate {
    let instances: Vec<Instance> = (0..)
        .zip(updates.iter().map(|(pool, ..)| *pool).chain(["none"]))
        .map(|(number, pool)| {
            let mut one = instance(number, None, at(0));
            one.attributes = attributes(&[("pool", pool)]);
            let tasks = &mut one.tasks.as_mut().unwrap().tasks;
            tasks.extend((number as usize <= waits && number > 0).then(|| task(number, None)));
            one
        })
        .collect();
    let dry_run = RunFacts { dry_run: true, ..facts() };
    let mut ahead = Ahead::new(&fleet(instances.clone(), vec![]), policy, &dry_run, at(0));
    // The last one is as it should be.
    for ((_, from, to), instance) in updates.iter().zip(&instances) {
        ahead.update(instance, version(from), version(to));
    }
    ahead.bake(bakes);
    estimate(&ahead)
}

fn group(name: &str, order: i32, most: Option<u32>) -> Group {
    Group {
        name: GroupName::from(name),
        matches: format!("attribute:pool == {name}").parse().unwrap(),
        order,
        max_unavailable: most.map(MaxUnavailable::Count),
        has_own_course: false,
        policy: Box::new(Policy { max_unavailable: MaxUnavailable::Count(3), ..Policy::default() }),
    }
}

#[test]
fn what_an_estimate_rests_on() {
    let near = [("none", "1.26.1", "1.27.0"); 3];
    let far = [("none", "1.26.1", "1.27.0"), ("none", "1.16.0", "1.27.0"), ("none", "1.14.1", "1.27.0")];
    let wait = Policy { standalone_tasks: StandaloneTasks::Wait, ..Policy::default() };
    let table: [(&[_], usize, Policy, i64, usize); 4] = [
        (&[], 0, Policy::default(), 0, 0),
        (&near, 2, Policy::default(), 3 * 6 + 3, 3),
        (&near, 2, wait, 3 * 6 + 3 + 2 * 17, 4),
        (&far, 0, Policy::default(), 3 * 6 + 3, 4),
    ];
    for (updates, waits, policy, minutes, sentences) in table {
        let estimate = told(updates, waits, &policy, &[]);
        assert_eq!((estimate.duration.as_mins(), estimate.rests_on.len()), (minutes, sentences), "{estimate:?}");
    }
    let estimate = told(&far, 0, &Policy::default(), &[]);
    assert!(estimate.rests_on[3].starts_with("2 of them far behind (1.14.1 to 1.27.0 at most)"), "{estimate:?}");
}

/// Three in no group, four in `a`, two in `b`.
#[test]
fn groups_go_together_or_one_after_the_other() {
    let pools = ["none", "none", "none", "a", "a", "a", "a", "b", "b"];
    let updates = pools.map(|pool| (pool, "1.26.1", "1.27.0"));
    let policy = |groups| Policy { max_unavailable: MaxUnavailable::Count(3), groups, ..Policy::default() };
    let own_bake = |mut group: Group| {
        (group.has_own_course, group.policy.bake) = (true, SignedDuration::from_mins(20));
        group
    };
    let bakes = |group: Option<&str>, bakes| vec![Bakes { group: group.map(GroupName::from), bakes }];
    let table: [(&str, Vec<Group>, Vec<Bakes>, i64); 7] = [
        ("the cluster's budget", vec![group("a", 0, None)], vec![], 3 + 3 * 6),
        ("a group's", vec![group("a", 0, Some(1))], vec![], 3 + 4 * 6),
        ("one order after the other", vec![group("a", 1, None)], vec![], 3 + 2 * 6 + 3 + 2 * 6),
        (
            "three of them, one with its budget",
            vec![group("a", 2, Some(1)), group("b", -1, None)],
            vec![],
            (3 + 6) + (3 + 6) + (3 + 4 * 6),
        ),
        ("bakes of the cluster", vec![group("a", 1, None)], bakes(None, 2), 3 + 2 * 6 + 3 + 2 * 6 + 2 * 60),
        ("of a group beside the others", vec![own_bake(group("a", 0, None))], bakes(Some("a"), 1), 3 + 2 * 6 + 20),
        ("of one by itself", vec![own_bake(group("b", 1, None))], bakes(Some("b"), 1), 3 + 3 * 6 + 3 + 6 + 20),
    ];
    for (name, groups, bakes, minutes) in table {
        let estimate = told(&updates, 0, &policy(groups), &bakes);
        assert_eq!(estimate.duration.as_mins(), minutes, "{name}: {estimate:?}");
    }
    let in_order = policy(vec![group("a", 2, Some(1)), group("b", -1, None)]);
    let said = told(&updates, 0, &in_order, &bakes(Some("a"), 1)).rests_on;
    assert_eq!(said[1], "1 of them in group a (max_unavailable 1 of 4 instances, 0 out of service now)");
    assert_eq!(said[2], "3 min to write the first images of each order; later ones are written ahead");
    assert_eq!(said[4], "1 bake of 60 min in group a that this run waits for");
    assert_eq!(said[5], "one after the other, by order: group b, then what is in no group, then group a");
}

#[test]
fn a_window_that_closes_before_the_end_is_told_once() {
    let updates = ["none", "none", "a", "a"].map(|pool| (pool, "1.26.1", "1.27.0"));
    let mut policy = Policy { groups: vec![group("a", 1, None), group("b", 2, None)], ..Policy::default() };
    let closing = |policy: &Policy| {
        let said = told(&updates, 0, policy, &[]).rests_on;
        Vec::from_iter(said.into_iter().filter(|one| one.contains("closes")))
    };
    policy.groups[0].policy.windows = vec!["Mon 03:00-03:25 UTC".parse().unwrap()];
    let whose = "closes at 2026-11-23T03:25:00Z: what is not begun by then waits for the next one";
    assert_eq!(closing(&policy), [format!("the window of group a {whose}")], "after the others");
    policy.groups[0].order = 0;
    policy.max_unavailable = MaxUnavailable::Count(2);
    assert!(closing(&policy).is_empty(), "beside them");
    let all = policy.changed(|policy| {
        policy.max_unavailable = MaxUnavailable::Count(1);
        policy.windows = vec!["Mon 03:00-03:25 UTC".parse().unwrap()];
    });
    assert_eq!(closing(&all), [format!("the window {whose}")]);
}
