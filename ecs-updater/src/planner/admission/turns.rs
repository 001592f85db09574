//! The order of groups: nothing is begun in one while anything is under way, or still to be begun, in one with a lower order.

use std::collections::BTreeSet;

use models::fleet::Instance;
use models::ids::HostId;
use models::plan::Phase;
use models::policy::Group;
use models::reason::{HoldCode, HoldReason};

use super::{Admission, Offer};
use crate::planner::context::Contexts;
use crate::planner::draft::{Draft, Queued};
use crate::planner::need::Candidate;

/// Whose turn it is by order.
#[derive(Debug)]
pub(super) struct Turns<'a> {
    all: &'a Contexts<'a>,
    /// Whether there is more than one order. None holds on the way back from a release: that is bad everywhere.
    is_on: bool,
    /// The lowest order in which something is to come.
    open: Option<Turn>,
    /// The lowest order in which something waits for a canary that the cluster may have in a later one only.
    without_canary: Option<Turn>,
}

/// An order, and what people call that part of the cluster.
type Turn = (i32, String);

/// What the turn of a candidate's group goes by, besides its order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Whether the windows and the rest of what keeps all of its part of the cluster from being begun do so now.
    is_shut: bool,
    /// Whether its release lacks a canary, which may be in a later group.
    lacks_canary: bool,
    /// Whether it may be that one.
    is_canary: bool,
}

impl Seen {
    pub(super) fn of<'a>(admission: &Admission<'a>, candidate: &Candidate<'a>) -> Self {
        let own = admission.all.of(candidate.instance);
        let (lacks_canary, is_canary) = admission.rollouts.lacks_canary(candidate);
        Self { is_shut: admission.stops.of(own).is_some(), lacks_canary, is_canary }
    }
}

impl<'a> Turns<'a> {
    /// Counts what is under way, or not heard yet. What is in the queue follows in its turn.
    pub(super) fn new(all: &'a Contexts<'a>, queue: &[Queued<'_>], draft: &Draft) -> Self {
        let cx = &all.whole;
        let is_on = cx.policy.has_orders() && cx.run.purpose.way_back().is_none() && !broken!(OrderIgnored);
        let mut turns = Self { all, is_on, open: None, without_canary: None };
        if !is_on || cx.run.dry_run {
            return turns;
        }
        let queued: BTreeSet<&HostId> = queue.iter().map(|queued| &queued.candidate.instance.host).collect();
        for standing in draft.standings.iter().filter(|standing| !queued.contains(&standing.host)) {
            let is_over = matches!(standing.phase, Phase::Current | Phase::Settled | Phase::Held);
            let instance = cx.snapshot.instances.get(&standing.host).filter(|_| standing.hold.is_none() && !is_over);
            if let Some(instance) = instance {
                turns.lower(instance, false);
            }
        }
        turns
    }

    /// Returns the order by which the turn of an instance comes.
    pub(super) fn order(&self, instance: &Instance) -> i32 {
        if self.is_on { self.of(instance).0 } else { 0 }
    }

    /// Returns why nothing is begun on a candidate, where it is not its group's turn. The canary that earlier groups wait for
    /// does not wait for them.
    pub(super) fn before(&self, instance: &Instance, seen: Seen) -> Option<HoldReason> {
        let own = self.of(instance).0;
        let without_canary = self.without_canary.as_ref().filter(|_| !seen.is_canary);
        let (_, group) = self.open.iter().chain(without_canary).filter(|(order, _)| *order < own).min()?;
        Some(HoldReason::EarlierGroup { group: group.clone() })
    }

    /// Takes in what becomes of a candidate. In a plan, one that waits for its turn is one that the run will have begun.
    pub(super) fn follow(&mut self, instance: &Instance, offer: &Offer, seen: Seen) {
        let keeps = |why: &HoldReason| match HoldCode::find(why.code()) {
            // One that takes longer than its window is held for its own sake: no window may ever be long enough.
            Some(HoldCode::OutsideWindow | HoldCode::Frozen) => seen.is_shut,
            code => code.is_some_and(HoldCode::keeps_later_groups),
        };
        let why = match offer {
            Offer::Hold(why) if keeps(why) => Some(why),
            Offer::Later(why, _) if keeps(why) && !self.all.whole.run.dry_run => Some(why),
            Offer::Hold(_) | Offer::Later(..) => return,
            Offer::Act(..) | Offer::Ask(_) | Offer::Wait(_) if self.all.whole.run.dry_run => return,
            Offer::Act(..) | Offer::Ask(_) | Offer::Wait(_) => None,
        };
        if self.is_on {
            self.lower(instance, seen.lacks_canary && matches!(why, Some(HoldReason::CanaryFirst { .. })));
        }
    }

    /// Something is to come where this instance is.
    fn lower(&mut self, instance: &Instance, lacks_canary: bool) {
        let own = self.of(instance);
        let turn = if lacks_canary { &mut self.without_canary } else { &mut self.open };
        if turn.as_ref().is_none_or(|(lowest, _)| own.0 < *lowest) {
            let name = own.1.map_or("what is in no group".to_owned(), |group| format!("group {}", group.name));
            *turn = Some((own.0, name));
        }
    }

    /// Returns the order of an instance, the lower one where it has come to be in two groups, and that group. What is in no group
    /// has the order 0.
    fn of(&self, instance: &Instance) -> (i32, Option<&'a Group>) {
        let first = self.all.member(instance).groups().min_by_key(|group| group.order);
        first.map_or((0, None), |group| (group.order, Some(group)))
    }
}
