//! Tasks, their services, and what they take of an instance.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::ids::{ContainerInstanceArn, ServiceName, TaskArn};

/// What an instance has for tasks, or what a task takes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// CPU units, 1,024 a vCPU.
    pub cpu: i64,
    /// Memory in MiB.
    pub memory: i64,
    /// Host ports in use, TCP and UDP together; on a task, the static ones it binds.
    pub ports: Vec<u16>,
    /// Whole GPUs.
    #[serde(default)]
    pub gpus: i64,
    /// Network interfaces of a task's own (network mode `awsvpc`); of an instance ECS does not tell any.
    #[serde(default)]
    pub interfaces: i64,
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
    pub arn: TaskArn,
    /// What it belongs to.
    pub group: TaskGroup,
    /// Whether it is stopping: its `desiredStatus` is STOPPED.
    pub stopping: bool,
    /// The capacity provider that it was started by; `None` for one of a launch type.
    #[serde(default)]
    pub provider: Option<SmolStr>,
    /// What it takes.
    pub needs: Resources,
    /// Scale-in protection: protected until then; `None` for an unprotected task.
    pub protected_until: Option<Timestamp>,
    /// ECS did not describe it when it was asked last, so that whether it has stopped is not known. The rest is what it
    /// said before.
    #[serde(default)]
    pub undescribed: bool,
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
    /// Why a deployment of it has failed (`rolloutState` FAILED), in ECS's words.
    #[serde(default)]
    pub failed_deployment: Option<String>,
    /// `minimumHealthyPercent`.
    pub minimum_healthy_percent: u32,
    /// `maximumPercent`.
    pub maximum_percent: u32,
    /// One task an instance at most (placement constraint `distinctInstance`).
    pub distinct_instance: bool,
    /// Where its tasks are, for a service with `distinct_instance`.
    pub on: BTreeSet<ContainerInstanceArn>,
    /// The expressions of its placement constraints `memberOf`, and of its task definition's where that may be read.
    pub member_of: Vec<String>,
    /// The ARN of its newest task definition.
    #[serde(default)]
    pub definition: Option<SmolStr>,
    /// What a new task of it takes, where its task definition may be read.
    #[serde(default)]
    pub new_task: Option<Resources>,
    /// Whether ECS moves its tasks between zones by itself (`availabilityZoneRebalancing`).
    #[serde(default)]
    pub rebalances: bool,
    /// The capacity providers of its strategy; none where it has a launch type.
    #[serde(default)]
    pub providers: BTreeSet<SmolStr>,
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
