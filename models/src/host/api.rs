//! The host API's own types.

use serde::{Deserialize, Deserializer, Serialize};

use super::tolerant::{null_is_default, open_enum};

/// The answer to `GET /os`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OsInfo {
    /// `x86_64` or `aarch64`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub arch: String,
    /// The commit that the image was built from.
    #[serde(default, deserialize_with = "null_is_default")]
    pub build_id: String,
    /// For people, such as `Bottlerocket OS 1.26.1 (aws-ecs-2)`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub pretty_name: String,
    /// Such as `aws-ecs-2`. An in-place update never changes it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub variant_id: String,
    /// The running version, as the host writes it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub version_id: String,
}

/// The answer to `GET /updates/status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateStatus {
    /// Where the host stands in its own update state machine.
    #[serde(default, deserialize_with = "null_is_default")]
    pub update_state: UpdateState,
    /// The versions whose wave is open to this host, newest first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub available_updates: Vec<String>,
    /// The version that prepare would write if nothing changed since the refresh.
    #[serde(default)]
    pub chosen_update: Option<Image>,
    /// The partition set that runs.
    #[serde(default)]
    pub active_partition: Option<Partition>,
    /// The partition set that an update was written to.
    #[serde(default)]
    pub staging_partition: Option<Partition>,
    /// The last command that ended, `None` before the first.
    #[serde(default)]
    pub most_recent_command: Option<CommandResult>,
}

/// Names the OS image of an update or a partition set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `x86_64` or `aarch64`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub arch: String,
    /// Such as `1.27.0`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub version: String,
    /// Such as `aws-ecs-2`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub variant: String,
}

/// One of the two partition sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// What is written there.
    #[serde(default, deserialize_with = "null_is_default")]
    pub image: Image,
    /// Whether the next boot takes this set.
    #[serde(default, deserialize_with = "null_is_default")]
    pub next_to_boot: bool,
}

/// How the last update command of the host ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandResult {
    /// Which command it was.
    #[serde(default, deserialize_with = "null_is_default")]
    pub cmd_type: CommandType,
    /// Whether it worked.
    #[serde(default, deserialize_with = "null_is_default")]
    pub cmd_status: CommandStatus,
    /// When it ended, RFC 3339 with nanoseconds: kept as text, since it is only ever compared for equality.
    #[serde(default, deserialize_with = "null_is_default")]
    pub timestamp: String,
    /// The worker's exit status.
    #[serde(default)]
    pub exit_status: Option<i32>,
    /// The worker's output; on a prepare its line `Starting update to V` names what was really written.
    #[serde(default)]
    pub stderr: Option<String>,
}

open_enum!(
    /// The state machine of `thar-be-updates`. `Idle` alone does not mean up to date: a failed refresh ends
    /// there too.
    UpdateState {
        /// Nothing to do, or the last refresh failed.
        Idle = "Idle",
        /// A refresh found an update.
        Available = "Available",
        /// An update is written to the inactive set and will not be booted yet.
        Staged = "Staged",
        /// The written update is booted next.
        Ready = "Ready",
    }
);
open_enum!(
    /// The four update commands.
    CommandType {
        /// Reads the update repository.
        Refresh = "refresh",
        /// Writes the chosen update to the inactive set.
        Prepare = "prepare",
        /// Makes the written set the next to boot.
        Activate = "activate",
        /// Undoes activate.
        Deactivate = "deactivate",
    }
);
open_enum!(
    /// How a command ended.
    CommandStatus {
        /// The worker said it worked. For prepare that is not enough (docs/facts/host-api.md#trap-1).
        Success = "Success",
        /// The worker failed; its stderr says why.
        Failed = "Failed",
    }
);
