//! How the health of what runs on a cluster is told, and what follows where it is not well.

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

words!(AlarmMissing { Hold = "hold", Ignore = "ignore" });

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

words!(OnAlarm { Hold = "hold", RollBack = "roll-back" });

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

words!(ServiceHealth { Steady = "steady", Ignore = "ignore" });
