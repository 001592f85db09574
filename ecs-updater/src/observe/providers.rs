//! Which instances AWS manages by itself, by their capacity providers. EC2 tells of the others that it manages.

use models::fleet::{AutoScaling, FleetSnapshot};

use crate::aws::Aws;
use crate::aws::ecs::instances::Described;

/// Describes the cluster's capacity providers where one of them is new. The look does not fail without an answer: the next full
/// look asks again, and the planner begins nothing on their instances for a while.
pub(super) async fn look(aws: &Aws, fleet: &mut FleetSnapshot, described: &[Described]) {
    let known = &fleet.auto_scaling;
    let mut named = described.iter().filter_map(|one| one.provider.as_ref());
    let is_new = named.any(|name| !known.managed_providers.contains_key(name));
    if !is_new || known.denied.contains_key(AutoScaling::PROVIDERS) {
        return;
    }
    match aws.providers(&fleet.cluster).await {
        Ok(providers) => {
            let named = described.iter().filter_map(|one| one.provider.clone());
            fleet.auto_scaling.managed_providers.extend(named.map(|name| (name, false)));
            fleet.auto_scaling.managed_providers.extend(providers.managed);
            fleet.auto_scaling.scaled_providers.extend(providers.scaled);
        }
        Err(error) => {
            tracing::warn!(cluster = %fleet.cluster, %error, "what its capacity providers are is not known");
            if error.is_missing_right() {
                fleet.auto_scaling.denied.insert(AutoScaling::PROVIDERS.into(), error.to_string());
            }
        }
    }
}

/// Whether AWS manages the instance, as far as its capacity provider tells.
pub(super) fn is_managed(fleet: &FleetSnapshot, one: &Described) -> bool {
    let provider = one.provider.as_ref();
    provider.is_some_and(|name| fleet.auto_scaling.managed_providers.get(name) == Some(&true))
}
