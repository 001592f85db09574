//! When managed scaling helps, and when one instance waits for the other.

use jiff::SignedDuration;
use models::fleet::{FleetSnapshot, ManagedScaling, SeenGroup};
use models::policy::Policy;

use super::*;
use crate::planner::fixtures::{at, claimed, facts, fleet, instance, service, task};

/// Three instances of a provider, each full with a task of a service; the group may launch two more.
fn packed() -> FleetSnapshot {
    let full = |number| {
        let mut one = Instance { provider: Some("own".into()), ..instance(number, None, at(0)) };
        one.remaining = Resources::default();
        one.registered = Resources { cpu: 1_024, memory: 2_048, ..Resources::default() };
        one.tasks.as_mut().unwrap().tasks = vec![task(number, Some("web"))];
        one
    };
    let mut web = service("web", 3, 100, 200);
    web.providers = ["own".into()].into();
    let mut fleet = fleet((0..3).map(full).collect(), vec![web]);
    let scaling = ManagedScaling {
        group: "workers".into(),
        warm_up: SignedDuration::from_mins(5),
        target: 100,
        drains: true,
        protects: false,
    };
    fleet.auto_scaling.scaled_providers.insert("own".into(), scaling);
    let size = GroupSize { desired: 3, least: 0, most: 5, suspended: Vec::new() };
    let seen = SeenGroup { at: at(0), load_balancer_check: None, refresh: None, size: Some(size) };
    fleet.auto_scaling.groups.insert("workers".into(), seen);
    fleet
}

fn policy() -> Policy {
    Policy { capacity: Capacity::ScaleOut, ..Policy::default() }
}

/// Whether an instance is launched for the task on the first one, and whether it may begin now.
fn said(fleet: &FleetSnapshot, policy: &Policy) -> (bool, bool) {
    let facts = facts();
    let cx = Context::new(fleet, policy, &facts, at(1));
    let first = &fleet.instances[&"i-0".into()];
    let tasks = &first.tasks.as_ref().unwrap().tasks;
    let Some(scale_out) = ScaleOut::of(&cx, first, tasks) else { return (false, false) };
    let service = &fleet.services[&"web".into()];
    (scale_out.launches_for(&tasks[0].needs, service, first.provider.as_deref()), scale_out.may_begin(0))
}

#[test]
fn an_instance_is_launched_where_ecs_does_that() {
    assert_eq!(said(&packed(), &policy()), (true, true));
    assert_eq!(said(&packed(), &Policy::default()), (false, false), "only room counts");
    type Change = fn(&mut FleetSnapshot);
    let size: fn(&mut FleetSnapshot) -> &mut GroupSize =
        |fleet| fleet.auto_scaling.groups.get_mut("workers").and_then(|seen| seen.size.as_mut()).unwrap();
    let web: fn(&mut FleetSnapshot) -> &mut Service = |fleet| fleet.services.get_mut(&"web".into()).unwrap();
    let mut one = packed();
    size(&mut one).desired = 5;
    assert!(!said(&one, &policy()).0, "at its maximum");
    let mut one = packed();
    size(&mut one).suspended.push("Launch".into());
    assert!(!said(&one, &policy()).0, "a process is suspended");
    let mut one = packed();
    web(&mut one).member_of.push("attribute:role == web".to_owned());
    assert!(!said(&one, &policy()).0, "a constraint");
    let mut one = packed();
    web(&mut one).maximum_percent = 100;
    assert!(!said(&one, &policy()).0, "no task may be added");
    let table: [(&str, Change); 4] = [
        ("no managed scaling", |fleet| fleet.auto_scaling.scaled_providers.clear()),
        ("the group is not known", |fleet| fleet.auto_scaling.groups.clear()),
        ("registered without a provider", |fleet| {
            fleet.instances.get_mut(&"i-0".into()).unwrap().provider = None;
        }),
        ("larger than the smallest instance", |fleet| {
            fleet.instances.get_mut(&"i-2".into()).unwrap().registered.cpu = 256;
        }),
    ];
    for (why, change) in table {
        let mut one = packed();
        change(&mut one);
        assert!(!said(&one, &policy()).0, "{why}");
    }
}

#[test]
fn one_goes_first_and_shows_that_launches_come() {
    let with_second = |change: &dyn Fn(&mut Instance)| {
        let mut fleet = packed();
        let second = fleet.instances.remove(&"i-1".into()).unwrap();
        let mut second = claimed(second, ClaimStep::Drain, at(0));
        second.run.scale_out = true;
        change(&mut second);
        fleet.instances.insert(second.host.clone(), second);
        said(&fleet, &policy())
    };
    assert_eq!(with_second(&|_| {}), (true, false), "it is being drained");
    assert_eq!(with_second(&|one| one.tags.claim = None), (true, true), "it has taken its turn");
    let timed_out = |one: &mut Instance| {
        let verdict = models::report::Verdict {
            outcome: models::report::Outcome::Failed,
            reason: Some("drain_timed_out".to_owned()),
            detail: None,
            from: None,
            to: None,
            at: at(1),
            of_its_own: true,
        };
        one.run.verdict = Some(Box::new(verdict));
    };
    assert!(!with_second(&timed_out).0, "its drain timed out");
}
