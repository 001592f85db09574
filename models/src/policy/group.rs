//! Groups: parts of a cluster's instances with settings of their own.

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::ids::GroupName;
use crate::max_unavailable::MaxUnavailable;
use crate::query::Select;

/// A part of a cluster's instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub name: GroupName,
    /// Its instances are those that meet it.
    pub matches: Select,
    /// Nothing is begun in a group while anything is to be begun, or under way, in one with a lower order.
    pub order: i32,
    /// How many of its instances may be out of service at once, beside what the cluster allows. `None`: no limit of its own.
    pub max_unavailable: Option<MaxUnavailable>,
    /// Whether a release makes its way through the group by itself, with canaries and checkpoints of its own.
    pub has_own_course: bool,
    /// The cluster's settings with those of the group in their place; it has no groups.
    pub policy: Box<Policy>,
}

impl Policy {
    /// Changes the settings of the cluster, and those that each group has in their place.
    #[must_use]
    pub fn changed(mut self, change: impl Fn(&mut Self)) -> Self {
        change(&mut self);
        for group in &mut self.groups {
            change(&mut group.policy);
        }
        self
    }

    /// Whether some instances come before others. What is in no group has the order 0.
    pub fn has_orders(&self) -> bool {
        self.groups.iter().any(|group| group.order != 0)
    }
}
