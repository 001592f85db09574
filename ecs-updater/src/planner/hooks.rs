//! What the user's functions say of a step: whether it may be taken, and when they are asked.
//!
//! Each asking of a step counts from the first one of this run. What an earlier run has asked is not known; where it has left
//! an instance out of service, the date of its claim bounds the askings of both (`claimed/hooks.rs`).

use jiff::{SignedDuration, Timestamp};
use models::fleet::Instance;
use models::hook::{Ask, Asked, HookAnswer, HookStep, Subject};
use models::policy::OnHookError;
use models::reason::HoldReason;
use models::report::Outcome;
use models::time::after;

use super::context::Context;
use super::draft::Draft;
use super::need::Candidate;
use super::refusal::PATIENCE;
use super::times::RETRY;

/// How long a function's word is good: what it looked at may be otherwise since.
const OK_FRESH: SignedDuration = SignedDuration::from_mins(5);
/// From a call that AWS has not made to the next one; doubling.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(5);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(60);
/// A call that has not ended so long after its time will not end: the loop itself has lost it.
const LOST: SignedDuration = SignedDuration::from_mins(2);

/// What a hook says of its step now.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    /// The step may be taken; also where it has no function.
    Cleared,
    /// The function is to be asked.
    Ask(Box<Ask>),
    /// Nothing before then, unless an answer comes.
    Wait(Timestamp, String),
    /// By the function's own word the step is not taken.
    Failed(String),
    /// Its time is over, and it has not said ok.
    TimedOut(String),
    /// The function has not said, and no time changes that.
    Broken(String),
}

/// Returns what the hook of a step says; `deadline`: until when all its askings may take that were begun then.
pub(super) fn word(
    subject: Subject,
    asked: Option<&Asked>,
    deadline: impl FnOnce(Timestamp) -> Timestamp,
    cx: &Context<'_>,
) -> Word {
    let Some(function) = cx.policy.hooks.of(subject.step).filter(|_| !cx.run.dry_run && !broken!(HooksIgnored)) else {
        return Word::Cleared;
    };
    let ask = |subject: Subject, since, deadline| {
        Word::Ask(Box::new(Ask { function: function.clone(), subject, since, deadline, outcome: None }))
    };
    let asked = asked.filter(|asked| asked.subject == subject && !is_old(asked, cx));
    match asked.map(|asked| (asked, judge(asked, cx))) {
        Some((_, Judged::Said(word))) => word,
        Some((asked, Judged::AskAgain(_))) if !was_kept_from_asking(asked, cx) => {
            ask(subject, asked.since, asked.deadline)
        }
        Some((_, Judged::AskAgain(_))) | None => ask(subject, cx.now, deadline(cx.now)),
    }
}

/// Whether a function's ok is too old to go by.
fn is_old(asked: &Asked, cx: &Context<'_>) -> bool {
    let only_tells = asked.subject.step.only_tells() || asked.subject.step == HookStep::BeforeRun;
    let cleared = asked.answer.as_ref().filter(|(_, answer)| clears(answer, cx));
    !only_tells && cleared.is_some_and(|(at, _)| cx.now >= after(*at, OK_FRESH))
}

/// Whether a function should have been asked again some time ago, but nothing could be begun meanwhile: then its time starts
/// again. This never applies to an instance that is out of service.
fn was_kept_from_asking(asked: &Asked, cx: &Context<'_>) -> bool {
    let due = match judge(asked, cx) {
        Judged::AskAgain(due) if asked.subject.step == HookStep::BeforeDrain => due,
        Judged::AskAgain(_) | Judged::Said(_) => return false,
    };
    cx.now >= after(due, OK_FRESH)
}

/// Whether the step may be taken after this answer.
pub(super) fn clears(answer: &HookAnswer, cx: &Context<'_>) -> bool {
    match answer {
        HookAnswer::Ok => true,
        HookAnswer::Error { .. } => cx.policy.hooks.on_error == OnHookError::Continue,
        HookAnswer::Wait { .. }
        | HookAnswer::Fail { .. }
        | HookAnswer::Refused { .. }
        | HookAnswer::Silent
        | HookAnswer::NotAsked { .. } => false,
    }
}

enum Judged {
    /// Since then it is to be asked again.
    AskAgain(Timestamp),
    Said(Word),
}

fn judge(asked: &Asked, cx: &Context<'_>) -> Judged {
    let lost_at = after(asked.deadline.max(asked.at), LOST);
    let lost = (lost_at, HookAnswer::NotAsked { detail: "the call was lost in this program".to_owned() });
    let lost = (cx.now >= lost_at).then_some(&lost);
    let Some((at, answer)) = asked.answer.as_ref().or(lost) else {
        return Judged::Said(Word::Wait(after(cx.now, RETRY), "it has not answered yet".to_owned()));
    };
    let due = |wait: SignedDuration| after(*at, wait).min(asked.deadline).max(*at);
    // The last word counts that was asked for once the time was over.
    let is_last = asked.at >= asked.deadline;
    let again = |due: Timestamp, why: String| {
        if cx.now >= due { Judged::AskAgain(due) } else { Judged::Said(Word::Wait(due, why)) }
    };
    let doublings = asked.not_asked.saturating_sub(1).min(4);
    let pace = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    let refused_until = after(asked.refused_since.unwrap_or(*at), PATIENCE).min(asked.deadline);
    Judged::Said(match answer {
        answer if clears(answer, cx) => Word::Cleared,
        HookAnswer::Fail { .. } => Word::Failed(answer.to_string()),
        HookAnswer::Ok | HookAnswer::Error { .. } => Word::Broken(answer.to_string()),
        HookAnswer::Refused { .. } if is_last || *at >= refused_until => Word::Broken(answer.to_string()),
        HookAnswer::Refused { .. } => return again(due(pace).min(refused_until).max(*at), answer.to_string()),
        HookAnswer::Wait { .. } if is_last => Word::TimedOut(format!("{answer}, and hooks.timeout is over")),
        HookAnswer::Wait { seconds } => {
            return again(due(SignedDuration::from_secs(i64::from(*seconds))), answer.to_string());
        }
        HookAnswer::Silent if is_last => Word::TimedOut(format!("{answer} within hooks.timeout")),
        HookAnswer::Silent => return again(due(FIRST_WAIT), answer.to_string()),
        HookAnswer::NotAsked { .. } if is_last => Word::Broken(format!("{answer}, until hooks.timeout was over")),
        HookAnswer::NotAsked { .. } => return again(due(pace), answer.to_string()),
    })
}

/// The same where only this run's own time counts.
fn word_in_this_run(subject: Subject, asked: Option<&Asked>, cx: &Context<'_>) -> Word {
    word(subject, asked, |since| after(since, cx.policy.hooks.timeout), cx)
}

/// Returns whether anything may be begun in the cluster.
pub(super) fn before_run(cx: &Context<'_>) -> Word {
    word_in_this_run(Subject::of_run(HookStep::BeforeRun), cx.snapshot.hooks.before.as_ref(), cx)
}

/// Returns whether a candidate may be drained.
pub(super) fn before_drain(candidate: &Candidate<'_>, cx: &Context<'_>) -> Word {
    word_in_this_run(drain_of(candidate), candidate.instance.run.hook.as_deref(), cx)
}

fn drain_of(candidate: &Candidate<'_>) -> Subject {
    let Candidate { instance, from, to, .. } = candidate;
    let (host, from, to) = (Some(instance.host.clone()), Some(from.clone()), Some(to.clone()));
    Subject { step: HookStep::BeforeDrain, host, from, to }
}

/// Whether the function was asked about the drain of a candidate and has not said no: it may have made everything ready for
/// it.
pub(super) fn may_be_prepared(candidate: &Candidate<'_>, cx: &Context<'_>) -> bool {
    let asked = candidate.instance.run.hook.as_deref().filter(|asked| asked.subject == drain_of(candidate));
    let counts = asked.is_some_and(|asked| !is_old(asked, cx) && !was_kept_from_asking(asked, cx));
    counts
        && match before_drain(candidate, cx) {
            Word::Cleared | Word::Ask(_) | Word::Wait(..) => true,
            Word::Failed(_) | Word::TimedOut(_) | Word::Broken(_) => false,
        }
}

/// Returns what AWS says where it refuses to call the function that is asked before a drain: about a second instance too.
pub(super) fn refused_drains(cx: &Context<'_>) -> Option<String> {
    let is_refused = |instance: &Instance| {
        let asked = instance.run.hook.as_deref().filter(|asked| asked.subject.step == HookStep::BeforeDrain)?;
        let (_, answer) = asked.answer.as_ref()?;
        let is_final = matches!(judge(asked, cx), Judged::Said(Word::Broken(_)));
        (is_final && matches!(answer, HookAnswer::Refused { .. })).then(|| answer.to_string())
    };
    cx.snapshot.instances.values().filter_map(is_refused).nth(1)
}

/// Returns that the function of a step is waited for.
pub(super) fn waits(step: HookStep, why: String) -> HoldReason {
    HoldReason::HookWaiting { hook: step.to_string(), why }
}

/// Returns that the function of a step is asked now.
pub(super) fn is_asked(step: HookStep) -> HoldReason {
    waits(step, "it is asked now".to_owned())
}

/// Plans what is told of an instance with which this run is done. Where nothing was begun on it, nothing is told.
pub(super) fn after_instance(instance: &Instance, cx: &Context<'_>, draft: &mut Draft) {
    let Some(verdict) = instance.run.verdict.as_deref().filter(|_| was_begun(instance)) else { return };
    let (host, from, to) = (Some(instance.host.clone()), verdict.from.clone(), verdict.to.clone());
    let subject = Subject { step: HookStep::AfterInstance, host, from, to };
    let word = word_in_this_run(subject, instance.run.hook.as_deref(), cx);
    tell(word, verdict.outcome.as_str(), draft);
}

/// Plans what is told at the end of a run that has begun something.
pub(super) fn after_run(cx: &Context<'_>, draft: &mut Draft) {
    let begun = cx.snapshot.instances.values().filter(|instance| was_begun(instance));
    let outcomes: Vec<Outcome> = begun.filter_map(|one| Some(one.run.verdict.as_deref()?.outcome)).collect();
    if outcomes.is_empty() {
        return;
    }
    let failed = outcomes.iter().any(|outcome| *outcome != Outcome::Updated);
    let word = word_in_this_run(Subject::of_run(HookStep::AfterRun), cx.snapshot.hooks.after.as_ref(), cx);
    tell(word, if failed { "failed" } else { "updated" }, draft);
}

fn tell(word: Word, outcome: &str, draft: &mut Draft) {
    match word {
        Word::Ask(ask) => draft.ask(Ask { outcome: Some(outcome.to_owned()), ..*ask }),
        Word::Wait(until, _) => draft.wake(until),
        Word::Cleared | Word::Failed(_) | Word::TimedOut(_) | Word::Broken(_) => {}
    }
}

/// Whether something was begun on an instance with which this run is done: it was drained, or its update has an end.
fn was_begun(instance: &Instance) -> bool {
    let outcome = instance.run.verdict.as_deref().map(|verdict| verdict.outcome);
    let has_end = matches!(outcome, Some(Outcome::Updated | Outcome::RolledBack | Outcome::Failed));
    has_end || (outcome.is_some() && instance.run.drained_at.is_some())
}
