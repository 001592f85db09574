//! What somebody sees of a run while it works.

use jiff::{SignedDuration, Timestamp};
use models::fleet::FleetSnapshot;
use models::ids::{HostId, RunId};
use models::plan::Plan;
use models::policy::Policy;

use crate::events::{Event, Reason};

/// Sees a cluster after every plan: for the live view.
pub trait Watch {
    /// Shows a cluster as the plan was made from it.
    fn see(&self, view: View<'_>);
}

/// A cluster, and the plan that was made for it.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The facts that the plan was made from.
    pub fleet: &'a FleetSnapshot,
    pub plan: &'a Plan,
    /// What a person decided for the cluster.
    pub policy: &'a Policy,
    pub run: &'a RunId,
    /// Tells when an instance came into its phase.
    pub since: &'a dyn Fn(&HostId) -> Option<Timestamp>,
    /// What has happened since the last plan.
    pub events: &'a [Event],
    /// Why nothing is begun in the cluster now, where that is so.
    pub closed: Option<&'a Reason>,
    /// Tells how long the rest of the work is likely to take, where that can be said.
    pub left: &'a dyn Fn() -> Option<SignedDuration>,
    /// When the plan was made.
    pub now: Timestamp,
}

/// Nobody watches.
impl Watch for () {
    fn see(&self, _: View<'_>) {}
}
