//! When a function of the user's is asked, and what follows from what it says.

use jiff::SignedDuration;
use models::function::FunctionArn;
use models::hook::{Ask, Asked, HookAnswer, HookStep, Subject};
use models::plan::Standing;
use models::policy::{Hooks, OnHookError, Policy};

use super::*;
use crate::planner::context::Context;
use crate::planner::follow_health;
use crate::planner::hooks::{Word, before_run};

const FUNCTION: &str = "arn:aws:lambda:eu-central-1:111122223333:function:ready";

fn policy(on_error: OnHookError) -> Policy {
    let function = Some(FUNCTION.parse().unwrap());
    let hooks = Hooks { before_run: function, timeout: SignedDuration::from_mins(10), on_error, ..Hooks::default() };
    Policy { hooks, ..Policy::default() }
}

fn second(second: i64) -> Timestamp {
    after(at(0), SignedDuration::from_secs(second))
}

/// The word of a hook at a second, that was asked first at 0 and last at `asked`, and has answered at `answered`.
fn word_of(asked: i64, answer: Option<(i64, HookAnswer)>, on_error: OnHookError, now: i64) -> Word {
    let mut fleet = fleet(vec![], vec![]);
    fleet.hooks.before = Some(Asked {
        subject: Subject::of_run(HookStep::BeforeRun),
        since: at(0),
        at: second(asked),
        deadline: at(10),
        answer: answer.map(|(at, answer)| (second(at), answer)),
        not_asked: 1,
        refused_since: None,
    });
    let (policy, run) = (policy(on_error), facts());
    before_run(&Context::new(&fleet, &policy, &run, second(now)))
}

/// Whether it is cleared, asked, waited for until a second, failed or broken.
fn word_for(word: &Word) -> String {
    match word {
        Word::Cleared => "cleared".to_owned(),
        Word::Ask(_) => "ask".to_owned(),
        Word::Wait(until, _) => format!("until {}", until.duration_since(at(0)).as_secs()),
        Word::Failed(_) => "failed".to_owned(),
        Word::TimedOut(_) => "timed out".to_owned(),
        Word::Broken(_) => "broken".to_owned(),
    }
}

#[test]
fn what_follows_from_an_answer() {
    use OnHookError::{Continue, Hold};
    let text = || "words".to_owned();
    let wait = |seconds| HookAnswer::Wait { seconds };
    let (fail, error) = (HookAnswer::Fail { reason: text() }, HookAnswer::Error { detail: text() });
    let (refused, not_asked) = (HookAnswer::Refused { detail: text() }, HookAnswer::NotAsked { detail: text() });
    let table = [
        ("it has not answered", 0, None, Hold, 100, "until 120"),
        ("nor in its time", 0, None, Hold, 719, "until 739"),
        ("the call is lost, and made again", 0, None, Hold, 720, "ask"),
        ("lost, and it was the last one", 600, None, Hold, 721, "broken"),
        ("ok", 0, Some((1, HookAnswer::Ok)), Hold, 5_000, "cleared"),
        ("no", 0, Some((1, fail.clone())), Continue, 2, "failed"),
        ("it failed itself", 0, Some((1, error.clone())), Hold, 2, "broken"),
        ("the same, and go on", 0, Some((1, error)), Continue, 2, "cleared"),
        ("no permission", 0, Some((1, refused.clone())), Continue, 2, "until 6"),
        ("no permission, again", 0, Some((1, refused.clone())), Continue, 6, "ask"),
        ("no permission, asked for at the last", 600, Some((601, refused)), Continue, 602, "broken"),
        ("a wait", 0, Some((1, wait(30))), Hold, 2, "until 31"),
        ("it is over", 0, Some((1, wait(30))), Hold, 31, "ask"),
        ("a wait beyond the time", 0, Some((1, wait(3_600))), Hold, 2, "until 600"),
        ("the last question", 0, Some((1, wait(3_600))), Hold, 600, "ask"),
        ("a wait, asked for at the last", 600, Some((601, wait(30))), Hold, 602, "timed out"),
        ("silent until the end", 0, Some((600, HookAnswer::Silent)), Hold, 601, "ask"),
        ("silent at the last", 600, Some((630, HookAnswer::Silent)), Hold, 631, "timed out"),
        ("silent for a whole call", 0, Some((300, HookAnswer::Silent)), Hold, 301, "until 305"),
        ("not called", 0, Some((1, not_asked.clone())), Continue, 2, "until 6"),
        ("again", 0, Some((1, not_asked.clone())), Hold, 6, "ask"),
        ("not called at the last", 600, Some((601, not_asked)), Continue, 602, "broken"),
    ];
    for (name, asked, answer, on_error, now, expected) in table {
        assert_eq!(word_for(&word_of(asked, answer, on_error, now)), expected, "{name}");
    }
}

#[test]
fn nobody_is_asked_by_a_plan_or_without_a_function() {
    let fleet = fleet(vec![], vec![]);
    let (asks, silent) = (policy(OnHookError::Hold), Policy::default());
    let mut facts = facts();
    assert!(matches!(before_run(&Context::new(&fleet, &asks, &facts, at(0))), Word::Ask(_)));
    assert_eq!(before_run(&Context::new(&fleet, &silent, &facts, at(0))), Word::Cleared);
    facts.dry_run = true;
    assert_eq!(before_run(&Context::new(&fleet, &asks, &facts, at(0))), Word::Cleared);
}

#[test]
fn a_refusal_is_endured_for_five_minutes() {
    let ask = |asked: &Asked| Ask {
        function: FUNCTION.parse().unwrap(),
        subject: asked.subject.clone(),
        since: asked.since,
        deadline: asked.deadline,
        outcome: None,
    };
    let refused = || HookAnswer::Refused { detail: "words".to_owned() };
    let mut asked = asked(Subject::of_run(HookStep::BeforeRun), at(0), at(15), None);
    let mut tries = Vec::new();
    let (policy, run) = (policy(OnHookError::Hold), facts());
    // It has asked for a wait of a while before.
    for now in (120..1_000).map(second) {
        let mut fleet = fleet(vec![], vec![]);
        fleet.hooks.before = Some(asked.clone());
        match before_run(&Context::new(&fleet, &policy, &run, now)) {
            Word::Broken(why) => {
                tries.push(now.duration_since(at(0)).as_secs());
                assert_eq!(why, "could not be called: words");
                break;
            }
            Word::Wait(..) if asked.answer.is_some() => {}
            Word::Cleared | Word::Ask(_) | Word::Wait(..) | Word::Failed(_) | Word::TimedOut(_) => {
                asked = Asked::begin(&ask(&asked), Some(&asked), now);
                asked.end(refused(), now);
                tries.push(now.duration_since(at(0)).as_secs());
            }
        }
    }
    assert_eq!(tries, [120, 125, 135, 155, 195, 255, 315, 375, 420, 421]);
}

fn asked(subject: Subject, since: Timestamp, deadline: Timestamp, answer: Option<(Timestamp, HookAnswer)>) -> Asked {
    Asked { subject, since, at: since, deadline, answer, not_asked: 0, refused_since: None }
}

fn of_instance(step: HookStep, number: u32) -> Subject {
    let host = Some(format!("i-{number}").as_str().into());
    Subject { step, host, from: Some(version("1.26.1")), to: Some(version("1.27.0")) }
}

fn with(set: fn(&mut Hooks, FunctionArn)) -> Policy {
    let mut hooks = Hooks { timeout: SignedDuration::from_mins(15), ..Hooks::default() };
    set(&mut hooks, FUNCTION.parse().unwrap());
    Policy { hooks, ..Policy::default() }
}

/// In its new boot since 4 min and healthy by all else; the function was asked then, and said this at that minute.
fn before_active(said: Option<(i64, HookAnswer)>) -> Instance {
    let mut one =
        checked(rebooting(Some(rebooted("1.27.0", AgentState::Registered)), at(4), Some(VisitEnd::Done)), at(4), "ok");
    let said = said.map(|(minute, answer)| (at(minute), answer));
    one.run.hook = Some(Box::new(asked(of_instance(HookStep::BeforeActive, 0), at(4), at(19), said)));
    one
}

#[test]
fn an_agent_that_is_lost_while_the_function_waits_has_the_whole_time_again() {
    let policy = with(|hooks, function| hooks.before_active = Some(function));
    let flapping = |well: Option<i64>, visited_at| {
        let mut one =
            visited(before_active(Some((13, HookAnswer::Wait { seconds: 300 }))), at(visited_at), VisitEnd::Done);
        one.agent_connected = false;
        one.run.last_seen.well = well.map(at);
        one
    };
    for (name, well, now, expected) in [
        ("away for a minute", Some(13), 14, "verifying wait"),
        ("the same, and it was never well", None, 14, "mark 1.27.0"),
        ("away for the time that a boot has", Some(13), 23, "mark 1.27.0"),
        ("it was well in another boot", Some(3), 14, "mark 1.27.0"),
    ] {
        assert_eq!(say(flapping(well, now), &policy, &facts(), at(now)), expected, "{name}");
    }
}

#[test]
fn it_is_noted_when_an_instance_was_well() {
    let policy = with(|hooks, function| hooks.before_active = Some(function));
    let well_at = |connected, step| {
        let mut one = before_active(None);
        one.agent_connected = connected;
        one.run.hook.as_mut().unwrap().subject.step = step;
        let mut fleet = fleet(vec![one], vec![]);
        follow_health(&mut fleet, &policy, &facts(), at(10));
        fleet.instances.values().next().unwrap().run.last_seen.well
    };
    assert_eq!(well_at(true, HookStep::BeforeActive), Some(at(10)));
    assert_eq!(well_at(false, HookStep::BeforeActive), None);
    assert_eq!(well_at(true, HookStep::BeforeReboot), None, "nobody asks whether it is well");
}

#[test]
fn what_an_earlier_run_has_put_back_is_in_service() {
    let policy = with(|hooks, function| hooks.before_active = Some(function));
    let next = RunFacts { run: "NEXT".into(), ..facts() };
    let found = |status| {
        let mut one = before_active(None);
        one.status = status;
        one.run.hook = None;
        let now = at(5);
        let plan = plan(&fleet(vec![one], vec![]), &policy, &next, now);
        (said(&plan), plan.asks.len())
    };
    assert_eq!(found(InstanceStatus::Active), ("finish updated 1.27.0".to_owned(), 0));
    assert_eq!(found(InstanceStatus::Draining), ("verifying rest".to_owned(), 1));
}

#[test]
fn an_ok_that_came_late_is_followed_by_a_look() {
    let policy = with(|hooks, function| hooks.before_active = Some(function));
    let one = || before_active(Some((13, HookAnswer::Ok)));
    let mut fast = before_active(Some((4, HookAnswer::Ok)));
    fast.run.hook.as_mut().unwrap().at = at(4);
    let looked = |minute| checked(one(), at(minute), "ok");
    let heard = |mut one: Instance, minute| {
        one.report.as_mut().unwrap().at = at(minute);
        visited(one, at(minute), VisitEnd::Done)
    };
    let silent = |one, minute| visited(one, at(minute), VisitEnd::Unsure { detail: "x".into() });
    for (name, one, now, expected) in [
        ("it said so at once", fast, 4, "finish updated 1.27.0"),
        ("the checks are old", one(), 13, "checks"),
        ("the report is old", looked(13), 13, "inspect refresh=false"),
        ("all is new", heard(looked(13), 13), 13, "finish updated 1.27.0"),
        ("its bridge has nothing new", visited(looked(13), at(13), VisitEnd::Done), 13, "finish updated 1.27.0"),
        ("it does not answer", silent(looked(13), 22), 22, "verifying wait"),
        ("it has had its time", silent(looked(13), 23), 23, "leave failed never_came_back"),
    ] {
        assert_eq!(say(one, &policy, &facts(), at(now)), expected, "{name}");
    }
}

#[test]
fn a_time_that_a_claim_has_cut_blames_no_version() {
    let policy = with(|hooks, function| hooks.before_active = Some(function));
    let last = |deadline, answer| {
        let mut one = before_active(Some((5, answer)));
        let hook = one.run.hook.as_mut().unwrap();
        (hook.at, hook.deadline) = (at(deadline), at(deadline));
        one
    };
    let wait = || HookAnswer::Wait { seconds: 60 };
    for (name, one, expected) in [
        ("its own time", last(19, wait()), "mark 1.27.0"),
        ("cut", last(4, wait()), "leave failed hook_failed"),
        ("cut, and silent", last(4, HookAnswer::Silent), "leave failed hook_failed"),
        ("cut, and it says no", last(4, HookAnswer::Fail { reason: "no".into() }), "mark 1.27.0"),
    ] {
        assert_eq!(say(one, &policy, &facts(), at(5)), expected, "{name}");
    }
}

/// Staged, and asked about their drain since the start of the run; the first of them has been answered so.
fn before_drain(count: u32, answers: &[(i64, HookAnswer)], now: Timestamp) -> Vec<Instance> {
    let mut instances: Vec<Instance> = (0..count).map(|n| instance(n, Some(staged()), now)).collect();
    for ((number, instance), (minute, answer)) in (0_u32..).zip(&mut instances).zip(answers) {
        let subject = of_instance(HookStep::BeforeDrain, number);
        instance.run.hook = Some(Box::new(asked(subject, at(0), at(15), Some((at(*minute), answer.clone())))));
    }
    instances
}

#[test]
fn who_is_asked_about_keeps_the_place() {
    let wait = |seconds| HookAnswer::Wait { seconds };
    let no = || HookAnswer::Fail { reason: "no".into() };
    let says = |limit, answers: &[(i64, HookAnswer)], now| {
        let mut policy = with(|hooks, function| hooks.before_drain = Some(function));
        policy.max_unavailable = MaxUnavailable::Count(limit);
        let plan = plan(&fleet(before_drain(5, answers, now), vec![]), &policy, &facts(), now);
        let asks: Vec<String> = plan.asks.iter().map(|ask| ask.subject.host.clone().unwrap().to_string()).collect();
        (asks, drains(&plan))
    };
    let hosts = |numbers: &[u32]| numbers.iter().map(|n| format!("i-{n}")).collect::<Vec<_>>();
    for (name, limit, answers, now, asks, drains) in [
        ("nobody yet", 2, vec![], 1, vec![0, 1], vec![]),
        ("one waits", 1, vec![(1, wait(240))], 2, vec![], vec![]),
        ("one of two waits", 2, vec![(1, wait(240))], 2, vec![1], vec![]),
        ("both wait", 2, vec![(1, wait(240)), (1, wait(240))], 2, vec![], vec![]),
        ("one is asked again", 1, vec![(1, wait(60))], 2, vec![0], vec![]),
        ("one is drained, and one waits", 2, vec![(1, HookAnswer::Ok), (1, wait(240))], 2, vec![], vec![0]),
        ("one is not to be drained", 1, vec![(1, no())], 2, vec![1], vec![]),
        ("the second in line may be", 1, vec![(1, no()), (1, HookAnswer::Ok)], 2, vec![], vec![1]),
    ] {
        assert_eq!(says(limit, &answers, at(now)), (hosts(&asks), hosts(&drains)), "{name}");
    }
    // Whoever is asked about last may come first in line.
    let policy = with(|hooks, function| hooks.before_drain = Some(function));
    for said in [Some((at(1), wait(240))), None] {
        let mut instances = before_drain(3, &[], at(2));
        let subject = of_instance(HookStep::BeforeDrain, 2);
        instances[2].run.hook = Some(Box::new(asked(subject, at(0), at(15), said)));
        let plan = plan(&fleet(instances, vec![]), &policy, &facts(), at(2));
        assert_eq!((plan.asks.len(), drains(&plan)), (0, vec![]));
    }
}

#[test]
fn where_nobody_could_ask_the_time_begins_anew() {
    let policy = with(|hooks, function| hooks.before_drain = Some(function));
    let first = |now| {
        let instances = before_drain(2, &[(1, HookAnswer::Wait { seconds: 60 })], at(now));
        let plan = plan(&fleet(instances, vec![]), &policy, &facts(), at(now));
        let ask = plan.asks.first().unwrap();
        (ask.subject.host.clone().unwrap().to_string(), ask.since.duration_since(at(0)).as_mins())
    };
    assert_eq!(first(6), ("i-0".to_owned(), 0));
    assert_eq!(first(7), ("i-0".to_owned(), 7));
    assert_eq!(first(60), ("i-0".to_owned(), 60));
}

#[test]
fn where_two_are_refused_nothing_more_is_begun() {
    let policy = with(|hooks, function| hooks.before_drain = Some(function));
    let refused = |count: usize| {
        let answer = || (5, HookAnswer::Refused { detail: "no such function".into() });
        let mut instances = before_drain(4, &vec![answer(); count], at(6));
        for instance in &mut instances {
            if let Some(hook) = &mut instance.run.hook {
                hook.refused_since = Some(at(0));
            }
        }
        let plan = plan(&fleet(instances, vec![]), &policy, &facts(), at(6));
        let held = |standing: &&Standing| matches!(standing.hold, Some(HoldReason::HookFailed { .. }));
        (plan.asks.len(), plan.standings.iter().filter(held).count())
    };
    assert_eq!(refused(1), (1, 1));
    assert_eq!(refused(2), (0, 4));
}

#[test]
fn before_run_is_asked_once_something_could_be_begun() {
    let policy = with(|hooks, function| hooks.before_run = Some(function));
    let asks = |change: fn(&mut Instance)| {
        let mut instances: Vec<Instance> = (0..2).map(|n| instance(n, Some(available()), at(1))).collect();
        instances.iter_mut().for_each(change);
        plan(&fleet(instances, vec![]), &policy, &facts(), at(1)).asks.len()
    };
    assert_eq!(asks(|_| {}), 1);
    assert_eq!(asks(|one| one.tags.exclude = Some(exclusion("mine"))), 0);
    assert_eq!(asks(|one| one.tasks = None), 0, "their tasks are not known yet");
    assert_eq!(asks(|one| one.tasks.as_mut().unwrap().tasks = vec![task(0, None)]), 0, "it is held");
    assert_eq!(asks(|one| one.agent_connected = one.host.as_str() == "i-0"), 0, "there is no place");
}

#[test]
fn whoever_was_drained_is_told_of() {
    let policy = with(|hooks, function| hooks.after_instance = Some(function));
    let told = |outcome, drained: Option<i64>| {
        let mut one = instance(0, Some(staged()), at(1));
        one.run.verdict = Some(verdict(outcome));
        one.run.drained_at = drained.map(at);
        let plan = plan(&fleet(vec![one], vec![]), &policy, &facts(), at(2));
        plan.asks.first().and_then(|ask| ask.outcome.clone())
    };
    assert_eq!(told(Outcome::Updated, Some(1)).as_deref(), Some("updated"));
    assert_eq!(told(Outcome::Failed, None).as_deref(), Some("failed"));
    assert_eq!(told(Outcome::Held, Some(1)).as_deref(), Some("held"));
    assert_eq!(told(Outcome::Held, None), None);
}
