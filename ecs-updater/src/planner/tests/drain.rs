//! A drain, and tasks that do not stop.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn a_drain() {
    let since = at(2);
    let now = at(5);
    let busy = |mut i: Instance, tasks: Vec<models::fleet::Task>, looked: Timestamp| {
        i.running_tasks = u32::try_from(tasks.len()).unwrap();
        i.tasks = Some(models::fleet::SeenTasks { at: looked, tasks });
        i
    };
    let draining = || claimed(instance(0, Some(staged()), at(1)), ClaimStep::Drain, since);
    let standalone = Policy { standalone_tasks: StandaloneTasks::Stop, ..Policy::default() };
    let mut withdrawn = draining();
    withdrawn.report.as_mut().unwrap().report.update.as_mut().unwrap().available = vec!["1.26.1".into()];
    let table = [
        ("tasks left", busy(draining(), vec![task(1, Some("web"))], now), Policy::default(), now, "draining wait"),
        (
            "too long",
            busy(Instance { seen_at: at(22), ..draining() }, vec![task(1, Some("web"))], at(23)),
            Policy::default(),
            at(23),
            "finish failed drain_timed_out",
        ),
        (
            "too long, and ECS was not asked since its time was over",
            busy(draining(), vec![task(1, Some("web"))], at(23)),
            Policy::default(),
            at(23),
            "draining wait",
        ),
        (
            "too long, not looked",
            busy(draining(), vec![task(1, Some("web"))], at(3)),
            Policy::default(),
            at(23),
            "tasks",
        ),
        ("a task to stop", busy(draining(), vec![task(1, None)], now), standalone, now, "stop 1"),
        ("empty", draining(), Policy::default(), now, "reboot 1.27.0"),
        ("empty, and its release was withdrawn", withdrawn, Policy::default(), now, "finish held withdrawn"),
        ("empty, long after", draining(), Policy::default(), at(300), "reboot 1.27.0"),
    ];
    for (name, one, policy, now, expected) in table {
        assert_eq!(say(one, &policy, &facts(), now), expected, "{name}");
    }
    let mut stopping = busy(draining(), vec![task(1, Some("web"))], now);
    stopping.running_tasks = 0;
    assert_eq!(say(stopping.clone(), &Policy::default(), &facts(), now), "draining wait", "still stopping");
    assert_eq!(say(stopping, &Policy::default(), &facts(), at(6)), "tasks", "stopped by now?");

    let mut excluded = draining();
    excluded.tags.exclude = Some(exclusion("no"));
    assert_eq!(say(excluded, &Policy::default(), &facts(), now), "finish held excluded");

    let mut active = draining();
    active.status = InstanceStatus::Active;
    active.seen_at = at(5);
    assert_eq!(say(active.clone(), &Policy::default(), &facts(), now), "finish held reactivated_by_somebody");
    active.seen_at = since;
    assert_eq!(say(active.clone(), &Policy::default(), &facts(), now), "draining wait", "the listing lags");
    active.run.drained_at = None;
    active.tasks.as_mut().unwrap().at = now;
    active.seen_at = at(30);
    assert_eq!(
        say(active, &Policy::default(), &facts(), now),
        "drain",
        "a claim from a run that died before it drained"
    );

    let mut unstaged = claimed(instance(0, Some(available()), at(1)), ClaimStep::Drain, since);
    assert_eq!(say(unstaged.clone(), &Policy::default(), &facts(), now), "stage 1.27.0 lock=keep", "lost at a reboot");
    unstaged.run.stages = 2;
    assert_eq!(say(unstaged, &Policy::default(), &facts(), now), "finish failed reboot_refused");

    let unheard = claimed(instance(0, None, at(1)), ClaimStep::Drain, since);
    assert_eq!(say(unheard, &Policy::default(), &facts(), now), "inspect refresh=true", "taken over");
}

#[test]
fn tasks_that_do_not_stop_are_not_waited_for_without_end() {
    let other_run = || RunFacts { run: "NEXT".into(), started_at: at(60), ..facts() };
    let with_task = |mut one: Instance, seen| {
        one.run.reboot = None;
        one.run.began = None;
        one.tasks = Some(SeenTasks { at: seen, tasks: vec![task(1, None)] });
        one
    };
    let claimed_reboot = |report| with_task(rebooting(Some(report), at(60), None), at(61));
    let ready = || report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"));
    let heard = |mut one: Instance, at: Timestamp| {
        one.report.as_mut().unwrap().asked_at = at;
        one
    };
    let mut bad = report(UpdateState::Ready, Some("1.26.1"), Some("1.26.1"));
    bad.os.as_mut().unwrap().version = "1.27.0".into();
    let reverting =
        || failed_before(claimed(instance(0, Some(bad.clone()), at(61)), ClaimStep::Revert, at(45)), "1.27.0");
    let unhealthy = || {
        let one = claimed(instance(0, Some(rebooted("1.27.0", AgentState::Down)), at(60)), ClaimStep::Reboot, at(45));
        visited(failed_before(one, "1.27.0"), at(70), VisitEnd::Done)
    };
    let table = [
        ("a reboot, just seen", claimed_reboot(staged()), at(61), "draining wait"),
        ("a reboot, before its deadline", claimed_reboot(staged()), at(62), "reboot 1.27.0"),
        ("a reboot, too late, which may still come", claimed_reboot(staged()), at(63), "inspect refresh=false"),
        ("a reboot, too late", heard(claimed_reboot(staged()), at(68)), at(68), "finish failed reboot_refused"),
        ("a reboot that is to be undone", heard(claimed_reboot(ready()), at(68)), at(68), "cancel"),
        ("the way back, before its deadline", with_task(reverting(), at(61)), at(62), "reboot 1.26.1"),
        ("the way back, too late", with_task(reverting(), at(61)), at(75), "leave failed rollback_failed"),
        ("seen before the way back", with_task(reverting(), at(44)), at(75), "reboot 1.26.1"),
        ("before the way back", with_task(unhealthy(), at(71)), at(72), "revert"),
        ("before the way back, too late", with_task(unhealthy(), at(71)), at(90), "leave failed rollback_failed"),
    ];
    for (name, one, now, expected) in table {
        assert_eq!(say(one, &Policy::default(), &other_run(), now), expected, "{name}");
    }
    // It rebooted by itself before the command of this run.
    let by_itself = |seen| {
        let other_boot = error("boot", ErrorCode::OtherBoot);
        let mut one = rebooting(Some(rebooted("1.26.1", AgentState::Registered)), at(4), Some(other_boot));
        one.tasks = Some(SeenTasks { at: seen, tasks: vec![task(1, None)] });
        one
    };
    assert_eq!(say(by_itself(at(4)), &Policy::default(), &facts(), at(4)), "draining wait");
    assert_eq!(say(by_itself(at(17)), &Policy::default(), &facts(), at(18)), "cancel", "too late");
}

#[test]
fn a_drain_that_ecs_may_not_show_yet_is_waited_for() {
    // Seconds from the claim to the look that says ACTIVE; whether ECS refused the drain.
    for (seconds, refusal, expected) in
        [(-3, false, "draining wait"), (5, false, "draining wait"), (5, true, "drain"), (25, false, "drain")]
    {
        let now = at(1);
        let since = after(now, -SignedDuration::from_secs(seconds));
        let mut one = claimed(instance(0, Some(staged()), now), ClaimStep::Drain, since);
        (one.status, one.run.drained_at) = (InstanceStatus::Active, None);
        one.run.refused = refused("reboot", -9, -9).filter(|_| refusal);
        assert_eq!(one.in_service(), expected == "drain", "{seconds}");
        assert_eq!(say(one, &Policy::default(), &facts(), now), expected, "{seconds} s, refused: {refusal}");
    }
}

#[test]
fn a_task_that_ecs_does_not_describe_has_left_once_the_hosts_agent_says_so() {
    let now = at(5);
    for (said_at, tasks, expected) in [
        (at(1), Some(0), "inspect refresh=false"),
        (at(4), Some(1), "inspect refresh=false"),
        (at(4), None, "inspect refresh=false"),
        (at(4), Some(0), "reboot 1.27.0"),
    ] {
        let mut report = staged();
        report.agent.as_mut().unwrap().tasks = tasks;
        let mut one = claimed(instance(0, Some(report), said_at), ClaimStep::Drain, at(2));
        one.seen_at = now;
        one.tasks = Some(SeenTasks { at: now, tasks: vec![Task { undescribed: true, ..task(0, Some("web")) }] });
        assert_eq!(say(one, &Policy::default(), &facts(), now), expected, "{tasks:?} at {said_at}");
    }
    for (bridge_policy, expected) in
        [(BridgePolicy::OwnHost, "reboot 1.27.0"), (BridgePolicy::Cluster, "inspect refresh=false")]
    {
        let mut one = claimed(instance(0, Some(staged()), at(4)), ClaimStep::Drain, at(2));
        one.seen_at = now;
        one.tasks = Some(SeenTasks { at: now, tasks: vec![Task { undescribed: true, ..task(0, Some("web")) }] });
        let policy = Policy { bridge_policy, host: TransportPolicy::Bridge, ..Policy::default() };
        assert_eq!(say(one, &policy, &facts(), now), expected, "by its bridge, {bridge_policy:?}");
    }
}

/// Whatever step it is in: what is known of it is from before, so that nothing is done by it and no version is blamed.
#[test]
fn what_ecs_lists_and_does_not_describe_is_waited_for_and_then_left() {
    let steps = [
        (ClaimStep::Drain, staged()),
        (ClaimStep::Reboot, rebooted("1.27.0", AgentState::Registered)),
        (ClaimStep::Revert, rebooted("1.26.1", AgentState::Registered)),
    ];
    for (step, report) in steps {
        for (since, left) in [(at(59), false), (at(56), false), (at(55), true), (at(1), true)] {
            let mut one = claimed(instance(0, Some(report.clone()), at(1)), step, at(1));
            one.running_tasks = 3;
            one.undescribed_since = Some(since);
            let said = say(one, &Policy::default(), &facts(), at(60));
            let expected = if left { "leave failed act_refused" } else { "wait" };
            assert!(said.contains(expected), "{step:?} since {since}: {said}");
        }
    }
}

/// Somebody writes another claim with another date to come each minute.
#[test]
fn a_claim_that_is_dated_ahead_by_ever_more_gains_no_time() {
    let seen = |claims: &[(ClaimStep, i64)]| {
        let mut one = instance(0, Some(staged()), at(1));
        for (&(step, since), minute) in claims.iter().zip(2..) {
            one = claimed(one, step, at(since));
            one.note_claim(at(minute));
        }
        one.began(one.claim().unwrap())
    };
    use ClaimStep::{Drain, Reboot};
    for (claims, began) in [
        (vec![(Drain, 300), (Drain, 301), (Drain, 302)], 2),
        (vec![(Drain, 300), (Drain, 1)], 1),
        (vec![(Drain, 300), (Reboot, 301)], 3),
    ] {
        assert_eq!(seen(&claims), at(began), "{claims:?}");
    }
    let mut ours = claimed(instance(0, Some(staged()), at(1)), Drain, at(2));
    ours.note_own_claim(at(2));
    let mut ours = claimed(ours, Drain, at(7));
    ours.note_own_claim(at(7));
    assert_eq!(ours.began(ours.claim().unwrap()), at(7), "what this run writes counts from then");
}

/// The claim seems to begin at 300 min. The time-out of a drain is 20 minutes.
#[test]
fn a_drain_that_is_dated_ahead() {
    let seen_first = |run: &str, first: Option<i64>| {
        let mut one = claimed(instance(0, Some(staged()), at(1)), ClaimStep::Drain, at(300));
        one.run.drained_at = None;
        one.tags.claim.as_mut().unwrap().as_mut().unwrap().run = run.into();
        if let Some(first) = first {
            one.note_claim(at(first));
            one.note_claim(at(first + 1));
        }
        one.running_tasks = 1;
        one
    };
    let table = [
        ("by us, it says", "RUN", Some(2), 21, false),
        ("by us, it says, and its time is over", "RUN", Some(2), 22, true),
        ("by another run", "DEAD", Some(2), 21, false),
        ("by another run, and its time is over", "DEAD", Some(2), 22, true),
        ("by another run, written in the middle of this one", "DEAD", Some(60), 79, false),
        ("by another run, written in the middle of this one, and its time is over", "DEAD", Some(60), 80, true),
        ("by another run, not known since when", "DEAD", None, 20, true),
    ];
    for (name, run, first, now, over) in table {
        let now = at(now);
        let mut one = Instance { seen_at: now, ..seen_first(run, first) };
        one.tasks = Some(models::fleet::SeenTasks { at: now, tasks: vec![task(1, Some("web"))] });
        let expected = if over { "finish failed drain_timed_out" } else { "draining wait" };
        assert_eq!(say(one, &Policy::default(), &facts(), now), expected, "{name}");
    }
}
