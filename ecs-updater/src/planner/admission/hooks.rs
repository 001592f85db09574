//! The user's functions before anything is begun in the cluster, and before an instance is drained.

use models::hook::HookStep;
use models::reason::HoldReason;
use models::time::after;

use super::{Admission, Offer};
use crate::planner::gate::Closed;
use crate::planner::hooks::{self, Word};
use crate::planner::need::Candidate;
use crate::planner::times::RETRY;

impl<'a> Admission<'a> {
    /// Returns what comes before anything is begun in the cluster: its function is asked once for all.
    pub(super) fn before_run(&mut self) -> Option<Offer> {
        let offer = offer_of(HookStep::BeforeRun, hooks::before_run(self.cx))?;
        if let Offer::Ask(_) = offer {
            let why = hooks::is_asked(HookStep::BeforeRun);
            self.stop = Some(Closed { why, wait_until: Some(after(self.cx.now, RETRY)) });
        }
        Some(offer)
    }

    /// Returns what the function has said of a candidate that keeps it from being drained: then no place and no room is kept
    /// for it.
    pub(super) fn hook_said(&self, candidate: &Candidate<'a>) -> Option<Offer> {
        let word = hooks::before_drain(candidate, self.cx);
        let says = match &word {
            Word::Wait(..) => !is_under_way(candidate),
            Word::Failed(_) | Word::Broken(_) => true,
            Word::Cleared | Word::Ask(_) => false,
        };
        if says { offer_of(HookStep::BeforeDrain, word) } else { None }
    }

    /// Returns what comes before a candidate is drained that could be by all else. While the function is asked, its place is
    /// kept.
    pub(super) fn before_drain(&mut self, candidate: &Candidate<'a>) -> Option<Offer> {
        let offer = offer_of(HookStep::BeforeDrain, hooks::before_drain(candidate, self.cx))?;
        self.take_place(candidate);
        Some(offer)
    }
}

/// Whether the function that is asked about a candidate has not answered yet.
fn is_under_way(candidate: &Candidate<'_>) -> bool {
    candidate.instance.run.hook.as_ref().is_some_and(|asked| asked.answer.is_none())
}

/// Returns what a hook makes of a candidate that could be begun by all else; `None` where it may be.
fn offer_of(step: HookStep, word: Word) -> Option<Offer> {
    match word {
        Word::Cleared => None,
        Word::Ask(ask) => Some(Offer::Ask(ask)),
        Word::Wait(until, why) => Some(Offer::Later(hooks::waits(step, why), Some(until))),
        Word::Failed(why) | Word::Broken(why) => {
            Some(Offer::Hold(HoldReason::HookFailed { hook: step.to_string(), why }))
        }
    }
}
