//! How far this machine's clock is from AWS's, by the header `Date` of its answers. AWS refuses what is signed more than five
//! minutes off.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};

/// What the answers so far have said.
#[derive(Debug, Clone, Default)]
pub(super) struct Skew(Arc<Mutex<Option<SignedDuration>>>);

impl Skew {
    /// Takes the `Date` of an answer that has just come. An answer is under way for a while, so that of all the one counts by
    /// which the clocks differ least. What is no date says nothing.
    pub(super) fn heard(&self, date: &str, received: SystemTime) {
        let (Ok(sent), Ok(received)) = (DateTimeParser::new().parse_timestamp(date), Timestamp::try_from(received))
        else {
            return;
        };
        let ahead = received.duration_since(sent);
        let mut least = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if least.is_none_or(|least| ahead.abs() < least.abs()) {
            *least = Some(ahead);
        }
    }

    /// Returns by how much this machine's clock is ahead; `None` where no answer had a date.
    pub(super) fn ahead(&self) -> Option<SignedDuration> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_counts_by_which_the_clocks_differ_least() {
        let at = |second: i64| SystemTime::from(Timestamp::from_second(1_795_403_412 + second).unwrap());
        let date = "Mon, 23 Nov 2026 03:10:12 GMT";
        let skew = Skew::default();
        skew.heard("yesterday", at(0));
        assert_eq!(skew.ahead(), None);
        skew.heard(date, at(130));
        skew.heard(date, at(125));
        skew.heard(date, at(140));
        assert_eq!(skew.ahead(), Some(SignedDuration::from_secs(125)));
        skew.heard(date, at(-2));
        assert_eq!(skew.ahead(), Some(SignedDuration::from_secs(-2)));
    }
}
