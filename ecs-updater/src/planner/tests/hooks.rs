//! When a function of the user's is asked, and what follows from what it says.

use jiff::SignedDuration;
use models::hook::{Asked, HookAnswer, HookStep, Subject};
use models::policy::{Hooks, OnHookError, Policy};

use super::*;
use crate::planner::context::Context;
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
    });
    let (policy, run) = (policy(on_error), facts());
    before_run(&Context::new(&fleet, &policy, &run, second(now)))
}

/// Whether it is cleared, asked, waited for until a second, failed or broken.
fn said(word: &Word) -> String {
    match word {
        Word::Cleared => "cleared".to_owned(),
        Word::Ask(_) => "ask".to_owned(),
        Word::Wait(until, _) => format!("until {}", until.duration_since(at(0)).as_secs()),
        Word::Failed(_) => "failed".to_owned(),
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
        ("ok", 0, Some((1, HookAnswer::Ok)), Hold, 5_000, "cleared"),
        ("no", 0, Some((1, fail.clone())), Continue, 2, "failed"),
        ("it failed itself", 0, Some((1, error.clone())), Hold, 2, "broken"),
        ("the same, and go on", 0, Some((1, error)), Continue, 2, "cleared"),
        ("no permission", 0, Some((1, refused)), Continue, 2, "broken"),
        ("a wait", 0, Some((1, wait(30))), Hold, 2, "until 31"),
        ("it is over", 0, Some((1, wait(30))), Hold, 31, "ask"),
        ("a wait beyond the time", 0, Some((1, wait(3_600))), Hold, 2, "until 600"),
        ("the last question", 0, Some((1, wait(3_600))), Hold, 600, "ask"),
        ("a wait, asked for at the last", 600, Some((601, wait(30))), Hold, 602, "failed"),
        ("silent until the end", 0, Some((600, HookAnswer::Silent)), Hold, 601, "failed"),
        ("silent for a whole call", 0, Some((300, HookAnswer::Silent)), Hold, 301, "until 305"),
        ("not called", 0, Some((1, not_asked.clone())), Continue, 2, "until 6"),
        ("again", 0, Some((1, not_asked.clone())), Hold, 6, "ask"),
        ("not called at the last", 600, Some((601, not_asked)), Continue, 602, "broken"),
    ];
    for (name, asked, answer, on_error, now, expected) in table {
        assert_eq!(said(&word_of(asked, answer, on_error, now)), expected, "{name}");
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
