//! How fast instances may be drained and staged for the sake of AWS's request limits.

use jiff::{SignedDuration, Timestamp};
use models::api_share::ApiShare;
use models::time::after;

/// A reboot costs a list of tasks, and the looks on the way to it as much again: half of ECS's bucket refills with ten
/// a second (ECS API reference, "request throttling"). Who is drained faster waits out of service. Another share of the
/// bucket pays for more or fewer.
const MAX_DRAINS_PER_WINDOW: usize = 75;
const DRAIN_WINDOW: SignedDuration = SignedDuration::from_secs(15);
/// A host bridge reports when it takes up a claim and when it is done with it, each with one call of the bucket from
/// which instances are set DRAINING and ACTIVE: half of it refills with twenty a second. So many of a cluster are
/// asked to stage at once; those that stage again since they lost their image are few and not counted. These are the
/// hosts' own calls: a run that takes more than half of the bucket leaves them less.
const MAX_STAGE_CLAIMS_PER_WINDOW: usize = 40;
const STAGE_CLAIM_WINDOW: SignedDuration = SignedDuration::from_secs(5);

/// Lets only so many be begun within a window of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pacer {
    window: SignedDuration,
    left: usize,
    /// The earliest that counts still.
    first: Option<Timestamp>,
}

impl Pacer {
    pub(super) fn of_drains(share: ApiShare) -> Self {
        Self { window: DRAIN_WINDOW, left: share.scaled(MAX_DRAINS_PER_WINDOW), first: None }
    }

    pub(super) fn of_stage_claims(share: ApiShare) -> Self {
        Self { window: STAGE_CLAIM_WINDOW, left: share.scaled_beside(MAX_STAGE_CLAIMS_PER_WINDOW), first: None }
    }

    /// Counts one that was begun at that time, unless its window is over.
    pub(super) fn count(&mut self, at: Timestamp, now: Timestamp) {
        if now < after(at, self.window) {
            self.left = self.left.saturating_sub(1);
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
        }
    }

    /// Returns how many more may be begun now.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Takes one of those that are left.
    pub(super) fn take(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// Lets none be begun any more.
    pub(super) fn close(&mut self) {
        self.left = 0;
    }

    /// Returns when the next may be begun; `None` where none was begun before this plan.
    pub(super) fn opens_at(&self) -> Option<Timestamp> {
        self.first.map(|first| after(first, self.window))
    }

    /// Returns when the next may be begun after those that this plan begins `now`.
    pub(super) fn opens_after(&self, now: Timestamp) -> Timestamp {
        after(self.first.unwrap_or(now), self.window)
    }
}
