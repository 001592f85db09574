//! How fast instances are drained and staged.

use super::*;

#[test]
fn bridges_are_asked_to_stage_no_faster_than_they_can_report() {
    let policy =
        Policy { host: TransportPolicy::Bridge, max_unavailable: MaxUnavailable::Percent(100), ..Policy::default() };
    let mut instances: Vec<Instance> = (0..100).map(|n| instance(n, Some(available()), at(1))).collect();
    let staged = |plan: &Plan| -> BTreeSet<String> {
        let stages = plan.steps.iter().filter(|planned| matches!(planned.step, Step::Stage(_)));
        stages.map(|planned| planned.host.to_string()).collect()
    };
    let first = staged(&plan(&fleet(instances.clone(), vec![]), &policy, &facts(), at(1)));
    assert_eq!(first.len(), 40);
    for instance in instances.iter_mut().filter(|instance| first.contains(instance.host.as_str())) {
        *instance = claimed(instance.clone(), ClaimStep::Stage, at(1));
        if let Some(Ok(claim)) = &mut instance.tags.claim {
            claim.transport = Transport::Bridge;
        }
        let command = HostCommand::Stage { version: version("1.27.0"), lock: None };
        instance.command = Some(Box::new(CommandInFlight { command, sent_at: at(1) }));
    }
    let second = |seconds| {
        let now = at(1) + SignedDuration::from_secs(seconds);
        let plan = plan(&fleet(instances.clone(), vec![]), &policy, &facts(), now);
        (staged(&plan).len(), plan.wake_at.map(|at| at.duration_since(now).as_secs()))
    };
    assert_eq!(second(2), (0, Some(3)));
    assert_eq!(second(5).0, 40);
    assert_eq!(second(-60).0, 40, "a clock that was ahead keeps nobody waiting");
    let by_ssm = Policy { host: TransportPolicy::Ssm, ..policy };
    let fresh = (0..100).map(|n| instance(n, Some(available()), at(1))).collect();
    assert_eq!(
        staged(&plan(&fleet(fresh, vec![]), &by_ssm, &facts(), at(1))).len(),
        100,
        "SSM takes as many as there are"
    );
}

#[test]
fn drains_are_no_faster_than_reboots_can_be() {
    let policy = Policy { max_unavailable: MaxUnavailable::Percent(100), ..Policy::default() };
    let mut instances: Vec<Instance> = (0..150).map(|n| instance(n, Some(staged()), at(1))).collect();
    let first = plan(&fleet(instances.clone(), vec![]), &policy, &facts(), at(1));
    assert_eq!(drains(&first).len(), 75);
    let hosts: BTreeSet<String> = drains(&first).into_iter().collect();
    let drained = |instance: &&mut Instance| hosts.contains(instance.host.as_str());
    for instance in instances.iter_mut().filter(drained) {
        instance.status = InstanceStatus::Draining;
        instance.run.drained_at = Some(at(1));
        instance.run.verdict = Some(verdict(Outcome::Updated));
    }
    let second = |seconds| {
        let now = at(1) + SignedDuration::from_secs(seconds);
        let plan = plan(&fleet(instances.clone(), vec![]), &policy, &facts(), now);
        let paced = plan.standings.iter().filter(|standing| standing.hold == Some(HoldReason::DrainsPaced)).count();
        (drains(&plan).len(), paced, plan.wake_at.map(|at| at.duration_since(now).as_secs()))
    };
    assert_eq!(second(5), (0, 75, Some(10)));
    assert_eq!(second(15), (75, 0, None));

    let minute_later = after(at(1), SignedDuration::from_secs(61));
    let looks = |plan: &Plan| plan.steps.iter().filter(|planned| planned.step == Step::LookAtTasks).count();
    let mut many: Vec<Instance> = (0..300).map(|n| instance(n, Some(staged()), at(1))).collect();
    let old = plan(&fleet(many.clone(), vec![]), &policy, &facts(), minute_later);
    assert_eq!((drains(&old).len(), looks(&old)), (0, 175), "none is drained by what was known a minute ago");
    let front: Vec<_> = old.steps.iter().take(10).map(|planned| planned.host.clone()).collect();
    for instance in many.iter_mut().filter(|instance| front.contains(&instance.host)) {
        instance.tasks.as_mut().unwrap().at = minute_later;
    }
    let fresh = plan(&fleet(many.clone(), vec![]), &policy, &facts(), minute_later);
    assert_eq!((drains(&fresh).len(), looks(&fresh)), (10, 155));

    // No room for the first while a service has the spare place to fill: the ones behind them have their look all the same.
    let service = Service { placed: 1_999, ..service("web", 2_000, 100, 200) };
    for (number, instance) in (0..).zip(&mut many) {
        instance.remaining = Resources { cpu: 0, memory: 0, ports: vec![], ..Resources::default() };
        let tasks = if number < 200 { vec![task(number, Some("web"))] } else { vec![] };
        let at = if number < 200 { minute_later } else { at(1) };
        instance.tasks = Some(SeenTasks { at, tasks });
    }
    let free = Resources { cpu: 512, memory: 1_024, ports: vec![], ..Resources::default() };
    many.push(Instance { remaining: free, ..instance(999, None, at(1)) });
    let behind = plan(&fleet(many, vec![service]), &policy, &facts(), minute_later);
    assert_eq!((drains(&behind).len(), looks(&behind)), (0, 100));

    let ready: Vec<Instance> =
        (200..240).map(|n| claimed(instance(n, Some(staged()), at(1)), ClaimStep::Drain, at(0))).collect();
    let waiting = [ready, vec![instance(0, Some(staged()), at(1))]].concat();
    let plan = plan(&fleet(waiting, vec![]), &policy, &facts(), at(1));
    assert_eq!((drains(&plan).len(), plan.steps.len()), (0, 40), "they are to be rebooted first");
}

/// What the run does itself grows with its share; what the hosts do for it has to fit beside the run.
#[test]
fn the_pace_fits_the_share_of_the_buckets() {
    let policy = Policy { max_unavailable: MaxUnavailable::Percent(100), ..Policy::default() };
    let by_bridge = Policy { host: TransportPolicy::Bridge, ..policy.clone() };
    for (share, drained, asked, awaiting) in
        [("0.1", 15, 8, 8), ("0.5", 75, 40, 40), ("0.9", 135, 8, 72), ("1", 150, 1, 80)]
    {
        let facts = RunFacts { api_share: share.parse().unwrap(), ..facts() };
        let plan = |instances: Vec<Instance>, policy| plan(&fleet(instances, vec![]), policy, &facts, at(1));
        let ready = |numbers: std::ops::Range<u32>| numbers.map(|n| instance(n, Some(staged()), at(1)));
        assert_eq!(drains(&plan(ready(0..160).collect(), &policy)).len(), drained, "{share}");

        let outdated = (0..50).map(|n| instance(n, Some(available()), at(1))).collect();
        let steps = plan(outdated, &by_bridge).steps;
        let stages = steps.iter().filter(|planned| matches!(planned.step, Step::Stage(_))).count();
        assert_eq!(stages, asked, "{share}");

        let beside = |waiting: u32| {
            let drained = ready(1..waiting + 1).map(|one| claimed(one, ClaimStep::Drain, at(0)));
            drains(&plan(ready(0..1).chain(drained).collect(), &policy)).len()
        };
        assert_eq!((beside(awaiting - 1), beside(awaiting)), (1, 0), "{share}");
    }
}

#[test]
fn none_is_drained_past_a_slow_drain_of_the_same_service() {
    let policy = Policy { max_unavailable: MaxUnavailable::Count(3), ..Policy::default() };
    let half = 10;
    let seen = |mut instance: Instance, tasks: Vec<Task>| {
        instance.running_tasks = 1;
        instance.tasks = Some(SeenTasks { at: at(half), tasks });
        instance
    };
    let services = vec![service("web", 8, 100, 200), service("api", 8, 100, 200)];
    let drained_past = |slow: Instance, left: Task| {
        let instances = vec![
            seen(slow, vec![left]),
            seen(instance(1, Some(staged()), at(half)), vec![task(1, Some("web"))]),
            seen(instance(2, Some(staged()), at(half)), vec![task(2, Some("api"))]),
            instance(3, None, at(half)),
        ];
        let plan = plan(&fleet(instances, services.clone()), &policy, &facts(), at(half));
        let holds: Vec<_> =
            plan.standings.iter().filter_map(|standing| standing.hold.as_ref()).map(ToString::to_string).collect();
        (drains(&plan).len(), holds.join(", "))
    };
    let draining = |minutes: i64| claimed(instance(0, Some(staged()), at(half)), ClaimStep::Drain, at(minutes));
    let drained_when = |minutes, left| drained_past(draining(minutes), left);
    let web = || task(0, Some("web"));
    let words = "waiting for i-0: a task of service web (also running here) has not started to stop after half of \
                 timeouts.drain";
    assert_eq!(drained_when(0, web()), (1, words.to_owned()));
    assert_eq!(drained_when(1, web()), (2, String::new()), "it is not slow yet");
    assert_eq!(drained_when(0, Task { stopping: true, ..web() }), (2, String::new()), "it leaves in its own time");
    assert_eq!(drained_when(0, task(0, None)), (2, String::new()), "that is waited for on its own account");
    let mut done_with = draining(0);
    done_with.run.verdict = Some(verdict(Outcome::Held));
    assert_eq!(
        drained_past(done_with, web()),
        (2, String::new()),
        "it is left as it is, whatever becomes of its tasks"
    );
}
