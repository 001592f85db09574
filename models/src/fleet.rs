//! One look at a cluster: everything the planner may know, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::attributes::{AttributesError, BridgeReport, Handled, Progress};
use crate::claim::{Claim, ClaimError, FailedVersions, Way};
use crate::host::{ErrorCode, HostReport, ReportedError, SeenReport};
use crate::ids::{BootId, ClusterName, ContainerInstanceArn, HostId, ImageId, ServiceName, TaskArn, ZoneName};
use crate::plan::{End, HostCommand};
use crate::policy::HostWay;
use crate::report::Verdict;

/// A cluster as it was at `taken_at`. Parts can be older: each carries its own time where that matters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FleetSnapshot {
    /// The cluster.
    pub cluster: ClusterName,
    /// When the look was complete.
    pub taken_at: Timestamp,
    /// Every container instance that is not INACTIVE, by the machine below it.
    pub instances: BTreeMap<HostId, Instance>,
    /// Container instances of the last full look that are not the present one of their machine.
    pub outdated_registrations: BTreeSet<ContainerInstanceArn>,
    /// The services that have a task on an instance whose tasks were looked at.
    pub services: BTreeMap<ServiceName, Service>,
}

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
    /// The attributes that placement constraints can name: all but the agent's capabilities and this program's own.
    #[serde(default)]
    pub attributes: Attributes,
    /// What the agent registered.
    pub registered: Resources,
    /// What is free of it.
    pub remaining: Resources,
    /// When ECS was asked for the fields above.
    pub seen_at: Timestamp,
    /// The EC2 side; `None` for a machine that EC2 does not know (any more).
    pub ec2: Option<Ec2>,
    /// Our tags, and the one that people set.
    pub tags: Tags,
    /// The tasks on it that have not stopped, `None` where nobody looked yet.
    pub tasks: Option<SeenTasks>,
    /// What its host bridge says, `None` where none has ever reported.
    pub bridge: Option<Result<Box<SeenBridge>, AttributesError>>,
    /// Whether a command would reach it, `None` where nobody asked yet.
    pub reach: Option<Reach>,
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

impl FleetSnapshot {
    /// The instances that are registered: of these a percentage is taken, and among these the ones out of service
    /// count. One that went away during the run is still in the snapshot, for the report.
    pub fn registered(&self) -> impl Iterator<Item = &Instance> + Clone {
        self.instances.values().filter(|instance| instance.is_registered())
    }

    /// How many instances are registered, and how many of these are out of service, whoever took them out.
    pub fn registered_and_out(&self) -> (usize, usize) {
        self.registered()
            .fold((0, 0), |(registered, out), instance| (registered + 1, out + usize::from(!instance.in_service())))
    }
}

impl Instance {
    /// Whether ECS has it as a container instance, as far as is known.
    pub fn is_registered(&self) -> bool {
        self.status != InstanceStatus::Inactive
    }

    /// ACTIVE with an agent: takes new tasks. Everything else counts against the budget.
    pub fn in_service(&self) -> bool {
        self.status == InstanceStatus::Active && self.agent_connected
    }

    /// The newest report of its host bridge that can be read, however old.
    pub fn heard_bridge(&self) -> Option<&SeenBridge> {
        self.bridge.as_ref()?.as_deref().ok()
    }

    /// The newest report of its host bridge, if the agent can be taken for alive.
    pub fn live_bridge(&self, now: Timestamp) -> Option<&SeenBridge> {
        self.heard_bridge().filter(|seen| seen.report.life.is_live(now))
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
    pub fn way(&self, wanted: HostWay, now: Timestamp) -> Way {
        match wanted {
            HostWay::Ssm => Way::Ssm,
            HostWay::Bridge => Way::Bridge,
            HostWay::Auto => self.run.way.unwrap_or_else(|| match self.live_bridge(now) {
                Some(_) => Way::Bridge,
                None => Way::Ssm,
            }),
        }
    }

    /// The claim, where it takes the instance out of service.
    pub fn out_of_service_claim(&self) -> Option<&Claim> {
        self.claim().filter(|claim| claim.step.takes_out_of_service())
    }

    /// The claim, where there is a well-formed one.
    pub fn claim(&self) -> Option<&Claim> {
        self.tags.claim.as_ref().and_then(|claim| claim.as_ref().ok())
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
    /// Registration failed.
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

/// CPU, memory and host ports of an instance, or what a task takes of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// CPU units, 1,024 a vCPU.
    pub cpu: i64,
    /// MiB.
    pub memory: i64,
    /// Host ports in use, TCP and UDP together; on a task, the static ones it binds.
    pub ports: Vec<u16>,
}

/// What EC2 says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ec2 {
    /// `running`, `stopped`, `shutting-down`, `terminated`, …
    pub state: SmolStr,
    /// Whether it is a Spot instance.
    pub spot: bool,
    /// Tag `aws:autoscaling:groupName`.
    pub auto_scaling_group: Option<String>,
    /// The image that it was launched from; an update in place changes nothing about it.
    pub image: Option<ImageId>,
    /// When it was launched or, after a stop, started.
    pub launched_at: Option<Timestamp>,
    /// The two status checks, where they were asked for; `ok` can still be the state from before a reboot.
    pub checks: Option<StatusChecks>,
}

impl Ec2 {
    /// Whether the machine is there at all.
    pub fn is_running(&self) -> bool {
        self.state == "running"
    }
}

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

/// The EC2 tags that matter here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tags {
    /// `ecs-updater:claim`, parsed.
    pub claim: Option<Result<Claim, BadClaim>>,
    /// `ecs-updater:failed`.
    pub failed: FailedVersions,
    /// `ecs-updater:exclude`, where it is there and not `false`.
    pub exclude: Option<String>,
    /// `ecs-updater:version-lock`: the lock to put back.
    pub saved_lock: Option<String>,
}

/// A claim tag that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadClaim {
    /// The tag's value.
    pub value: String,
    /// What is wrong with it.
    pub error: ClaimError,
}

impl BadClaim {
    /// Whether a program of this kind has written it, one of another version perhaps: it begins with `v` and a number.
    pub fn is_a_claim(&self) -> bool {
        let version = self.value.split('/').next().and_then(|first| first.strip_prefix('v'));
        version.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
    }
}

/// The tasks of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenTasks {
    /// When ECS was asked.
    pub at: Timestamp,
    /// Every task whose `lastStatus` is not STOPPED, whatever is desired of it.
    pub tasks: Vec<Task>,
}

/// One task that has not stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its ARN.
    pub arn: TaskArn,
    /// What it belongs to.
    pub group: TaskGroup,
    /// Whether it is stopping: its `desiredStatus` is STOPPED.
    pub stopping: bool,
    /// What it takes.
    pub needs: Resources,
    /// Scale-in protection: protected until then; `None` for an unprotected task.
    pub protected_until: Option<Timestamp>,
}

impl Task {
    /// The service that replaces it, if one does.
    pub fn service(&self) -> Option<&ServiceName> {
        match &self.group {
            TaskGroup::Service(name) => Some(name),
            TaskGroup::Other(_) => None,
        }
    }
}

/// `group` of a task, which ECS sets for services: `startedBy` can be set by anyone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum TaskGroup {
    /// `family:NAME` or anything else that is no service: nothing replaces the task.
    Other(String),
    /// `service:NAME`: the service replaces the task.
    Service(ServiceName),
}

impl From<String> for TaskGroup {
    fn from(group: String) -> Self {
        match group.strip_prefix("service:") {
            Some(name) => Self::Service(name.into()),
            None => Self::Other(group),
        }
    }
}

impl From<TaskGroup> for String {
    fn from(group: TaskGroup) -> Self {
        group.to_string()
    }
}

impl fmt::Display for TaskGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => write!(f, "service:{name}"),
            Self::Other(group) => f.write_str(group),
        }
    }
}

/// One service with a task on an instance of interest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// When ECS was asked.
    pub at: Timestamp,
    /// REPLICA or DAEMON.
    pub strategy: Strategy,
    /// Tasks wanted.
    pub desired: u32,
    /// Tasks running.
    pub running: u32,
    /// Tasks running and pending at the last full look: those that the instances' remaining resources know of.
    pub placed: u32,
    /// New tasks that a deployment in progress has still to place.
    pub deploying: u32,
    /// `minimumHealthyPercent`.
    pub minimum_healthy_percent: u32,
    /// `maximumPercent`.
    pub maximum_percent: u32,
    /// One task an instance at most (placement constraint `distinctInstance`).
    pub distinct_instance: bool,
    /// Where its tasks are, for a service with `distinct_instance`.
    pub on: BTreeSet<ContainerInstanceArn>,
    /// The expressions of its placement constraints `memberOf`.
    pub member_of: Vec<String>,
}

impl Service {
    /// The tasks that a drain leaves running: `minimumHealthyPercent` of the desired count, rounded up.
    pub fn least_running(&self) -> u64 {
        (u64::from(self.desired) * u64::from(self.minimum_healthy_percent)).div_ceil(100)
    }

    /// The tasks that a drain may have running at once: `maximumPercent` of the desired count, rounded down.
    pub fn most_running(&self) -> u64 {
        u64::from(self.desired) * u64::from(self.maximum_percent) / 100
    }
}

/// `schedulingStrategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Strategy {
    /// A number of tasks.
    Replica,
    /// One on each ACTIVE instance.
    Daemon,
}

/// Whether the way to the host is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// When it was asked.
    pub at: Timestamp,
    /// Why no command would be accepted; `None` where one would.
    pub closed: Option<String>,
}

/// A report of the host bridge, as it stands in the attributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenBridge {
    /// When this run first saw this report. The report stands until the next one, so that it says nothing about later
    /// times.
    pub since: Timestamp,
    /// The report.
    pub report: BridgeReport,
}

impl SeenBridge {
    /// What it says of this claim.
    pub fn handled(&self, claim: &Claim) -> Option<&Handled> {
        self.report.handled.as_ref().filter(|handled| handled.is_of(claim))
    }
}

/// A command that was sent to the host in this run and has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandInFlight {
    /// Which.
    pub command: HostCommand,
    /// When it was sent.
    pub sent_at: Timestamp,
}

/// How the newest command of this run on a host ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// Which.
    pub command: HostCommand,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When its end was seen.
    pub at: Timestamp,
    /// The end.
    pub end: VisitEnd,
}

/// The ends of a command on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum VisitEnd {
    /// It did all that it was asked to.
    Done,
    /// The host did not, and says why.
    Error(ReportedError),
    /// It never reached the host.
    NotDelivered {
        /// The way's own words.
        detail: String,
    },
    /// It reached the host; what became of it is unknown.
    Unsure {
        /// The way's own words.
        detail: String,
    },
    /// What came back is no report.
    Malformed {
        /// What is wrong with it.
        detail: String,
    },
}

/// What this run knows of its own acts. It paces and words things; safety never rests on it, since it dies with the
/// run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunMemory {
    /// The way by which the host was first reached.
    pub way: Option<Way>,
    /// When this run set it DRAINING.
    pub drained_at: Option<Timestamp>,
    /// How often this run staged on it.
    pub stages: u32,
    /// The boot of the newest report, and when this run first heard of it.
    pub boot: Option<SeenBoot>,
    /// The last write to its inactive set did not end well: the host's own status may call a version staged that is
    /// not what was written (docs/facts/host-api.md#trap-1 and #trap-2), so it is not believed until a write ends well.
    pub unwritten: bool,
    /// The reboot command that this run sent to it last.
    pub reboot: Option<Box<SentReboot>>,
    /// `since` of the claim `reboot` or `revert` that this run wrote first, and not another before it.
    pub began: Option<Timestamp>,
    /// How many boots of the host this run has claimed a reboot for.
    pub reboot_claims: u32,
    /// `since` of the claim `reboot` whose activation this run has undone, or tried to.
    pub undone: Option<Timestamp>,
    /// The reboot that this run has called off with the host's bridge, while it is not known to be off.
    pub called_off: Option<Box<CalledOff>>,
    /// How often this run undid an activation or put a lock back.
    pub cancels: u32,
    /// When this run wrote or removed one of its tags on it last. EC2's answers may be older than that for a while.
    pub tags_written_at: Option<Timestamp>,
    /// Standalone tasks that this run asked ECS to stop.
    pub stopped_tasks: Vec<TaskArn>,
    /// What went wrong on the way to the state it is in, kept for the report.
    pub trouble: Option<String>,
    /// The step that AWS refuses on it.
    pub refused: Option<Box<RefusedStep>>,
    /// The end that is being carried out; a part of it may have been refused so far.
    pub ending: Option<Box<End>>,
    /// Set once this run is done with it.
    pub verdict: Option<Box<Verdict>>,
}

/// A boot and when this run first heard of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenBoot {
    /// Which.
    pub id: BootId,
    /// Since when.
    pub at: Timestamp,
}

/// A step that AWS refuses on an instance, and nothing but that since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedStep {
    /// The name of the step that was refused last.
    pub step: SmolStr,
    /// When it was refused first.
    pub since: Timestamp,
    /// When it was refused last.
    pub at: Timestamp,
    /// AWS's own words.
    pub detail: String,
}

/// The newest reboot command of this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentReboot {
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When an earlier one was sent that may still reboot the host, or has; `None` where each is known to have done
    /// nothing.
    pub earlier: Option<Timestamp>,
    /// How it ended and when that was seen; `None` while it is under way. Its answer is often lost with the boot: then
    /// the end is [`VisitEnd::Unsure`].
    pub end: Option<(Timestamp, VisitEnd)>,
}

impl SentReboot {
    /// When a command was last sent that may have rebooted the host, or still may.
    pub fn may_act_since(&self) -> Option<Timestamp> {
        let did_nothing = self.end.as_ref().is_some_and(|(_, end)| end.did_nothing());
        if did_nothing { self.earlier } else { Some(self.sent_at) }
    }
}

impl VisitEnd {
    /// Whether the command is known to have done nothing that a reboot could come of: it never arrived, or the host refused
    /// and said so.
    pub fn did_nothing(&self) -> bool {
        match self {
            Self::NotDelivered { .. } => true,
            Self::Error(error) => error.code != ErrorCode::Unsure,
            Self::Done | Self::Unsure { .. } | Self::Malformed { .. } => false,
        }
    }
}

/// A claim that asked a host bridge for a reboot and was taken back. The bridge may not have seen that yet, and a reboot
/// that it has asked its host for cannot be stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalledOff {
    /// The claim.
    pub claim: Claim,
    /// When it was taken back.
    pub at: Timestamp,
}

/// The newest report of an instance, if it was asked for after `since`.
pub fn report_since(instance: &Instance, since: Timestamp) -> Option<&HostReport> {
    instance.report.as_ref().filter(|seen| seen.asked_at >= since).map(|seen| &seen.report)
}
