//! What a run says when it is over. The JSON of these types is an interface: `version` counts its changes.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::cluster_tags::IgnoredTag;
use crate::ids::{ClusterName, ContainerInstanceArn, GroupName, HostId, ImageId, RunId, ZoneName};
use crate::location::Location;
use crate::plan::{Estimate, Phase};

mod standstill;
mod timeline;

pub use standstill::{ClusterEnd, NothingUpdated};
pub use timeline::{OutAt, RunningAt, Timeline};

/// One run over all its clusters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Version of this shape; 1.
    pub version: u32,
    pub run: RunId,
    /// Whether it only planned.
    pub dry_run: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// The clusters, in the order of the configuration.
    pub clusters: Vec<ClusterReport>,
    /// That nothing was updated although something is outdated, and nobody asked for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nothing_updated: Option<NothingUpdated>,
}

/// One cluster in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterReport {
    pub cluster: ClusterName,
    /// The account and the Region in which it was looked for, also where it was not found. In JSON two keys of the
    /// cluster.
    #[serde(flatten)]
    pub location: Location,
    /// Why the cluster could not be worked on (to the end), where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ClusterError>,
    /// The release that the run set out to take back by itself, since an alarm fired while it was watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_back: Option<TakenBack>,
    /// What else a person should know of the run, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Every instance, by its machine.
    pub instances: Vec<InstanceReport>,
    /// Requests sent to AWS by operation, such as `ecs:ListContainerInstances`; retries count.
    pub aws_calls: BTreeMap<String, u64>,
    /// The longest time that one instance was out of service because of us, seconds.
    pub longest_out_of_service_s: Option<i64>,
    /// On a dry run, how long a run would take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// The tags of the cluster that are ignored since they would loosen a setting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored_tags: Vec<IgnoredTag>,
    /// What the Auto Scaling groups of its instances launched last, by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auto_scaling_groups: Vec<GroupReport>,
    /// The oldest release that an instance runs at the end; `None` where it is not known, or nobody asked: only a run that
    /// writes metrics does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_release: Option<OldestRelease>,
    /// How the cluster stood over time; nothing of it on a dry run.
    #[serde(default, skip_serializing_if = "Timeline::is_empty")]
    pub timeline: Timeline,
    /// How the cluster stood at the end, for the metrics; no part of the JSON.
    #[serde(skip)]
    pub end: ClusterEnd,
}

/// A release that a run takes back by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenBack {
    pub release: Version,
    /// The name of the CloudWatch alarm.
    pub alarm: String,
}

/// The oldest release in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldestRelease {
    pub version: Version,
    /// When it was published; where it has several variants, the first of them.
    pub published_at: Timestamp,
}

/// An Auto Scaling group with instances in a cluster: what it launches next starts from the image in its launch template,
/// and the youngest instance is the best witness that the cluster has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupReport {
    pub name: String,
    /// How many instances of it the cluster has.
    pub instances: usize,
    /// The instance that was launched last.
    pub youngest: HostId,
    /// When that was.
    pub launched_at: Timestamp,
    /// The image that it was launched from.
    pub image: ImageId,
    /// The Bottlerocket version of that image; `None` where its name does not tell.
    pub image_version: Option<Version>,
    /// The highest version that an instance of the group runs or, on a dry run, would be updated to.
    pub newest: Option<Version>,
    /// What the group launches today; `None` where nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launches: Option<LaunchReport>,
}

/// What an Auto Scaling group launches today.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchReport {
    /// Its images: one, or more where types of instances have their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<LaunchImage>,
    /// What it launches beside these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub besides: Option<String>,
    /// Why an image of it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// How many of its instances run, or would be updated to, a newer version than the oldest of the images.
    pub ahead: usize,
}

/// An image that a group launches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchImage {
    /// Where it stands, for people.
    pub from: String,
    pub image: ImageId,
    /// Its Bottlerocket version; `None` where its name does not tell.
    pub version: Option<Version>,
}

impl GroupReport {
    /// Whether the group launches what is older than its instances are or will be: by what it launches today, or else by
    /// what it launched last.
    pub fn drifts(&self) -> bool {
        match self.oldest_launch() {
            Some(oldest) => self.newest.as_ref().is_some_and(|newest| oldest < newest),
            None => matches!((&self.image_version, &self.newest), (Some(image), Some(newest)) if image < newest),
        }
    }

    /// The lowest version among the images that the group launches today, as far as they are known.
    pub fn oldest_launch(&self) -> Option<&Version> {
        self.launches.as_ref()?.images.iter().filter_map(|launch| launch.version.as_ref()).min()
    }
}

/// Why a cluster could not be worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterError {
    /// For programs.
    pub kind: ClusterErrorKind,
    /// For people: names the thing and the next step.
    pub message: String,
}

/// Kinds of trouble that stop a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterErrorKind {
    /// There is no such cluster.
    ClusterNotFound,
    /// IAM refuses a call.
    NotPermitted,
    /// AWS does not answer, or no usable credentials were found.
    NotReachable,
    /// AWS answers what this program does not understand.
    Unexpected,
    /// Another run holds the lease; the cluster was not worked on.
    AnotherRun,
    /// Another run took the lease over; the work ended in the middle.
    LeaseLost,
    /// Its own settings, in its table or its tags, or the instances named for the run are wrong; nothing was begun on it.
    Configuration,
}

impl ClusterErrorKind {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterNotFound => "cluster_not_found",
            Self::NotPermitted => "not_permitted",
            Self::NotReachable => "not_reachable",
            Self::Unexpected => "unexpected",
            Self::AnotherRun => "another_run",
            Self::LeaseLost => "lease_lost",
            Self::Configuration => "configuration",
        }
    }
}

/// One instance in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceReport {
    /// The ARN of its container instance, the newest one.
    pub container_instance: ContainerInstanceArn,
    /// `i-…`, or `mi-…` for an EXTERNAL instance.
    pub ec2_instance_id: HostId,
    /// Availability zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZoneName>,
    /// The group of the cluster that it is in; `None` where it is in none, or in two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// How it ended.
    pub outcome: Outcome,
    /// The reason's code.
    pub reason: Option<String>,
    /// The reason as a sentence.
    pub detail: Option<String>,
    /// The version when the run began (or the update, where an earlier run began it).
    pub from: Option<Version>,
    /// The version it went to, or was to go to.
    pub to: Option<Version>,
    /// On a dry run, its turn, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<usize>,
    /// What it went through in this run, in order.
    pub phases: Vec<PhaseTime>,
    /// How long it was out of service because of us, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_of_service_s: Option<i64>,
    /// The keys of its EC2 tags that begin as this program's do and mean nothing to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_tags: Vec<String>,
}

impl InstanceReport {
    /// Returns the Availability Zone and the group, as far as they are known, for people.
    pub fn place(&self) -> Option<String> {
        let zone = self.zone.as_ref().map(ZoneName::as_str);
        let names: Vec<&str> = zone.into_iter().chain(self.group.as_ref().map(GroupName::as_str)).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Returns the version that it runs at the end; `None` where that is not known for sure, or the machine goes away.
    pub fn version_at_end(&self) -> Option<&Version> {
        match self.outcome {
            Outcome::Updated => self.to.as_ref(),
            Outcome::Current | Outcome::Held | Outcome::RolledBack | Outcome::WouldUpdate => self.from.as_ref(),
            Outcome::Failed | Outcome::InProgress | Outcome::ScaledIn | Outcome::Gone => None,
        }
    }
}

/// When an instance was in a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseTime {
    pub phase: Phase,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended; `None` for one that lasted to the end of the run.
    pub ended_at: Option<Timestamp>,
}

impl PhaseTime {
    /// How long it lasted, to `now` where it has not ended.
    pub fn duration(&self, now: Timestamp) -> SignedDuration {
        self.ended_at.unwrap_or(now).duration_since(self.began_at)
    }
}

/// How a run ended for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It runs a new version and is in service.
    Updated,
    /// Nothing was to be done.
    Current,
    /// There was a reason to leave it alone.
    Held,
    /// It is back on its old version and in service.
    RolledBack,
    /// The update failed; `detail` says where it was left.
    Failed,
    /// Its Auto Scaling group ends it, in the middle of its update.
    ScaledIn,
    /// The machine went away.
    Gone,
    /// The run ended in the middle; the next one goes on.
    InProgress,
    /// On a dry run only: it would be updated.
    WouldUpdate,
}

impl Outcome {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Updated => "updated",
            Self::Current => "current",
            Self::Held => "held",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
            Self::ScaledIn => "scaled_in",
            Self::Gone => "gone",
            Self::InProgress => "in_progress",
            Self::WouldUpdate => "would_update",
        }
    }

    /// All, in the order of a summary.
    pub const ALL: [Self; 9] = [
        Self::Updated,
        Self::WouldUpdate,
        Self::Current,
        Self::Held,
        Self::InProgress,
        Self::RolledBack,
        Self::Failed,
        Self::ScaledIn,
        Self::Gone,
    ];

    /// Whether it counts for `stop_after_failures` and the exit code.
    pub fn is_failure(self) -> bool {
        match self {
            Self::RolledBack | Self::Failed => true,
            Self::Updated
            | Self::Current
            | Self::Held
            | Self::ScaledIn
            | Self::Gone
            | Self::InProgress
            | Self::WouldUpdate => false,
        }
    }
}

/// What a run has decided of an instance for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub outcome: Outcome,
    /// The reason's code.
    pub reason: Option<String>,
    /// The reason as a sentence.
    pub detail: Option<String>,
    /// The version before.
    pub from: Option<Version>,
    /// The version after, or aimed at.
    pub to: Option<Version>,
    /// When it was decided.
    pub at: Timestamp,
    /// Whether it failed for a reason that says nothing about the version.
    pub of_its_own: bool,
}

impl ClusterReport {
    /// How many instances ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.instances.iter().filter(|instance| instance.outcome == outcome).count()
    }
}
