//! The user's functions before anything is begun in the cluster, and before an instance is drained.

use models::hook::HookStep;
use models::reason::HoldReason;
use models::time::after;

use super::{Admission, Offer};
use crate::planner::draft::Queued;
use crate::planner::gate::Closed;
use crate::planner::hooks::{self, Word};
use crate::planner::need::Candidate;
use crate::planner::times::RETRY;

impl<'a> Admission<'a> {
    /// Takes in what was asked before: an instance that a function may have prepared for its drain keeps its place, even if
    /// others come before it in line.
    pub(super) fn heed_hooks(&mut self, queue: &[Queued<'a>]) {
        if let Some(why) = hooks::refused_drains(self.cx) {
            let why = HoldReason::HookFailed { hook: HookStep::BeforeDrain.to_string(), why };
            self.stops.close(&Closed { why, wait_until: None });
        }
        for Queued { candidate, .. } in queue {
            if hooks::may_be_prepared(candidate, self.cx) {
                self.turn_to(candidate.instance);
                self.places.keep();
                self.zone = self.zone.or(candidate.instance.zone.as_ref());
            }
        }
    }

    /// Returns what becomes of a candidate, which has the place that was kept for it and goes on keeping it, unless it is held.
    pub(super) fn offer_with_its_place(&mut self, candidate: &Candidate<'a>) -> Offer {
        if !hooks::may_be_prepared(candidate, self.cx) {
            return self.offer_in_turn(candidate);
        }
        self.places.give_back();
        let free = self.places.free();
        let offer = self.offer_in_turn(candidate);
        let is_taken = self.places.free() < free;
        if !is_taken && !matches!(offer, Offer::Hold(_)) {
            self.take_place(candidate);
        }
        offer
    }

    /// Returns what comes before anything is begun in the cluster: its function is asked once for all.
    pub(super) fn before_run(&mut self) -> Option<Offer> {
        let offer = offer_of(HookStep::BeforeRun, hooks::before_run(self.cx))?;
        let (why, wait_until) = match &offer {
            Offer::Later(why, until) => (why.clone(), *until),
            Offer::Hold(why) => (why.clone(), None),
            Offer::Ask(_) | Offer::Act(..) | Offer::Wait(_) => {
                (hooks::is_asked(HookStep::BeforeRun), Some(after(self.cx.now, RETRY)))
            }
        };
        self.stops.close(&Closed { why, wait_until });
        Some(offer)
    }

    /// Returns what the function has said of a candidate that keeps it from being drained now.
    pub(super) fn hook_said(&self, candidate: &Candidate<'a>) -> Option<Offer> {
        match hooks::before_drain(candidate, self.cx) {
            Word::Cleared | Word::Ask(_) => None,
            word @ (Word::Wait(..) | Word::Failed(_) | Word::TimedOut(_) | Word::Broken(_)) => {
                offer_of(HookStep::BeforeDrain, word)
            }
        }
    }

    /// Returns what comes before a candidate is drained that could be by all else. While the function is asked, its place is
    /// kept.
    pub(super) fn before_drain(&mut self, candidate: &Candidate<'a>) -> Option<Offer> {
        if let Some(offer) = self.before_run() {
            return Some(offer);
        }
        let offer = offer_of(HookStep::BeforeDrain, hooks::before_drain(candidate, self.cx))?;
        self.take_place(candidate);
        Some(offer)
    }
}

/// Returns what a hook makes of a candidate that could be begun by all else; `None` where it may be.
fn offer_of(step: HookStep, word: Word) -> Option<Offer> {
    match word {
        Word::Cleared => None,
        Word::Ask(ask) => Some(Offer::Ask(ask)),
        Word::Wait(until, why) => Some(Offer::Later(hooks::waits(step, why), Some(until))),
        Word::Failed(why) | Word::TimedOut(why) | Word::Broken(why) => {
            Some(Offer::Hold(HoldReason::HookFailed { hook: step.to_string(), why }))
        }
    }
}
