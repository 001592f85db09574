//! Groups of a cluster's instances: where one belongs, both budgets, the order, and what keeps it.

use models::fleet::Exclusion;
use models::ids::GroupName;
use models::policy::Group;

use super::*;
use crate::planner::{in_two_groups, policy_of};

fn group(name: &str, order: i32, most: Option<u32>) -> Group {
    Group {
        name: GroupName::from(name),
        matches: format!("attribute:pool == {name} or attribute:also == {name}").parse().unwrap(),
        order,
        max_unavailable: most.map(MaxUnavailable::Count),
        has_own_course: false,
        policy: Box::default(),
    }
}

fn policy(most: u32, groups: Vec<Group>) -> Policy {
    let mut policy = Policy { max_unavailable: MaxUnavailable::Count(most), groups, ..Policy::default() };
    let whole = Policy { groups: Vec::new(), ..policy.clone() };
    for group in &mut policy.groups {
        *group.policy = whole.clone();
    }
    policy
}

/// One that waits in a pool.
fn of(number: u32, pool: &str, now: Timestamp) -> Instance {
    let mut one = instance(number, Some(staged()), now);
    one.attributes = attributes(&[("pool", pool)]);
    one
}

/// What is said of each instance: that it is drained, why it is held, or that it waits.
fn said(instances: Vec<Instance>, policy: &Policy, facts: &RunFacts, now: Timestamp) -> Vec<String> {
    let plan = plan(&fleet(instances, vec![]), policy, facts, now);
    let drained = drains(&plan);
    let word = |standing: &models::plan::Standing| match &standing.hold {
        _ if drained.contains(&standing.host.to_string()) => "drain".to_owned(),
        Some(hold) => hold.code().to_owned(),
        None => standing.phase.as_str().to_owned(),
    };
    plan.standings.iter().map(word).collect()
}

#[test]
fn the_budgets_of_cluster_and_group_both_hold() {
    let now = at(1);
    let pools =
        |now| (0..).zip(["a", "a", "a", "b", "c"]).map(|(number, pool)| of(number, pool, now)).collect::<Vec<_>>();
    let (drain, full) = ("drain", "budget_used_up");
    let table: [(&str, u32, Vec<Group>, [&str; 5]); 4] = [
        ("no budget of its own", 2, vec![group("a", 0, None)], [drain, drain, full, full, full]),
        ("one of its own", 5, vec![group("a", 0, Some(1))], [drain, full, full, drain, drain]),
        ("the cluster's is smaller", 1, vec![group("a", 0, Some(2))], [drain, full, full, full, full]),
        ("two", 5, vec![group("a", 0, Some(2)), group("b", 0, Some(1))], [drain, drain, full, drain, drain]),
    ];
    for (name, most, groups, expected) in table {
        assert_eq!(said(pools(now), &policy(most, groups), &facts(), now), expected, "{name}");
    }
    let mut by_a_person = pools(at(10));
    by_a_person[0].status = InstanceStatus::Draining;
    let budget = policy(5, vec![group("a", 0, Some(1))]);
    let foreign = "drained_by_somebody_else";
    assert_eq!(said(by_a_person, &budget, &facts(), at(10)), [foreign, full, full, drain, drain], "taken by a person");
}

#[test]
fn a_later_group_waits_for_what_is_to_come_in_an_earlier_one() {
    let now = at(100);
    let in_order = policy(1, vec![group("a", -1, None), group("z", 1, None)]);
    let drains_now = |one: Instance| claimed(one, ClaimStep::Drain, after(now, SignedDuration::from_secs(-60)));
    let excluded = |mut one: Instance| {
        one.tags.exclude = Some(Exclusion { tag: "ecs-updater:exclude".to_owned(), note: String::new() });
        one
    };
    let table: [(&str, [Instance; 3], [&str; 3]); 4] = [
        (
            "each waits for the one before",
            [of(0, "z", now), of(1, "none", now), of(2, "a", now)],
            ["earlier_group", "earlier_group", "drain"],
        ),
        (
            "in no group is in the middle",
            [of(0, "z", now), of(1, "none", now), excluded(of(2, "a", now))],
            ["earlier_group", "drain", "excluded"],
        ),
        (
            "what is held for its own sake keeps nothing",
            [of(0, "z", now), excluded(of(1, "none", now)), excluded(of(2, "a", now))],
            ["drain", "excluded", "excluded"],
        ),
        (
            "what is under way does",
            [of(0, "z", now), excluded(of(1, "none", now)), drains_now(of(2, "a", now))],
            ["earlier_group", "excluded", "drained"],
        ),
    ];
    for (name, instances, expected) in table {
        assert_eq!(said(instances.to_vec(), &in_order, &facts(), now), expected, "{name}");
    }
    let unseen = Instance { report: None, visit: None, reach: None, ..of(2, "a", at(1)) };
    let heard_later = said(vec![of(0, "z", at(1)), unseen], &in_order, &facts(), at(1));
    assert_eq!(heard_later, ["earlier_group", "unseen"], "what is not heard yet does");
    let dry_run = RunFacts { dry_run: true, ..facts() };
    let waits = ["budget_used_up"; 3];
    let all = vec![of(0, "z", now), of(1, "none", now), of(2, "a", now)];
    assert_eq!(said(all, &in_order, &dry_run, now), waits, "a plan foresees that each has its turn");
}

#[test]
fn nothing_is_begun_on_what_is_in_two_groups() {
    let now = at(1);
    let both = |mut one: Instance| {
        one.attributes = attributes(&[("pool", "a"), ("also", "b")]);
        one
    };
    let groups = policy(3, vec![group("a", 0, None), group("b", 0, None)]);
    let words = said(vec![both(of(0, "a", now)), of(1, "b", now)], &groups, &facts(), now);
    assert_eq!(words, ["in_two_groups", "drain"]);
    let why = in_two_groups(&fleet(vec![both(of(0, "a", now))], vec![]), &groups).unwrap();
    assert!(why.to_string().starts_with("not begun: i-0 is in two groups, a and b;"), "{why}");
    assert_eq!(in_two_groups(&fleet(vec![of(0, "a", now)], vec![]), &groups), None);
    let mut careful = groups.clone();
    careful.groups[0].policy.standalone_tasks = StandaloneTasks::Stop;
    let policy = policy_of(&both(of(0, "a", now)), &careful);
    assert_eq!(policy.standalone_tasks, StandaloneTasks::Skip, "the more careful one of both");
    assert_eq!(policy_of(&of(0, "a", now), &careful).standalone_tasks, StandaloneTasks::Stop);
}

#[test]
fn a_group_may_have_canaries_and_windows_of_its_own() {
    let now = at(1);
    let mut canary = policy(4, vec![group("a", 0, None)]);
    canary.groups[0].has_own_course = true;
    canary.groups[0].policy.canary = Some(1);
    let pools = || vec![of(0, "a", now), of(1, "a", now), of(2, "b", now), of(3, "b", now)];
    let words = said(pools(), &canary, &facts(), now);
    assert_eq!(words, ["drain", "canary_first", "drain", "drain"]);
    let mut closed = policy(4, vec![group("a", 0, None)]);
    closed.groups[0].policy.windows = vec!["Mon 08:00-09:00 UTC".parse().unwrap()];
    let words = said(pools(), &closed, &facts(), now);
    assert_eq!(words, ["outside_window", "outside_window", "drain", "drain"]);
}
