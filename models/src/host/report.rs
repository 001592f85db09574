//! What is known of a host after a visit.

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Deserializer, Serialize};
use smol_str::SmolStr;

use super::api::{CommandStatus, CommandType, UpdateState};
use super::tolerant::{NoVersion, null_is_default, open_enum, parse_version};
use crate::clean;
use crate::ids::{BootId, ContainerInstanceArn};

/// What is known of a host after one visit, whichever way the visit was made: the one line of JSON that an SSM
/// document prints, and what the host bridge reports.
///
/// Compact JSON of at most [`HostReport::MAX_BYTES`] bytes: `ListCommandInvocations` cuts plugin output at 2,500
/// characters (docs/facts/ssm.md#answers).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// Version of this shape; 1.
    #[serde(default)]
    pub v: u32,
    /// Which document or operation made it: `inspect`, `stage`, `reboot` or `revert`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub step: String,
    /// Of the boot in which the report was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<BootId>,
    /// When the kernel started, `btime` of `/proc/stat`, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booted_at: Option<i64>,
    /// The running OS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<ReportedOs>,
    /// The update status, `None` where it was not to be had (always so after a boot until a refresh).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<ReportedUpdate>,
    /// The update settings, `None` where they were not to be had (docs/facts/host-api.md#trap-11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<ReportedSettings>,
    /// Whether the host is under API lockdown, so that nobody can read or change its settings
    /// (docs/facts/host-api.md#trap-11).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked_down: bool,
    /// The ECS agent on the host, as its introspection port sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<ReportedAgent>,
    /// Where AWS takes the host, as its metadata service says; `None` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_state: Option<TargetState>,
    /// The version that the host can go back to without its update repository: its other partition set has it still, as its
    /// bridge knows, which runs as the host's root. SSM documents never tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactive: Option<SmolStr>,
    /// What this visit wrote to the inactive partition set, from the worker's line `Starting update to V`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrote: Option<String>,
    /// Why the visit did not do all that it was asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ReportedError>,
}

impl HostReport {
    /// No report is longer than this, so that no listing cuts it.
    pub const MAX_BYTES: usize = 2_400;
    /// How many of the offered versions a report names at most, newest first.
    pub const MAX_AVAILABLE: usize = 40;
    /// How many characters of the host's own output an error carries at most.
    pub const MAX_DETAIL: usize = 400;

    /// Reads the line that a document printed, and takes of it what can be a host's word.
    ///
    /// # Errors
    /// As [`HostReport::read`]; and where a version is none.
    pub fn parse(output: &str) -> Result<Self, ReportError> {
        Self::read(output)?.believed().map_err(|NoVersion { at, text }| ReportError::Version { at, text })
    }

    /// Reads the line that a document printed, as it stands. Text before the last line that begins with `{` is passed over:
    /// tools on the host may print warnings.
    ///
    /// # Errors
    /// [`ReportError`] when there is no such line, or it is no report.
    pub fn read(output: &str) -> Result<Self, ReportError> {
        let line = output
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| line.starts_with('{'))
            .ok_or_else(|| ReportError::Absent { output: excerpt(output) })?;
        let report: Self =
            serde_json::from_str(line).map_err(|source| ReportError::Malformed { output: excerpt(line), source })?;
        if report.v == 0 {
            return Err(ReportError::NoVersion { output: excerpt(line) });
        }
        // Claims and commands name boots: a host that could put anything there could spoil those of its neighbours.
        match report.boot_id.as_ref().filter(|boot| !boot.is_uuid()) {
            Some(boot) => Err(ReportError::BootId { boot: excerpt(boot.as_str()) }),
            None => Ok(report),
        }
    }

    /// The running version, `None` where the host did not say or it is no version.
    pub fn running(&self) -> Option<Version> {
        self.os.as_ref().and_then(|os| parse_version(&os.version))
    }

    /// The version on the staging partition set, if one was written.
    pub fn staged(&self) -> Option<Version> {
        self.update.as_ref().and_then(|update| update.staged.as_deref()).and_then(parse_version)
    }

    /// Whether the host can go back to this version without its update repository.
    pub fn goes_back_alone(&self, to: &Version) -> bool {
        let inactive = self.inactive.as_deref().and_then(parse_version);
        inactive.as_ref() == Some(to) && self.running().is_some_and(|running| *to < running)
    }

    /// The version that the host chose to update to, if any.
    pub fn chosen(&self) -> Option<Version> {
        self.update.as_ref().and_then(|update| update.chosen.as_deref()).and_then(parse_version)
    }

    /// The host's update state; `None` before the first refresh of a boot.
    pub fn state(&self) -> Option<&UpdateState> {
        self.update.as_ref().map(|update| &update.state)
    }
}

/// The running OS, in a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedOs {
    /// Such as `1.26.1`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub version: SmolStr,
    /// Such as `aws-ecs-2`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub variant: SmolStr,
    /// `x86_64` or `aarch64`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub arch: SmolStr,
}

/// The update status, in a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedUpdate {
    /// `update_state` of the host API.
    #[serde(default, deserialize_with = "null_is_default")]
    pub state: UpdateState,
    /// Version of `chosen_update`.
    #[serde(default)]
    pub chosen: Option<SmolStr>,
    /// Version on the staging partition.
    #[serde(default)]
    pub staged: Option<SmolStr>,
    /// `available_updates`, newest first, cut at [`HostReport::MAX_AVAILABLE`].
    #[serde(default, deserialize_with = "null_is_default")]
    pub available: Vec<SmolStr>,
    /// The last command and how it ended.
    #[serde(default)]
    pub last: Option<ReportedCommand>,
}

/// The last command, in a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedCommand {
    /// `cmd_type`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub r#type: CommandType,
    /// `cmd_status`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub status: CommandStatus,
}

/// The update settings, in a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedSettings {
    /// `settings.updates.version-lock`: `latest` or a version.
    #[serde(default)]
    pub version_lock: Option<String>,
    /// `settings.updates.ignore-waves`.
    #[serde(default)]
    pub ignore_waves: Option<bool>,
}

/// The ECS agent, as asked on the host itself (introspection, `127.0.0.1:51678`). This is the proof that the agent
/// of *this* boot works; `agentConnected` in ECS can be a leftover of the last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedAgent {
    /// Whether it answers and is registered.
    #[serde(default, deserialize_with = "null_is_default")]
    pub state: AgentState,
    /// `ContainerInstanceArn` of `/v1/metadata`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_instance: Option<ContainerInstanceArn>,
    /// Tasks in `/v1/tasks` whose `KnownStatus` is not `STOPPED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<u32>,
}

open_enum!(
    /// What the introspection port said.
    AgentState {
        /// It answers and has registered a container instance.
        Registered = "registered",
        /// It answers, without a container instance.
        Unregistered = "unregistered",
        /// Nothing listens.
        Down = "down",
    }
);

open_enum!(
    /// `autoscaling/target-lifecycle-state` of the metadata service: where an Auto Scaling group takes its instance, not
    /// where the instance is (docs/facts/auto-scaling.md#states-of-an-instance).
    TargetState {
        /// It stays, or comes back.
        InService = "InService",
        /// The group ends it.
        Terminated = "Terminated",
        /// Somebody sets it aside.
        Standby = "Standby",
        /// Somebody takes it out of the group.
        Detached = "Detached",
        /// It goes to the warm pool, in whatever state.
        Warmed = "Warmed",
        /// Of `spot/instance-action`: EC2 takes the Spot instance back, within two minutes
        /// (docs/facts/ec2.md#spot-instances).
        Spot = "Spot",
    }
);

impl TargetState {
    /// Reads what the metadata service says, such as `Warmed:Stopped`.
    pub fn read(text: &str) -> Self {
        Self::from(text.trim().split(':').next().unwrap_or_default())
    }
}

/// Why a visit did not do what it was asked to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedError {
    /// The part of the visit that stopped: such as `os`, `refresh`, `prepare`, `activate`, `pin`, `reboot`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub at: String,
    /// The kind of failure.
    #[serde(default, deserialize_with = "null_is_default")]
    pub code: ErrorCode,
    /// The host's own words, cut at [`HostReport::MAX_DETAIL`] characters.
    #[serde(default, deserialize_with = "null_is_default")]
    pub detail: String,
}

open_enum!(
    /// Kinds of failure of a visit. Every one but `Unsure` means that the part did not happen.
    ErrorCode {
        /// The host tried and failed.
        Failed = "failed",
        /// The host's state does not allow it (409, 404).
        Refused = "refused",
        /// Another client held the update lock for the whole time (423).
        Busy = "busy",
        /// The deadline passed while it ran; it may still happen.
        Unsure = "unsure",
        /// Prepare said Success and wrote nothing (docs/facts/host-api.md#trap-1).
        WroteNothing = "wrote_nothing",
        /// Prepare wrote another version than the one asked for (docs/facts/host-api.md#trap-2).
        WroteOther = "wrote_other",
        /// The wanted version is not offered to this host.
        NotOffered = "not_offered",
        /// The image was built without in-place updates (docs/facts/host-api.md#trap-10).
        NoInPlaceUpdates = "no_in_place_updates",
        /// The host's update dispatcher failed before it did anything; this says nothing of the image
        /// (docs/facts/host-api.md#trap-10).
        DispatcherFailed = "dispatcher_failed",
        /// The host is under API lockdown, and this needs a setting (docs/facts/host-api.md#trap-11).
        HostLockedDown = "host_locked_down",
        /// The host has already booted into the version, or is in another boot than the command was meant for.
        OtherBoot = "other_boot",
        /// Tasks are still on the host.
        TasksRunning = "tasks_running",
        /// The host API does not answer.
        ApiDown = "api_down",
        /// The parameters are not what the document takes.
        BadParameter = "bad_parameter",
    }
);

/// A document's output that is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// No line of the output begins with `{`.
    #[error("the host printed no report, but {output:?}")]
    Absent {
        /// The first part of what was printed.
        output: String,
    },
    /// The line is no JSON of the report's shape.
    #[error("the host's report {output:?} is malformed")]
    Malformed {
        /// The first part of the line.
        output: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The line has no `v`, so something else printed it.
    #[error("the host's report {output:?} has no version `v`")]
    NoVersion {
        /// The first part of the line.
        output: String,
    },
    /// Its boot id is no UUID.
    #[error("the host's report has the boot id {boot:?}, which is not a UUID")]
    BootId {
        /// The first part of what it says.
        boot: String,
    },
    /// A version that it names is none.
    #[error("the host's report has the {at} {text:?}, which is not a version")]
    Version {
        /// Where it stands.
        at: &'static str,
        /// The first part of what it says.
        text: String,
    },
}

fn excerpt(text: &str) -> String {
    const MOST: usize = 120;
    clean::cut(text, MOST)
}

/// A report and when it was received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenReport {
    /// When the updater learned of it.
    pub at: Timestamp,
    /// When the visit began at the latest: nothing that happened after this moment need show in the report.
    pub asked_at: Timestamp,
    pub report: HostReport,
}
