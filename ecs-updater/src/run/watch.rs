//! What somebody sees of a run while it works.

use jiff::Timestamp;
use models::fleet::FleetSnapshot;
use models::ids::HostId;
use models::plan::Plan;
use models::policy::Policy;

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
    /// Tells when an instance came into its phase.
    pub since: &'a dyn Fn(&HostId) -> Option<Timestamp>,
    /// When the plan was made.
    pub now: Timestamp,
}

/// Nobody watches.
impl Watch for () {
    fn see(&self, _: View<'_>) {}
}
