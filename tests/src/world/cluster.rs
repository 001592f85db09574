//! A cluster, and which of its machines are out of service.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::actor::Actor;
use super::ids::{MachineNo, RegistrationNo, ServiceNo, TaskNo};

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    /// Its short name.
    pub name: String,
    pub arn: String,
    pub tags: BTreeMap<String, String>,
    /// Since when a tag pauses it.
    pub paused_since: Option<Timestamp>,
    /// Its container instances that are not INACTIVE.
    pub registrations: BTreeSet<RegistrationNo>,
    pub services: BTreeSet<ServiceNo>,
    /// Its tasks that are not STOPPED, or still visible.
    pub tasks: BTreeSet<TaskNo>,
    /// Machines that are out of service: DRAINING, or not ACTIVE and connected.
    pub out_of_service: BTreeMap<MachineNo, OutOfService>,
}

/// Since when a machine is out of service, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfService {
    /// Since when.
    pub since: Timestamp,
    /// Who began it.
    pub by: Actor,
}
