//! What the instance roles of the hosts allow, beside what ECS and SSM need.

use std::collections::BTreeSet;

use models::own_host::INSTANCE_TAG;
use models::policy::BridgePolicy;

use super::{Condition, Operator, Policies, SOURCE_INSTANCE, Statement};

impl Policies {
    /// The rights of a host bridge (docs/host-bridge.md#installing-it), for all clusters.
    pub fn of_hosts(policy: BridgePolicy) -> Self {
        let conditions = match policy {
            BridgePolicy::Cluster => Vec::new(),
            BridgePolicy::OwnHost => vec![Condition {
                operator: Operator::StringEquals,
                key: format!("aws:ResourceTag/{INSTANCE_TAG}"),
                values: vec![SOURCE_INSTANCE.to_owned()],
            }],
        };
        let statement = Statement {
            sid: "Report".to_owned(),
            actions: BTreeSet::from(["ecs:PutAttributes".to_owned()]),
            resources: vec!["arn:aws:ecs:*:*:container-instance/*".to_owned()],
            conditions,
        };
        Self { statements: vec![statement] }
    }
}
