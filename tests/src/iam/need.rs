//! What AWS asks IAM.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What AWS asks IAM for one call and one resource of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// Such as `ecs:ListTasks`.
    pub action: String,
    /// The resource's ARN, or `*` where the action knows none. Ids of machines, instances and tasks are written `id`.
    pub resource: String,
    /// The condition keys that come with it, each with its values.
    pub context: BTreeMap<String, BTreeSet<String>>,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} with {:?}", self.action, self.resource, self.context)
    }
}
