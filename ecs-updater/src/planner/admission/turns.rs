//! The order of groups: nothing is begun in one while anything is under way, or still to be begun, in one with a lower order.

use std::collections::BTreeSet;

use models::fleet::Instance;
use models::ids::HostId;
use models::plan::Phase;
use models::reason::{HoldCode, HoldReason};

use super::Offer;
use crate::planner::context::{Context, Contexts};
use crate::planner::draft::{Draft, Queued};

/// Whose turn it is by order.
#[derive(Debug)]
pub(super) struct Turns<'a> {
    all: &'a Contexts<'a>,
    /// Whether there is more than one order. None holds on the way back from a release: that is bad everywhere.
    is_on: bool,
    /// The lowest order in which something is to come, and what people call that part of the cluster.
    open: Option<(i32, String)>,
}

impl<'a> Turns<'a> {
    /// Counts what is under way, or not heard yet. What is in the queue follows in its turn.
    pub(super) fn new(all: &'a Contexts<'a>, queue: &[Queued<'_>], draft: &Draft) -> Self {
        let cx = &all.whole;
        let is_on = cx.policy.has_orders() && cx.run.purpose.way_back().is_none() && !broken!(OrderIgnored);
        let mut turns = Self { all, is_on, open: None };
        if !is_on || cx.run.dry_run {
            return turns;
        }
        let queued: BTreeSet<&HostId> = queue.iter().map(|queued| &queued.candidate.instance.host).collect();
        for standing in draft.standings.iter().filter(|standing| !queued.contains(&standing.host)) {
            let is_over = matches!(standing.phase, Phase::Current | Phase::Settled | Phase::Held);
            let instance = cx.snapshot.instances.get(&standing.host).filter(|_| standing.hold.is_none() && !is_over);
            if let Some(instance) = instance {
                turns.keep_open(instance);
            }
        }
        turns
    }

    /// Returns the candidates with those first whose order is lower.
    pub(super) fn by_order<'q, 'c>(&self, mut line: Vec<&'q Queued<'c>>) -> Vec<&'q Queued<'c>> {
        if self.is_on {
            line.sort_by_key(|queued| order(self.all.of(queued.candidate.instance)));
        }
        line
    }

    /// Returns why nothing is begun on a candidate, where it is not its group's turn.
    pub(super) fn before(&self, instance: &Instance) -> Option<HoldReason> {
        let (earlier, group) = self.open.as_ref()?;
        let is_later = order(self.all.of(instance)) > *earlier;
        is_later.then(|| HoldReason::EarlierGroup { group: group.clone() })
    }

    /// Takes in what becomes of a candidate. In a plan, one that waits for its turn is one that the run will have begun.
    pub(super) fn follow(&mut self, instance: &Instance, offer: &Offer) {
        let keeps = |why: &HoldReason| HoldCode::find(why.code()).is_some_and(HoldCode::keeps_later_groups);
        let is_open = match offer {
            Offer::Hold(why) => keeps(why),
            Offer::Later(why, _) => keeps(why) && !self.all.whole.run.dry_run,
            Offer::Act(..) | Offer::Ask(_) | Offer::Wait(_) => !self.all.whole.run.dry_run,
        };
        if self.is_on && is_open {
            self.keep_open(instance);
        }
    }

    fn keep_open(&mut self, instance: &Instance) {
        let cx = self.all.of(instance);
        if self.open.as_ref().is_none_or(|(lowest, _)| order(cx) < *lowest) {
            let name = cx.group.map_or("what is in no group".to_owned(), |group| format!("group {}", group.name));
            self.open = Some((order(cx), name));
        }
    }
}

/// What is in no group has the order 0.
fn order(cx: &Context<'_>) -> i32 {
    cx.group.map_or(0, |group| group.order)
}
