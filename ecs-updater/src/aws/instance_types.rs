//! EC2: what types of instances have.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::Filter;
use smol_str::SmolStr;

use super::client::Aws;
use super::error::AwsError;
use super::limits::Bucket;

/// Values of one filter (EC2 user guide, "Filter your resources").
const FILTER_VALUES: usize = 200;

impl Aws {
    /// Returns how many network interfaces an instance of each of these types can have; `None` where EC2 does not say.
    pub(crate) async fn interfaces_of(&self, types: &[SmolStr]) -> Result<BTreeMap<SmolStr, Option<u32>>, AwsError> {
        let mut found: BTreeMap<SmolStr, Option<u32>> = types.iter().map(|name| (name.clone(), None)).collect();
        for chunk in types.chunks(FILTER_VALUES) {
            let names = chunk.iter().map(ToString::to_string).collect();
            // By a filter, since one that EC2 does not know would fail the whole call.
            let filter = Filter::builder().name("instance-type").set_values(Some(names)).build();
            let mut token = None;
            loop {
                self.pace(Bucket::Ec2Read).await;
                let call = self.ec2.describe_instance_types().filters(filter.clone()).set_next_token(token);
                let answer =
                    call.send().await.map_err(|error| AwsError::from_sdk("ec2:DescribeInstanceTypes", error))?;
                for one in answer.instance_types() {
                    let Some(name) = one.instance_type().map(|name| name.as_str()) else { continue };
                    let most = one.network_info().and_then(|info| info.maximum_network_interfaces());
                    found.insert(name.into(), most.and_then(|most| u32::try_from(most).ok()));
                }
                token = answer.next_token.filter(|token| !token.is_empty());
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(found)
    }
}
