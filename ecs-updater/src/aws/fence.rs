//! Stands before every request: none that may write is sent while the lease on the cluster is not surely ours. What is not
//! known to read counts as a write; only what acquires, renews and returns the lease itself is let through.
//!
//! It is asked before each try of a call, immediately before it is sent. So a process that slept in the middle of the
//! SDK's retries is stopped too, and no function that writes can forget to ask.

use std::fmt;
use std::sync::Arc;

use super::shutdown::LEASE_WRITE;

/// Says whether writes may be sent.
#[derive(Clone)]
pub struct Fence(Arc<dyn Fn() -> bool + Send + Sync>);

/// A request was not sent, since the lease is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not sent: this run may no longer hold the lease on the cluster")]
pub(super) struct Closed;

/// How the names of operations begin that only read, in every AWS service. Of the documents that `SendCommand` starts one
/// only reads; it waits with the writes, since it takes the host's one update lock.
const READS: [&str; 3] = ["Describe", "Get", "List"];

/// Whether this operation is known to change nothing.
pub(super) fn is_read(operation: &str) -> bool {
    let mut rests = READS.iter().filter_map(|begins| operation.strip_prefix(begins));
    rests.any(|rest| rest.starts_with(char::is_uppercase))
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
        let open = is_read(operation) || operation == LEASE_WRITE || (self.0)() || broken!(FenceIgnored);
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
    fn only_reads_and_the_lease_itself_pass_a_closed_fence() {
        let table = [
            ("DescribeContainerInstances", true),
            ("DescribeInstanceStatus", true),
            ("GetTaskProtection", true),
            ("ListCommandInvocations", true),
            (LEASE_WRITE, true),
            ("CreateTags", false),
            ("DeleteTags", false),
            ("SendCommand", false),
            ("StopTask", false),
            ("UpdateContainerInstancesState", false),
            ("PutItem", false),
            // Nobody sends these yet.
            ("PutEvents", false),
            ("GetawayPlan", false),
            ("describeInstances", false),
            ("List", false),
            ("Unknown", false),
            ("", false),
        ];
        let closed = Fence::new(|| false);
        for (operation, passes) in table {
            assert_eq!(closed.pass(operation).is_ok(), passes, "{operation}");
            assert_eq!(Fence::open().pass(operation), Ok(()), "{operation}");
        }
    }
}
