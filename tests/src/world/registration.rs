//! A container instance: what ECS knows of a machine.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::actor::Actor;
use super::ids::{ClusterNo, MachineNo, TaskNo};
use crate::scenario::TaskShape;

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

/// What an instance has for tasks, or what they take of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU units; 1,024 are a core.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory: u32,
    /// TCP ports of the host.
    pub ports: BTreeSet<u16>,
    /// The ids of GPUs.
    pub gpus: BTreeSet<String>,
    /// Network interfaces for tasks.
    pub interfaces: u32,
}

/// Ports that the agent reserves on every instance (ECS developer guide, `RegisterContainerInstance`).
pub const RESERVED_PORTS: [u16; 5] = [22, 2375, 2376, 51678, 51679];

impl Registration {
    /// Whether the scheduler may put tasks here.
    pub fn takes_tasks(&self) -> bool {
        self.status == InstanceStatus::Active && self.connected
    }

    /// Whether a task like this fits beside the others.
    pub fn fits(&self, shape: &TaskShape) -> bool {
        self.fits_but_for_devices(shape) && self.has_gpus_for(shape) && self.has_interface_for(shape)
    }

    /// Whether CPU, memory and ports are there for a task like this.
    pub fn fits_but_for_devices(&self, shape: &TaskShape) -> bool {
        let is_taken = |port| self.used.ports.contains(&port) || RESERVED_PORTS.contains(&port);
        self.used.cpu + shape.cpu <= self.capacity.cpu
            && self.used.memory + shape.memory <= self.capacity.memory
            && shape.host_port.is_none_or(|port| !is_taken(port))
    }

    /// Whether so many GPUs are free.
    pub fn has_gpus_for(&self, shape: &TaskShape) -> bool {
        self.free_gpus().count() >= usize::try_from(shape.gpus).unwrap_or(usize::MAX)
    }

    /// Whether an interface is left for a task like this. Those of tasks that stop are taken until the end
    /// (docs/facts/room.md#network-interfaces).
    pub fn has_interface_for(&self, shape: &TaskShape) -> bool {
        !shape.awsvpc || self.used.interfaces < self.capacity.interfaces
    }

    /// The GPUs that no task has.
    pub fn free_gpus(&self) -> impl Iterator<Item = &String> {
        self.capacity.gpus.difference(&self.used.gpus)
    }
}
