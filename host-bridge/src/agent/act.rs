//! What the agent can do, and the times that its decisions rest on.

use jiff::{SignedDuration, Timestamp};
use models::host::ReportedError;
use semver::Version;

/// The times that decisions rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the boot of a new version to the end of its trial. 30 minutes: a slow boot with its ECS agent takes 5, and
    /// the updater verifies for 10 by default and then reverts by claim.
    pub confirm: SignedDuration,
    /// From one reading of the update repository to the next, while no claim stands.
    pub refresh: SignedDuration,
    /// How long after its boot a host is first asked to read it; spread over the fleet.
    pub first_refresh: SignedDuration,
    /// A reboot that was accepted is asked for again after this time in the same boot. The host takes up to 5 minutes
    /// to begin.
    pub reboot_again: SignedDuration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            confirm: SignedDuration::from_mins(30),
            refresh: SignedDuration::from_hours(1),
            first_refresh: SignedDuration::ZERO,
            reboot_again: SignedDuration::from_mins(7),
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Nothing, for this reason.
    Wait(Waits),
    /// Have the host read its update repository.
    Refresh,
    /// Write a version to the inactive set.
    Stage {
        /// The version.
        to: Version,
        /// `version-lock` afterwards; where it is `None`, it is not touched at all.
        lock: Option<String>,
        /// The agent itself wrote it there in this boot: it is only to be seen whether it is still offered.
        written_before: bool,
    },
    /// Undo an activation, and put the lock back.
    Cancel {
        /// `version-lock` afterwards; left alone where it is `None`.
        lock: Option<String>,
        /// Nobody asked for it: what was begun is not wanted any more.
        tidying: bool,
    },
    /// Activate the staged version if it is not active yet, and reboot.
    Reboot {
        /// The staged version.
        to: Version,
    },
    /// Make the old version the next to boot, and reboot: the claim says so.
    Revert {
        /// The old version.
        from: Version,
        /// `version-lock` afterwards.
        lock: Option<String>,
        /// The other set has the old version still: no need to write it.
        inactive: bool,
        /// The first part is done.
        switched: bool,
    },
    /// The same by the agent's own decision.
    FallBack {
        /// The old version.
        from: Version,
        /// `version-lock` afterwards.
        lock: Option<String>,
        /// The other set has the old version still.
        inactive: bool,
        /// The first part is done.
        switched: bool,
        /// What was missing.
        why: String,
    },
    /// The claim needs nothing, or cannot be done.
    End {
        /// Why it cannot.
        error: Option<ReportedError>,
    },
}

impl Act {
    /// Whether `version-lock` may be pinned on the way.
    pub(super) fn may_write(&self) -> bool {
        match self {
            Self::Stage { .. } => true,
            Self::Revert { switched, .. } | Self::FallBack { switched, .. } => !switched,
            Self::Wait(_) | Self::Refresh | Self::Cancel { .. } | Self::Reboot { .. } | Self::End { .. } => false,
        }
    }

    /// Whether it certainly overwrites the inactive set.
    pub(super) fn prepares(&self) -> bool {
        matches!(self, Self::Stage { .. })
    }

    /// Whether it succeeds only where the host has read its update repository.
    pub(super) fn reads_repository(&self) -> bool {
        matches!(self, Self::Refresh | Self::Stage { .. })
    }

    pub(super) fn is_tidying(&self) -> bool {
        matches!(self, Self::Cancel { tidying: true, .. })
    }
}

/// Why nothing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// No claim, and nothing due.
    Idle,
    /// The claim has had its end.
    ClaimEnded,
    /// After a failure.
    Again(Timestamp),
    /// The reboot was asked for.
    GoingDown(Timestamp),
    /// Until the boot id can be read.
    BootUnknown,
    /// Until the host API answers.
    HostUnknown,
    /// Until the metadata service answers.
    TagsUnknown,
    /// The claim is not understood.
    ClaimUnreadable,
    /// The claim is carried out by SSM.
    ClaimOfOthers,
}
