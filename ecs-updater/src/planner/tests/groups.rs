//! Groups of a cluster's instances: where one belongs, both budgets, the order, and what keeps it.

use models::fleet::Exclusion;
use models::ids::GroupName;
use models::policy::Group;

use models::last::Last;
use models::plan::Phase;

use super::*;
use crate::planner::context::Contexts;
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

/// Where only a later group can have the canary, it does not wait for the earlier ones, which wait for it.
#[test]
fn the_canary_of_the_cluster_waits_for_no_group() {
    let now = at(1);
    let mut own_course = group("b", 1, None);
    own_course.has_own_course = true;
    let groups = vec![group("z", 2, None), own_course];
    let in_order = policy(4, groups).changed(|policy| {
        policy.canary = Some(1);
        policy.canary_match = Some("attribute:pool == z".parse().unwrap());
    });
    let pools = || vec![of(0, "none", now), of(1, "b", now), of(2, "z", now), of(3, "z", now)];
    let words = said(pools(), &in_order, &facts(), now);
    assert_eq!(words, ["canary_first", "earlier_group", "drain", "earlier_group"]);
    let dry_run = RunFacts { dry_run: true, ..facts() };
    let words = said(pools(), &in_order, &dry_run, now);
    assert_eq!(words, ["canary_first", "earlier_group", "budget_used_up", "earlier_group"], "a plan says the same");
    let mut under_way = pools();
    under_way[3] = claimed(of(3, "z", now), ClaimStep::Drain, now);
    let words = said(under_way, &in_order, &facts(), now);
    assert_eq!(words[..3], ["canary_first", "earlier_group", "earlier_group"], "there is one");
}

/// No window may ever be long enough for it: that keeps no group waiting. A closed window does.
#[test]
fn what_never_fits_into_a_window_keeps_no_later_group() {
    let now = at(1);
    let table = [
        ("it takes longer", "Mon 03:00-05:00 UTC", ["outside_window", "drain"]),
        ("the window is closed", "Mon 08:00-09:00 UTC", ["outside_window", "earlier_group"]),
    ];
    for (name, window, expected) in table {
        let mut in_order = policy(4, vec![group("z", 1, None)]).changed(|policy| {
            policy.standalone_tasks = StandaloneTasks::Wait;
            policy.timeouts.drain = SignedDuration::from_hours(12);
        });
        in_order.windows = vec![window.parse().unwrap()];
        let mut slow = of(0, "none", now);
        slow.tasks = Some(SeenTasks { at: now, tasks: vec![task(0, None)] });
        assert_eq!(said(vec![slow, of(1, "z", now)], &in_order, &facts(), now), expected, "{name}");
    }
}

/// The canary of the cluster is in a group whose windows are others than the cluster's.
#[test]
fn a_bake_is_waited_out_by_the_windows_of_the_group() {
    let mut canary = policy(4, vec![group("a", 0, None)]).changed(|policy| {
        policy.canary = Some(1);
        policy.bake = SignedDuration::from_mins(40);
    });
    canary.windows = vec!["Sat 01:00-05:00 UTC".parse().unwrap()];
    let mut updated = instance(0, Some(rebooted("1.27.0", AgentState::Registered)), at(100));
    updated.attributes = attributes(&[("pool", "a")]);
    updated.tags.last = Last::new(None, &version("1.26.1"), &version("1.27.0"), at(80));
    let plan = plan(&fleet(vec![updated, of(1, "a", at(100))], vec![]), &canary, &facts(), at(100));
    let hold = plan.standings[1].hold.as_ref().map(HoldReason::code);
    assert_eq!((hold, plan.wake_at), (Some("baking"), Some(at(120))));
}

/// What comes to be in two groups is ended no earlier than either group would, and has the lower order.
#[test]
fn what_is_under_way_in_two_groups_keeps_the_longer_times() {
    let now = at(100);
    let mut patient = policy(3, vec![group("z", 1, None), group("a", -1, None)]);
    patient.groups[0].policy.timeouts.verify = SignedDuration::from_mins(60);
    patient.groups[1].policy.timeouts.drain = SignedDuration::from_hours(12);
    let mut both = claimed(of(0, "a", now), ClaimStep::Drain, after(now, SignedDuration::from_secs(-60)));
    both.attributes = attributes(&[("pool", "a"), ("also", "z")]);
    let fleet_of_both = fleet(vec![both.clone()], vec![]);
    let facts = facts();
    let times = Contexts::new(&fleet_of_both, &patient, &facts, now).of(&both).timeouts;
    assert_eq!((times.verify, times.drain), (SignedDuration::from_mins(60), SignedDuration::from_hours(12)));
    let mut only = both.clone();
    only.attributes = attributes(&[("pool", "a")]);
    let fleet_of_one = fleet(vec![only.clone()], vec![]);
    let times = Contexts::new(&fleet_of_one, &patient, &facts, now).of(&only).timeouts;
    assert_eq!(times.verify, Timeouts::default().verify);
    let plan = plan(&fleet(vec![both, of(1, "none", now)], vec![]), &patient, &facts, now);
    assert_eq!(plan.standings[1].hold.as_ref().map(HoldReason::code), Some("earlier_group"));
    assert_ne!(plan.standings[0].phase, Phase::Held);
}

/// What a plan says of each instance, and how many bakes it foresees.
fn foreseen(instances: Vec<Instance>, policy: &Policy) -> (Vec<&'static str>, usize) {
    let dry_run = RunFacts { dry_run: true, ..facts() };
    let plan = plan(&fleet(instances, vec![]), policy, &dry_run, at(0));
    let word = |standing: &models::plan::Standing| match (standing.turn, &standing.hold) {
        (Some(_), _) => "would",
        (None, Some(hold)) => hold.code(),
        (None, None) => standing.phase.as_str(),
    };
    (plan.standings.iter().map(word).collect(), plan.bakes.iter().map(|one| one.bakes).sum())
}

/// The canary is back at 03:09, and its bake ends at 03:29.
#[test]
fn a_plan_goes_past_a_bake_by_the_windows_of_each_group() {
    let pools = || vec![of(0, "none", at(0)), of(1, "a", at(0)), of(2, "z", at(0)), of(3, "a", at(0))];
    let with = |windows: [&[&str]; 3]| {
        let mut policy = policy(4, vec![group("a", 0, None), group("z", 0, None)]).changed(|policy| {
            policy.canary = Some(1);
            policy.bake = SignedDuration::from_mins(20);
        });
        let [whole, a, z] = windows.map(|texts| texts.iter().map(|text| text.parse().unwrap()).collect());
        policy.windows = whole;
        (policy.groups[0].policy.windows, policy.groups[1].policy.windows) = (a, z);
        foreseen(pools(), &policy)
    };
    let (short, first) = (&["Mon 02:00-03:30 UTC"][..], "canary_first");
    assert_eq!(with([&[], &[], &[]]), (vec!["would"; 4], 1));
    assert_eq!(with([&[], short, &[]]), (vec!["would", first, "would", first], 1), "that of one group closes");
    assert_eq!(with([short, &[], short]), (vec!["would", "would", first, "would"], 1), "that of the cluster does");
    assert_eq!(with([short, short, short]), (vec!["would", first, first, first], 0), "nobody waits for the bake");
}

/// Two of the group come after four others, one by one: its canary is back at 03:36, and its bake ends at 03:56.
#[test]
fn a_plan_begins_a_later_group_after_the_earlier_ones() {
    let pools = || {
        let pools = ["none", "none", "none", "none", "z", "z"];
        Vec::from_iter((0..).zip(pools).map(|(number, pool)| of(number, pool, at(0))))
    };
    let with = |order, window: &str| {
        let mut policy = policy(1, vec![group("z", order, None)]);
        policy.groups[0].has_own_course = true;
        policy.groups[0].policy.canary = Some(1);
        policy.groups[0].policy.bake = SignedDuration::from_mins(20);
        policy.groups[0].policy.windows = vec![window.parse().unwrap()];
        let (mut words, bakes) = foreseen(pools(), &policy);
        (words.split_off(4), bakes)
    };
    let hour = "Mon 02:00-04:00 UTC";
    assert_eq!(with(0, hour), (vec!["would", "would"], 1), "beside the others");
    assert_eq!(with(1, hour), (vec!["would", "canary_first"], 0), "its window is over by then");
    assert_eq!(with(1, "Mon 02:00-04:05 UTC"), (vec!["would", "would"], 1), "it is long enough");
}
