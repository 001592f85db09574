//! Since when hosts are empty, what is not begun for that, and what waits.

use models::claim::ClaimStep;
use models::fleet::{Emptied, HeldSize, SeenGroup, Task};

use super::*;
use crate::planner::fixtures::{at, claimed, facts, fleet, instance, service, task};

/// So many instances of a provider at a target, each with a task; of the first ones some are out of service and empty.
fn provider(all: u32, target: u32, empty: u32) -> FleetSnapshot {
    let one = |number| {
        let base = Instance { provider: Some("own".into()), running_tasks: 1, ..instance(number, None, at(0)) };
        if number >= empty {
            return base;
        }
        let mut out = claimed(base, ClaimStep::Drain, at(0));
        (out.running_tasks, out.status) = (0, InstanceStatus::Draining);
        out.tasks.as_mut().unwrap().tasks.clear();
        out
    };
    let mut web = service("web", 3, 100, 200);
    web.providers = ["own".into()].into();
    let mut fleet = fleet((0..all).map(one).collect(), vec![web]);
    let scaling = ManagedScaling {
        group: "workers".into(),
        warm_up: SignedDuration::from_mins(5),
        target,
        drains: true,
        protects: false,
    };
    fleet.auto_scaling.scaled_providers.insert("own".into(), scaling);
    let size = GroupSize { desired: all, least: 0, most: 50, suspended: Vec::new() };
    let seen = SeenGroup { at: at(0), load_balancer_check: None, refresh: None, size: Some(size) };
    fleet.auto_scaling.groups.insert("workers".into(), seen);
    fleet
}

fn emptied(fleet: &FleetSnapshot) -> Option<Emptied> {
    fleet.auto_scaling.emptied.get("own").copied()
}

#[test]
fn more_are_empty_than_the_target_allows() {
    let table = [(4, 100, 0, false), (4, 100, 1, true), (10, 80, 2, false), (10, 80, 3, true), (4, 90, 1, true)];
    for (all, target, empty, expected) in table {
        let mut fleet = provider(all, target, empty);
        follow(&mut fleet, at(3));
        // What an earlier run has emptied has been so since its claim.
        assert_eq!(
            emptied(&fleet),
            expected.then(|| Emptied { since: at(0), full_since: None }),
            "{all} {target} {empty}"
        );
    }
}

#[test]
fn a_whole_minute_begins_the_count_again() {
    let mut fleet = provider(3, 100, 1);
    follow(&mut fleet, at(2));
    let first = fleet.instances.keys().next().cloned().unwrap();
    fleet.instances.get_mut(&first).unwrap().tasks.as_mut().unwrap().tasks.push(task(0, Some("web")));
    follow(&mut fleet, at(5));
    assert_eq!(emptied(&fleet), Some(Emptied { since: at(0), full_since: Some(at(5)) }));
    follow(&mut fleet, at(6));
    assert_eq!(emptied(&fleet), None);
}

/// What is said of the last of them at so many minutes.
fn said(fleet: &FleetSnapshot, minute: i64) -> Option<(HoldReason, Option<Timestamp>)> {
    let (policy, facts) = (Policy::default(), facts());
    let cx = Context::new(fleet, &policy, &facts, at(minute));
    wait(&cx, fleet.instances.values().last().unwrap())
}

#[test]
fn those_that_are_out_come_back_before_the_sixteenth_minute() {
    let mut fleet = provider(4, 100, 2);
    follow(&mut fleet, at(1));
    assert_eq!(said(&fleet, 8), None, "seven minutes from now are the fifteenth");
    let (why, until) = said(&fleet, 9).unwrap();
    assert_eq!((why.code(), until), ("scale_in_paced", None));
    // What is no more out of service is not waited for, whether or not a task comes to it.
    let mut back = provider(4, 100, 0);
    back.auto_scaling.emptied.insert("own".into(), Emptied { since: at(0), full_since: None });
    assert_eq!(said(&back, 30), None);
    // A task has come to each of them: that is to last a minute.
    back.auto_scaling.emptied.insert("own".into(), Emptied { since: at(0), full_since: Some(at(30)) });
    assert_eq!(said(&back, 30).map(|(_, until)| until), Some(Some(at(31))));
    assert_eq!(said(&back, 31), None);
    // Nothing is ended at the minimum.
    fleet.auto_scaling.groups.get_mut("workers").and_then(|seen| seen.size.as_mut()).unwrap().least = 4;
    assert_eq!(said(&fleet, 9), None);
}

#[test]
fn nothing_is_begun_where_a_scale_in_ends_tasks() {
    let held = |change: fn(&mut FleetSnapshot)| {
        let mut fleet = provider(3, 100, 0);
        change(&mut fleet);
        let (policy, facts) = (Policy::default(), facts());
        let cx = Context::new(&fleet, &policy, &facts, at(1));
        hold(&cx, fleet.instances.values().last().unwrap()).is_some()
    };
    type Change = fn(&mut FleetSnapshot);
    fn scaling(fleet: &mut FleetSnapshot) -> &mut ManagedScaling {
        fleet.auto_scaling.scaled_providers.get_mut("own").unwrap()
    }
    fn size(fleet: &mut FleetSnapshot) -> &mut GroupSize {
        scaling(fleet).drains = false;
        fleet.auto_scaling.groups.get_mut("workers").and_then(|seen| seen.size.as_mut()).unwrap()
    }
    fn tasks(fleet: &mut FleetSnapshot) -> &mut Vec<Task> {
        let mut known = fleet.instances.values_mut().filter_map(|one| one.tasks.as_mut());
        &mut known.next_back().unwrap().tasks
    }
    let table: [(&str, bool, Change); 9] = [
        ("managed draining", false, |_| {}),
        ("neither of them", true, |fleet| scaling(fleet).drains = false),
        ("protection alone", false, |fleet| {
            scaling(fleet).drains = false;
            scaling(fleet).protects = true;
        }),
        ("protection alone, and tasks of a launch type", true, |fleet| {
            scaling(fleet).drains = false;
            scaling(fleet).protects = true;
            fleet.services.values_mut().for_each(|one| one.providers.clear());
        }),
        ("protection alone, and a task of a launch type that is of no service", true, |fleet| {
            scaling(fleet).drains = false;
            scaling(fleet).protects = true;
            tasks(fleet).push(task(9, None));
        }),
        ("protection alone, and a task that the provider has started", false, |fleet| {
            scaling(fleet).drains = false;
            scaling(fleet).protects = true;
            tasks(fleet).push(Task { provider: Some("own".into()), ..task(9, None) });
        }),
        ("at the minimum", false, |fleet| size(fleet).least = 3),
        ("terminations are suspended", false, |fleet| size(fleet).suspended.push("Terminate".into())),
        ("launches are suspended", true, |fleet| size(fleet).suspended.push("Launch".into())),
    ];
    for (name, expected, change) in table {
        assert_eq!(held(change), expected, "{name}");
    }
}

/// What a run holds is put back at its end, with the metric below its target all along.
#[test]
fn a_held_minimum_makes_nothing_safe() {
    let mut fleet = provider(4, 100, 2);
    follow(&mut fleet, at(1));
    let known = &mut fleet.auto_scaling;
    known.groups.get_mut("workers").and_then(|seen| seen.size.as_mut()).unwrap().least = 4;
    assert_eq!(said(&fleet, 9), None, "at its own minimum");
    let known = &mut fleet.auto_scaling;
    known.held.insert("workers".into(), HeldSize { old: 0, held: 4 });
    known.note_held(&"workers".into(), 4, None);
    assert_eq!(said(&fleet, 9).map(|(why, _)| why.code().to_owned()).as_deref(), Some("scale_in_paced"));
    fleet.auto_scaling.scaled_providers.get_mut("own").unwrap().drains = false;
    let policy = Policy { hold_min_size: true, ..Policy::default() };
    let facts = facts();
    let is_held = |fleet: &FleetSnapshot| {
        let cx = Context::new(fleet, &policy, &facts, at(1));
        hold(&cx, fleet.instances.values().last().unwrap()).is_some()
    };
    assert!(is_held(&fleet), "held by this run");
    // What a dead run has left says so by its tag.
    let tag = "0/4/DEAD/2026-11-23T03:00:00Z".parse().unwrap();
    fleet.auto_scaling.held.clear();
    fleet.auto_scaling.note_held(&"workers".into(), 4, Some(&tag));
    assert!(is_held(&fleet), "held by a dead run");
    fleet.auto_scaling.note_held(&"workers".into(), 4, None);
    assert!(!is_held(&fleet), "its own minimum");
}
