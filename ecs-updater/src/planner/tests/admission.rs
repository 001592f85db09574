//! Budget, order and room.

use super::*;

#[test]
fn the_budget_counts_whoever_took_an_instance_out() {
    let now = at(1);
    let policy = Policy { max_unavailable: MaxUnavailable::Count(3), ..Policy::default() };
    let mut instances: Vec<Instance> = (0..6).map(|n| instance(n, Some(staged()), now)).collect();
    assert_eq!(drains(&plan(&fleet(instances.clone(), vec![]), &policy, &facts(), now)).len(), 3);
    instances[4].status = InstanceStatus::Draining;
    instances[5].agent_connected = false;
    assert_eq!(drains(&plan(&fleet(instances.clone(), vec![]), &policy, &facts(), now)), ["i-0"]);
    instances[5].status = InstanceStatus::Inactive;
    instances[5].run.verdict = Some(verdict(Outcome::Gone));
    assert_eq!(
        drains(&plan(&fleet(instances, vec![]), &policy, &facts(), now)),
        ["i-0", "i-1"],
        "one is gone for good"
    );
}

#[test]
fn a_budget_that_others_use_up_is_waited_for_once_and_nothing_is_begun_meanwhile() {
    let now = at(2);
    let policy = Policy {
        max_unavailable: MaxUnavailable::Count(2),
        stop_after_failures: StopAfter::Count(5),
        ..Policy::default()
    };
    let away = |number, instance: Instance| match number {
        0 => Instance { agent_connected: false, disconnected_since: Some(at(-9)), ..instance },
        _ => Instance { status: InstanceStatus::Draining, ..instance },
    };
    let fleet_of = |out: u32, change: fn(&mut Instance)| {
        let fresh = || instance(0, Some(available()), now);
        let mut all: Vec<Instance> =
            (0..out).map(|n| away(n, Instance { host: format!("i-{n}").as_str().into(), ..fresh() })).collect();
        all.extend((out..6).map(|n| instance(n, Some(available()), now)));
        change(&mut all[1]);
        fleet(all, vec![])
    };
    let idle = |minute| RunFacts { idle_since: Some(at(minute)), ..facts() };
    let dry = RunFacts { dry_run: true, ..facts() };
    let none = |_: &mut Instance| {};
    let ours = |one: &mut Instance| *one = claimed(one.clone(), ClaimStep::Drain, at(1));
    let left = |one: &mut Instance| {
        *one = claimed(one.clone(), ClaimStep::Drain, at(1));
        one.run.verdict = Some(verdict(Outcome::Failed));
    };
    /// How many are staged, in how many seconds it looks again, and for whom the last one waits.
    type Said = (usize, Option<i64>, &'static str);
    let table: [(&str, FleetSnapshot, RunFacts, Said); 7] = [
        ("one of two places is taken", fleet_of(1, none), facts(), (3, None, "i-0")),
        ("both", fleet_of(2, none), facts(), (0, Some(20), "i-0, i-1")),
        ("both, for a while", fleet_of(2, none), idle(0), (0, Some(20), "i-0, i-1")),
        ("both, for timeouts.inspect", fleet_of(2, none), idle(-1), (0, None, "i-0, i-1")),
        ("four, and only planned", fleet_of(4, none), dry, (0, None, "i-0, i-1, i-2, 1 more")),
        ("one of them is ours, and staged again", fleet_of(2, ours), facts(), (3, None, "i-0, i-1")),
        ("ours was given up", fleet_of(2, left), idle(-1), (0, None, "i-0, i-1")),
    ];
    for (name, fleet, facts, (stages, wakes, who)) in table {
        let plan = plan(&fleet, &policy, &facts, now);
        let staged = plan.steps.iter().filter(|planned| matches!(planned.step, Step::Stage(_))).count();
        let wake = plan.wake_at.map(|at| at.duration_since(now).as_secs());
        let mut holds = plan.standings.iter().rev().filter_map(|standing| standing.hold.as_ref());
        let waits = holds.find(|hold| hold.code() == "budget_used_up").map(HoldReason::to_string);
        let waits = waits.as_ref().and_then(|text| text.split_once("waits for ")).map(|(_, who)| who);
        assert_eq!((staged, wake, waits.unwrap_or_default()), (stages, wakes, who), "{name}");
    }
}

#[test]
fn one_bad_host_stops_nobody_and_two_in_a_row_do() {
    let now = at(30);
    let own = |minute| Verdict { at: at(minute), of_its_own: true, ..*verdict(Outcome::Failed) };
    let release = |minute| Verdict { at: at(minute), ..*verdict(Outcome::Failed) };
    let updated = |minute| Verdict { at: at(minute), ..*verdict(Outcome::Updated) };
    let held = |minute| Verdict { at: at(minute), ..*verdict(Outcome::Held) };
    let table: Vec<(&str, u32, Vec<Verdict>, bool)> = vec![
        ("one of its own", 1, vec![own(1)], false),
        ("one that can be the version's", 1, vec![release(1)], true),
        ("two, with an update between", 1, vec![own(1), updated(2), own(3)], false),
        ("two in a row", 1, vec![updated(1), own(2), own(3)], true),
        ("two in a row, one held between", 1, vec![own(1), held(2), own(3)], true),
        ("two in a row count as two", 3, vec![own(1), own(2)], false),
        ("two in a row and one of the version's", 3, vec![own(1), own(2), release(3)], true),
        ("two pairs", 4, vec![own(1), own(2), updated(3), own(4), own(5)], true),
    ];
    for (name, limit, verdicts, stops) in table {
        let policy = Policy { stop_after_failures: StopAfter::Count(limit), ..Policy::default() };
        let mut instances = vec![instance(0, Some(staged()), now)];
        for (number, verdict) in (1..).zip(verdicts) {
            let mut done = instance(number, None, now);
            done.run.verdict = Some(Box::new(verdict));
            instances.push(done);
        }
        let plan = plan(&fleet(instances, vec![]), &policy, &facts(), now);
        assert_eq!(said(&plan), if stops { "hold stopped_after_failures" } else { "drain" }, "{name}");
    }
}

#[test]
fn the_oldest_version_goes_first_and_staging_runs_ahead() {
    let now = at(1);
    let mut old = report(UpdateState::Staged, Some("1.27.0"), Some("1.27.0"));
    old.os.as_mut().unwrap().version = "1.26.0".into();
    let instances = vec![
        instance(0, Some(staged()), now),
        instance(1, Some(available()), now),
        instance(2, Some(old), now),
        instance(3, Some(available()), now),
    ];
    let plan = plan(&fleet(instances, vec![]), &Policy::default(), &facts(), now);
    assert_eq!(drains(&plan), ["i-2"]);
    let staging: Vec<&str> = plan
        .steps
        .iter()
        .filter(|planned| matches!(planned.step, Step::Stage(_)))
        .map(|planned| planned.host.as_str())
        .collect();
    assert!(staging.is_empty(), "i-0 is staged ahead already, one slot's worth is enough: {staging:?}");
}

#[test]
fn nothing_new_is_begun_after_failures_signals_or_time() {
    let now = at(30);
    let mut failed = instance(1, Some(staged()), now);
    failed.run.verdict = Some(verdict(Outcome::RolledBack));
    let pair = |other: Instance| fleet(vec![instance(0, Some(staged()), now), other], vec![]);
    let fine = || instance(1, Some(staged()), now);
    let interrupted = RunFacts { stop: Some(Stop::Interrupted), ..facts() };
    let short = Policy { max_duration: Some(SignedDuration::from_mins(30)), ..Policy::default() };
    let table = [
        (pair(failed), Policy::default(), facts(), "hold stopped_after_failures"),
        (pair(fine()), Policy::default(), interrupted, "hold interrupted"),
        (pair(fine()), short, facts(), "hold out_of_time"),
        (pair(fine()), Policy::default(), facts(), "drain"),
    ];
    for (fleet, policy, facts, expected) in table {
        assert_eq!(said(&plan(&fleet, &policy, &facts, now)), expected);
    }
}

#[test]
fn room_is_promised_once() {
    let now = at(1);
    let policy = Policy { max_unavailable: MaxUnavailable::Count(2), ..Policy::default() };
    let full = |number: u32| {
        let mut one = instance(number, Some(staged()), now);
        one.tasks.as_mut().unwrap().tasks.push(task(number, Some("web")));
        one.remaining.cpu = 0;
        one
    };
    let mut spare = instance(2, Some(report(UpdateState::Idle, None, None)), now);
    spare.remaining.cpu = 512;
    let services = |min| vec![service("web", 2, min, 200)];
    let three = || vec![full(0), full(1), spare.clone()];
    assert_eq!(drains(&plan(&fleet(three(), services(100)), &policy, &facts(), now)), ["i-0"], "room for one");
    assert_eq!(drains(&plan(&fleet(three(), services(50)), &policy, &facts(), now)).len(), 2, "one may be missed");
}

/// Three instances with one task each, and one with room for `spare` tasks of 512 CPU units.
fn three_and_a_spare(spare: i64, now: Timestamp) -> Vec<Instance> {
    let full = |number: u32| {
        let mut one = instance(number, Some(staged()), now);
        one.tasks.as_mut().unwrap().tasks.push(task(number, Some("web")));
        one.remaining.cpu = 0;
        one
    };
    let mut other = instance(3, Some(report(UpdateState::Idle, None, None)), now);
    other.remaining.cpu = spare * 512;
    vec![full(0), full(1), full(2), other]
}

#[test]
fn room_that_is_spoken_for_is_not_given_again() {
    let now = at(1);
    let policy = Policy { max_unavailable: MaxUnavailable::Count(3), ..Policy::default() };
    let web = || service("web", 3, 100, 200);
    let going = |change: &dyn Fn(&mut Vec<Instance>, &mut models::fleet::Service)| {
        let (mut instances, mut service) = (three_and_a_spare(2, now), web());
        change(&mut instances, &mut service);
        drains(&plan(&fleet(instances, vec![service]), &policy, &facts(), now))
    };
    let draining = |instance: &mut Instance| *instance = claimed(instance.clone(), ClaimStep::Drain, now);
    assert_eq!(going(&|_, _| {}), ["i-0", "i-1"], "room for two");
    assert_eq!(going(&|all, _| draining(&mut all[0])), ["i-1"], "the first one's task has no replacement yet");
    let replaced = |all: &mut Vec<Instance>, service: &mut models::fleet::Service| {
        draining(&mut all[0]);
        (service.placed, service.running) = (4, 4);
        all[3].remaining.cpu = 512;
    };
    assert_eq!(going(&replaced), ["i-1"], "its replacement has taken its place, and nothing is done without");
    let foreign = |all: &mut Vec<Instance>, _: &mut models::fleet::Service| all[0].status = InstanceStatus::Draining;
    assert_eq!(going(&foreign), ["i-1"], "whoever drains");
    assert_eq!(going(&|_, service| service.deploying = 1), ["i-0"], "a deployment needs room");
    assert_eq!(going(&|_, service| service.placed = 2), ["i-0"], "a task is short");
}

#[test]
fn constraints_say_where_there_is_room() {
    let now = at(1);
    let policy = Policy { max_unavailable: MaxUnavailable::Count(2), ..Policy::default() };
    let told = |change: &dyn Fn(&mut models::fleet::Service)| {
        let mut service = service("web", 3, 100, 200);
        change(&mut service);
        let mut instances = three_and_a_spare(2, now);
        instances[3].attributes = attributes(&[("disk", "slow")]);
        instances[3].tasks.as_mut().unwrap().tasks.push(task(9, None));
        instances[3].running_tasks = 1;
        let plan = plan(&fleet(instances, vec![service]), &policy, &facts(), now);
        let hold = plan
            .standings
            .iter()
            .find(|standing| standing.host.as_str() == "i-0")
            .and_then(|standing| standing.hold.clone());
        (drains(&plan).len(), hold.map(|hold| hold.to_string()))
    };
    let needs = |what: &str| {
        Some(format!(
            "no other instance has room for a task of service web: it needs {what}, and i-3, which comes closest, lacks what a \
             placement constraint asks for; add capacity"
        ))
    };
    assert_eq!(told(&|_| {}), (2, None));
    assert_eq!(told(&|service| service.member_of.push("attribute:disk == slow".into())), (2, None));
    assert_eq!(told(&|service| service.member_of.push("attribute:disk =~ lo".into())), (2, None), "ECS's to decide");
    let fast = told(&|service| service.member_of.push("attribute:disk == fast".into()));
    assert_eq!(fast, (0, needs("512 CPU units and 1 GiB where attribute:disk == fast")));
    let apart = |service: &mut models::fleet::Service| service.member_of.push("not(task:group == service:web)".into());
    assert_eq!(told(&apart).0, 1, "one of them on the spare, and none where another is");
    let beside = told(&|service| service.member_of.push("task:group == service:api".into()));
    let lacks_cpu = needs("512 CPU units and 1 GiB in eu-west-1a").map(|text| {
        text.replace(
            "i-3, which comes closest, lacks what a placement constraint asks for",
            "i-1, which comes closest, lacks CPU",
        )
    });
    assert_eq!(beside, (0, lacks_cpu), "none of them on the spare");
    let one_each = |service: &mut models::fleet::Service| service.distinct_instance = true;
    assert_eq!(told(&one_each).0, 1, "one of them on the spare");
    let taken = told(&|service| {
        one_each(service);
        service.on.extend((0..4).map(|n| format!("arn:aws:ecs:eu-west-1:1:container-instance/web/{n}").into()));
    });
    let lacks = "lacks a place without another of its tasks";
    let told_so = needs("512 CPU units and 1 GiB on an instance without another of its tasks");
    assert_eq!(taken, (0, told_so.map(|text| text.replace("lacks what a placement constraint asks for", lacks))));
}

#[test]
fn zones_take_turns_or_wait() {
    let now = at(1);
    let in_zones = |zones: &[&str]| -> Vec<Instance> {
        let numbered = (0..).zip(zones);
        numbered.map(|(n, zone)| Instance { zone: Some((*zone).into()), ..instance(n, Some(staged()), now) }).collect()
    };
    let policy = |zone| Policy { max_unavailable: MaxUnavailable::Count(3), zone, ..Policy::default() };
    let fleet_of = |instances| fleet(instances, vec![]);
    let zones = ["a", "a", "a", "b", "b", "c"];
    let going = |instances, zone| drains(&plan(&fleet_of(instances), &policy(zone), &facts(), now));
    assert_eq!(going(in_zones(&zones), Zones::Spread), ["i-0", "i-3", "i-5"]);
    assert_eq!(going(in_zones(&zones), Zones::OneAtATime), ["i-0", "i-1", "i-2"]);
    let mut begun = in_zones(&zones);
    begun[3] = claimed(begun[3].clone(), ClaimStep::Drain, now);
    assert_eq!(going(begun.clone(), Zones::Spread), ["i-0", "i-5"]);
    assert_eq!(going(begun.clone(), Zones::OneAtATime), ["i-4"]);
    let waits = plan(&fleet_of(begun), &policy(Zones::OneAtATime), &facts(), now);
    let hold = waits
        .standings
        .iter()
        .find(|standing| standing.host.as_str() == "i-0")
        .and_then(|standing| standing.hold.clone());
    assert_eq!(hold.map(|hold| hold.code()), Some("other_zone_first"));
}

#[test]
fn a_drain_that_can_never_end_is_told_beforehand() {
    let now = at(1);
    let table = [
        (2, 100, 100, false),
        (2, 50, 100, true),
        (2, 100, 150, true),
        (1, 100, 150, false),
        (1, 0, 100, true),
        (1, 100, 200, true),
        (3, 67, 100, false),
        (3, 66, 100, true),
    ];
    for (desired, min, max, ends) in table {
        let mut one = instance(0, Some(staged()), now);
        one.tasks.as_mut().unwrap().tasks.push(task(0, Some("web")));
        let fleet = fleet(
            vec![one, instance(9, Some(report(UpdateState::Idle, None, None)), now)],
            vec![service("web", desired, min, max)],
        );
        let expected = if ends { "drain" } else { "hold drain_cannot_end" };
        assert_eq!(said(&plan(&fleet, &Policy::default(), &facts(), now)), expected, "{desired} tasks, {min}/{max}");
    }
}

#[test]
fn what_waits_in_vain_is_let_go() {
    let now = at(10);
    let mut one = claimed(instance(0, Some(staged()), now), ClaimStep::Stage, at(1));
    one.tags.exclude = Some(exclusion("no"));
    assert_eq!(say(one, &Policy::default(), &facts(), now), "finish held excluded");
}

#[test]
fn a_dry_run_changes_nothing() {
    let now = at(1);
    let facts = RunFacts { dry_run: true, ..facts() };
    let mut instances: Vec<Instance> = (0..4).map(|n| instance(n, Some(available()), now)).collect();
    instances[3].tags.exclude = Some(exclusion("no"));
    let plan = plan(&fleet(instances, vec![]), &Policy::default(), &facts, now);
    assert_eq!(plan.steps, []);
    assert_eq!(plan.wake_at, None);
    let turns: Vec<Option<usize>> = plan.standings.iter().map(|standing| standing.turn).collect();
    assert_eq!(turns.iter().flatten().count(), 3);
}

proptest! {
    /// Whatever the facts, no plan takes out more than the budget leaves, and the same facts give the same plan.
    #[test]
    fn never_more_than_the_budget(
        size in 1usize..30, budget in 1u32..10, out in 0usize..10, minutes in 0i64..200, seed in any::<u64>(),
    ) {
        let now = at(minutes);
        let policy = Policy { max_unavailable: MaxUnavailable::Count(budget), ..Policy::default() };
        let instances: Vec<Instance> = (0..size).map(|n| {
            let pick = seed.rotate_left(u32::try_from(n).unwrap()) % 4;
            let report = [available(), staged(), report(UpdateState::Idle, None, None), staged()][pick as usize].clone();
            let mut one = instance(u32::try_from(n).unwrap(), Some(report), now);
            if n < out {
                one.status = InstanceStatus::Draining;
            }
            one
        }).collect();
        let fleet = fleet(instances, vec![]);
        let plan_once = plan(&fleet, &policy, &facts(), now);
        let already = fleet.counted_and_out().1;
        prop_assert!(drains(&plan_once).len() + already <= (budget as usize).max(already));
        prop_assert_eq!(&plan_once, &plan(&fleet, &policy, &facts(), now));
        prop_assert!(plan_once.standings.iter().map(|standing| &standing.host).eq(fleet.instances.keys()));
        for drained in drains(&plan_once) {
            let instance = &fleet.instances[&drained.as_str().into()];
            prop_assert!(instance.in_service() && after(instance.seen_at, SignedDuration::ZERO) <= now);
        }
    }
}

#[test]
fn what_is_dead_or_stopped_takes_no_place_and_gives_no_room() {
    let now = at(1);
    type Case = (&'static str, Change, &'static str);
    let table: &[Case] = &[
        ("in service", |_| {}, "drain"),
        ("not connected", |i| i.agent_connected = false, "hold budget_used_up"),
        (
            "dead",
            |i| {
                i.agent_connected = false;
                i.ec2.as_mut().unwrap().state = MachineState::NotFound;
            },
            "drain",
        ),
        (
            "stopped",
            |i| {
                i.agent_connected = false;
                i.ec2.as_mut().unwrap().state = MachineState::Stopped;
            },
            "drain",
        ),
        (
            "stopped, and ours",
            |i| {
                *i = claimed(i.clone(), ClaimStep::Drain, at(0));
                i.ec2.as_mut().unwrap().state = MachineState::Stopped;
            },
            "hold budget_used_up",
        ),
        (
            "left out by EC2, and not connected",
            |i| {
                i.agent_connected = false;
                i.ec2.as_mut().unwrap().state = MachineState::Stopped;
                i.left_out_since = Some(at(-9));
            },
            "hold budget_used_up",
        ),
    ];
    for (name, change, expected) in table {
        let mut other = instance(7, Some(report(UpdateState::Idle, None, None)), now);
        change(&mut other);
        let fleet = fleet(vec![instance(0, Some(staged()), now), other], vec![]);
        let plan = plan(&fleet, &Policy::default(), &facts(), now);
        assert_eq!(said(&plan), *expected, "{name}");
    }
}

#[test]
fn nothing_is_drained_whose_tasks_ecs_could_place_on_a_machine_that_does_not_run() {
    let now = at(1);
    type Case = (&'static str, Change, Option<&'static str>, &'static str);
    let off: Change = |i| i.ec2.as_mut().unwrap().state = MachineState::Stopping;
    let table: &[Case] = &[
        ("runs", |_| {}, Some("web"), "drain"),
        ("stops", off, Some("web"), "hold stopped_machine_first"),
        ("stops, but there is no task to move", off, None, "drain"),
        (
            "is gone",
            |i| i.ec2.as_mut().unwrap().state = MachineState::ShuttingDown,
            Some("web"),
            "hold stopped_machine_first",
        ),
        (
            "stops, and ECS knows",
            |i| {
                i.ec2.as_mut().unwrap().state = MachineState::Stopped;
                i.agent_connected = false;
            },
            Some("web"),
            "drain",
        ),
        (
            "stops, DRAINING",
            |i| {
                i.ec2.as_mut().unwrap().state = MachineState::Stopped;
                i.status = InstanceStatus::Draining;
            },
            Some("web"),
            "drain",
        ),
        (
            "stops, and is too small for it",
            |i| {
                i.ec2.as_mut().unwrap().state = MachineState::Stopped;
                i.registered.cpu = 256;
            },
            Some("web"),
            "drain",
        ),
    ];
    for (name, change, service_name, expected) in table {
        let mut one = instance(0, Some(staged()), now);
        one.tasks.as_mut().unwrap().tasks.extend(service_name.map(|name| task(0, Some(name))));
        let mut other = instance(7, Some(report(UpdateState::Idle, None, None)), now);
        change(&mut other);
        let third = instance(9, Some(report(UpdateState::Idle, None, None)), now);
        let fleet = fleet(vec![one, other, third], vec![service("web", 1, 100, 200)]);
        assert_eq!(said(&plan(&fleet, &Policy::default(), &facts(), now)), *expected, "{name}");
    }
}

#[test]
fn a_stopped_machine_is_waited_for_until_ecs_must_know() {
    for (idle, waits) in [(0, true), (4, true), (6, false)] {
        let now = at(10);
        let mut one = instance(0, Some(staged()), now);
        one.tasks.as_mut().unwrap().tasks.push(task(0, Some("web")));
        let mut other = instance(7, Some(report(UpdateState::Idle, None, None)), now);
        other.ec2.as_mut().unwrap().state = MachineState::Stopped;
        let third = instance(9, Some(report(UpdateState::Idle, None, None)), now);
        let fleet = fleet(vec![one, other, third], vec![service("web", 1, 100, 200)]);
        let facts = RunFacts { idle_since: Some(at(10 - idle)), ..facts() };
        let plan = plan(&fleet, &Policy::default(), &facts, now);
        assert_eq!((said(&plan).as_str(), plan.wake_at.is_some()), ("hold stopped_machine_first", waits), "{idle}");
    }
}
