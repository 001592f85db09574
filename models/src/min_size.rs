//! `MinSize` of an Auto Scaling group that a run holds at the group's size, so that managed scaling ends no instance meanwhile. What
//! it was before stands in a tag of the group, written before the change and removed after `MinSize` is put back.
//!
//! ```text
//! ecs-updater:min-size = OLD/HELD/RUN/TIME
//!                        2/10/01KAQ3X9ZC8W5N3M2T7R6V4B1D/2026-11-23T03:00:00Z
//! ```

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::claim::whole_seconds;
use crate::clean;
use crate::ids::RunId;

/// The key of the tag.
pub const MIN_SIZE_TAG: &str = "ecs-updater:min-size";

/// What the tag says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldMinSize {
    /// `MinSize` before the run.
    pub old: u32,
    /// `MinSize` while it is held.
    pub held: u32,
    /// The run that holds it.
    pub run: RunId,
    /// Since when, in whole seconds.
    pub since: Timestamp,
}

/// A value of the tag that says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the tag {MIN_SIZE_TAG} = {0:?} cannot be read")]
pub struct BadMinSize(pub String);

impl fmt::Display for HeldMinSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { old, held, run, since } = self;
        write!(f, "{old}/{held}/{run}/{}", whole_seconds(*since))
    }
}

impl FromStr for HeldMinSize {
    type Err = BadMinSize;

    fn from_str(text: &str) -> Result<Self, BadMinSize> {
        let read = || {
            let [old, held, run, since] = <[&str; 4]>::try_from(text.split('/').collect::<Vec<_>>()).ok()?;
            let is_run = (1..=26).contains(&run.len()) && run.chars().all(|one| one.is_ascii_alphanumeric());
            let (old, held) = (number(old)?, number(held)?);
            (is_run && old < held).then_some(Self { old, held, run: RunId::new(run), since: since.parse().ok()? })
        };
        read().ok_or_else(|| BadMinSize(clean::name(text)))
    }
}

/// A number as this program writes it.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number: &u32| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written_and_nothing_else_is() {
        let text = "2/10/01KAQ3X9ZC8W5N3M2T7R6V4B1D/2026-11-23T03:00:00Z";
        let held: HeldMinSize = text.parse().unwrap();
        assert_eq!((held.old, held.held, held.to_string().as_str()), (2, 10, text));
        let wrong = [
            "",
            "2",
            "2/10/RUN",
            "2/10/RUN/soon",
            "2/10/RUN/2026-11-23T03:00:00Z/more",
            "10/2/RUN/2026-11-23T03:00:00Z",
            "2/2/RUN/2026-11-23T03:00:00Z",
            "-1/2/RUN/2026-11-23T03:00:00Z",
            "+1/2/RUN/2026-11-23T03:00:00Z",
            "01/2/RUN/2026-11-23T03:00:00Z",
            "1/99999999999/RUN/2026-11-23T03:00:00Z",
            "1/2//2026-11-23T03:00:00Z",
            "1/2/a run/2026-11-23T03:00:00Z",
        ];
        for wrong in wrong {
            assert!(wrong.parse::<HeldMinSize>().is_err(), "{wrong}");
        }
    }
}
