//! How many instances may be out of service at once.

use models::ids::HostId;
use models::reason::HoldReason;

use crate::planner::draft::Draft;

/// Never lets more instances out of service than the policy allows, regardless of who took them out.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    /// Out of service already, or taken out by this plan.
    out: usize,
    /// Out of service, and nothing that this run does brings them back.
    others: usize,
    /// Those that are out of service, for people.
    who: String,
    /// Whose budget it is, for people: nothing, or the name of a group.
    whose: String,
}

impl Budget {
    /// Takes what is out of service; the draft tells of each instance whether it is under way.
    pub(super) fn new(limit: usize, out_hosts: &[&HostId], draft: &Draft, whose: String) -> Self {
        let (ours, others): (Vec<&HostId>, Vec<&HostId>) = out_hosts.iter().partition(|host| draft.is_under_way(host));
        let who = names(others.iter().chain(&ours).copied());
        Self { limit, out: out_hosts.len(), others: others.len(), who, whose }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns how many more instances may be taken out of service.
    pub(super) fn free(&self) -> usize {
        self.limit.saturating_sub(self.out)
    }

    /// Returns how many instances this run can have out of service at once.
    pub(super) fn places(&self) -> usize {
        self.limit.saturating_sub(self.others)
    }

    /// Takes one instance out of service.
    pub(super) fn take(&mut self) {
        self.out += 1;
    }

    /// Gives the place of one instance back that is not out of service.
    pub(super) fn give_back(&mut self) {
        self.out -= 1;
    }

    /// Whether no place can come free by what this run does.
    pub(super) fn is_used_up_by_others(&self) -> bool {
        self.places() == 0
    }

    pub(super) fn used_up(&self) -> HoldReason {
        HoldReason::BudgetUsedUp { out: self.out, budget: self.limit, whose: self.whose.clone(), who: self.who.clone() }
    }
}

/// Names some hosts, for people.
fn names<'h>(mut hosts: impl Iterator<Item = &'h HostId>) -> String {
    const MOST: usize = 3;
    let mut names: Vec<String> = hosts.by_ref().take(MOST).map(HostId::to_string).collect();
    let more = hosts.count();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    if names.is_empty() { "those whose turn comes first".to_owned() } else { names.join(", ") }
}
