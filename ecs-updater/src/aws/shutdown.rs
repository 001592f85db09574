//! Stands before every request once the run was told to stop: a few seconds later nothing is sent any more but the
//! return of the lease, and the summary beside it.
//!
//! It is asked before each try of a call, as the fence is, so that the SDK's retries stop too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// How far the stop of a run has come. Copies share one state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shutdown(Arc<AtomicU8>);

const RUNNING: u8 = 0;
const STOPPING: u8 = 1;
const CLOSED: u8 = 2;
const RETURNING_LEASE: u8 = 3;

/// The one operation that writes a lease.
pub(super) const LEASE_WRITE: &str = "UpdateItem";
/// The one operation that writes a run's summary beside it.
pub(super) const SUMMARY_WRITE: &str = "PutItem";

/// A request was not sent, since the run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not sent: the run was told to stop")]
pub(super) struct Stopped;

impl Shutdown {
    /// A signal came: what is under way comes to its end, and nothing new is begun. Returns whether that is news.
    pub(crate) fn begin(&self) -> bool {
        self.0.fetch_max(STOPPING, Ordering::Relaxed) == RUNNING
    }

    /// From now on nothing is sent.
    pub(crate) fn close(&self) {
        self.0.fetch_max(CLOSED, Ordering::Relaxed);
    }

    /// From now on nothing is sent but what gives the lease back, and what is left beside it.
    pub(crate) fn return_lease(&self) {
        self.0.fetch_max(RETURNING_LEASE, Ordering::Relaxed);
    }

    /// Whether a signal came.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= STOPPING
    }

    /// Before a request of this operation is sent.
    pub(super) fn pass(&self, operation: &str) -> Result<(), Stopped> {
        let open = match self.0.load(Ordering::Relaxed) {
            RUNNING | STOPPING => true,
            RETURNING_LEASE => operation == LEASE_WRITE || operation == SUMMARY_WRITE,
            _ => false,
        };
        if open { Ok(()) } else { Err(Stopped) }
    }
}

/// Whether an error is, or comes from, a run that was told to stop.
pub(super) fn is_stopped(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<Stopped>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_closed_only_the_lease_is_given_back_and_nothing_opens_it_again() {
        let shutdown = Shutdown::default();
        assert!(!shutdown.has_begun());
        assert!(shutdown.begin() && !shutdown.begin());
        assert!(shutdown.has_begun());
        assert_eq!(shutdown.pass("DeleteTags"), Ok(()));
        shutdown.close();
        for operation in ["DescribeInstances", "DeleteTags", LEASE_WRITE, SUMMARY_WRITE] {
            assert_eq!(shutdown.pass(operation), Err(Stopped), "{operation}");
        }
        shutdown.return_lease();
        assert!(!shutdown.begin());
        assert_eq!(shutdown.pass("DescribeInstances"), Err(Stopped));
        assert_eq!((shutdown.pass(LEASE_WRITE), shutdown.pass(SUMMARY_WRITE)), (Ok(()), Ok(())));
    }
}
