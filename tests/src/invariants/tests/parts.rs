//! The budgets and the order of groups.

use models::ids::GroupName;

use super::*;
use crate::invariants::Part;

fn part(name: &str, order: i32, most: Option<u32>) -> Part {
    let matches = Filter::parse_select(&format!("attribute:pool == {name}")).unwrap();
    Part { name: GroupName::from(name), matches, order, max_unavailable: most.map(MaxUnavailable::Count) }
}

/// Two in one pool and one in another.
fn grouped(parts: Vec<Part>) -> World {
    let pools: String = ["a", "a", "b"]
        .iter()
        .enumerate()
        .map(|(index, pool)| format!("[[host]]\nindex = {index}\nattributes = {{ pool = \"{pool}\" }}\n"))
        .collect();
    let mut world = world(&pools);
    world.invariants_mut().set_budget("main", MaxUnavailable::Count(3));
    let mut invariants = std::mem::take(world.invariants_mut());
    invariants.set_parts("main", parts);
    invariants.set_named(&world, Named::default());
    *world.invariants_mut() = invariants;
    world
}

fn drain(world: &mut World, host: usize) {
    claim(world, host);
    set(world, host, InstanceStatus::Draining, Actor::Updater);
}

/// Two of one pool or of both are drained.
fn drained(parts: Vec<Part>, hosts: [usize; 2]) -> Vec<Rule> {
    let mut world = grouped(parts);
    for host in hosts {
        drain(&mut world, host);
        pass(&mut world, 20);
    }
    rules(&world)
}

#[test]
fn a_group_has_a_budget_of_its_own() {
    assert_eq!(drained(vec![part("a", 0, None)], [0, 1]), []);
    assert_eq!(drained(vec![part("a", 0, Some(2))], [0, 1]), []);
    assert_eq!(drained(vec![part("a", 0, Some(1))], [0, 1]), [Rule::Budget]);
    assert_eq!(drained(vec![part("a", 0, Some(1))], [0, 2]), []);
}

#[test]
fn a_later_group_waits_for_what_is_under_way() {
    let parts = |of_b| vec![part("a", 1, None), part("b", of_b, None)];
    assert_eq!(drained(parts(1), [0, 2]), []);
    assert_eq!(drained(parts(2), [0, 2]), [Rule::Order]);
    assert_eq!(drained(parts(2), [2, 0]), []);
    assert_eq!(drained(parts(2), [0, 1]), []);
}

/// An hour after the drain of one in the earlier group.
#[test]
fn what_is_drained_is_under_way_until_it_is_given_up() {
    const FAILED: &str = "unhealthy/1.26.1/1.27.0/2026-11-23T03:30:00Z";
    const UPDATED: &str = "updated/1.26.1/1.27.0/2026-11-23T03:30:00Z";
    let (staged, by_another) = (CLAIM.replace("drain", "stage"), CLAIM.replace("RUN1", "RUN2"));
    type Case<'a> = (&'a str, Option<&'a str>, Actor, &'a str, bool);
    let table: [Case<'_>; 6] = [
        ("drained", None, Actor::Updater, CLAIM, true),
        ("drained by the next run", None, Actor::Updater, &by_another, true),
        ("staged", None, Actor::Updater, &staged, true),
        ("it has failed", Some(FAILED), Actor::Updater, CLAIM, false),
        ("somebody says that it has", Some(FAILED), Actor::Person, CLAIM, true),
        ("it has not", Some(UPDATED), Actor::Updater, CLAIM, true),
    ];
    for (name, last, by, claim, broken) in table {
        let mut world = grouped(vec![part("a", 1, None), part("b", 2, None)]);
        drain(&mut world, 0);
        pass(&mut world, 3_600);
        last.into_iter().for_each(|last| tag(&mut world, 0, LAST_TAG, last, by));
        tag(&mut world, 2, CLAIM_TAG, claim, Actor::Updater);
        if claim != staged {
            set(&mut world, 2, InstanceStatus::Draining, Actor::Updater);
        }
        assert_eq!(rules(&world), vec![Rule::Order; usize::from(broken)], "{name}");
    }
    let mut world = grouped(vec![part("a", 1, None), part("b", 2, None)]);
    drain(&mut world, 0);
    pass(&mut world, 3_600);
    let now = world.now();
    world.invariants_mut().see_trouble("ec2:CreateTags", now);
    drain(&mut world, 2);
    assert_eq!(rules(&world), [], "it may have been given up, and that not be written");
}

#[test]
fn none_in_two_groups_is_drained() {
    let both = vec![part("a", 0, None), Part { name: GroupName::from("c"), ..part("a", 0, None) }];
    assert_eq!(drained(both, [2, 0]), [Rule::Selected]);
}
