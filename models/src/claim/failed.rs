//! The versions that failed on one instance.

use std::collections::BTreeSet;
use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::host::parse_version;

/// The versions that failed on one instance, oldest mark first: `1.27.0,1.27.1`.
///
/// What is no version (a person edited the tag) is kept and written back: a typing error must not make the updater
/// forget.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FailedVersions(Vec<String>);

impl FailedVersions {
    /// An EC2 tag holds 256 characters; a mark that no longer fits pushes the oldest out.
    pub(super) const MAX_CHARS: usize = 256;

    /// Reads the tag's value; anything between commas or spaces is a mark.
    pub fn parse(tag: &str) -> Self {
        Self(tag.split([',', ' ']).filter(|mark| !mark.is_empty()).map(str::to_owned).collect())
    }

    /// Whether the version failed here.
    pub fn contains(&self, version: &Version) -> bool {
        self.0.iter().any(|mark| parse_version(mark).as_ref() == Some(version))
    }

    /// With one more mark.
    #[must_use]
    pub fn with(&self, version: &Version) -> Self {
        let mut marks = self.0.clone();
        if !self.contains(version) {
            marks.push(version.to_string());
        }
        while marks.len() > 1 && marks.join(",").len() > Self::MAX_CHARS {
            marks.remove(0);
        }
        Self(marks)
    }

    /// Without the marks of this version.
    #[must_use]
    pub fn without(&self, version: &Version) -> Self {
        Self(self.0.iter().filter(|mark| parse_version(mark).as_ref() != Some(version)).cloned().collect())
    }

    /// The marks as they stand in the tag.
    pub fn marks(&self) -> &[String] {
        &self.0
    }

    /// The marks that are versions.
    pub fn versions(&self) -> BTreeSet<Version> {
        self.0.iter().filter_map(|mark| parse_version(mark)).collect()
    }

    /// Whether there is no mark.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for FailedVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}
