//! What an assertion may want to know of a host.

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::ids::HostId;

use crate::world::{Ec2State, InstanceStatus, LastStatus, MachineNo, World};

/// A host, and what AWS knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSnapshot {
    /// EC2 id.
    pub id: HostId,
    /// ARN of its container instance; empty where it has none.
    pub container_instance: String,
    /// Status of its container instance; INACTIVE where it has none.
    pub status: InstanceStatus,
    /// Its `agentConnected`.
    pub connected: bool,
    /// Whether a person drained it without a claim.
    pub foreign_drain: bool,
    /// EC2 state.
    pub state: Ec2State,
    /// EC2 tags.
    pub tags: BTreeMap<String, String>,
    /// The running version; the last one while it is down.
    pub version: semver::Version,
    /// The version on the other partition set.
    pub other_version: Option<semver::Version>,
    /// Whether the other set boots next.
    pub other_boots_next: bool,
    /// Its setting `updates.version-lock`.
    pub version_lock: String,
    /// The kernel's id of its boot.
    pub boot_id: String,
    /// Whether it is up.
    pub up: bool,
    /// Groups of the tasks on it that are not STOPPED, and what they do.
    pub tasks: Vec<(String, LastStatus)>,
}

impl HostSnapshot {
    /// Returns the host with this index in the scenario as it is now.
    pub(super) fn of(world: &World, index: usize, now: Timestamp) -> Option<Self> {
        let number = MachineNo(index);
        let machine = world.machines().get(number)?;
        let registration = world.registration_of(number);
        let tasks = registration.iter().flat_map(|registration| &registration.tasks).map(|task| {
            let task = &world.tasks()[*task];
            (task.group.clone(), task.last)
        });
        let disk = machine.host.disk();
        Some(Self {
            id: HostId::from(machine.id.as_str()),
            container_instance: registration.map(|known| known.arn.clone()).unwrap_or_default(),
            status: registration.map_or(InstanceStatus::Inactive, |known| known.status),
            connected: registration.is_some_and(|known| known.connected),
            foreign_drain: registration.is_some_and(|known| known.foreign_drain),
            state: machine.state,
            tags: machine.tags.clone(),
            version: machine.host.running_version().clone(),
            other_version: disk.inactive().image.as_ref().map(|image| image.version.clone()),
            other_boots_next: disk.next().is_some_and(|next| next != disk.active_index()),
            version_lock: machine.host.version_lock().to_owned(),
            boot_id: machine.host.boot_id().to_owned(),
            up: machine.host.is_up(now),
            tasks: tasks.collect(),
        })
    }
}
