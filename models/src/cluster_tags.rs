//! What the tags of an ECS cluster may say, and what came of it.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::host::parse_version;
use crate::max_unavailable::MaxUnavailable;

/// Tag with the versions that are not installed in the cluster, with spaces between. A person sets it, and so does a
/// rollback.
pub const SKIP_TAG: &str = "ecs-updater:skip-versions";

/// What a tag's value holds (ECS API reference, `Tag`).
const MAX_CHARS: usize = 256;

/// Returns the versions that a cluster's tags say to skip. What is no version there is no version here either.
pub fn skipped(tags: &BTreeMap<String, String>) -> BTreeSet<Version> {
    let marks = tags.get(SKIP_TAG).into_iter().flat_map(|value| value.split([',', ' ']));
    marks.filter_map(parse_version).collect()
}

/// Returns the tag's value with one version more, in the characters that ECS takes; `None` where it would be too long.
pub fn with_skipped(tags: &BTreeMap<String, String>, version: &Version) -> Option<String> {
    let mut all = skipped(tags);
    all.insert(version.clone());
    let value = all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    (value.len() <= MAX_CHARS).then_some(value)
}

/// The keys that tags may set although they loosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpenKeys(BTreeSet<String>);

impl OpenKeys {
    /// Whether tags may set the key of this path in any way.
    pub fn contain(&self, path: &str) -> bool {
        self.0.contains(path)
    }

    /// The paths, in their order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl FromIterator<String> for OpenKeys {
    fn from_iter<I: IntoIterator<Item = String>>(paths: I) -> Self {
        Self(paths.into_iter().collect())
    }
}

/// What became of a cluster's tags, beside the settings that they gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromTags {
    /// The tags that would have loosened a setting.
    pub ignored: Vec<IgnoredTag>,
    /// A tag that loosens or not, depending on the cluster's size.
    pub by_size: Option<TagBySize>,
}

impl FromTags {
    /// Returns the tags that are ignored in a cluster of this size.
    pub fn ignored_at(&self, size: usize) -> impl Iterator<Item = &IgnoredTag> {
        let by_size = self.by_size.iter().filter(move |tag| tag.says.of(size) > tag.stands.of(size));
        self.ignored.iter().chain(by_size.map(|tag| &tag.tag))
    }
}

/// A count in a tag where a percentage stands, or the other way round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagBySize {
    pub tag: IgnoredTag,
    pub says: MaxUnavailable,
    pub stands: MaxUnavailable,
}

/// A tag that is ignored, since it loosens what file, variable or default say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IgnoredTag {
    /// The tag's key.
    pub tag: String,
    /// The tag's value.
    pub value: String,
    /// The setting that it means, such as `max_unavailable`.
    pub setting: String,
    /// What stands instead.
    pub stands: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_added_to_those_that_are_skipped() {
        let version = Version::new(1, 27, 0);
        let table = [
            (None, vec![], Some("1.27.0")),
            (Some(""), vec![], Some("1.27.0")),
            (Some("none"), vec![], Some("1.27.0")),
            (Some("1.28.0 v1.26.0"), vec!["1.26.0", "1.28.0"], Some("1.26.0 1.27.0 1.28.0")),
            (Some("1.27.0"), vec!["1.27.0"], Some("1.27.0")),
        ];
        for (value, known, expected) in table {
            let tags: BTreeMap<_, _> = value.into_iter().map(|value| (SKIP_TAG.to_owned(), value.to_owned())).collect();
            assert_eq!(skipped(&tags).iter().map(ToString::to_string).collect::<Vec<_>>(), known, "{value:?}");
            assert_eq!(with_skipped(&tags, &version).as_deref(), expected, "{value:?}");
        }
        let full: Vec<String> = (0..40).map(|number| format!("1.100.{number}")).collect();
        let tags = BTreeMap::from([(SKIP_TAG.to_owned(), full.join(" "))]);
        assert_eq!(with_skipped(&tags, &version), None);
    }
}
