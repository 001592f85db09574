//! The capacity providers of a cluster.

use std::collections::BTreeMap;

use aws_sdk_ecs::types::{CapacityProvider, CapacityProviderType};
use models::clean;
use models::ids::ClusterName;
use smol_str::SmolStr;

use crate::aws::client::Aws;
use crate::aws::error::AwsError;
use crate::aws::limits::Bucket;

/// The operation that tells of capacity providers.
pub(crate) const DESCRIBE: &str = "ecs:DescribeCapacityProviders";
/// The most in one answer (ECS API reference).
const PAGE: i32 = 10;

impl Aws {
    /// Returns for each capacity provider of the cluster whether AWS manages its instances.
    pub(crate) async fn managed_providers(&self, cluster: &ClusterName) -> Result<BTreeMap<SmolStr, bool>, AwsError> {
        let (mut providers, mut token) = (BTreeMap::new(), None);
        loop {
            self.pace(Bucket::ProviderRead).await;
            let call = self.ecs.describe_capacity_providers().cluster(cluster.as_str()).max_results(PAGE);
            let answer = call.set_next_token(token).send().await;
            let answer = answer.map_err(|error| AwsError::from_sdk(DESCRIBE, error))?;
            let named = answer.capacity_providers().iter();
            providers.extend(named.filter_map(|one| Some((clean::name(one.name()?).into(), is_managed(one)))));
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(providers);
            }
        }
    }
}

/// Older answers have no type.
fn is_managed(provider: &CapacityProvider) -> bool {
    provider.r#type() == Some(&CapacityProviderType::ManagedInstances)
        || provider.managed_instances_provider().is_some()
}
