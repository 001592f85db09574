//! The places that there are for instances out of service: the cluster's, and those of the group whose candidate has its turn.

use jiff::Timestamp;
use models::ids::HostId;
use models::policy::Group;
use models::reason::HoldReason;

use super::budget::Budget;
use super::counted::{Counted, is_staging, takes_no_place};
use super::horizon::Horizon;
use super::pacer::Pacer;
use crate::planner::context::Contexts;
use crate::planner::draft::Draft;
use crate::planner::membership::tally;

/// All budgets.
#[derive(Debug)]
pub(super) struct Places<'a> {
    whole: Budget,
    horizon: Horizon,
    drains: Pacer,
    /// Those of the groups that have a budget of their own.
    groups: Vec<OfGroup<'a>>,
    /// The one whose candidate has its turn.
    at: Option<usize>,
}

/// The places of one group.
#[derive(Debug)]
struct OfGroup<'a> {
    group: &'a Group,
    budget: Budget,
    horizon: Horizon,
}

impl<'a> Places<'a> {
    pub(super) fn new(all: &Contexts<'a>, counted: &Counted<'_>, draft: &Draft, drains: Pacer) -> Self {
        let cx = &all.whole;
        let allowed = cx.policy.max_unavailable.of(counted.members);
        let limit = if broken!(BudgetOffByOne) { allowed + 1 } else { allowed };
        let whole = Budget::new(limit, &counted.out_hosts, draft, String::new());
        let staging = cx.snapshot.instances.values().filter(|one| takes_no_place(one) && is_staging(one));
        let staging: Vec<&Group> = staging.filter_map(|one| all.member(one).group()).collect();
        let mut rest = counted.staging;
        let with_budget = cx.policy.groups.iter().filter_map(|group| Some((group, group.max_unavailable?)));
        let groups = with_budget.map(|(group, most)| {
            let tally = tally(cx.snapshot, group, |instance| !takes_no_place(instance));
            let limit = if broken!(GroupBudgetIgnored) { usize::MAX } else { most.of(tally.members) };
            let out: Vec<&HostId> = tally.out.iter().map(|instance| &instance.host).collect();
            let budget = Budget::new(limit, &out, draft, format!(" of group {}", group.name));
            let staging = staging.iter().filter(|own| own.name == group.name).count();
            rest = rest.saturating_sub(staging);
            OfGroup { group, budget, horizon: Horizon::new(staging) }
        });
        let groups = groups.collect();
        let horizon = Horizon::new(rest);
        Self { whole, horizon, drains, groups, at: None }
    }

    /// Turns to the places of a candidate, which goes by the settings of this group.
    pub(super) fn turn_to(&mut self, own: Option<&Group>) {
        self.at = own.and_then(|own| self.groups.iter().position(|of| of.group.name == own.name));
    }

    fn own(&self) -> Option<&OfGroup<'a>> {
        self.at.and_then(|at| self.groups.get(at))
    }

    fn budgets(&self) -> impl Iterator<Item = &Budget> {
        std::iter::once(&self.whole).chain(self.own().map(|own| &own.budget))
    }

    /// Returns how many instances of the cluster this run can have out of service at once.
    pub(super) fn of_cluster(&self) -> usize {
        self.whole.places()
    }

    /// Returns how many instances may be out of service at once.
    pub(super) fn limit(&self) -> usize {
        self.budgets().map(Budget::limit).min().unwrap_or(0)
    }

    fn free_by_budget(&self) -> usize {
        self.budgets().map(Budget::free).min().unwrap_or(0)
    }

    /// Returns how many more instances may be drained now.
    pub(super) fn free(&self) -> usize {
        self.free_by_budget().min(self.drains.left())
    }

    /// Whether no place can come free by what this run does.
    pub(super) fn is_used_up_by_others(&self) -> bool {
        self.budgets().any(Budget::is_used_up_by_others)
    }

    /// Says that the cluster's budget is used up, or else the group's.
    pub(super) fn used_up(&self) -> HoldReason {
        let is_full = |budget: &&Budget| budget.is_used_up_by_others() || budget.free() == 0;
        self.budgets().find(is_full).unwrap_or(&self.whole).used_up()
    }

    /// Says what a candidate waits for that has no place, and until when where that is known.
    pub(super) fn wait(&self) -> (HoldReason, Option<Timestamp>) {
        if self.drains.left() == 0 && self.free_by_budget() > 0 {
            (HoldReason::DrainsPaced, self.drains.opens_at())
        } else {
            (self.used_up(), None)
        }
    }

    /// How far ahead candidates are made ready: each budget has its own, so that a group with few places keeps no other waiting.
    pub(super) fn horizon(&mut self) -> &mut Horizon {
        match self.at.and_then(|at| self.groups.get_mut(at)) {
            Some(own) => &mut own.horizon,
            None => &mut self.horizon,
        }
    }

    /// Keeps the place of one instance that may be drained.
    pub(super) fn keep(&mut self) {
        self.whole.take();
        if let Some(own) = self.at.and_then(|at| self.groups.get_mut(at)) {
            own.budget.take();
        }
    }

    /// Takes one instance out of service.
    pub(super) fn take(&mut self) {
        self.horizon().drain();
        self.drains.take();
        self.keep();
    }

    /// Gives the place of one instance back that is not out of service.
    pub(super) fn give_back(&mut self) {
        self.whole.give_back();
        if let Some(own) = self.at.and_then(|at| self.groups.get_mut(at)) {
            own.budget.give_back();
        }
    }
}
