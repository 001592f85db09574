//! Identifiers as newtypes, so that an ARN is never taken for an instance id. Short ones are kept in place, and a copy of
//! a long one shares the text: each is known in many places at once, and looked at for each instance in each plan.

use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(SmolStr);

        impl $name {
            /// Takes the identifier as it was read; nothing is checked.
            pub fn new(id: impl Into<SmolStr>) -> Self {
                Self(id.into())
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.into())
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id.into())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.into()
            }
        }
    };
}

id!(
    /// The short name of an ECS cluster.
    ClusterName
);
id!(
    /// The name of a group of a cluster's instances.
    GroupName
);
id!(
    /// The ARN of a container instance. It can change when an instance registers again, so it never identifies
    /// a host over time: [`HostId`] does.
    ContainerInstanceArn
);
id!(
    /// The id of the machine below a container instance: `i-…` on EC2, `mi-…` for an EXTERNAL instance (ECS
    /// Anywhere). It outlives reboots, re-registration and a changed ARN.
    HostId
);
id!(
    /// The id of an AWS account: twelve digits.
    AccountId
);
id!(
    /// The name of an AWS Region, such as `eu-west-1`.
    RegionName
);
id!(
    /// The name of an Availability Zone, such as `eu-west-1a`.
    ZoneName
);
id!(
    /// The id of a machine image in EC2, `ami-…`.
    ImageId
);
id!(
    /// The ARN of a task.
    TaskArn
);
id!(
    /// The short name of a service.
    ServiceName
);
id!(
    /// One run of the updater: a ULID, so that ids sort by the time their runs began.
    RunId
);
id!(
    /// The kernel's random id of one boot, `/proc/sys/kernel/random/boot_id`. Two different ids are the only
    /// proof that a host has rebooted.
    BootId
);

/// The number of a run among all that ever held the lease on a cluster: a higher one is later, whatever clocks say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(u64);

impl Epoch {
    /// Takes the number as it was read.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl BootId {
    /// Whether this is a UUID, as the kernel writes one: 8-4-4-4-12 hexadecimal digits.
    pub fn is_uuid(&self) -> bool {
        let groups = self.as_str().split('-').map(|group| (group.len(), group.bytes().all(|c| c.is_ascii_hexdigit())));
        groups.eq([(8, true), (4, true), (4, true), (4, true), (12, true)])
    }
}

impl ContainerInstanceArn {
    /// The last part of the ARN, which is unique in its cluster.
    pub fn short(&self) -> &str {
        last_segment(&self.0)
    }
}

impl TaskArn {
    /// The last part of the ARN.
    pub fn short(&self) -> &str {
        last_segment(&self.0)
    }
}

impl HostId {
    /// True for a machine that SSM manages outside EC2 (ECS Anywhere).
    pub fn is_external(&self) -> bool {
        self.0.starts_with("mi-")
    }
}

fn last_segment(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
