//! The capacity providers of a cluster.

use std::collections::BTreeMap;

use aws_sdk_ecs::types::{
    CapacityProvider, CapacityProviderType, ManagedDraining, ManagedScalingStatus, ManagedTerminationProtection,
};
use jiff::SignedDuration;
use models::clean;
use models::fleet::ManagedScaling;
use models::ids::ClusterName;
use smol_str::SmolStr;

use crate::aws::client::Aws;
use crate::aws::error::AwsError;
use crate::aws::limits::Bucket;

/// The operation that tells of capacity providers.
const DESCRIBE: &str = "ecs:DescribeCapacityProviders";
/// The most in one answer (ECS API reference).
const PAGE: i32 = 10;

/// What ECS says of capacity providers, by their names.
#[derive(Debug, Default)]
pub(crate) struct Providers {
    /// Whether AWS manages the instances.
    pub(crate) managed: BTreeMap<SmolStr, bool>,
    /// Those with managed scaling.
    pub(crate) scaled: BTreeMap<SmolStr, ManagedScaling>,
}

impl Aws {
    /// Returns the capacity providers of the cluster.
    pub(crate) async fn providers(&self, cluster: &ClusterName) -> Result<Providers, AwsError> {
        let (mut providers, mut token) = (Providers::default(), None);
        loop {
            self.pace(Bucket::ProviderRead).await;
            let call = self.ecs.describe_capacity_providers().cluster(cluster.as_str()).max_results(PAGE);
            let answer = call.set_next_token(token).send().await;
            let answer = answer.map_err(|error| AwsError::from_sdk(DESCRIBE, error))?;
            let named = answer.capacity_providers().iter();
            for (name, one) in named.filter_map(|one| Some((SmolStr::from(clean::name(one.name()?)), one))) {
                providers.managed.insert(name.clone(), is_managed(one));
                providers.scaled.extend(managed_scaling(one).map(|scaling| (name, scaling)));
            }
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(providers);
            }
        }
    }
}

/// Managed scaling, where it is on. A provider names its group, or the group's ARN, which ends with the name.
fn managed_scaling(provider: &CapacityProvider) -> Option<ManagedScaling> {
    /// The API's defaults.
    const WARM_UP: i32 = 300;
    const TARGET: u32 = 100;
    let own = provider.auto_scaling_group_provider()?;
    let scaling = own.managed_scaling().filter(|one| one.status() == Some(&ManagedScalingStatus::Enabled))?;
    let group = own.auto_scaling_group_arn();
    let group = group.rsplit_once("autoScalingGroupName/").map_or(group, |(_, name)| name);
    let warm_up = scaling.instance_warmup_period().unwrap_or(WARM_UP).max(0);
    Some(ManagedScaling {
        group: clean::name(group).into(),
        warm_up: SignedDuration::from_secs(warm_up.into()),
        target: scaling.target_capacity().and_then(|target| u32::try_from(target).ok()).unwrap_or(TARGET),
        drains: own.managed_draining() == Some(&ManagedDraining::Enabled),
        protects: own.managed_termination_protection() == Some(&ManagedTerminationProtection::Enabled),
    })
}

/// Older answers have no type.
fn is_managed(provider: &CapacityProvider) -> bool {
    provider.r#type() == Some(&CapacityProviderType::ManagedInstances)
        || provider.managed_instances_provider().is_some()
}
