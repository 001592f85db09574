//! One container instance and the machine below it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::checks::StatusChecks;
use super::lifecycle::SeenLifecycle;
use super::memory::RunMemory;
use super::tasks::{Resources, SeenTasks};
use super::visit::{CommandInFlight, Visit};
use crate::attributes::{AttributesError, BridgeReport, Handled, Progress};
use crate::claim::{BadClaim, Claim, ClaimStep, EXCLUDE_TAG, FailedVersions, Transport};
use crate::host::{AgentState, HostReport, SeenReport};
use crate::ids::{ContainerInstanceArn, HostId, ImageId, ZoneName};
use crate::last::Last;
use crate::own_host::is_named;
use crate::policy::TransportPolicy;
use crate::reason::HoldReason;
use crate::time::after;

/// How long an answer of ECS may be older than a write of our own, and a listing lag behind, before that counts as another
/// actor's doing (docs/facts/ecs.md#consistency).
pub const EVENTUAL_CONSISTENCY: SignedDuration = SignedDuration::from_secs(20);

/// One container instance and the machine below it. What most instances do not have most of the time is kept apart: there
/// are thousands of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// The machine.
    pub host: HostId,
    /// Its present container instance; can change over a rollback.
    pub container_instance: ContainerInstanceArn,
    /// ECS status.
    pub status: InstanceStatus,
    /// ECS's word on the agent: late by minutes both ways.
    pub agent_connected: bool,
    /// Since when this run has known it to be false.
    pub disconnected_since: Option<Timestamp>,
    /// Tasks *desired* RUNNING; a stopping task is not counted any more and still runs.
    pub running_tasks: u32,
    /// Tasks in PENDING.
    pub pending_tasks: u32,
    /// Attribute `bottlerocket.variant`; `None` on anything that is not Bottlerocket.
    pub variant: Option<SmolStr>,
    /// Attribute `ecs.availability-zone`.
    pub zone: Option<ZoneName>,
    /// The capacity provider that it was registered with.
    #[serde(default)]
    pub provider: Option<SmolStr>,
    /// The attributes that placement constraints can name: all but the agent's capabilities and this program's own.
    #[serde(default)]
    pub attributes: Attributes,
    /// Its tag [`INSTANCE_TAG`](crate::own_host::INSTANCE_TAG), where tags were asked for and it has one.
    #[serde(default)]
    pub instance_tag: Option<SmolStr>,
    /// The version of its ECS agent.
    #[serde(default)]
    pub agent_version: Option<SmolStr>,
    /// When it registered.
    #[serde(default)]
    pub registered_at: Option<Timestamp>,
    /// What the agent registered.
    pub registered: Resources,
    /// What is free of it.
    pub remaining: Resources,
    /// When ECS was asked for the fields above.
    pub seen_at: Timestamp,
    /// Since when ECS lists the instance and does not describe it: the fields above may be as they were before that.
    #[serde(default)]
    pub undescribed_since: Option<Timestamp>,
    /// What EC2 said of the machine last; `None` where it never did.
    pub ec2: Option<Ec2>,
    /// Since when EC2 leaves the machine out of its answers without an error: it does not say what has become of it.
    #[serde(default)]
    pub left_out_since: Option<Timestamp>,
    /// What EC2 Auto Scaling said of it last.
    #[serde(default)]
    pub auto_scaling: Option<Box<SeenLifecycle>>,
    /// Whether AWS manages it: an Amazon ECS Managed Instance.
    #[serde(default)]
    pub managed_by_aws: bool,
    /// Our tags, and the one that people set.
    pub tags: Tags,
    /// The tasks on it that have not stopped, `None` where nobody looked yet.
    pub tasks: Option<SeenTasks>,
    /// What its host bridge says, `None` where none has ever reported.
    pub bridge: Option<Result<Box<SeenBridge>, AttributesError>>,
    /// Whether a command would reach it, `None` where nobody asked yet.
    pub reach: Option<Reachability>,
    /// The newest report of the host in this run.
    pub report: Option<Box<SeenReport>>,
    /// How the newest visit ended in this run.
    pub visit: Option<Box<Visit>>,
    /// The command that is under way on the host; a reboot is in [`RunMemory::reboot`] instead.
    pub command: Option<Box<CommandInFlight>>,
    /// What this run did to it.
    pub run: RunMemory,
}

/// Attributes of a container instance, value by name. A copy shares them: instances that were launched alike have the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Attributes(Arc<BTreeMap<String, String>>);

impl Attributes {
    /// The value of the attribute of this name; empty where it has none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl From<BTreeMap<String, String>> for Attributes {
    fn from(attributes: BTreeMap<String, String>) -> Self {
        Self(Arc::new(attributes))
    }
}

impl From<Attributes> for BTreeMap<String, String> {
    fn from(attributes: Attributes) -> Self {
        Arc::unwrap_or_clone(attributes.0)
    }
}

impl Instance {
    /// Whether ECS has it as a container instance, as far as is known.
    pub fn is_registered(&self) -> bool {
        self.status != InstanceStatus::Inactive
    }

    /// ACTIVE with an agent on a machine that runs: takes new tasks.
    pub fn in_service(&self) -> bool {
        let is_of_others = self.is_of_others() || self.is_ended_by_group();
        self.takes_placements() && !is_of_others && !self.is_dead() && !self.is_off() && !self.may_be_draining()
    }

    /// Whether ECS places tasks on it. That can be so for minutes after its machine was stopped
    /// (docs/facts/ecs.md#container-instances).
    pub fn takes_placements(&self) -> bool {
        self.status == InstanceStatus::Active && self.agent_connected
    }

    /// Whether EC2 says that the machine is gone for good.
    pub fn is_dead(&self) -> bool {
        self.machine_state().is_some_and(MachineState::is_gone)
    }

    /// Whether EC2 says that the machine is switched off.
    pub fn is_off(&self) -> bool {
        matches!(self.machine_state(), Some(MachineState::Stopping | MachineState::Stopped))
    }

    /// Whether it is a part of the cluster: of these a percentage is taken, and among these the ones out of service
    /// count. What is dead is not, what somebody else has stopped is not, and what AWS manages or keeps in a warm pool is not:
    /// none of them gives room or takes a place.
    pub fn counts(&self) -> bool {
        let is_stopped = self.is_off() && self.out_of_service_claim().is_none();
        self.is_registered() && !self.is_of_others() && !self.is_dead() && !is_stopped
    }

    /// Whether a drain by its claim may have been carried out although ECS says ACTIVE: its answer can be from before. One
    /// that ECS refused was not.
    pub fn may_be_draining(&self) -> bool {
        let drain = self.claim().filter(|claim| claim.step == ClaimStep::Drain && self.run.refused.is_none());
        drain.is_some_and(|claim| self.seen_at.duration_since(self.began(claim)).abs() < EVENTUAL_CONSISTENCY)
    }

    /// Whether its tag names the EC2 instance below it, so that its host may report.
    pub fn is_named(&self) -> bool {
        self.instance_tag.as_deref().is_some_and(|tag| is_named(tag, &self.container_instance, &self.host))
    }

    /// The state of the machine, where EC2 tells it.
    pub fn machine_state(&self) -> Option<MachineState> {
        self.ec2.as_ref().filter(|_| self.left_out_since.is_none()).map(|ec2| ec2.state)
    }

    /// Whether its own agent says that no task is left on it: asked on the host, long enough after the drain began.
    pub(super) fn is_empty_by_its_agent(&self) -> bool {
        let Some(drained) = self.run.drained_at.or(self.claim().map(|claim| self.began(claim))) else { return false };
        let agent = report_since(self, after(drained, EVENTUAL_CONSISTENCY)).and_then(|report| report.agent.as_ref());
        agent.is_some_and(|agent| agent.state == AgentState::Registered && agent.tasks == Some(0))
    }

    /// The newest report of its host bridge that can be read, however old.
    pub fn heard_bridge(&self) -> Option<&SeenBridge> {
        self.bridge.as_ref()?.as_deref().ok()
    }

    /// The newest report of its host bridge, if the agent can be taken for alive.
    pub fn live_bridge(&self, now: Timestamp) -> Option<&SeenBridge> {
        self.heard_bridge().filter(|seen| seen.report.heartbeat.is_live(now))
    }

    /// How far its host bridge is with this claim; `None` while it has not taken it up.
    pub fn bridge_progress(&self, claim: &Claim) -> Option<Progress> {
        Some(self.heard_bridge()?.handled(claim)?.progress)
    }

    /// Whether its host bridge is done with this claim, well or badly.
    pub fn bridge_has_answered(&self, claim: &Claim) -> bool {
        self.bridge_progress(claim).is_some_and(|progress| progress != Progress::Doing)
    }

    /// By which way this host is reached. It is the same for the whole run: what one way began, the other does not know
    /// the end of.
    pub fn transport(&self, wanted: TransportPolicy, now: Timestamp) -> Transport {
        match wanted {
            TransportPolicy::Ssm => Transport::Ssm,
            TransportPolicy::Bridge => Transport::Bridge,
            TransportPolicy::Auto => self.run.transport.unwrap_or_else(|| match self.live_bridge(now) {
                Some(_) => Transport::Bridge,
                None => Transport::Ssm,
            }),
        }
    }
}

/// Container instance status, as ECS spells it in capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InstanceStatus {
    /// Takes tasks.
    Active,
    /// Takes no tasks; its service tasks move away.
    Draining,
    /// Being registered.
    Registering,
    RegistrationFailed,
    /// Being deregistered.
    Deregistering,
    /// Deregistered or terminated.
    Inactive,
    /// A status newer than this program.
    Unknown,
}

impl InstanceStatus {
    /// The spelling of ECS.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Registering => "REGISTERING",
            Self::RegistrationFailed => "REGISTRATION_FAILED",
            Self::Deregistering => "DEREGISTERING",
            Self::Inactive => "INACTIVE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// What EC2 says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ec2 {
    pub state: MachineState,
    /// Whether it is a Spot instance.
    pub spot: bool,
    /// Whether EC2 says that it has taken the Spot instance back.
    #[serde(default)]
    pub taken_back: bool,
    /// Tag `aws:autoscaling:groupName`.
    pub auto_scaling_group: Option<String>,
    /// The image that it was launched from; an update in place changes nothing about it.
    pub image: Option<ImageId>,
    /// When it was launched or, after a stop, started.
    pub launched_at: Option<Timestamp>,
    /// The two status checks, where they were asked for; `ok` can still be the state from before a reboot.
    pub checks: Option<StatusChecks>,
}

/// State of an EC2 instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MachineState {
    Pending,
    Running,
    Stopping,
    Stopped,
    ShuttingDown,
    Terminated,
    /// EC2 says that there is no such instance (any more): `InvalidInstanceID.NotFound`.
    NotFound,
    /// A state newer than this program.
    #[default]
    Unknown,
}

impl MachineState {
    /// The spelling of EC2.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::NotFound => "not-found",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a machine never comes back from it.
    pub fn is_gone(self) -> bool {
        match self {
            Self::ShuttingDown | Self::Terminated | Self::NotFound => true,
            Self::Pending | Self::Running | Self::Stopping | Self::Stopped | Self::Unknown => false,
        }
    }
}

/// The EC2 tags that matter here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tags {
    /// `ecs-updater:claim`, parsed.
    pub claim: Option<Result<Claim, BadClaim>>,
    /// `ecs-updater:failed`.
    pub failed: FailedVersions,
    /// A person's wish to leave the instance alone.
    pub exclude: Option<Exclusion>,
    /// The keys that begin as ours do and mean nothing.
    #[serde(default)]
    pub unknown: Vec<String>,
    /// `ecs-updater:version-lock`: the lock to put back.
    pub saved_lock: Option<String>,
    /// `ecs-updater:last`: how its last update ended, where the tag can be read.
    #[serde(default)]
    pub last: Option<Last>,
    /// Those that `select` asks for, by their keys.
    #[serde(default)]
    pub asked_for: BTreeMap<String, String>,
    /// How many others it has that count toward [`Tags::MOST`].
    #[serde(default)]
    pub others: usize,
}

impl Tags {
    /// The most an instance can have, without those whose keys begin with `aws:` (EC2 user guide, "Tag restrictions").
    pub const MOST: usize = 50;
    /// Those that this program may have to write: claim, last, failed, version-lock.
    pub const OURS: usize = 4;

    /// Whether there is room for all that this program may have to write.
    pub fn have_room(&self) -> bool {
        self.others + Self::OURS <= Self::MOST
    }
}

/// A tag `ecs-updater:exclude`, or one that is a slip of the pen away from it, with another value than `false`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusion {
    pub tag: String,
    /// The tag's value.
    pub note: String,
}

impl Exclusion {
    /// Returns the reason to leave the instance alone.
    pub fn hold(&self) -> HoldReason {
        let Self { tag, note } = self.clone();
        let tag = if tag == EXCLUDE_TAG { tag } else { format!("{tag}, which is taken for {EXCLUDE_TAG},") };
        HoldReason::Excluded { tag, note }
    }
}

/// Whether the way to the host is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reachability {
    /// When it was asked.
    pub at: Timestamp,
    /// Why no command would be accepted; `None` where one would.
    pub unreachable_because: Option<String>,
}

/// A report of the host bridge, as it stands in the attributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenBridge {
    /// When this run first saw this report. The report stays until replaced; it is only valid for the moment it was made.
    pub since: Timestamp,
    pub report: BridgeReport,
}

impl SeenBridge {
    /// What it says of this claim.
    pub fn handled(&self, claim: &Claim) -> Option<&Handled> {
        self.report.handled.as_ref().filter(|handled| handled.is_of(claim))
    }
}

/// The newest report of an instance, if it was asked for after `since`.
pub fn report_since(instance: &Instance, since: Timestamp) -> Option<&HostReport> {
    instance.report.as_ref().filter(|seen| seen.asked_at >= since).map(|seen| &seen.report)
}
