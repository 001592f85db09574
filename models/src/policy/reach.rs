//! By which way a host is reached, and what its bridge may report on.

use std::str::FromStr;

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

impl TransportPolicy {
    /// As it stands in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ssm => "ssm",
            Self::Bridge => "bridge",
        }
    }
}

impl FromStr for TransportPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Auto, Self::Ssm, Self::Bridge]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or_else(|| format!("{text:?} is none of \"auto\", \"ssm\", \"bridge\""))
    }
}

/// What the instance roles of the hosts let a host bridge report on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BridgePolicy {
    /// Its own container instance alone, by the tag that names the EC2 instance.
    OwnHost,
    /// Every container instance of the cluster: a report may be another host's.
    Cluster,
}

impl BridgePolicy {
    /// As it stands in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OwnHost => "own-host",
            Self::Cluster => "cluster",
        }
    }
}

impl FromStr for BridgePolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::OwnHost, Self::Cluster]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or_else(|| format!("{text:?} is neither \"own-host\" nor \"cluster\""))
    }
}
