//! `[buckets]`: the buckets of S3.

use serde::Deserialize;

/// A bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BucketSpec {
    /// The Region that it is in, where that is another one.
    pub region: Option<String>,
}
