//! A plan in the making.

use std::collections::BTreeSet;

use jiff::Timestamp;
use models::fleet::Instance;
use models::hook::Ask;
use models::host::HostReport;
use models::ids::HostId;
use models::plan::{Bakes, Phase, Plan, PlannedStep, Standing, Step};
use models::reason::HoldReason;

use super::need::Candidate;

/// A candidate in the queue.
#[derive(Debug)]
pub(crate) struct Queued<'a> {
    pub(crate) candidate: Candidate<'a>,
    /// The index of its own stand in the draft.
    pub(crate) standing: usize,
}

/// A plan in the making.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(super) steps: Vec<PlannedStep>,
    pub(super) standings: Vec<Standing>,
    wake_at: Option<Timestamp>,
    /// The bakes that a run would wait for, in a plan.
    pub(super) bakes: Vec<Bakes>,
    asks: Vec<Ask>,
}

impl Draft {
    /// Returns an empty draft for so many instances.
    pub(super) fn of(instances: usize) -> Self {
        Self {
            steps: Vec::new(),
            standings: Vec::with_capacity(instances),
            wake_at: None,
            bakes: Vec::new(),
            asks: Vec::new(),
        }
    }

    pub(crate) fn step(&mut self, instance: &Instance, phase: Phase, step: Step) {
        self.standing(instance, phase, None);
        self.steps.push(PlannedStep { host: instance.host.clone(), step });
    }

    pub(crate) fn wait(&mut self, instance: &Instance, phase: Phase, until: Timestamp) {
        self.standing(instance, phase, None);
        self.wake(until);
    }

    pub(crate) fn hold(&mut self, instance: &Instance, why: HoldReason) {
        self.standing(instance, Phase::Held, Some(why));
    }

    pub(crate) fn standing(&mut self, instance: &Instance, phase: Phase, hold: Option<HoldReason>) {
        let report = instance.report.as_ref().map(|seen| &seen.report);
        let ended_from = instance.run.verdict.as_ref().and_then(|verdict| verdict.from.clone());
        let (from, to) = match instance.claim() {
            Some(claim) => (Some(claim.from.clone()), Some(claim.to.clone())),
            None => (ended_from.or_else(|| report.and_then(HostReport::running)), None),
        };
        self.standings.push(Standing { host: instance.host.clone(), phase, hold, from, to, turn: None });
    }

    /// Reserves the place of a candidate's stand, which is filled in at its turn.
    pub(super) fn enqueue<'a>(&mut self, candidate: Candidate<'a>) -> Queued<'a> {
        let queued = Queued { standing: self.standings.len(), candidate };
        let Candidate { instance, from, to, .. } = &queued.candidate;
        self.standings.push(Standing {
            host: instance.host.clone(),
            phase: queued.candidate.waits_as(),
            hold: None,
            from: Some(from.clone()),
            to: Some(to.clone()),
            turn: None,
        });
        queued
    }

    pub(crate) fn turn(&mut self, queued: &Queued<'_>, phase: Phase, hold: Option<HoldReason>, turn: Option<usize>) {
        let standing = &mut self.standings[queued.standing];
        standing.phase = phase;
        standing.hold = hold;
        standing.turn = turn;
    }

    pub(crate) fn act(&mut self, instance: &Instance, step: Step) {
        self.steps.push(PlannedStep { host: instance.host.clone(), step });
    }

    /// Plans looks at instances for the sake of others, where nothing else is to be done with them.
    pub(super) fn look(&mut self, looks: Vec<PlannedStep>) {
        let mut known: BTreeSet<HostId> = BTreeSet::new();
        if !looks.is_empty() {
            known.extend(self.steps.iter().map(|planned| planned.host.clone()));
        }
        self.steps.extend(looks.into_iter().filter(|look| known.insert(look.host.clone())));
    }

    /// Whether this plan, or an earlier one, has the instance in the middle of something. Asked once each instance has
    /// its standing.
    pub(crate) fn is_under_way(&self, host: &HostId) -> bool {
        let at = self.standings.binary_search_by(|standing| standing.host.cmp(host));
        at.is_ok_and(|at| self.standings[at].phase.is_under_way())
    }

    pub(crate) fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Plans that a function is asked.
    pub(super) fn ask(&mut self, ask: Ask) {
        self.asks.push(ask);
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.steps.is_empty() && self.wake_at.is_none() && self.asks.is_empty()
    }

    pub(super) fn plan(self) -> Plan {
        let Self { steps, standings, wake_at, bakes, asks } = self;
        Plan { steps, standings, wake_at, bakes, asks }
    }
}
