//! Simulated time: one code path for tokio's paused clock (tests, the demo) and for the real clock run faster
//! (`serve --time-scale`).

use std::io;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

/// Returns a runtime of one thread on a paused clock, which goes on to what comes next whenever all of its tasks wait.
///
/// # Errors
/// The operating system has no descriptors left for it.
pub fn paused() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().start_paused(true).build()
}

/// Maps tokio's monotonic clock to a simulated date and time.
///
/// On a paused tokio clock a sleep takes no real time; on the real one a simulated second lasts `1 / scale`
/// seconds. Copies agree with each other.
#[derive(Debug, Clone, Copy)]
pub struct SimClock {
    base: Timestamp,
    origin: Instant,
    scale: u32,
}

impl SimClock {
    /// Starts at `base` now; `scale` simulated seconds pass in each second of tokio's clock (0 counts as 1).
    ///
    /// Call it inside a tokio runtime.
    pub fn start(base: Timestamp, scale: u32) -> Self {
        Self { base, origin: Instant::now(), scale: scale.max(1) }
    }

    /// The simulated time.
    pub fn now(&self) -> Timestamp {
        let elapsed = self.origin.elapsed().saturating_mul(self.scale);
        let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX);
        self.base.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// When the simulation began.
    pub fn base(&self) -> Timestamp {
        self.base
    }

    /// Waits for a simulated duration.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration / self.scale).await;
    }

    /// Waits until the simulated time has come; returns at once when it is past.
    pub async fn sleep_until(&self, until: Timestamp) {
        loop {
            let left = until.duration_since(self.now());
            let Ok(left) = Duration::try_from(left) else { return };
            if left.is_zero() {
                return;
            }
            // Divided durations round down; a millisecond is the finest step of tokio's timer.
            self.sleep(left).await;
            if self.now() < until {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sleeps_take_simulated_time_only() {
        let base: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
        let clock = SimClock::start(base, 1);
        clock.sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.now(), base + SignedDuration::from_hours(1));
        clock.sleep_until(base + SignedDuration::from_hours(2)).await;
        assert_eq!(clock.now(), base + SignedDuration::from_hours(2));
        clock.sleep_until(base).await;
        assert_eq!(clock.now(), base + SignedDuration::from_hours(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_scale_makes_time_run_faster() {
        let base: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
        let clock = SimClock::start(base, 60);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(clock.now(), base + SignedDuration::from_mins(2));
        clock.sleep_until(base + SignedDuration::from_millis(120_001)).await;
        assert!(clock.now() >= base + SignedDuration::from_millis(120_001));
    }
}
