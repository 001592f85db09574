//! The budgets and the order of groups.

use models::ids::GroupName;

use super::*;
use crate::invariants::Part;

fn part(name: &str, order: i32, most: Option<u32>) -> Part {
    let matches = Filter::parse_select(&format!("attribute:pool == {name}")).unwrap();
    Part { name: GroupName::from(name), matches, order, max_unavailable: most.map(MaxUnavailable::Count) }
}

/// Two in one pool and one in another, and two of one pool or of both drained.
fn drained(parts: Vec<Part>, hosts: [usize; 2]) -> Vec<Rule> {
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
    for host in hosts {
        claim(&mut world, host);
        set(&mut world, host, InstanceStatus::Draining, Actor::Updater);
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

#[test]
fn none_in_two_groups_is_drained() {
    let both = vec![part("a", 0, None), Part { name: GroupName::from("c"), ..part("a", 0, None) }];
    assert_eq!(drained(both, [2, 0]), [Rule::Selected]);
}
