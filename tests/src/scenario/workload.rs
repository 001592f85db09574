//! `[[service]]` and `[[task]]`: what runs on a cluster.

use jiff::SignedDuration;
use serde::Deserialize;

use super::providers::StrategyItem;
use super::shape::{ServiceKind, TaskShape};
use super::size::Mib;

/// `[[service]]`: tasks that are kept running.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    pub name: String,
    /// Its cluster; may be missing where there is one only.
    pub cluster: Option<String>,
    /// `REPLICA` or `DAEMON`.
    #[serde(default = "replica")]
    pub kind: ServiceKind,
    /// Desired count of a REPLICA service.
    #[serde(default = "one")]
    pub desired: u32,
    /// `minimumHealthyPercent`; 100 for REPLICA, 0 for DAEMON where it is missing.
    pub min_percent: Option<u32>,
    /// `maximumPercent`; 200 for REPLICA, 100 for DAEMON where it is missing.
    pub max_percent: Option<u32>,
    /// Family of the task definition; the service's name where it is missing.
    pub family: Option<String>,
    /// CPU units of a task.
    pub cpu: Option<u32>,
    /// Memory of a task.
    pub memory: Option<Mib>,
    /// A fixed port on the host.
    pub host_port: Option<u16>,
    /// GPUs of a task.
    #[serde(default)]
    pub gpus: u32,
    /// Whether each task has a network interface of its own (network mode `awsvpc`).
    #[serde(default)]
    pub awsvpc: bool,
    /// From PENDING to RUNNING.
    pub start_delay: Option<SignedDuration>,
    /// From RUNNING to healthy.
    pub health_delay: Option<SignedDuration>,
    /// How long a load balancer lets connections end.
    pub deregistration_delay: Option<SignedDuration>,
    /// How long the containers take to stop.
    pub stop_time: Option<SignedDuration>,
    /// When they are killed.
    pub stop_timeout: Option<SignedDuration>,
    /// At most one task on an instance.
    #[serde(default)]
    pub distinct_instance: bool,
    /// Placement constraint `memberOf`, in the cluster query language.
    pub member_of: Option<String>,
    /// The same of its task definition.
    pub definition_member_of: Option<String>,
    /// Whether its deployment circuit breaker rolls a deployment back.
    #[serde(default)]
    pub circuit_breaker: bool,
    /// `availabilityZoneRebalancing`.
    #[serde(default)]
    pub zone_rebalancing: bool,
    /// Its capacity provider strategy; that of the cluster where it is missing. An empty one is the launch type EC2.
    pub strategy: Option<Vec<StrategyItem>>,
    /// So many of its tasks have scale-in protection for …
    #[serde(default)]
    pub protected: u32,
    /// … so long, from the start.
    pub protected_for: Option<SignedDuration>,
}

/// `[[task]]`: standalone tasks, which no service replaces.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Family of the task definition; the group is `family:NAME`.
    pub family: String,
    /// On which host, by index.
    pub host: usize,
    /// How many.
    #[serde(default = "one")]
    pub count: u32,
    /// CPU units.
    pub cpu: Option<u32>,
    /// Memory of the task.
    pub memory: Option<Mib>,
    /// When it ends by itself, since the start; never where it is missing.
    pub ends_at: Option<SignedDuration>,
    /// `startedBy`, which anybody may set to anything.
    pub started_by: Option<String>,
    /// The group, where the caller named one.
    pub group: Option<String>,
    /// Whether it was started by a capacity provider strategy, which chose the provider of its host; as the cluster's default
    /// where it is missing.
    pub strategy: Option<bool>,
    /// How long the containers take to stop.
    pub stop_time: Option<SignedDuration>,
    /// When they are killed.
    pub stop_timeout: Option<SignedDuration>,
}

fn replica() -> ServiceKind {
    ServiceKind::Replica
}

fn one() -> u32 {
    1
}

impl ServiceSpec {
    /// What its tasks are like.
    pub fn shape(&self) -> TaskShape {
        let usual = TaskShape::default();
        TaskShape {
            cpu: self.cpu.unwrap_or(usual.cpu),
            memory: self.memory.map_or(usual.memory, |memory| memory.0),
            host_port: self.host_port,
            gpus: self.gpus,
            awsvpc: self.awsvpc,
            start_delay: self.start_delay.unwrap_or(usual.start_delay),
            health_delay: self.health_delay.unwrap_or(usual.health_delay),
            deregistration_delay: self.deregistration_delay.unwrap_or(usual.deregistration_delay),
            stop_time: self.stop_time.unwrap_or(usual.stop_time),
            stop_timeout: self.stop_timeout.unwrap_or(usual.stop_timeout),
        }
    }
}

impl TaskSpec {
    /// What the task is like.
    pub fn shape(&self) -> TaskShape {
        let usual = TaskShape::default();
        TaskShape {
            cpu: self.cpu.unwrap_or(usual.cpu),
            memory: self.memory.map_or(usual.memory, |memory| memory.0),
            stop_time: self.stop_time.unwrap_or(usual.stop_time),
            stop_timeout: self.stop_timeout.unwrap_or(usual.stop_timeout),
            ..usual
        }
    }
}
