//! How many instances may be out of service at once.

use models::policy::MaxUnavailable;
use models::reason::HoldReason;

use super::counted::Counted;

/// Never lets more instances out of service than the policy allows, regardless of who took them out.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    /// Out of service already, or taken out by this plan.
    out: usize,
}

impl Budget {
    pub(super) fn new(max_unavailable: MaxUnavailable, counted: &Counted<'_>) -> Self {
        let allowed = max_unavailable.of(counted.members);
        let limit = if broken!(BudgetOffByOne) { allowed + 1 } else { allowed };
        Self { limit, out: counted.out() }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns how many more instances may be taken out of service.
    pub(super) fn free(&self) -> usize {
        self.limit.saturating_sub(self.out)
    }

    /// Takes one instance out of service.
    pub(super) fn take(&mut self) {
        self.out += 1;
    }

    pub(super) fn used_up(&self) -> HoldReason {
        HoldReason::BudgetUsedUp { out: self.out, budget: self.limit }
    }
}
