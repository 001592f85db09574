//! What `status` says: how the clusters stand, without a command to any host. The JSON of these types is an interface:
//! `version` counts its changes.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::claim::ClaimStep;
use crate::fleet::{Exclusion, InstanceStatus, MachineState};
use crate::ids::{ClusterName, ContainerInstanceArn, Epoch, GroupName, HostId, RunId, ZoneName};
use crate::last::Last;
use crate::location::Location;
use crate::report::ClusterError;
use crate::summary::Troubled;

/// How the clusters stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Version of this shape; 1.
    pub version: u32,
    /// When it was asked.
    pub at: Timestamp,
    /// The clusters, in the order of the configuration.
    pub clusters: Vec<ClusterStatus>,
}

impl StatusReport {
    /// Whether somebody is needed anywhere.
    pub fn needs_somebody(&self) -> bool {
        self.clusters.iter().any(|cluster| !cluster.needs.is_empty())
    }
}

/// How one cluster stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterStatus {
    pub cluster: ClusterName,
    /// The account and the Region in which it was looked for. In JSON two keys of the cluster.
    #[serde(flatten)]
    pub location: Location,
    /// Why ECS could not be read, or with which settings; nothing else is known then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ClusterError>,
    /// Whether a run may begin updates now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begins: Option<Begins>,
    /// The groups of the cluster in which that is otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupBegins>,
    /// Who holds the lease.
    pub lease: LeaseStatus,
    /// What the last run with a lease said, or the one at work.
    pub last_run: Option<LastRun>,
    /// How many instances may be out of service at once.
    pub max_unavailable: Option<usize>,
    /// How many instances run which version.
    pub versions: Vec<VersionCount>,
    /// Every registered instance, by its machine.
    pub instances: Vec<InstanceLine>,
    /// What is not known, and why, a sentence each.
    pub not_known: Vec<String>,
    /// What somebody has to do; nothing where all is well.
    pub needs: Vec<Need>,
    /// Requests sent to AWS by operation; retries count.
    pub aws_calls: BTreeMap<String, u64>,
}

impl ClusterStatus {
    /// Returns one that nothing is known of.
    pub fn unread(cluster: ClusterName, location: Location, error: ClusterError) -> Self {
        Self {
            cluster,
            location,
            error: Some(error),
            begins: None,
            groups: Vec::new(),
            lease: LeaseStatus::NotKnown { why: "the cluster was not read".to_owned() },
            last_run: None,
            max_unavailable: None,
            versions: Vec::new(),
            instances: Vec::new(),
            not_known: Vec::new(),
            needs: Vec::new(),
            aws_calls: BTreeMap::new(),
        }
    }
}

/// Whether a run may begin updates now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begins {
    pub may: bool,
    /// The code of the hold: `paused`, `outside_window` or `frozen`.
    pub reason: Option<String>,
    /// The same as a sentence.
    pub detail: Option<String>,
    /// When that may change: the end of the hold or, where updates may begin, of the open window.
    pub until: Option<Timestamp>,
}

/// Whether a run may begin updates now in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupBegins {
    pub group: GroupName,
    #[serde(flatten)]
    pub begins: Begins,
}

/// Who holds the lease on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LeaseStatus {
    /// No lease table is set: whether a run is at work is not known.
    NoTable,
    NotKnown {
        why: String,
    },
    /// No run has ever held it.
    Never,
    /// The last run has given it back.
    Free {
        run: RunId,
    },
    /// A run holds it: one at work renews it each minute.
    Held {
        run: RunId,
        epoch: Epoch,
        until: Timestamp,
        renewed_at: Timestamp,
    },
    /// The run that held it has neither renewed it nor given it back.
    Expired {
        run: RunId,
        epoch: Epoch,
        at: Timestamp,
    },
}

impl LeaseStatus {
    /// Returns the run that holds it.
    pub fn holder(&self) -> Option<&RunId> {
        match self {
            Self::Held { run, .. } => Some(run),
            Self::NoTable | Self::NotKnown { .. } | Self::Never | Self::Free { .. } | Self::Expired { .. } => None,
        }
    }
}

/// What a run left beside its lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    pub run: RunId,
    pub started_at: Timestamp,
    /// When it wrote this.
    pub written_at: Timestamp,
    /// Whether it had come to its end by then.
    pub ended: bool,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// Why it could not work on the cluster to the end.
    pub error: Option<String>,
    /// How many instances ended how.
    pub outcomes: BTreeMap<String, usize>,
    /// How many were held, by the reason's code.
    pub held: BTreeMap<String, usize>,
    /// Until when, at the earliest, by the codes of those that a rollout waits for by itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub until: BTreeMap<String, Timestamp>,
    /// So many entries had no room in it.
    pub left_out: usize,
}

/// How many instances run one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionCount {
    /// `null`: not known.
    pub version: Option<Version>,
    pub instances: usize,
    /// The age of the oldest word that this rests on.
    pub oldest_word_at: Option<Timestamp>,
}

/// One registered instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceLine {
    pub ec2_instance_id: HostId,
    pub container_instance: ContainerInstanceArn,
    /// Availability zone.
    pub zone: Option<ZoneName>,
    /// The group of the cluster that it is in; `None` where it is in none, or in two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// ECS status.
    pub status: InstanceStatus,
    pub agent_connected: bool,
    /// State of the machine, as EC2 tells it.
    pub machine: Option<MachineState>,
    /// Why it is out of service, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<OutOfService>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimLine>,
    /// What is wrong with its claim, where it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub malformed_claim: Option<String>,
    /// The tag by which a person keeps the updater off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excluded: Option<Exclusion>,
    /// The versions that failed here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// How its last update ended, as its tag says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Last>,
    /// What the last run's summary says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub troubled: Option<Troubled>,
    /// The version that it runs, as far as somebody has said so.
    pub version: Option<KnownVersion>,
    /// The keys of its EC2 tags that begin as this program's do and mean nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_tags: Vec<String>,
}

/// Why an instance is out of service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfService {
    #[serde(flatten)]
    pub by: OutBy,
    /// For what, in words.
    pub why: String,
    /// Since when; `null`: not known.
    pub since: Option<Timestamp>,
    /// Whether that is when a run first saw it so. When it began is not known then.
    pub seen: bool,
}

impl OutOfService {
    /// Returns for how long, as far as is known.
    pub fn lasts(&self, now: Timestamp) -> Option<SignedDuration> {
        self.since.map(|since| now.duration_since(since))
    }
}

/// Who has an instance out of service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum OutBy {
    /// A run, by its claim.
    Run { run: RunId },
    /// DRAINING without a claim.
    SomebodyElse,
    /// Its agent, its machine or its registration.
    Itself,
    /// DRAINING, and its tags or its claim cannot be read.
    NotKnown,
}

/// A claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimLine {
    pub step: ClaimStep,
    pub run: RunId,
    /// Of that run's lease.
    pub epoch: Option<Epoch>,
    pub from: Version,
    pub to: Version,
    pub since: Timestamp,
}

/// A version, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownVersion {
    pub version: Version,
    pub source: VersionSource,
    /// When that was said.
    pub at: Timestamp,
}

/// Who says which version an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionSource {
    /// Its host bridge, in the attributes of the container instance.
    Bridge,
    /// Its tag `ecs-updater:last`.
    Last,
    /// The last run's summary.
    Summary,
}

/// What somebody has to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
    /// What to type, the first thing first; for the first instances where there are many.
    pub commands: Vec<String>,
    /// The instances that it is about.
    pub instances: Vec<HostId>,
}
