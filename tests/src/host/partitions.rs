//! The OS disk: two partition sets and the flags by which the boot loader chooses between them
//! (`signpost/src/state.rs`, `signpost/src/gptprio.rs`).

use super::image::Image;

/// One partition set and its GPT flags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionSet {
    /// What is written there; `None` where nothing whole is.
    pub image: Option<Image>,
    /// The higher boots first; 0 is never tried.
    pub priority: u8,
    /// Boot tries left for a set that has not yet booted successfully.
    pub tries_left: u8,
    /// Whether a boot of this image has ever succeeded.
    pub successful: bool,
}

impl PartitionSet {
    /// Whether the boot loader takes this set at all (`GptPrio::will_boot`).
    pub fn will_boot(&self) -> bool {
        (self.priority > 0 && self.tries_left > 0) || self.successful
    }
}

/// Why a change of the boot flags was refused; `Display` is the tool's own text (`signpost/src/error.rs`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignpostError {
    /// The inactive set is the next to boot already, or has booted before.
    #[error("Inactive partition {0} is already marked for upgrade")]
    AlreadyMarked(&'static str),
    /// Nothing whole was written to the inactive set (docs/facts/host-api.md#trap-1).
    #[error("Inactive partition {0} has not been marked valid for upgrade")]
    NotValid(&'static str),
    /// The inactive set has never booted (docs/facts/host-api.md#boot-and-rollback).
    #[error(
        "Inactive partition is not valid to roll back to (priority={priority} tries_left={tries_left} successful={successful})"
    )]
    InvalidRollback {
        /// Priority of the inactive set.
        priority: u8,
        /// Boot tries left on the inactive set.
        tries_left: u8,
        /// Whether the inactive set has ever booted.
        successful: bool,
    },
}

const DEVICE: &str = "/dev/nvme0n1";

/// Both partition sets, and which of them runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    sets: [PartitionSet; 2],
    active: usize,
}

impl Disk {
    /// A disk as an AMI has it: `image` on set A, booted; `other`, where there is one, on set B, booted before.
    pub fn new(image: Image, other: Option<Image>) -> Self {
        let a = PartitionSet { image: Some(image), priority: 2, tries_left: 0, successful: true };
        let b = match other {
            Some(image) => PartitionSet { image: Some(image), priority: 1, tries_left: 0, successful: true },
            None => PartitionSet::default(),
        };
        Self { sets: [a, b], active: 0 }
    }

    /// Sets A and B.
    pub fn sets(&self) -> &[PartitionSet; 2] {
        &self.sets
    }

    /// 0 where set A runs, 1 where B does.
    pub fn active_index(&self) -> usize {
        self.active
    }

    /// The set that runs.
    pub fn active(&self) -> &PartitionSet {
        &self.sets[self.active]
    }

    /// The other one.
    pub fn inactive(&self) -> &PartitionSet {
        &self.sets[1 - self.active]
    }

    /// Which set the boot loader would take: of those that will boot the one of higher priority, A at a tie.
    pub fn next(&self) -> Option<usize> {
        match (self.sets[0].will_boot(), self.sets[1].will_boot()) {
            (true, true) => Some(usize::from(self.sets[0].priority < self.sets[1].priority)),
            (true, false) => Some(0),
            (false, true) => Some(1),
            (false, false) => None,
        }
    }

    /// The boot loader's turn: takes [`Disk::next`] and uses up a try of a set that has not booted before. The new set
    /// has one try (docs/facts/host-api.md#boot-and-rollback).
    pub(super) fn take_next(&mut self) -> Option<usize> {
        let index = self.next()?;
        let set = &mut self.sets[index];
        if !set.successful {
            set.tries_left = set.tries_left.saturating_sub(1);
        }
        Some(index)
    }

    /// A boot of set `index` succeeded: it runs, and is marked so before docker and the ECS agent start.
    pub(super) fn mark_successful_boot(&mut self, index: usize) {
        self.active = index;
        self.sets[index].successful = true;
    }

    /// Clears the inactive set's flags; its image is as good as gone from here on (docs/facts/host-api.md#trap-6).
    pub(super) fn clear_inactive(&mut self) {
        self.sets[1 - self.active] = PartitionSet::default();
    }

    /// A whole image is on the inactive set: valid for one try, not yet chosen.
    pub(super) fn mark_inactive_valid(&mut self, image: Image) {
        let set = &mut self.sets[1 - self.active];
        set.image = Some(image);
        set.tries_left = 1;
    }

    /// Activate: the inactive set boots next.
    pub(super) fn upgrade_to_inactive(&mut self) -> Result<(), SignpostError> {
        let set = &mut self.sets[1 - self.active];
        if set.priority != 0 || set.successful {
            return Err(SignpostError::AlreadyMarked(DEVICE));
        }
        if set.tries_left == 0 {
            return Err(SignpostError::NotValid(DEVICE));
        }
        set.priority = 2;
        self.sets[self.active].priority = 1;
        Ok(())
    }

    /// Deactivate: the active set boots next again.
    pub(super) fn cancel_upgrade(&mut self) {
        self.sets[1 - self.active].priority = 0;
        self.sets[self.active].priority = 2;
    }

    /// `signpost rollback-to-inactive`: the inactive set boots next if it would boot at all.
    pub(super) fn rollback_to_inactive(&mut self) -> Result<(), SignpostError> {
        let set = &mut self.sets[1 - self.active];
        if !set.will_boot() {
            return Err(SignpostError::InvalidRollback {
                priority: set.priority,
                tries_left: set.tries_left,
                successful: set.successful,
            });
        }
        set.priority = 2;
        self.sets[self.active].priority = 1;
        Ok(())
    }
}
