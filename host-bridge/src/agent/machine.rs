//! The machine below the agent: its clock, which boot it is in, and its root.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::inspect::Boot;
use crate::signpost::{self, SignpostError};
use crate::transport::BoxFuture;

/// The machine below the agent.
pub trait Machine: Send + Sync {
    /// Its clock.
    fn now(&self) -> Timestamp;

    /// Which boot it is in. Read at every look: in life it never changes under a process.
    fn boot(&self) -> Boot;

    /// Whether [`Machine::roll_back_to_inactive`] is ours to use.
    fn may_roll_back(&self) -> bool;

    /// `signpost rollback-to-inactive`.
    fn roll_back_to_inactive(&self) -> BoxFuture<'_, Result<(), SignpostError>>;

    /// Takes that back, before the reboot: `signpost cancel-upgrade`.
    fn cancel_roll_back(&self) -> BoxFuture<'_, Result<(), SignpostError>>;
}

/// `signpost` rewrites one partition table.
const SIGNPOST: Duration = Duration::from_secs(60);

/// The machine that this process runs on.
#[derive(Debug, Clone)]
pub struct ThisMachine {
    /// In life `/proc`.
    pub proc: PathBuf,
    /// Where a superpowered host container has the host's root filesystem.
    pub host_root: PathBuf,
}

impl Machine for ThisMachine {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn boot(&self) -> Boot {
        Boot::read(&self.proc)
    }

    fn may_roll_back(&self) -> bool {
        signpost::check_rights(&self.host_root).is_ok()
    }

    fn roll_back_to_inactive(&self) -> BoxFuture<'_, Result<(), SignpostError>> {
        Box::pin(signpost::rollback_to_inactive(&self.host_root, SIGNPOST))
    }

    fn cancel_roll_back(&self) -> BoxFuture<'_, Result<(), SignpostError>> {
        Box::pin(signpost::cancel_rollback(&self.host_root, SIGNPOST))
    }
}
