//! Arithmetic on time. No clock is read here.

use jiff::{SignedDuration, Timestamp};

/// Returns `time + duration`, or the end of time where that is beyond it.
pub fn after(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_after_the_end_of_time() {
        let start = Timestamp::UNIX_EPOCH;
        assert_eq!(after(start, SignedDuration::from_secs(90)), Timestamp::new(90, 0).unwrap());
        assert_eq!(after(start, SignedDuration::MAX), Timestamp::MAX);
        assert_eq!(after(Timestamp::MAX, SignedDuration::from_secs(1)), Timestamp::MAX);
    }
}
