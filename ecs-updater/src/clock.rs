//! The one place where the controller learns what time it is.

use jiff::{SignedDuration, Timestamp};
use models::time::after;
use tokio::time::Instant;

use crate::lease::Moment;

/// Tells the time: the system's, or one that moves with tokio's clock and so stands still, or leaps, with it.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The system's clock.
    System,
    /// `base` at the instant `origin`, and on from there with tokio.
    Tokio {
        /// The time at `origin`.
        base: Timestamp,
        /// When it was that time.
        origin: Instant,
    },
}

impl Clock {
    /// A clock that shows `base` now and moves with tokio's.
    pub fn tokio(base: Timestamp) -> Self {
        Self::Tokio { base, origin: Instant::now() }
    }

    /// Returns the time, by the date and by the monotonic clock.
    pub fn moment(&self) -> Moment {
        Moment { wall: self.now(), ticks: Instant::now().into_std() }
    }

    /// Returns the time.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Tokio { base, origin } => {
                let elapsed = SignedDuration::try_from(origin.elapsed()).unwrap_or(SignedDuration::MAX);
                after(*base, elapsed)
            }
        }
    }
}
