//! How the health of what runs on a cluster is told, and what follows where it is not well.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an alarm means that CloudWatch does not have, or has no data for; the stricter comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmMissing {
    /// Nothing is begun.
    #[default]
    Hold,
    /// It is taken for one that does not fire.
    Ignore,
}

impl AlarmMissing {
    /// As it stands in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Ignore => "ignore",
        }
    }
}

impl FromStr for AlarmMissing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Hold, Self::Ignore]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or_else(|| format!("{text:?} is neither \"hold\" nor \"ignore\""))
    }
}

/// What a run does where an alarm fires while a release is watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnAlarm {
    /// Nothing more is begun.
    #[default]
    Hold,
    /// What was updated to the release goes back as well.
    RollBack,
}

impl OnAlarm {
    /// As it stands in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::RollBack => "roll-back",
        }
    }
}

impl FromStr for OnAlarm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Hold, Self::RollBack]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or_else(|| format!("{text:?} is neither \"hold\" nor \"roll-back\""))
    }
}

/// Whether the services whose tasks were moved have to be well before more is drained; the stricter comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceHealth {
    /// They run as many tasks as they should, and no deployment of theirs has failed.
    Steady,
    /// Nobody asks.
    #[default]
    Ignore,
}

impl ServiceHealth {
    /// As it stands in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Ignore => "ignore",
        }
    }
}

impl FromStr for ServiceHealth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Steady, Self::Ignore]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or_else(|| format!("{text:?} is neither \"steady\" nor \"ignore\""))
    }
}
