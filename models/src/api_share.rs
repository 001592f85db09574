//! How much of the account's API rates a run may take.

use std::fmt;
use std::str::FromStr;

/// The part of each of the account's token buckets that a run takes at most, by all its clusters together: from 0.1 to 1, in
/// thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiShare {
    thousandths: u16,
}

/// What is taken without a word from anybody: half, so that others in the account never meet an empty bucket.
const USUAL: u16 = 500;

/// The most that anybody can take.
const WHOLE: u16 = 1_000;

/// The least that a run comes to its end with.
const LEAST: u16 = 100;

/// No such share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {}", ApiShare::ALLOWED)]
pub struct NoApiShare;

impl ApiShare {
    /// What may be written, to follow "must be".
    pub const ALLOWED: &str = "a number from 0.1 to 1, such as 0.5";

    /// As a factor.
    pub fn factor(self) -> f64 {
        f64::from(self.thousandths) / f64::from(WHOLE)
    }

    /// Returns what takes the place of a count that fits half of the buckets; at least 1.
    pub fn scaled(self, of_half: usize) -> usize {
        scaled(of_half, self.thousandths)
    }

    /// The same for a count of what others do for the run with calls of their own, such as hosts that report: beside
    /// the run they have no more than it leaves, and no more than it takes itself.
    pub fn scaled_beside(self, of_half: usize) -> usize {
        scaled(of_half, self.thousandths.min(WHOLE - self.thousandths))
    }
}

fn scaled(of_half: usize, thousandths: u16) -> usize {
    (of_half * usize::from(thousandths) / usize::from(USUAL)).max(1)
}

impl Default for ApiShare {
    fn default() -> Self {
        Self { thousandths: USUAL }
    }
}

impl FromStr for ApiShare {
    type Err = NoApiShare;

    /// Digits with at most one dot: no sign, no exponent, and no more than three digits behind the dot.
    fn from_str(text: &str) -> Result<Self, NoApiShare> {
        let (whole, behind) = text.split_once('.').unwrap_or((text, "0"));
        let are_digits = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(whole) || !are_digits(behind) {
            return Err(NoApiShare);
        }
        let whole: u32 = whole.parse().map_err(|_| NoApiShare)?;
        let behind: u32 = format!("{behind:0<3}").parse().map_err(|_| NoApiShare)?;
        match u16::try_from(whole * u32::from(WHOLE) + behind) {
            Ok(thousandths @ LEAST..=WHOLE) => Ok(Self { thousandths }),
            Ok(_) | Err(_) => Err(NoApiShare),
        }
    }
}

impl fmt::Display for ApiShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.factor())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_a_tenth_to_the_whole() {
        for (text, shown) in
            [("0.1", "0.1"), ("0.5", "0.5"), ("0.900", "0.9"), ("0.125", "0.125"), ("1", "1"), ("1.0", "1")]
        {
            assert_eq!(text.parse::<ApiShare>().map(|share| share.to_string()), Ok(shown.to_owned()), "{text}");
        }
        for text in [
            "", ".", "0", "0.09", "0.0999", "1.001", "2", "-0.5", "+0.5", "5e-1", "nan", "inf", "50%", "0.5.", "½",
            "999999",
        ] {
            assert_eq!(text.parse::<ApiShare>(), Err(NoApiShare), "{text}");
        }
        assert_eq!(ApiShare::default().to_string(), "0.5");
    }

    #[test]
    fn what_fits_half_grows_and_shrinks_with_the_share() {
        let scaled = |share: &str, count| share.parse::<ApiShare>().map(|share| share.scaled(count));
        assert_eq!(scaled("0.5", 75), Ok(75));
        assert_eq!(scaled("0.9", 75), Ok(135));
        assert_eq!(scaled("0.1", 75), Ok(15));
        assert_eq!(scaled("0.1", 4), Ok(1), "never nothing at all");
    }

    #[test]
    fn what_others_do_for_the_run_fits_beside_it() {
        for (share, count) in [("0.1", 8), ("0.5", 40), ("0.6", 32), ("0.9", 8), ("0.99", 1), ("1", 1)] {
            assert_eq!(share.parse::<ApiShare>().map(|share| share.scaled_beside(40)), Ok(count), "{share}");
        }
    }
}
