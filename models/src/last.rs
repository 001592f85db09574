//! How the last update of an instance ended, remembered on it in an EC2 tag, so that the next run knows.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::claim::whole_seconds;
use crate::reason::FailReason;

/// Tag with the [`Last`].
pub const LAST_TAG: &str = "ecs-updater:last";

/// How an update ended: `OUTCOME/FROM/TO/TIME`, such as `stage_failed/1.26.1/1.27.0/2026-11-23T03:04:05Z`.
///
/// Written before the claim goes, and only as well as it can be: no update fails for want of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Last {
    /// `updated`, or the code of the failure.
    outcome: SmolStr,
    /// What it ran when the update began.
    pub from: Version,
    /// What the update went to.
    pub to: Version,
    /// Whole seconds.
    pub at: Timestamp,
}

const UPDATED: &str = "updated";

impl Last {
    /// What a tag's value holds (EC2 user guide, "Tag restrictions").
    const MAX_CHARS: usize = 256;

    /// Returns the memory of an end, `None` where no tag could hold it. `failure` is the code of the failure; `None` for an
    /// update that went well.
    pub fn new(failure: Option<&str>, from: &Version, to: &Version, at: Timestamp) -> Option<Self> {
        let outcome = failure.unwrap_or(UPDATED).into();
        let last = Self { outcome, from: from.clone(), to: to.clone(), at: whole_seconds(at) };
        (last.to_string().len() <= Self::MAX_CHARS).then_some(last)
    }

    /// Returns `updated`, or the code of the failure.
    pub fn outcome(&self) -> &str {
        &self.outcome
    }

    /// Whether the update failed or was rolled back.
    pub fn is_failure(&self) -> bool {
        self.outcome != UPDATED
    }

    /// Whether nothing was heard from the host since its reboot: a failure that can be the release's and leaves no mark in
    /// [`FAILED_TAG`](crate::claim::FAILED_TAG).
    pub fn never_came_back(&self) -> bool {
        self.outcome == FailReason::NEVER_CAME_BACK
    }

    /// Whether both tell of the same end, but for its time.
    pub fn is_the_same_end(&self, other: &Self) -> bool {
        (&self.outcome, &self.from, &self.to) == (&other.outcome, &other.from, &other.to)
    }
}

impl fmt::Display for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.outcome, self.from, self.to, self.at)
    }
}

/// The tag's value is none that this program understands. Nothing rests on it: it is as if it were not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not say how an update ended")]
pub struct BadLast(String);

impl FromStr for Last {
    type Err = BadLast;

    fn from_str(text: &str) -> Result<Self, BadLast> {
        let bad = || BadLast(text.to_owned());
        let [outcome, from, to, at] = text.split('/').collect::<Vec<_>>()[..] else { return Err(bad()) };
        let is_code = !outcome.is_empty() && outcome.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if !is_code {
            return Err(bad());
        }
        let version = |text: &str| Version::parse(text).map_err(|_| bad());
        let at = at.parse().map_err(|_| bad())?;
        Ok(Self { outcome: outcome.into(), from: version(from)?, to: version(to)?, at })
    }
}

impl From<Last> for String {
    fn from(last: Last) -> Self {
        last.to_string()
    }
}

impl TryFrom<String> for Last {
    type Error = BadLast;

    fn try_from(text: String) -> Result<Self, BadLast> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let (from, to) = (Version::new(1, 26, 1), Version::new(1, 27, 0));
        let at: Timestamp = "2026-11-23T03:04:05.678Z".parse().unwrap();
        let table = [
            (None, "updated", false, false),
            (Some("stage_failed"), "stage_failed", true, false),
            (Some("never_came_back"), "never_came_back", true, true),
        ];
        for (failure, outcome, fails, is_lost) in table {
            let last = Last::new(failure, &from, &to, at).unwrap();
            assert_eq!(last.to_string(), format!("{outcome}/1.26.1/1.27.0/2026-11-23T03:04:05Z"));
            assert_eq!(last.to_string().parse(), Ok(last.clone()));
            assert_eq!((last.is_failure(), last.never_came_back()), (fails, is_lost), "{outcome}");
        }
    }

    #[test]
    fn what_no_tag_holds_is_not_written() {
        let long: Version = format!("1.27.0-{}", "x".repeat(250)).parse().unwrap();
        assert_eq!(Last::new(None, &Version::new(1, 26, 1), &long, Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn what_a_person_wrote_is_no_memory() {
        for text in [
            "",
            "updated",
            "updated/1.26.1/1.27.0",
            "/1.26.1/1.27.0/2026-11-23T03:04:05Z",
            "Updated!/1.26.1/1.27.0/2026-11-23T03:04:05Z",
            "updated/1.26/1.27.0/2026-11-23T03:04:05Z",
            "updated/1.26.1/1.27.0/yesterday",
            "updated/1.26.1/1.27.0/2026-11-23T03:04:05Z/",
        ] {
            assert_eq!(text.parse::<Last>(), Err(BadLast(text.to_owned())));
        }
        assert!("a_newer_code/1.26.1/1.27.0/2026-11-23T03:04:05Z".parse::<Last>().unwrap().is_failure());
    }
}
