//! A container instance: what ECS knows of a machine.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::actor::Actor;
use super::ids::{ClusterNo, MachineNo, TaskNo};

/// A container instance.
#[derive(Debug, Clone)]
pub struct Registration {
    pub arn: String,
    /// The machine below.
    pub machine: MachineNo,
    pub cluster: ClusterNo,
    pub status: InstanceStatus,
    /// `agentConnected`, as ECS sees it: late, and never for a quick reboot (docs/facts/ecs.md#container-instances).
    pub connected: bool,
    /// Counts the changes of the connection, so that a late notice of an earlier loss does nothing.
    pub(super) connection_epoch: u32,
    /// When it registered.
    pub registered_at: Timestamp,
    /// When it became INACTIVE.
    pub inactive_since: Option<Timestamp>,
    /// Attributes; some have no value.
    pub attributes: BTreeMap<String, Option<String>>,
    /// Names of the attributes that were put by a caller, not registered by the agent.
    pub custom_attributes: BTreeSet<String>,
    /// Tags of the container instance.
    pub tags: BTreeMap<String, String>,
    /// What the instance has for tasks.
    pub capacity: Resources,
    /// What its tasks take.
    pub used: Resources,
    /// Tasks on it that are not STOPPED.
    pub tasks: BTreeSet<TaskNo>,
    /// STOPPED tasks, oldest first, while they are visible.
    pub stopped: Vec<TaskNo>,
    /// Counts the changes, as ECS's `version`.
    pub version: u64,
    /// Who made it DRAINING, while it is.
    pub drained_by: Option<Actor>,
    /// Status and connection before each change, where listings may show old ones.
    pub(super) before: Vec<(Timestamp, InstanceStatus, bool)>,
    /// A person drained it while there was no claim that takes it out of service.
    pub foreign_drain: bool,
}

/// Status of a container instance. REGISTERING and its failure, and DEREGISTERING, are not modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstanceStatus {
    /// Takes tasks.
    Active,
    /// Takes none, and gives its service tasks away.
    Draining,
    /// Deregistered; visible for a while to those who know the ARN.
    Inactive,
}

impl InstanceStatus {
    /// ECS's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Inactive => "INACTIVE",
        }
    }
}

/// CPU, memory and ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU units; 1,024 are a core.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// TCP ports of the host.
    pub ports: BTreeSet<u16>,
}

/// Ports that the agent reserves on every instance (ECS developer guide, `RegisterContainerInstance`).
pub const RESERVED_PORTS: [u16; 5] = [22, 2375, 2376, 51678, 51679];

impl Registration {
    /// Whether the scheduler may put tasks here.
    pub fn takes_tasks(&self) -> bool {
        self.status == InstanceStatus::Active && self.connected
    }

    /// Whether a task of this size fits beside the others.
    pub fn fits(&self, cpu: u32, memory: u32, port: Option<u16>) -> bool {
        self.used.cpu + cpu <= self.capacity.cpu
            && self.used.memory + memory <= self.capacity.memory
            && port.is_none_or(|port| !self.used.ports.contains(&port) && !RESERVED_PORTS.contains(&port))
    }
}
