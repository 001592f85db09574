//! What `plan` says, where nothing may be changed: what a run would come to.

use super::*;

fn dry_run() -> RunFacts {
    RunFacts { dry_run: true, ..facts() }
}

#[test]
fn what_a_plan_says_of_an_instance() {
    let now = at(1);
    type Case = (&'static str, Change, &'static str);
    let table: &[Case] = &[
        ("to be updated", |_| {}, "outdated, turn 1"),
        ("staged", |i| i.report.as_mut().unwrap().report = staged(), "staged, turn 1"),
        ("its agent is away", |i| i.agent_connected = false, "held: agent_disconnected"),
        ("left out by EC2 a moment ago", |i| i.left_out_since = Some(now_of_the_table()), "held: unknown_to_ec2"),
        ("no command reaches it", |i| (i.visit, i.report, i.reach) = (None, None, unreachable()), "unseen"),
        ("drained by a run that died", |i| *i = claimed(i.clone(), ClaimStep::Drain, at(0)), "draining"),
        ("a lock that a dead run left", |i| i.tags.saved_lock = Some("1.26.1".into()), "outdated, turn 1"),
        (
            "failed before",
            |i| i.tags.failed = models::claim::FailedVersions::parse("1.27.0"),
            "held: version_failed_before",
        ),
        ("full of tags", |i| i.tags.others = 50, "held: tags_full"),
        ("a standalone task", |i| i.tasks.as_mut().unwrap().tasks.push(task(1, None)), "held: standalone_tasks"),
        (
            "a task that nobody else has room for",
            |i| i.tasks.as_mut().unwrap().tasks.push(Task { needs: larger(), ..task(1, Some("web")) }),
            "held: no_room",
        ),
        ("AWS refuses to ask it", |i| i.run.refused = refused("inspect", -300, 0), "held: host_unreachable"),
    ];
    for (name, change, expected) in table {
        let mut one = instance(0, Some(available()), now);
        change(&mut one);
        let other = instance(9, Some(report(UpdateState::Idle, None, None)), now);
        let fleet = fleet(vec![one, other], vec![service("web", 1, 100, 200)]);
        assert_eq!(stands(&plan(&fleet, &Policy::default(), &dry_run(), now), "i-0"), *expected, "{name}");
    }
}

#[test]
fn what_a_plan_says_where_there_is_no_place_or_no_room() {
    let now = at(1);
    let full = |number: u32| {
        let mut one = instance(number, Some(staged()), now);
        one.tasks.as_mut().unwrap().tasks.push(task(number, Some("web")));
        one.remaining.cpu = 0;
        one
    };
    let spare = |cpu| {
        let mut one = instance(9, Some(report(UpdateState::Idle, None, None)), now);
        one.remaining.cpu = cpu;
        one
    };
    let deploying = |deploying| vec![Service { deploying, ..service("web", 2, 100, 200) }];
    let away = Instance { agent_connected: false, disconnected_since: Some(at(-9)), ..spare(512) };
    let table = [
        ("room for one at a time", spare(512), deploying(0), "staged, turn 1"),
        ("a deployment takes that", spare(512), deploying(1), "held: no_room"),
        ("there is room for both", spare(1_024), deploying(1), "staged, turn 1"),
        ("none at all", spare(0), deploying(0), "held: no_room"),
        ("the only place is taken by another", away, deploying(0), "held: budget_used_up"),
    ];
    for (name, other, services, expected) in table {
        let fleet = fleet(vec![full(0), full(1), other], services);
        assert_eq!(stands(&plan(&fleet, &Policy::default(), &dry_run(), now), "i-0"), expected, "{name}");
    }
}

#[test]
fn turns_are_counted_of_those_that_have_one() {
    let now = at(1);
    let mut instances: Vec<Instance> = (0..5).map(|n| instance(n, Some(available()), now)).collect();
    // They are candidates: that they are held says admission.
    for number in [0, 2] {
        instances[number].tasks.as_mut().unwrap().tasks.push(task(1, None));
    }
    let plan = plan(&fleet(instances, vec![]), &Policy::default(), &dry_run(), now);
    let turns: Vec<Option<usize>> = plan.standings.iter().map(|standing| standing.turn).collect();
    assert_eq!(turns, [None, Some(1), None, Some(2), Some(3)]);
}

/// How an instance stands in a plan: one that has a turn would be updated.
fn stands(plan: &Plan, host: &str) -> String {
    assert_eq!(plan.steps.iter().filter(|planned| planned.host.as_str() == host).count(), 0, "nothing is to be done");
    let standing = plan.standings.iter().find(|standing| standing.host.as_str() == host).unwrap();
    match (standing.turn, &standing.hold) {
        (Some(turn), _) => format!("{}, turn {turn}", standing.phase.as_str()),
        (None, Some(hold)) => format!("{}: {}", standing.phase.as_str(), hold.code()),
        (None, None) => standing.phase.as_str().to_owned(),
    }
}

fn now_of_the_table() -> Timestamp {
    at(1)
}

fn unreachable() -> Option<models::fleet::Reachability> {
    Some(models::fleet::Reachability { at: at(1), unreachable_because: Some("its SSM agent is ConnectionLost".into()) })
}

fn larger() -> Resources {
    Resources { cpu: 4_096, memory: 1_024, ports: vec![], ..Resources::default() }
}
