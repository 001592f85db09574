//! Releases of Bottlerocket: which of them people allow, and when each was published.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// A release as an image is built from it: for a variant and an architecture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Release {
    /// Such as `aws-ecs-2`.
    pub variant: SmolStr,
    /// `x86_64` or `aarch64`.
    pub arch: SmolStr,
    pub version: Version,
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.variant, self.arch, self.version)
    }
}

impl FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, '/');
        let (Some(variant), Some(arch), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(format!("{text:?} is not a variant, an architecture and a version"));
        };
        let version = Version::parse(version).map_err(|error| format!("{text:?}: {error}"))?;
        Ok(Self { variant: variant.into(), arch: arch.into(), version })
    }
}

/// What AWS was found to say of the time at which a release was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseDate {
    /// When it was asked.
    pub asked_at: Timestamp,
    /// The time, or why it is not known.
    pub published: Result<Timestamp, String>,
}

/// The highest version that is allowed: one, or all of a minor or of a major one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MaxVersion {
    major: u64,
    /// `None`: all of the major one.
    minor: Option<u64>,
    /// `None`: all of the minor one.
    patch: Option<u64>,
}

impl MaxVersion {
    /// Returns all of a minor version.
    pub const fn of_minor(major: u64, minor: u64) -> Self {
        Self { major, minor: Some(minor), patch: None }
    }

    /// Whether a version is not above it.
    pub fn allows(self, version: &Version) -> bool {
        (version.major, version.minor, version.patch) <= self.highest()
    }

    /// Returns the highest version in numbers, by which maxima are compared.
    pub fn highest(self) -> (u64, u64, u64) {
        (self.major, self.minor.unwrap_or(u64::MAX), self.patch.unwrap_or(u64::MAX))
    }
}

impl fmt::Display for MaxVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.minor, self.patch) {
            (Some(minor), Some(patch)) => write!(f, "{}.{minor}.{patch}", self.major),
            (Some(minor), None) => write!(f, "{}.{minor}.x", self.major),
            (None, _) => write!(f, "{}.x", self.major),
        }
    }
}

impl FromStr for MaxVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither a version such as \"1.27.0\" nor one such as \"1.27.x\"");
        let number = |part: &str| {
            let is_plain = part.chars().all(|char| char.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            if is_plain { part.parse::<u64>().map_err(|_| wrong()) } else { Err(wrong()) }
        };
        let parts: Vec<&str> = text.strip_prefix('v').unwrap_or(text).split('.').collect();
        match parts.as_slice() {
            [major, "x"] => Ok(Self { major: number(major)?, minor: None, patch: None }),
            [major, minor, "x"] => Ok(Self::of_minor(number(major)?, number(minor)?)),
            [major, minor, patch] => {
                Ok(Self { major: number(major)?, minor: Some(number(minor)?), patch: Some(number(patch)?) })
            }
            _ => Err(wrong()),
        }
    }
}

as_text!(Release);
as_text!(MaxVersion);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maximum_reads_as_it_is_written_and_allows_what_is_not_above_it() {
        let table = [
            ("1.27.x", "1.27.x", &["1.27.0", "1.27.99", "1.26.1", "0.9.0"][..], &["1.28.0", "2.0.0"][..]),
            ("1.x", "1.x", &["1.99.3"], &["2.0.0"]),
            ("v1.27.1", "1.27.1", &["1.27.1", "1.27.1-rc1", "1.27.0"], &["1.27.2", "1.28.0-rc1"]),
        ];
        for (text, written, allowed, not) in table {
            let max: MaxVersion = text.parse().unwrap();
            assert_eq!(max.to_string(), written);
            assert!(allowed.iter().all(|version| max.allows(&version.parse().unwrap())), "{text}");
            assert!(!not.iter().any(|version| max.allows(&version.parse().unwrap())), "{text}");
        }
        for text in ["", "1", "1.27", "x", "1.x.0", "1.27.0.1", "1.27.+3", "latest", "01.2.x", "1..x"] {
            assert!(text.parse::<MaxVersion>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_release_reads_as_it_is_written() {
        let release: Release = "aws-ecs-2/aarch64/1.27.0".parse().unwrap();
        assert_eq!((release.arch.as_str(), release.to_string().as_str()), ("aarch64", "aws-ecs-2/aarch64/1.27.0"));
        assert!("aws-ecs-2/1.27.0".parse::<Release>().is_err());
    }
}
