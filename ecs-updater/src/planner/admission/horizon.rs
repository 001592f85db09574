//! How far ahead of their turn candidates are looked at and staged.

/// Whose tasks are looked at again before there is a place: who is looked at already need not be waited for, and many
/// at once are listed with the whole cluster for less.
const MAX_LOOKS_AHEAD: usize = 100;

/// Has as many instances staged ahead as may be out of service at once: when a drain ends, the next image is there.
#[derive(Debug)]
pub(super) struct Horizon {
    /// Staged or being staged, and still in service.
    ahead: usize,
    /// Drained by this plan, or looked at again since they may be next.
    looked_at: usize,
}

impl Horizon {
    pub(super) fn new(staging: usize) -> Self {
        Self { ahead: staging, looked_at: 0 }
    }

    /// Whether one more is near its turn, with so many places in all and so many of them free.
    pub(super) fn reaches_further(&self, places: usize, free: usize) -> bool {
        self.ahead < places + free
    }

    /// Whether the tasks of one more may be looked at again, with so many free places.
    pub(super) fn may_look_again(&self, free: usize) -> bool {
        self.looked_at < free + MAX_LOOKS_AHEAD
    }

    /// Takes in one that stays in service for now.
    pub(super) fn prepare(&mut self) {
        self.ahead += 1;
    }

    /// Takes in one whose tasks are looked at again.
    pub(super) fn look_again(&mut self) {
        self.ahead += 1;
        self.looked_at += 1;
    }

    /// Takes in one that is drained.
    pub(super) fn drain(&mut self) {
        self.looked_at += 1;
    }
}
