//! What a run knows of the skip of the release that it takes back.

use jiff::Timestamp;

/// What is known of the skip that a way back rests on.
#[derive(Debug, Default)]
pub(super) struct Skip {
    /// Since when it is to stand.
    pub(super) since: Option<Timestamp>,
    /// Whether it did.
    pub(super) stands: bool,
    /// The cluster's ARN, once ECS has told it.
    pub(super) arn: Option<String>,
    /// What the report says of it.
    pub(super) note: Option<String>,
}
