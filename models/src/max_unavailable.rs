//! The budget of a cluster: how many of its instances may be out of service.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many instances may be out of service at once: a count, or a percentage of the cluster's instances, rounded
/// down, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxUnavailable {
    /// At least 1.
    Count(u32),
    /// 1 to 100.
    Percent(u32),
    /// Whichever of the two gives fewer.
    Fewer { count: u32, percent: u32 },
}

impl MaxUnavailable {
    /// The number of instances for a cluster of `size`.
    pub fn of(self, size: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => (size * percent as usize / 100).max(1),
            Self::Fewer { count, percent } => Self::Count(count).of(size).min(Self::Percent(percent).of(size)),
        }
    }

    /// Compares how much two allow, whatever the cluster's size; `None` where that decides.
    pub fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Count(one), Self::Count(two)) | (Self::Percent(one), Self::Percent(two)) => Some(one.cmp(&two)),
            (Self::Count(_) | Self::Percent(_) | Self::Fewer { .. }, _) => None,
        }
    }

    /// Returns what allows no more than either.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let parts = [self, other].map(|one| match one {
            Self::Count(count) => (Some(count), None),
            Self::Percent(percent) => (None, Some(percent)),
            Self::Fewer { count, percent } => (Some(count), Some(percent)),
        });
        let count = parts.iter().filter_map(|(count, _)| *count).min();
        let percent = parts.iter().filter_map(|(_, percent)| *percent).min();
        match (count, percent) {
            (Some(count), Some(percent)) => Self::Fewer { count, percent },
            (Some(count), None) => Self::Count(count),
            (None, Some(percent)) => Self::Percent(percent),
            (None, None) => self,
        }
    }
}

impl fmt::Display for MaxUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Fewer { count, percent } => write!(f, "{count} or {percent}%, whichever is fewer"),
        }
    }
}

impl FromStr for MaxUnavailable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is neither a count from 1 nor a percentage from 1% to 100%");
        // A tag takes no `%`.
        let (number, percent) = match text.strip_suffix('%').or_else(|| text.strip_suffix(" percent")) {
            Some(number) => (number, true),
            None => (text, false),
        };
        let number: u32 = number.trim().parse().map_err(|_| bad())?;
        match (number, percent) {
            (1..=100, true) => Ok(Self::Percent(number)),
            (1.., false) => Ok(Self::Count(number)),
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering::{Equal, Greater, Less};

    use super::MaxUnavailable::{Count, Fewer, Percent};

    #[test]
    fn which_of_two_allows_more() {
        let table = [
            (Count(1), Count(2), Some(Less), Count(1)),
            (Count(2), Count(2), Some(Equal), Count(2)),
            (Count(3), Count(2), Some(Greater), Count(2)),
            (Percent(10), Percent(50), Some(Less), Percent(10)),
            (Percent(50), Percent(50), Some(Equal), Percent(50)),
            (Percent(51), Percent(50), Some(Greater), Percent(50)),
            (Count(1), Percent(50), None, Fewer { count: 1, percent: 50 }),
            (Percent(50), Count(1), None, Fewer { count: 1, percent: 50 }),
        ];
        for (one, two, order, both) in table {
            assert_eq!(one.compare(two), order, "{one} against {two}");
            assert_eq!(one.and(two), both, "{one} and {two}");
        }
        assert_eq!(Fewer { count: 4, percent: 50 }.and(Percent(10)), Fewer { count: 4, percent: 10 });
    }

    #[test]
    fn both_hold_at_any_size() {
        let both = Count(3).and(Percent(10));
        for (size, places) in [(0, 1), (1, 1), (19, 1), (20, 2), (30, 3), (300, 3)] {
            assert_eq!(both.of(size), places, "{size} instances");
        }
    }
}
