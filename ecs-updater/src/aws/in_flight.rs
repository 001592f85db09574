//! The requests that write and have not been answered: the lease is not given back before they are over.
//!
//! A request without an answer may still be carried out for a while, whether its answer was lost, came too late, or is
//! waited for by nobody any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::fence::is_read;
use super::shutdown::SUMMARY_WRITE;
use super::timing::ATTEMPT_TIMEOUT;

/// The writes of one cluster's clients. Copies share one list.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    writes: Mutex<Writes>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Writes {
    next: u64,
    unanswered: BTreeMap<u64, Write>,
}

/// A request that was sent and not answered.
#[derive(Debug, Clone, Copy)]
struct Write {
    sent: Instant,
    /// Nobody waits for its answer any more.
    given_up: bool,
}

/// How long a request that was sent may still be carried out, answered or not: as `lease::LAST_WRITES`, which leaves
/// that much room between a run's last write and the end of its lease.
const CARRIED_OUT_WITHIN: Duration = Duration::from_secs(crate::lease::LAST_WRITES.as_secs().unsigned_abs());

impl InFlight {
    /// Records that a request of this operation is sent; `None` where it changes nothing, or where it is a summary, for
    /// which nobody waits: carried out late, it never takes the place of a later run's.
    pub(super) fn sent(&self, operation: &str) -> Option<u64> {
        if is_read(operation) || operation == SUMMARY_WRITE {
            return None;
        }
        let now = Instant::now();
        let mut writes = self.lock();
        writes.unanswered.retain(|_, write| now.duration_since(write.sent) < CARRIED_OUT_WITHIN);
        let id = writes.next;
        writes.next += 1;
        writes.unanswered.insert(id, Write { sent: now, given_up: false });
        Some(id)
    }

    /// Its try is over.
    pub(super) fn ended(&self, id: u64, answered: bool) {
        let mut writes = self.lock();
        if answered {
            writes.unanswered.remove(&id);
        } else if let Some(write) = writes.unanswered.get_mut(&id) {
            write.given_up = true;
        }
        drop(writes);
        self.0.changed.notify_waiters();
    }

    /// Waits until no answer to a write is waited for.
    pub(crate) async fn none_waited_for(&self) {
        loop {
            let changed = self.0.changed.notified();
            // One whose caller is gone ends unseen, at the latest when no try lasts any longer.
            let waited_for = |write: &&Write| !write.given_up && write.sent.elapsed() < ATTEMPT_TIMEOUT;
            let Some(oldest) = self.lock().unanswered.values().filter(waited_for).map(|write| write.sent).min() else {
                return;
            };
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(oldest + ATTEMPT_TIMEOUT) => {}
            }
        }
    }

    /// Whether a write may still be carried out.
    pub(crate) fn may_still_be_carried_out(&self) -> bool {
        self.lock().unanswered.values().any(|write| write.sent.elapsed() < CARRIED_OUT_WITHIN)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Writes> {
        self.0.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::shutdown::LEASE_WRITE;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reads_and_answered_writes_hold_up_nobody() {
        let writes = InFlight::default();
        assert_eq!((writes.sent("DescribeInstances"), writes.sent(SUMMARY_WRITE)), (None, None));
        let id = writes.sent("CreateTags").unwrap();
        assert!(writes.may_still_be_carried_out());
        writes.ended(id, true);
        writes.none_waited_for().await;
        assert!(!writes.may_still_be_carried_out());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_waited_for_as_long_as_a_try_may_last() {
        let (writes, began) = (InFlight::default(), Instant::now());
        let tagged = writes.sent("CreateTags").unwrap();
        let others = writes.clone();
        tokio::join!(writes.none_waited_for(), async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            others.ended(tagged, true);
        });
        assert_eq!(began.elapsed(), Duration::from_secs(3));

        // Its caller is gone.
        writes.sent(LEASE_WRITE).unwrap();
        writes.none_waited_for().await;
        assert_eq!(began.elapsed(), Duration::from_secs(3) + ATTEMPT_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_answered_may_be_carried_out_for_a_minute() {
        let writes = InFlight::default();
        let id = writes.sent("SendCommand").unwrap();
        writes.ended(id, false);
        writes.none_waited_for().await;
        assert!(writes.may_still_be_carried_out());
        tokio::time::advance(CARRIED_OUT_WITHIN).await;
        assert!(!writes.may_still_be_carried_out());
    }
}
