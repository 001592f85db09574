//! Stands before every request that writes: none is sent while the lease on the cluster is not surely ours.
//!
//! It is asked before each try of a call, immediately before it is sent. So a process that slept in the middle of the
//! SDK's retries is stopped too, and no function that writes can forget to ask.

use std::fmt;
use std::sync::Arc;

/// Says whether writes may be sent.
#[derive(Clone)]
pub struct Fence(Arc<dyn Fn() -> bool + Send + Sync>);

/// A request was not sent, since the lease is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not sent: the lease on the cluster is not surely this run's any more")]
pub(super) struct Closed;

/// The operations that change something on instances or hosts. Of the documents that `SendCommand` starts one only
/// reads; it waits with the others, since it takes the host's one update lock.
const WRITES: &[&str] = &[
    "CreateTags",
    "DeleteTags",
    "DeleteAttributes",
    "PutAttributes",
    "SendCommand",
    "StopTask",
    "UpdateContainerInstancesState",
];

/// Whether this operation changes something on instances or hosts.
pub(super) fn is_write(operation: &str) -> bool {
    WRITES.contains(&operation)
}

impl Fence {
    /// Asks `may_write` before each request that writes.
    pub fn new(may_write: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(may_write))
    }

    /// Lets everything pass: for a run without a lease.
    pub fn open() -> Self {
        Self::new(|| true)
    }

    /// Before a request of this operation is sent.
    pub(super) fn pass(&self, operation: &str) -> Result<(), Closed> {
        let open = !is_write(operation) || (self.0)() || broken!(FenceIgnored);
        if open { Ok(()) } else { Err(Closed) }
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fence").field(&(self.0)()).finish()
    }
}

/// Whether an error is, or comes from, a closed fence.
pub(super) fn is_closed(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<Closed>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_writes_are_stopped() {
        let closed = Fence::new(|| false);
        assert_eq!(closed.pass("CreateTags"), Err(Closed));
        assert_eq!(closed.pass("DescribeInstances"), Ok(()));
        assert_eq!(Fence::open().pass("CreateTags"), Ok(()));
    }
}
