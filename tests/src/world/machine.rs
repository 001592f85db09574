//! A machine as EC2 knows it, with the host that runs on it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::ids::{ClusterNo, CommandNo, RegistrationNo};
use crate::host::{Host, HostSpec};
use crate::scenario::{InstanceSpec, RegionSpec};

/// An EC2 instance (or an EXTERNAL machine, which EC2 does not know).
#[derive(Debug)]
pub struct Machine {
    /// `i-…`, or `mi-…` for an EXTERNAL one.
    pub id: String,
    /// The cluster it belongs to.
    pub cluster: ClusterNo,
    /// Availability zone.
    pub zone: String,
    /// Such as `m6i.large`.
    pub instance_type: String,
    /// `spot`, or nothing.
    pub lifecycle: Option<String>,
    /// EC2 tags. They belong to the instance and outlive everything but its end (docs/facts/ec2.md#tags).
    pub tags: BTreeMap<String, String>,
    /// What the tags were before each change, where answers may show old ones.
    pub(super) tags_before: Vec<(Timestamp, BTreeMap<String, String>)>,
    /// Instance state.
    pub state: Ec2State,
    /// Since when.
    pub state_since: Timestamp,
    /// Counts the changes of `state`.
    pub(super) state_epoch: u32,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// The private address.
    pub private_ip: String,
    /// Whether the machine runs Bottlerocket; otherwise it has no variant attribute.
    pub bottlerocket: bool,
    /// Whether the agent of `host-bridge` runs on it, as a host container.
    pub bridge: bool,
    /// How that container is.
    pub(super) container: HostContainer,
    /// Whether its metadata service serves its tags.
    pub metadata_tags: bool,
    /// Until when its metadata service does not answer.
    pub(crate) metadata_away_until: Option<Timestamp>,
    /// When EC2 gave notice that it takes the Spot instance back.
    pub(crate) spot_notice: Option<Timestamp>,
    /// Whether SSM has ever heard of it.
    pub ssm_registered: bool,
    /// The version of its SSM agent.
    pub ssm_agent: String,
    /// The last time that the SSM agent was heard of, while it is away; `None` while it answers.
    pub(super) ssm_lost_at: Option<Timestamp>,
    /// Commands that wait for the SSM agent.
    pub(super) ssm_waiting: Vec<CommandNo>,
    /// Commands that run.
    pub(super) ssm_running: Vec<CommandNo>,
    pub host: Host,
    /// ECS refuses the agent's registration, for good.
    pub(crate) agent_refused: bool,
    /// The EC2 side in the scenario, so that an Auto Scaling group can launch another one.
    pub(crate) instance: InstanceSpec,
    /// The host as it was launched.
    pub(crate) launched_as: HostSpec,
    /// The host's table in the scenario, so that an event can change a field.
    pub(super) host_table: toml::Table,
    /// Where its Auto Scaling group has it; without a meaning where it has none.
    pub(crate) in_group: InGroup,
    /// What was seen of the host last, so that a change is noticed.
    pub(super) seen: Seen,
    /// When the host went down; `None` while it is up.
    pub down_since: Option<Timestamp>,
    /// When the host came up last.
    pub up_since: Timestamp,
    /// The container instance that the ECS agent speaks for.
    pub registration: Option<RegistrationNo>,
    /// Every container instance it has had.
    pub registrations: Vec<RegistrationNo>,
    /// Custom attributes and the like must be registered again, under a new ARN, when the agent comes back on a lower
    /// version than it registered with.
    pub(super) new_arn_after_rollback: bool,
    /// The version the agent registered with last.
    pub(super) registered_version: semver::Version,
    /// A person or the scenario reset it: the reboot under way is not the updater's.
    pub(super) reboot_is_foreign: bool,
    /// The wake-up that is scheduled for the host, so that it is not scheduled twice.
    pub(super) wake_at: Option<Timestamp>,
}

/// The state of an instance that its Auto Scaling group leaves alone.
pub(super) const IN_SERVICE: &str = "InService";
/// Its group does not have it any more.
pub(super) const DETACHED: &str = "Detached";

/// The place of a machine in its Auto Scaling group.
#[derive(Debug, Clone)]
pub(crate) struct InGroup {
    /// `LifecycleState`.
    pub(crate) state: String,
    pub(super) since: Timestamp,
    /// ECS's hook has drained it.
    pub(super) hook_has_drained: bool,
    /// Scale-in protection.
    pub(crate) protected: bool,
    /// Since when managed termination protection has seen it empty.
    pub(super) empty_since: Option<Timestamp>,
    /// The updater has drained it, and no task came to it since.
    pub(super) emptied_by_updater: bool,
    /// A scale-in that the updater caused has chosen it.
    pub(crate) ended_by_updater: bool,
}

impl InGroup {
    pub(super) fn new(state: Option<&str>, since: Timestamp) -> Self {
        Self {
            state: state.unwrap_or(IN_SERVICE).to_owned(),
            since,
            hook_has_drained: false,
            protected: false,
            empty_since: None,
            emptied_by_updater: false,
            ended_by_updater: false,
        }
    }
}

/// What the world knew of a host after the last look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) up: bool,
    pub(super) ssm: bool,
    pub(super) ecs: bool,
    pub(super) bridge: bool,
}

/// The host container of a bridge. The host restarts one that ends (docs/facts/host-api.md#host-containers).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum HostContainer {
    /// Runs while the host does.
    #[default]
    Enabled,
    /// Its process ended, and the host waits with the next one; which restart this is.
    Restarting(u32),
    /// A person has switched it off in the host's settings.
    Disabled,
}

/// Why a tag was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// An instance has at most 50 tags (docs/facts/ec2.md#tags).
    #[error("The maximum number of Tags for a resource has been reached.")]
    TooMany,
}

/// State of an EC2 instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ec2State {
    /// Runs; an OS reboot does not change it (docs/facts/ec2.md#instances-and-status-checks).
    Running,
    /// On its way to `Stopped`.
    Stopping,
    /// Switched off.
    Stopped,
    /// On its way to `Terminated`.
    ShuttingDown,
    /// Gone; visible for an hour.
    Terminated,
}

impl Ec2State {
    /// EC2's code.
    pub fn code(self) -> u16 {
        match self {
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }

    /// EC2's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// What `DescribeInstanceStatus` says of the instance check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusCheck {
    /// `ok`, `passed`.
    Ok,
    /// `impaired`, `failed`.
    Impaired,
    /// `initializing`: the instance was started a moment ago.
    Initializing,
    /// `not-applicable`: the instance does not run.
    NotApplicable,
}

impl HostContainer {
    /// A boot starts the containers that are switched on.
    pub(super) fn after_boot(self) -> Self {
        match self {
            Self::Enabled | Self::Restarting(_) => Self::Enabled,
            Self::Disabled => Self::Disabled,
        }
    }
}

impl Machine {
    /// The tags as they were at a time, where answers may show old ones.
    pub(super) fn tags_at(&self, since: Timestamp) -> &BTreeMap<String, String> {
        let old = self.tags_before.iter().find(|(changed, _)| *changed > since);
        old.map_or(&self.tags, |(_, tags)| tags)
    }

    /// The capacity provider that it was registered with.
    pub fn provider(&self) -> Option<&str> {
        self.instance.provider.as_deref()
    }

    /// Whether SSM or ECS know it as a machine outside EC2.
    pub fn is_external(&self) -> bool {
        self.id.starts_with("mi-")
    }

    /// The instance status check. `ok` is stale for a while after the host went down and comes back late after it is
    /// up again (docs/facts/ec2.md#instances-and-status-checks).
    pub fn status_check(&self, now: Timestamp, region: &RegionSpec) -> StatusCheck {
        if self.state != Ec2State::Running {
            return StatusCheck::NotApplicable;
        }
        if now.duration_since(self.state_since) < region.status_checks_begin {
            return StatusCheck::Initializing;
        }
        match self.down_since {
            Some(since) if now.duration_since(since) >= region.status_check_lag => StatusCheck::Impaired,
            Some(_) | None => StatusCheck::Ok,
        }
    }
}
