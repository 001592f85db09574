//! `capacity`: where tasks find room.

use serde::{Deserialize, Serialize};

/// Where room for the tasks of an instance may come from; the stricter comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capacity {
    /// From the instances in service alone.
    #[default]
    Room,
    /// From instances, too, that managed scaling launches once tasks wait for them.
    ScaleOut,
}

impl Capacity {
    /// As it stands in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::ScaleOut => "scale-out",
        }
    }
}
