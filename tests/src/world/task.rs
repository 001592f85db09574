//! A task, and the steps of its life.

use jiff::Timestamp;

use super::ids::{ClusterNo, RegistrationNo, ServiceNo};
use crate::scenario::TaskShape;

/// A task.
#[derive(Debug, Clone)]
pub struct Task {
    pub arn: String,
    pub cluster: ClusterNo,
    /// Where it runs.
    pub registration: RegistrationNo,
    /// `service:NAME`, or `family:NAME` for a standalone one.
    pub group: String,
    /// The capacity provider that a strategy chose for it.
    pub provider: Option<String>,
    /// Family of the task definition.
    pub family: String,
    /// Its service, where it has one.
    pub service: Option<ServiceNo>,
    /// Which deployment of its service started it.
    pub(super) deployment: u32,
    /// What the caller has set as `startedBy`.
    pub started_by: Option<String>,
    /// What it should do.
    pub desired: Desired,
    /// What it does, as ECS sees it.
    pub last: LastStatus,
    /// Counts the steps of its life, so that a step that was scheduled before a change does nothing.
    pub(super) epoch: u32,
    /// The agent on its host has heard of it. Before that nothing of it is there.
    pub heard_of: bool,
    /// The host rebooted under it: it is dead, and ECS will know when the agent is back.
    pub killed: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it became RUNNING.
    pub started_at: Option<Timestamp>,
    /// When it is, or was, healthy.
    pub healthy_at: Option<Timestamp>,
    /// When it was told to stop.
    pub stopping_at: Option<Timestamp>,
    /// When it was STOPPED.
    pub stopped_at: Option<Timestamp>,
    /// Why it stopped.
    pub stopped_reason: Option<String>,
    /// ECS's code of why it stopped.
    pub stop_code: Option<&'static str>,
    /// Task scale-in protection, and until when.
    pub protected_until: Option<Timestamp>,
    /// What it is made of and how it behaves.
    pub shape: TaskShape,
    /// The GPUs that it has.
    pub gpu_ids: Vec<String>,
}

/// What a task should do: its `desiredStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Desired {
    /// It should run.
    Running,
    /// It should not.
    Stopped,
}

impl Desired {
    /// ECS's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// `lastStatus`. PROVISIONING and ACTIVATING pass too quickly to be modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LastStatus {
    /// Pulled and created.
    Pending,
    /// Its containers run.
    Running,
    /// Its load balancer lets go of it.
    Deactivating,
    /// Its containers stop.
    Stopping,
    /// Its network interface is taken away.
    Deprovisioning,
    /// Nothing of it is left.
    Stopped,
}

impl LastStatus {
    /// ECS's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

impl Task {
    /// Which deployment of its service started it.
    pub fn deployment(&self) -> u32 {
        self.deployment
    }

    /// Whether ECS takes it for healthy.
    pub fn is_healthy(&self, now: Timestamp) -> bool {
        self.desired == Desired::Running
            && self.last == LastStatus::Running
            && self.healthy_at.is_some_and(|at| at <= now)
    }

    /// Whether it is protected from scale-in.
    pub fn is_protected(&self, now: Timestamp) -> bool {
        self.protected_until.is_some_and(|until| now < until)
    }

    /// `version`: counts its steps.
    pub fn task_version(&self) -> u32 {
        self.epoch + 1
    }

    /// Family and revision, as ECS writes them.
    pub fn definition_arn(&self, region: &str, account: &str) -> String {
        format!("arn:aws:ecs:{region}:{account}:task-definition/{}:{}", self.family, self.deployment + 1)
    }
}
