//! What the tags of an ECS cluster may say, and what came of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::max_unavailable::MaxUnavailable;

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
    /// A tag of which only the cluster's size tells whether it loosens.
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
