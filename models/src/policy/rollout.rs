//! How a release goes through a cluster.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The shares of the instances, in percent from 1 to 99, at which a release is watched before it goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoints(BTreeSet<u32>);

/// A checkpoint has to be a percentage from `1%` to `99%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a percentage from 1% to 99%")]
pub struct NotAPercentage;

impl Checkpoints {
    /// Reads percentages such as `10%`.
    ///
    /// # Errors
    /// One of them is none, or is not from 1 to 99.
    pub fn read<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, NotAPercentage> {
        let percent = |text: &str| {
            let percent = text.strip_suffix('%').and_then(|number| number.parse::<u32>().ok());
            percent.filter(|percent| (1..100).contains(percent)).ok_or(NotAPercentage)
        };
        texts.into_iter().map(percent).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The percentages, the lowest first.
    pub fn percents(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    /// How many of so many instances a percentage is: rounded up.
    pub fn of(percent: u32, instances: usize) -> usize {
        (instances * percent as usize).div_ceil(100)
    }
}

/// As they stand in the configuration, with commas.
impl fmt::Display for Checkpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.percents().map(|percent| format!("{percent}%")).collect();
        f.write_str(&texts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_sorted_and_rounded_up() {
        let read = |texts: &[&str]| Checkpoints::read(texts.iter().copied()).map(|known| known.to_string());
        assert_eq!(read(&["50%", "10%", "50%"]).as_deref(), Ok("10%, 50%"));
        assert_eq!(read(&[]).as_deref(), Ok(""));
        for text in ["", "10", "0%", "100%", "-1%", "1.5%", "%"] {
            assert_eq!(read(&["10%", text]), Err(NotAPercentage), "{text:?}");
        }
        assert_eq!((Checkpoints::of(10, 1000), Checkpoints::of(10, 11), Checkpoints::of(1, 3)), (100, 2, 1));
    }
}
