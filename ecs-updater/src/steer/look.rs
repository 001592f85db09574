//! What is there: a look at the whole cluster, which sends no command to any host.

use models::fleet::{FleetSnapshot, Instance};
use models::ids::HostId;

use super::error::SteerError;
use super::steering::Steering;
use crate::aws::{Aws, AwsError};
use crate::observe;

impl Steering<'_> {
    /// Looks at the whole cluster.
    pub(super) async fn look(&self, aws: &Aws) -> Result<FleetSnapshot, SteerError> {
        let now = self.clock.now();
        let mut fleet = FleetSnapshot::nothing_seen(self.cluster, now);
        observe::full_look(aws, &mut fleet, self.policy, now).await.map_err(|source| self.failed(source))?;
        Ok(fleet)
    }

    /// Returns the instance of this id.
    pub(super) fn find<'f>(&self, fleet: &'f FleetSnapshot, host: &HostId) -> Result<&'f Instance, SteerError> {
        let no_such = || SteerError::NoSuchInstance { host: host.clone(), cluster: self.cluster.clone() };
        fleet.instances.get(host).ok_or_else(no_such)
    }

    pub(super) fn failed(&self, source: AwsError) -> SteerError {
        SteerError::Aws { cluster: self.cluster.clone(), source }
    }
}
