//! What a person decided for one cluster: the settings after files, environment and flags are joined.

mod group;
mod health;
mod hooks;
mod reach;
mod rollout;
mod shelf;
mod steps;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::cluster_tags::{FromTags, OpenKeys};
use crate::query::Select;
use crate::release::MaxVersion;
use crate::schedule::{Freeze, Window};

pub use crate::capacity::Capacity;
pub use crate::max_unavailable::MaxUnavailable;
pub use group::Group;
pub use health::{AlarmMissing, OnAlarm, ServiceHealth};
pub use hooks::{Hooks, OnHookError};
pub use reach::{BridgePolicy, TransportPolicy};
pub use rollout::{Checkpoints, NotAPercentage};
pub use shelf::{NoShelf, Shelf};
pub use steps::{Documents, Timeouts};

/// The settings of one cluster. The configuration page of the documents lists them for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How many instances may be out of service at once, for any reason.
    pub max_unavailable: MaxUnavailable,
    /// In which order the zones are worked on.
    pub zone: Zones,
    /// What to update to.
    pub target: Target,
    /// Whether a person has named the target, a version, on the command line: the limits below do not hold for it.
    #[serde(default)]
    pub target_is_named: bool,
    /// The SSM parameter that the target, a version, was read from.
    #[serde(default)]
    pub approved_by: Option<String>,
    /// A release is installed only once it is this old. `None`: at any age.
    #[serde(default)]
    pub min_age: Option<SignedDuration>,
    /// No version above this one is installed. `None`: no limit.
    #[serde(default)]
    pub max_version: Option<MaxVersion>,
    /// These versions are not installed.
    #[serde(default)]
    pub skip_versions: BTreeSet<Version>,
    /// Whether the hosts' own `updates.version-lock` stands above a target.
    pub owner_lock: OwnerLock,
    /// Updates are begun only on the instances that meet it; `None`: on all.
    #[serde(default)]
    pub select: Option<Select>,
    /// What to do with an instance that runs tasks of no service.
    pub standalone_tasks: StandaloneTasks,
    /// Where room for tasks may come from.
    #[serde(default)]
    pub capacity: Capacity,
    /// Whether `MinSize` of Auto Scaling groups is held at their size during a run, so that managed scaling ends no instance.
    pub hold_min_size: bool,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// So many instances of each variant and architecture get a release first. `None`: no canaries.
    #[serde(default)]
    pub canary: Option<u32>,
    /// Canaries are only instances that meet it; `None`: any.
    #[serde(default)]
    pub canary_match: Option<Select>,
    /// How far a release goes before it has to prove itself again.
    #[serde(default)]
    pub checkpoints: Checkpoints,
    /// How long the canaries, and then each checkpoint, are watched before the release goes on.
    pub bake: SignedDuration,
    /// How long nothing is drained after a drain, and after an instance is back.
    pub soak: SignedDuration,
    /// Nothing is begun while one of these CloudWatch alarms fires.
    #[serde(default)]
    pub alarms: BTreeSet<String>,
    /// What an alarm means that is not there, or has no data.
    #[serde(default)]
    pub alarm_missing: AlarmMissing,
    /// What is done where an alarm fires while a release is watched.
    #[serde(default)]
    pub on_alarm: OnAlarm,
    /// Whether the services whose tasks were moved have to be well before more is begun.
    #[serde(default)]
    pub services: ServiceHealth,
    /// The functions that are asked in the middle of a run.
    #[serde(default)]
    pub hooks: Hooks,
    /// After how many failed or rolled back instances no further one is begun.
    pub stop_after_failures: StopAfter,
    /// After this long no further instance is begun; those begun are brought to their end. `None`: no limit.
    pub max_duration: Option<SignedDuration>,
    /// Updates are begun only while one of these is open; none: at any time.
    pub windows: Vec<Window>,
    /// Nothing is begun that close to the end of the windows. `None`: as long as an update is expected to take.
    pub window_cutoff: Option<SignedDuration>,
    /// How long a run with nothing under way waits for a window that will open.
    pub window_wait: SignedDuration,
    /// Nothing is begun on these days.
    pub freeze: Vec<Freeze>,
    /// Whether a host may go to a lower version: when its repository withdrew the one it runs, or the target is
    /// lower.
    pub allow_downgrade: bool,
    /// How the hosts are reached.
    pub host: TransportPolicy,
    /// What the hosts' instance roles let a host bridge report on.
    pub bridge_policy: BridgePolicy,
    /// The EventBridge event bus that is told of the run. `None`: none is.
    #[serde(default)]
    pub events: Option<String>,
    /// The S3 bucket that keeps the reports of runs. `None`: none does.
    #[serde(default)]
    pub reports: Option<Shelf>,
    /// The SSM documents' names.
    pub documents: Documents,
    /// The keys that tags of the cluster may set although they loosen.
    #[serde(default)]
    pub tags: OpenKeys,
    /// What became of the cluster's tags.
    #[serde(default)]
    pub from_tags: FromTags,
    /// The groups of its instances, by their order.
    #[serde(default)]
    pub groups: Vec<Group>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_unavailable: MaxUnavailable::Count(1),
            zone: Zones::Spread,
            target: Target::Latest,
            target_is_named: false,
            approved_by: None,
            min_age: None,
            max_version: None,
            skip_versions: BTreeSet::new(),
            owner_lock: OwnerLock::Respect,
            select: None,
            standalone_tasks: StandaloneTasks::Skip,
            capacity: Capacity::Room,
            hold_min_size: false,
            timeouts: Timeouts::default(),
            canary: None,
            canary_match: None,
            checkpoints: Checkpoints::default(),
            bake: SignedDuration::from_hours(1),
            soak: SignedDuration::ZERO,
            alarms: BTreeSet::new(),
            alarm_missing: AlarmMissing::Hold,
            on_alarm: OnAlarm::Hold,
            services: ServiceHealth::Ignore,
            hooks: Hooks::default(),
            stop_after_failures: StopAfter::Count(1),
            max_duration: None,
            windows: Vec::new(),
            window_cutoff: None,
            window_wait: SignedDuration::from_mins(30),
            freeze: Vec::new(),
            allow_downgrade: false,
            host: TransportPolicy::Auto,
            bridge_policy: BridgePolicy::Cluster,
            events: None,
            reports: None,
            documents: Documents::default(),
            tags: OpenKeys::default(),
            from_tags: FromTags::default(),
            groups: Vec::new(),
        }
    }
}

impl Policy {
    /// Whether a release is to prove itself on the way: by canaries, or at checkpoints.
    pub fn has_stages(&self) -> bool {
        self.canary.is_some() || !self.checkpoints.is_empty()
    }

    /// The keys of the EC2 tags that expressions of people ask for.
    pub fn asked_tags(&self) -> BTreeSet<&str> {
        let of_groups = self.groups.iter().flat_map(|group| [Some(&group.matches), group.policy.canary_match.as_ref()]);
        let own = [self.select.as_ref(), self.canary_match.as_ref()];
        own.into_iter().chain(of_groups).flatten().flat_map(Select::tags).collect()
    }

    /// Whether each container instance is to have a tag that names its EC2 instance.
    pub fn names_hosts(&self) -> bool {
        self.bridge_policy == BridgePolicy::OwnHost && self.host != TransportPolicy::Ssm
    }
}

/// In which order availability zones are worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Zones {
    /// Instances of one zone only are out of service because of us at any time; a zone is finished before the next.
    OneAtATime,
    /// All zones by turns, so that each loses its share of the budget and no more.
    Spread,
}

words!(Zones { OneAtATime = "one-at-a-time", Spread = "spread" });

/// What to update to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// What each host chooses itself: the newest version whose wave is open to it.
    Latest,
    /// This version on every host.
    Version(Version),
    /// The version that an SSM parameter of this name holds, which is read when a run begins.
    Parameter(String),
}

/// What stands before the name of the SSM parameter of [`Target::Parameter`].
const PARAMETER: &str = "ssm:";

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Version(version) => write!(f, "{version}"),
            Self::Parameter(name) => write!(f, "{PARAMETER}{name}"),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        if let Some(name) = text.strip_prefix(PARAMETER) {
            let allowed = |char: char| char.is_ascii_alphanumeric() || "_.-/:".contains(char);
            let is_name = !name.is_empty() && name.chars().all(allowed);
            return if is_name {
                Ok(Self::Parameter(name.to_owned()))
            } else {
                Err(format!("{name:?} is not the name of an SSM parameter"))
            };
        }
        crate::host::parse_version(text)
            .map(Self::Version)
            .ok_or_else(|| format!("{text:?} is neither \"latest\" nor a version such as \"1.27.0\""))
    }
}

/// What the `updates.version-lock` that a host's owner has set means to a target; the stricter comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnerLock {
    /// A host that is locked to another version is left alone.
    Respect,
    /// The target is installed all the same; the lock is as it was afterwards.
    Override,
}

words!(OwnerLock { Respect = "respect", Override = "override" });

/// What to do with tasks that no service replaces; the stricter comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StandaloneTasks {
    /// Leave the instance alone while such a task runs.
    Skip,
    /// Drain the instance and wait for the task's own end, for as long as the drain time-out allows.
    Wait,
    /// Drain the instance and stop the task.
    Stop,
}

words!(StandaloneTasks { Skip = "skip", Wait = "wait", Stop = "stop" });

/// After how many failures nothing new is begun; the stricter comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopAfter {
    /// This many, at least 1.
    Count(u32),
    /// Failures do not stop the run.
    Never,
}

impl StopAfter {
    /// Whether `failures` are enough to stop.
    pub fn reached(self, failures: usize) -> bool {
        match self {
            Self::Count(count) => failures >= count as usize,
            Self::Never => false,
        }
    }
}
