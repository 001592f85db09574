//! Canaries, checkpoints, bakes and the time between two drains.

use std::collections::BTreeMap;

use models::fleet::Ec2;
use models::last::Last;

use super::*;

/// What has become of 1.27.0 on an instance.
enum Came {
    /// It is staged, and waits.
    Waits,
    /// It was updated, as its tag says, at this minute.
    Updated(i64),
    /// This run updated it at this minute, and the tag says so or not.
    UpdatedHere(i64, bool),
    /// It was launched with it at this minute.
    Launched(i64),
    /// It was updated, and the tag tells of another update.
    TagOfAnother,
    /// It is out of service for it.
    Out,
    /// It failed there at this minute, for its own sake or not.
    Failed(i64),
    FailedByItself(i64),
}

fn last(failure: Option<&str>, minute: i64) -> Option<Last> {
    Last::new(failure, &version("1.26.1"), &version("1.27.0"), at(minute))
}

fn one(number: u32, came: &Came, now: Timestamp) -> Instance {
    let verdict = |outcome, minute: i64, of_its_own| {
        let (from, to) = (Some(version("1.26.1")), Some(version("1.27.0")));
        Some(Box::new(Verdict { outcome, reason: None, detail: None, from, to, at: at(minute), of_its_own }))
    };
    let mut new = instance(number, Some(rebooted("1.27.0", AgentState::Registered)), now);
    new.report.as_mut().unwrap().report.update = report(UpdateState::Idle, None, None).update;
    let mut old = instance(number, Some(staged()), now);
    match came {
        Came::Waits => old,
        Came::Updated(minute) => {
            new.tags.last = last(None, *minute);
            new
        }
        Came::UpdatedHere(minute, is_told) => {
            new.tags.last = last(None, *minute).filter(|_| *is_told);
            new.run.drained_at = Some(at(*minute));
            new.run.verdict = verdict(Outcome::Updated, *minute, false);
            new
        }
        Came::Launched(minute) => {
            new.ec2 = Some(Ec2 { launched_at: Some(at(*minute)), state: MachineState::Running, ..Ec2::default() });
            new
        }
        Came::TagOfAnother => {
            new.tags.last = Last::new(None, &version("1.25.0"), &version("1.26.1"), at(-9000));
            new
        }
        Came::Out => claimed(old, ClaimStep::Drain, after(now, SignedDuration::from_secs(-60))),
        Came::Failed(minute) => {
            let mut old = failed_before(old, "1.27.0");
            old.tags.last = last(Some("fell_back_at_boot"), *minute);
            old
        }
        Came::FailedByItself(minute) => {
            old.tags.last = last(Some("stage_failed"), *minute);
            old.run.verdict = verdict(Outcome::Failed, *minute, true);
            old
        }
    }
}

/// What is said of the instances that wait, each once: the codes, or that they are drained; and when the run wakes.
fn of_those_that_wait(came: &[Came], policy: &Policy, facts: &RunFacts, now: Timestamp) -> String {
    let instances: Vec<Instance> = (0..).zip(came).map(|(number, came)| one(number, came, now)).collect();
    let waiting: BTreeSet<String> = (0..)
        .zip(came)
        .filter(|(_, came)| matches!(came, Came::Waits))
        .map(|(number, _): (u32, _)| format!("i-{number}"))
        .collect();
    let plan = plan(&fleet(instances, vec![]), policy, facts, now);
    let drained = drains(&plan);
    let mut words: Vec<String> = Vec::new();
    for standing in plan.standings.iter().filter(|standing| waiting.contains(standing.host.as_str())) {
        let word = if drained.contains(&standing.host.to_string()) {
            "drain".to_owned()
        } else {
            standing.hold.as_ref().map_or("wait", HoldReason::code).to_owned()
        };
        words.push(word);
    }
    words.sort_unstable();
    words.dedup();
    let wakes = plan.wake_at.map(|at| format!(", until {}", at.duration_since(start()).as_mins()));
    format!("{}{}", words.join(" "), wakes.unwrap_or_default())
}

fn policy(canary: Option<u32>, checkpoints: &[&str], bake: i64) -> Policy {
    Policy {
        max_unavailable: MaxUnavailable::Count(3),
        canary,
        checkpoints: models::policy::Checkpoints::read(checkpoints.iter().copied()).unwrap(),
        bake: SignedDuration::from_mins(bake),
        stop_after_failures: StopAfter::Never,
        ..Policy::default()
    }
}

/// A run that began at minute 0, and is at minute 100 with every host heard.
#[test]
fn how_far_a_release_goes() {
    use Came::*;
    let canary = || policy(Some(1), &[], 60);
    let two = || policy(Some(2), &[], 60);
    let half = || policy(None, &["50%"], 60);
    let table: Vec<(&str, Policy, Vec<Came>, &str)> = vec![
        ("none is asked for", policy(None, &[], 60), vec![Waits, Waits, Waits], "drain"),
        ("the first", canary(), vec![Waits, Waits, Waits], "canary_first drain"),
        ("two of them", two(), vec![Updated(-500), Waits, Waits], "canary_first drain"),
        ("it is out", canary(), vec![Out, Waits, Waits], "canary_first, until 100"),
        ("it is watched for longer than a run waits", canary(), vec![Updated(75), Waits], "baking"),
        ("it is watched for half an hour more", canary(), vec![Updated(70), Waits], "baking, until 130"),
        ("it was watched", canary(), vec![Updated(40), Waits, Waits], "drain"),
        ("the second is watched", two(), vec![Updated(40), Updated(60), Waits], "baking, until 120"),
        ("a third counts no more", two(), vec![Updated(10), Updated(40), Updated(99), Waits], "drain"),
        ("this run updated it", canary(), vec![UpdatedHere(70, true), Waits], "baking, until 130"),
        ("and could not write it", canary(), vec![UpdatedHere(99, false), Waits], "baking, until 159"),
        ("launched with it", canary(), vec![Launched(-900), Waits, Waits], "canary_first drain"),
        ("dated far ahead, as if seen first when the run began", canary(), vec![Updated(200), Waits], "drain"),
        ("dated ahead by a clock", canary(), vec![Updated(105), Waits], "baking"),
        ("it failed", canary(), vec![Failed(50), Waits], "canary_failed"),
        ("another one failed before it was watched", two(), vec![Updated(10), Failed(60), Waits], "canary_failed"),
        ("one failed long after it was watched", canary(), vec![Updated(-90), Failed(60), Waits], "drain"),
        ("it failed for a reason of its own", canary(), vec![FailedByItself(50), Waits, Waits], "canary_first drain"),
        ("a checkpoint", half(), vec![Updated(90), Waits, Waits, Waits], "checkpoint_first drain"),
        ("with one out", half(), vec![Updated(90), Out, Waits, Waits], "checkpoint_first, until 100"),
        ("it is reached", half(), vec![Updated(50), Launched(70), Waits, Waits], "baking, until 130"),
        ("and watched", half(), vec![Updated(10), Launched(-900), Waits, Waits], "drain"),
        ("by tags that tell of something else", half(), vec![TagOfAnother, Waits], "drain"),
    ];
    for (name, policy, came, expected) in table {
        let said = of_those_that_wait(&came, &policy, &facts(), at(100));
        let (words, until) = said.split_once(", until ").unwrap_or((&said, ""));
        let (due, due_until) = expected.split_once(", until ").unwrap_or((expected, ""));
        assert_eq!(words, due, "{name}");
        if due.starts_with("baking") || due_until.is_empty() && !due.contains("drain") {
            assert_eq!(until, due_until, "{name}");
        }
    }
}

#[test]
fn a_bake_is_waited_for_where_the_run_could_go_on_then() {
    let came = || vec![Came::Updated(80), Came::Waits];
    let own = || vec![Came::UpdatedHere(80, false), Came::Waits];
    let limited =
        |minutes| Policy { max_duration: Some(SignedDuration::from_mins(minutes)), ..policy(Some(1), &[], 40) };
    let window = |window: &str| Policy { windows: vec![window.parse().unwrap()], ..policy(Some(1), &[], 40) };
    let table: Vec<(&str, Policy, Vec<Came>, &str)> = vec![
        ("in time", limited(121), came(), "baking, until 120"),
        ("too late", limited(120), came(), "baking"),
        ("in the window", window("Mon 03:00-05:06 UTC"), came(), "baking, until 120"),
        ("the window is too short for an update after it", window("Mon 03:00-05:05 UTC"), came(), "baking"),
        ("nobody else knows, in time", limited(121), own(), "baking, until 120"),
        ("nobody else knows, and too late", limited(120), own(), "bake_unknown"),
    ];
    for (name, policy, came, expected) in table {
        assert_eq!(of_those_that_wait(&came, &policy, &facts(), at(100)), expected, "{name}");
    }
}

/// The canary, or the second of a checkpoint, was updated twenty minutes ago; the first instance so many minutes before now.
#[test]
fn a_bake_that_begins_again_says_since_when_the_first_runs_the_release() {
    let named =
        || Policy { canary_match: Some("attribute:stage == canary".parse().unwrap()), ..policy(Some(1), &[], 60) };
    let table = [
        ("a canary in the place of another", named(), 1_600, true),
        ("within a bake and a night", named(), 1_500, false),
        ("a checkpoint", policy(None, &["50%"], 60), 1_600, true),
        ("one that comes in the night after the canary", policy(Some(1), &["50%"], 60), 1_600, false),
        ("one that comes long after it", policy(Some(1), &["50%"], 60), 3_100, true),
    ];
    for (name, policy, before, is_told) in table {
        let mut canary = one(1, &Came::Updated(80), at(100));
        canary.attributes = attributes(&[("stage", "canary")]);
        let hosts = vec![one(0, &Came::Updated(100 - before), at(100)), canary];
        let waiting = [2, 3].map(|number| one(number, &Came::Waits, at(100)));
        let plan = plan(&fleet([hosts, waiting.to_vec()].concat(), vec![]), &policy, &facts(), at(100));
        let hold = plan.standings[2].hold.as_ref().unwrap();
        let first = at(100 - before);
        let told = format!("whose bake began only at {} although the first instance was updated at {first},", at(80));
        assert_eq!((hold.code(), hold.to_string().contains(&told)), ("baking", is_told), "{name}: {hold}");
    }
}

#[test]
fn canaries_are_those_that_a_person_names() {
    let matching =
        Policy { canary_match: Some("attribute:stage == canary".parse().unwrap()), ..policy(Some(2), &[], 60) };
    let named = |numbers: &[u32]| {
        let mut instances: Vec<Instance> = (0..4).map(|number| one(number, &Came::Waits, at(100))).collect();
        for number in numbers {
            instances[*number as usize].attributes = attributes(&[("stage", "canary")]);
        }
        drains(&plan(&fleet(instances, vec![]), &matching, &facts(), at(100)))
    };
    assert_eq!(named(&[1, 3]), ["i-1", "i-3"]);
    assert_eq!(named(&[2]), ["i-2"]);
    assert_eq!(named(&[]), Vec::<String>::new());
    assert_eq!(of_those_that_wait(&[Came::Waits], &matching, &facts(), at(100)), "no_canary");
}

#[test]
fn hosts_are_heard_before_the_first_canary() {
    let mut unheard = instance(1, None, at(1));
    unheard.visit = None;
    let instances = |unheard: &Instance| vec![one(0, &Came::Waits, at(1)), unheard.clone()];
    let policy = policy(Some(1), &[], 60);
    assert_eq!(drains(&plan(&fleet(instances(&unheard), vec![]), &policy, &facts(), at(1))), Vec::<String>::new());
    let late = after(start(), Timeouts::default().inspect);
    unheard.seen_at = late;
    let mut ready = instances(&unheard);
    ready[0].tasks = Some(SeenTasks { at: late, tasks: vec![] });
    assert_eq!(drains(&plan(&fleet(ready, vec![]), &policy, &facts(), late)), ["i-0"]);
}

#[test]
fn a_plan_goes_as_far_as_the_run_would() {
    let dry = RunFacts { dry_run: true, started_at: at(100), ..facts() };
    let waits = |count: usize| (0..count).map(|_| Came::Waits).collect::<Vec<_>>();
    let would = |policy: &Policy| {
        let instances = (0..).zip(waits(10)).map(|(number, came)| one(number, &came, at(100))).collect();
        let plan = plan(&fleet(instances, vec![]), policy, &dry, at(100));
        let begun = plan.standings.iter().filter(|standing| standing.turn.is_some()).count();
        (begun, plan.bakes.iter().map(|one| one.bakes).sum::<usize>())
    };
    assert_eq!(would(&policy(None, &[], 20)), (10, 0));
    assert_eq!(would(&policy(Some(1), &[], 40)), (1, 0), "longer than a run waits");
    assert_eq!(would(&policy(Some(1), &[], 20)), (10, 1));
    assert_eq!(would(&policy(Some(2), &["50%"], 20)), (10, 2));
    assert_eq!(would(&policy(None, &["30%", "60%"], 31)), (3, 0));
    let hour = Policy { max_duration: Some(SignedDuration::from_mins(40)), ..policy(Some(1), &["50%"], 20) };
    assert_eq!(would(&hour), (5, 1), "its time is over before the second bake is");
}

/// The rest of the canary's bake is waited for, and that of the checkpoint after it is too long for that.
#[test]
fn a_plan_in_the_middle_of_a_bake_stops_before_the_next_long_one() {
    let dry = RunFacts { dry_run: true, started_at: at(100), ..facts() };
    let would = |checkpoints: &[&str], updated: i64| {
        let came = std::iter::once(Came::Updated(updated)).chain((0..9).map(|_| Came::Waits));
        let instances = (0..).zip(came).map(|(number, came)| one(number, &came, at(100))).collect();
        let plan = plan(&fleet(instances, vec![]), &policy(Some(1), checkpoints, 40), &dry, at(100));
        let held: BTreeSet<&str> = plan.standings.iter().filter_map(|one| Some(one.hold.as_ref()?.code())).collect();
        let begun = plan.standings.iter().filter(|standing| standing.turn.is_some()).count();
        (begun, plan.bakes.iter().map(|one| one.bakes).sum::<usize>(), held)
    };
    let held = |codes: &[&'static str]| BTreeSet::from_iter(codes.iter().copied());
    assert_eq!(would(&["50%"], 80), (4, 1, held(&["budget_used_up", "checkpoint_first"])));
    assert_eq!(would(&[], 80), (9, 1, held(&["budget_used_up"])));
    assert_eq!(would(&["50%"], 99), (0, 0, held(&["baking"])));
}

#[test]
fn some_time_passes_between_two_drains() {
    let soak = |minutes| Policy { soak: SignedDuration::from_mins(minutes), ..policy(None, &[], 60) };
    let table: Vec<(&str, Vec<Came>, &str)> = vec![
        ("nothing before", vec![Came::Waits, Came::Waits], "drain soaking, until 105"),
        ("one drained a minute ago", vec![Came::Out, Came::Waits], "soaking, until 104"),
        ("one came back four minutes ago", vec![Came::UpdatedHere(96, true), Came::Waits], "soaking, until 101"),
        ("in an earlier run", vec![Came::Updated(96), Came::Waits], "soaking, until 101"),
        ("long ago", vec![Came::Updated(95), Came::Waits], "drain"),
        ("dated ahead", vec![Came::Updated(9000), Came::Waits], "drain"),
    ];
    for (name, came, expected) in table {
        assert_eq!(of_those_that_wait(&came, &soak(5), &facts(), at(100)), expected, "{name}");
    }
    let late = Policy { max_duration: Some(SignedDuration::from_mins(101)), ..soak(5) };
    assert_eq!(of_those_that_wait(&[Came::Updated(96), Came::Waits], &late, &facts(), at(100)), "soaking");
}

#[test]
fn one_that_is_being_staged_takes_a_place() {
    let available = report(UpdateState::Available, Some("1.27.0"), None);
    let mut staging = claimed(instance(0, Some(available), at(1)), ClaimStep::Stage, at(1));
    let command = HostCommand::Stage { version: version("1.27.0"), lock: None };
    staging.command = Some(Box::new(CommandInFlight { command, sent_at: at(1) }));
    let fleet = fleet(vec![staging, one(1, &Came::Waits, at(1))], vec![]);
    let plan = plan(&fleet, &policy(Some(1), &[], 60), &facts(), at(1));
    assert_eq!((drains(&plan), plan.standings[1].hold.as_ref().map(HoldReason::code)), (vec![], Some("canary_first")));
}

/// One of two that can be canaries loses its agent just now, or did so long ago.
#[test]
fn a_canary_that_is_out_of_sight_for_a_moment_is_still_wanted() {
    let baked = || vec![one(0, &Came::Updated(10), at(100)), one(1, &Came::Waits, at(100))];
    for (name, minute, expected) in [("a moment ago", 99, false), ("for long", 50, true)] {
        let mut hosts = baked();
        hosts[0].attributes = BTreeMap::from([("role".to_owned(), "canary".to_owned())]).into();
        let mut lost = one(2, &Came::Waits, at(100));
        (lost.agent_connected, lost.disconnected_since) = (false, Some(at(minute)));
        lost.attributes = hosts[0].attributes.clone();
        hosts.push(lost);
        let policy =
            Policy { canary_match: Some("attribute:role == canary".parse().unwrap()), ..policy(Some(2), &[], 60) };
        let plan = plan(&fleet(hosts, vec![]), &policy, &facts(), at(100));
        assert_eq!(drains(&plan).is_empty(), !expected, "{name}: {:?}", plan.standings);
    }
}

#[test]
fn a_bake_does_not_end_while_its_canary_is_lost() {
    for (name, lost, expected) in [
        ("in the bake", Some((60, Some(59))), Some("canary_lost")),
        ("after it", Some((95, Some(94))), None),
        ("before this run, so that nobody knows when", Some((99, None)), Some("canary_lost")),
        ("never", None, None),
    ] {
        let mut canary = one(0, &Came::Updated(30), at(100));
        if let Some((since, seen)) = lost {
            (canary.agent_connected, canary.disconnected_since) = (false, Some(at(since)));
            canary.run.last_seen.in_service = seen.map(at);
        }
        let hosts = vec![canary, one(1, &Came::Waits, at(100))];
        let plan = plan(&fleet(hosts, vec![]), &policy(Some(1), &[], 60), &facts(), at(100));
        let hold = plan.standings[1].hold.as_ref().map(HoldReason::code);
        assert_eq!(hold.filter(|code| *code == "canary_lost"), expected, "{name}");
    }
}
