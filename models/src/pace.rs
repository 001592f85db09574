//! How long to wait before asking again: growing waits with a ceiling. No clock is read and nothing sleeps here.
//!
//! This is the only module that touches the crate `backoff`, which is no longer maintained (RUSTSEC-2025-0012): we
//! use its arithmetic and none of its runtime. It can be replaced here without anyone noticing.

use std::time::{Duration, Instant};

use backoff::Clock;
use backoff::backoff::Backoff as _;
use backoff::exponential::ExponentialBackoff;

/// A sequence of waits: the first, then each longer by a factor, up to the longest.
#[derive(Debug)]
pub struct Pace {
    waits: ExponentialBackoff<Frozen>,
}

/// `ExponentialBackoff` asks a clock only to give up after a maximum time, which is never set here.
#[derive(Debug)]
struct Frozen(Instant);

impl Clock for Frozen {
    fn now(&self) -> Instant {
        self.0
    }
}

impl Pace {
    /// Waits from `first` to `longest`, each `factor` times the one before. `jitter` between 0 and 1 spreads each
    /// wait by that share to both sides; 0 gives the same waits every time.
    pub fn new(first: Duration, factor: f64, longest: Duration, jitter: f64) -> Self {
        let never_used = Instant::now();
        let waits = ExponentialBackoff::<Frozen> {
            current_interval: first,
            initial_interval: first,
            randomization_factor: jitter.clamp(0.0, 1.0),
            multiplier: factor,
            max_interval: longest,
            start_time: never_used,
            max_elapsed_time: None,
            clock: Frozen(never_used),
        };
        Self { waits }
    }

    /// Returns the next wait.
    pub fn next_wait(&mut self) -> Duration {
        self.waits.next_backoff().unwrap_or(self.waits.max_interval)
    }

    /// Begins again with the first wait, after something worked.
    pub fn reset(&mut self) {
        self.waits.reset();
    }

    /// Returns the wait after so many failures in a row: for a caller that remembers their number instead of a pace.
    pub fn wait_after(mut self, failures: u32) -> Duration {
        self.reset();
        // Doubled so often, a nanosecond is longer than any wait.
        for _ in 1..failures.min(64) {
            self.next_wait();
        }
        self.next_wait()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_ceiling_and_begin_again() {
        let mut pace = Pace::new(Duration::from_secs(2), 2.0, Duration::from_secs(10), 0.0);
        let waits: Vec<u64> = (0..5).map(|_| pace.next_wait().as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 10, 10]);
        pace.reset();
        assert_eq!(pace.next_wait(), Duration::from_secs(2));
    }

    #[test]
    fn a_number_of_failures_is_enough_to_go_on() {
        for (failures, seconds) in [(0, 10), (1, 10), (2, 20), (3, 40), (4, 80), (5, 120), (6, 120), (u32::MAX, 120)] {
            let pace = Pace::new(Duration::from_secs(10), 2.0, Duration::from_secs(120), 0.0);
            assert_eq!(pace.wait_after(failures), Duration::from_secs(seconds), "{failures} failures");
        }
    }

    #[test]
    fn jitter_stays_within_its_share() {
        let mut pace = Pace::new(Duration::from_secs(10), 1.0, Duration::from_secs(10), 0.2);
        for _ in 0..200 {
            let wait = pace.next_wait().as_secs_f64();
            assert!((8.0..=12.0).contains(&wait), "{wait}");
        }
    }
}
