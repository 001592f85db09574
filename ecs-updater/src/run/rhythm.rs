//! When the loop looks, and how fast it may turn.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use models::time::after;

use crate::planner;

/// The time between two full looks at a small cluster.
const FULL_LOOK: SignedDuration = SignedDuration::from_secs(30);
/// The same for each hundred instances: a look costs two calls a hundred, and the read bucket refills with twenty a
/// second for the whole account.
const FULL_LOOK_PER_100: SignedDuration = SignedDuration::from_secs(6);

/// The time between two full looks at a cluster of so many instances.
pub(super) fn full_look_every(instances: usize) -> SignedDuration {
    let hundreds = i32::try_from(instances.div_ceil(100)).unwrap_or(i32::MAX);
    FULL_LOOK.max(FULL_LOOK_PER_100.saturating_mul(hundreds))
}

/// Wake-ups fall on a grid, so that what is due for many instances is done for them in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beat {
    /// From one to the next, in milliseconds.
    grid_ms: i64,
    /// The time between two looks at the instances under way: each beat, so a little less than one.
    pub(super) short_look: SignedDuration,
}

impl Beat {
    /// While there is nothing to do for many at once.
    pub(super) const OF_ONE: Self = Self { grid_ms: 1_000, short_look: planner::DRAIN_POLL };
    pub(super) const OF_SSM: Self = Self { grid_ms: 5_000, short_look: planner::DRAIN_POLL };
    pub(super) const OF_BRIDGES: Self = Self { grid_ms: 2_500, short_look: planner::BRIDGE_POLL };

    /// How long it is from `time` to the next one.
    pub(super) fn from(self, time: Timestamp) -> Duration {
        let over = time.as_millisecond().rem_euclid(self.grid_ms);
        match u64::try_from(self.grid_ms - over) {
            Ok(left) if over > 0 => Duration::from_millis(left),
            Ok(_) | Err(_) => Duration::ZERO,
        }
    }
}

/// The rounds of a loop. No more than [`Rounds::MOST`] of them are begun within [`Rounds::WITHIN`]: whatever comes back at
/// once, the loop does not spin. A round that does something takes longer than that.
#[derive(Debug, Default)]
pub(super) struct Rounds(VecDeque<Timestamp>);

impl Rounds {
    const MOST: usize = 25;
    const WITHIN: SignedDuration = SignedDuration::from_secs(5);

    /// Notes that a round begins. Returns how long the next one has to wait from then on.
    pub(super) fn begin(&mut self, now: Timestamp) -> Duration {
        self.0.push_back(now);
        if self.0.len() < Self::MOST {
            return Duration::ZERO;
        }
        let first = self.0.pop_front().unwrap_or(now);
        Duration::try_from(after(first, Self::WITHIN).duration_since(now)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_comes_back_at_once_is_held_to_five_rounds_a_second() {
        let start: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
        let (mut rounds, mut now, mut begun) = (Rounds::default(), start, 0);
        while now < after(start, SignedDuration::from_mins(1)) {
            begun += 1;
            now += rounds.begin(now);
        }
        assert!((290..=310).contains(&begun), "{begun} rounds in a minute");
    }

    #[test]
    fn a_loop_with_work_to_do_is_not_held_up() {
        let start: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
        let mut rounds = Rounds::default();
        for round in 0..200 {
            let now = after(start, SignedDuration::from_millis(round * 300));
            assert_eq!(rounds.begin(now), Duration::ZERO, "round {round}");
        }
    }

    #[test]
    fn beats_are_on_a_grid() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(Beat::OF_SSM.from(time("2026-11-23T03:00:00Z")), Duration::ZERO);
        assert_eq!(Beat::OF_SSM.from(time("2026-11-23T03:00:01Z")), Duration::from_secs(4));
        assert_eq!(Beat::OF_BRIDGES.from(time("2026-11-23T03:00:01Z")), Duration::from_millis(1_500));
    }
}
