//! What a run knows of the skip of the release that it takes back.

use jiff::Timestamp;
use models::report::ClusterError;

use crate::planner::Bad;

/// What is known of the skip that a way back rests on.
#[derive(Debug, Default)]
pub(super) struct Skip {
    /// Since when it is to stand.
    pub(super) since: Option<Timestamp>,
    /// Whether it did.
    pub(super) stands: bool,
    /// The cluster's ARN, once ECS has told it.
    pub(super) arn: Option<String>,
    /// Why nothing goes back: the skip could not be written.
    pub(super) refused: Option<ClusterError>,
    /// When ECS was last asked for it.
    pub(super) asked_at: Option<Timestamp>,
    /// What the run itself goes back for.
    pub(super) bad: Option<Bad>,
    /// What it would go back for, if a person had not named the release on the command line.
    pub(super) named: Option<Bad>,
}
