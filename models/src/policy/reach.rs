//! By which way a host is reached, and what its bridge may report on.

use serde::{Deserialize, Serialize};

/// How a command reaches a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransportPolicy {
    /// By the host bridge on instances that show a live one, by SSM on the others.
    Auto,
    /// By SSM documents alone.
    Ssm,
    /// By the host bridge alone.
    Bridge,
}

words!(TransportPolicy { Auto = "auto", Ssm = "ssm", Bridge = "bridge" });

/// What the instance roles of the hosts let a host bridge report on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BridgePolicy {
    /// Its own container instance alone, by the tag that names the EC2 instance.
    OwnHost,
    /// Every container instance of the cluster: a report may be another host's.
    Cluster,
}

words!(BridgePolicy { OwnHost = "own-host", Cluster = "cluster" });
