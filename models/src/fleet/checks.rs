//! EC2's status checks.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// `InstanceStatus` and `SystemStatus` of `DescribeInstanceStatus`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusChecks {
    /// When EC2 was asked.
    pub at: Timestamp,
    /// `ok`, `impaired`, `initializing`, `insufficient-data`, `not-applicable`.
    pub instance: String,
    /// The same for the system below it.
    pub system: String,
}

impl StatusChecks {
    /// Whether neither check says that something is broken. `initializing` and `insufficient-data` are no evidence
    /// either way: the host and the agent are asked themselves.
    pub fn not_impaired(&self) -> bool {
        self.instance != "impaired" && self.system != "impaired"
    }
}
