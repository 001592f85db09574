//! A step that AWS refuses on one instance: it is tried again at a pace, and given up after some minutes of nothing
//! else.

use jiff::{SignedDuration, Timestamp};
use models::fleet::{Instance, InstanceStatus, RefusedStep};
use models::plan::{End, Phase, Step};
use models::reason::{FailReason, HoldReason};
use models::time::after;

use super::context::Context;
use super::need::Next;

/// How long one step may be refused on one instance before the instance is given up: what a person or a deployment
/// changes for a moment, such as a policy or a role's credentials, is right again by then.
pub(super) const PATIENCE: SignedDuration = SignedDuration::from_mins(5);
/// The wait before the second try; each is as long as the step has been refused so far. A whole beat of the run's grid
/// of 5 s would just be missed.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(4);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(30);

/// The refusals of a step with one more.
///
/// Another step goes on with the same time, so that two which are refused by turns are not tried without end. What was
/// refused long ago, and not tried since, counts no more.
pub(crate) fn refused_again(before: Option<&RefusedStep>, step: &str, detail: String, now: Timestamp) -> RefusedStep {
    let since = before.filter(|before| now < after(before.at, PATIENCE)).map_or(now, |before| before.since);
    RefusedStep { step: step.into(), since, at: now, detail }
}

/// When a step may be tried again.
fn retry_at(refused: &RefusedStep) -> Timestamp {
    let so_far = refused.at.duration_since(refused.since);
    after(refused.at, so_far.clamp(FIRST_WAIT, LONGEST_WAIT))
}

/// What becomes of an instance on which a step was refused for too long; `None` where none was.
///
/// It is left as it is; a claim that only prepared it is taken off, unless that is what is refused. A plan has nothing
/// to leave: the instance is held, as one that cannot be asked.
pub(super) fn given_up<'a>(instance: &Instance, cx: &Context<'_>) -> Option<Next<'a>> {
    let refused = instance.run.refused.as_deref()?;
    if refused.at < after(refused.since, PATIENCE) {
        return None;
    }
    let detail = refused.detail.clone();
    if cx.run.dry_run {
        return Some(Next::Hold(HoldReason::HostUnreachable { detail: format!("AWS refuses a step: {detail}") }));
    }
    let is_draining = instance.status == InstanceStatus::Draining;
    let detail = if is_draining { format!("{detail}; it is left DRAINING, with its claim") } else { detail };
    let only_prepared = instance.claim().is_some_and(|claim| !claim.step.takes_out_of_service());
    let end = End::Failed { why: FailReason::ActRefused { detail } };
    let is_finished = only_prepared && refused.step != Step::Finish(End::Gone).name();
    Some(Next::Do(Phase::Held, if is_finished { Step::Finish(end) } else { Step::Leave(end) }))
}

/// The same, unless it is the step that was just refused: that waits for its time. Others go on.
pub(super) fn at_its_pace<'a>(next: Next<'a>, instance: &Instance, cx: &Context<'_>) -> Next<'a> {
    let refused = instance.run.refused.as_deref().map(|refused| (refused.step.as_str(), retry_at(refused)));
    let Some((step, at)) = refused.filter(|(_, at)| cx.now < *at) else { return next };
    match next {
        Next::Do(phase, planned) if planned.name() == step => Next::Wait(phase, at),
        // Which of these it is to be, admission says.
        Next::Candidate(candidate) if ["look_at_tasks", "stage", "drain"].contains(&step) => {
            Next::Wait(candidate.waits_as(), at)
        }
        Next::Do(..)
        | Next::Candidate(_)
        | Next::Wait(..)
        | Next::Ask(..)
        | Next::LookAtOthers(..)
        | Next::Standing(_)
        | Next::Hold(_)
        | Next::Current
        | Next::Settled => next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_for_five_minutes_of_nothing_else() {
        let start: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
        let at = |seconds: i64| after(start, SignedDuration::from_secs(seconds));
        /// The step and its second.
        type Refusal = (&'static str, i64);
        // Since when they count, and the second of the next try.
        let table: &[(&[Refusal], i64, i64)] = &[
            (&[("drain", 0)], 0, 4),
            (&[("drain", 0), ("drain", 5)], 0, 10),
            (&[("drain", 0), ("drain", 20)], 0, 40),
            (&[("drain", 0), ("drain", 50)], 0, 80),
            (&[("drain", 0), ("drain", 299)], 0, 329),
            // By turns with another one.
            (&[("drain", 0), ("reboot", 100), ("drain", 200)], 0, 230),
            // Not tried for five minutes.
            (&[("drain", 0), ("drain", 300)], 300, 304),
            (&[("drain", 0), ("reboot", 900)], 900, 904),
        ];
        for (refusals, since, retry) in table {
            let mut refused: Option<RefusedStep> = None;
            for (step, second) in *refusals {
                refused = Some(refused_again(refused.as_ref(), step, String::new(), at(*second)));
            }
            let refused = refused.unwrap();
            assert_eq!((refused.since, retry_at(&refused)), (at(*since), at(*retry)), "{refusals:?}");
        }
    }
}
