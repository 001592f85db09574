//! What `doctor` says: which prerequisites are met, cluster by cluster and host by host. The JSON of these types is an
//! interface, described by `docs/doctor.schema.json`: `version` counts its changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{ClusterName, HostId};
use crate::location::Location;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorReport {
    /// Version of this shape; 1.
    pub version: u32,
    /// When the last check ended.
    pub at: Timestamp,
    /// The clusters, in the order of the configuration.
    pub clusters: Vec<Examined>,
}

/// One cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examined {
    pub cluster: ClusterName,
    /// The account and the Region in which it was looked for. In JSON two keys of the cluster.
    #[serde(flatten)]
    pub location: Location,
    /// Whether its hosts could be listed. Where not, nothing is known of them.
    pub read: bool,
    /// How many hosts it has.
    pub hosts: usize,
    /// What was found: of the cluster first, then of each host, the gravest first.
    pub findings: Vec<Finding>,
    /// Requests sent to AWS by operation; retries count.
    pub aws_calls: BTreeMap<String, u64>,
}

impl Examined {
    /// Returns how many findings are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// What a check came to in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check. Ids are never given another meaning.
    pub id: String,
    pub severity: Severity,
    /// The host that it is about; `null`: the cluster, or where all is well each of its hosts.
    pub host: Option<HostId>,
    /// What is wrong, or what is not known and why.
    pub what: String,
    /// What to do about it.
    pub to_do: Option<String>,
    /// What to type, the first thing first.
    pub commands: Vec<String>,
    /// The check's line in the documents.
    pub link: String,
}

/// How grave a finding is, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It keeps the cluster, or the host, from its updates until somebody does something.
    Problem,
    /// It keeps nothing from its updates, is somebody's wish, or ends by itself.
    Warning,
    /// It is not known. That is not "ok".
    NotChecked,
    Ok,
}

impl Severity {
    /// All, the gravest first.
    pub const ALL: [Self; 4] = [Self::Problem, Self::Warning, Self::NotChecked, Self::Ok];

    /// As it stands in a table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
            Self::NotChecked => "not checked",
            Self::Ok => "ok",
        }
    }
}
