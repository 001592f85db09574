//! How the hosts are at the end.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::host::HostEvent;
use crate::world::{Ec2State, Event, MachineNo};
use crate::{HostSnapshot, Region};

/// The tags of the updater begin so.
const OURS: &str = "ecs-updater";

/// A host at the end.
#[derive(Debug, Serialize)]
pub(super) struct HostState {
    /// Its place in the scenario, behind those of the beginning for one that was launched since.
    index: usize,
    instance: String,
    /// What runs; the last one while it is down.
    version: String,
    /// What boots next, where that is the other partition set.
    boots_next: Option<String>,
    version_lock: String,
    up: bool,
    boot_id: String,
    /// How often it has booted since the start.
    boots: usize,
    ec2_state: &'static str,
    ecs_status: &'static str,
    agent_connected: bool,
    /// A person has drained it.
    drained_by_a_person: bool,
    /// The updater's.
    tags: BTreeMap<String, String>,
    /// Those that are not STOPPED, by group and status.
    tasks: Vec<Tasks>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Tasks {
    group: String,
    status: &'static str,
    count: usize,
}

/// All hosts, those that were launched on the way included.
pub(super) fn all(region: &Region) -> Vec<HostState> {
    let mut boots: BTreeMap<MachineNo, usize> = BTreeMap::new();
    for entry in region.log() {
        if let Event::Host { machine, event: HostEvent::Booted { .. } } = entry.event {
            *boots.entry(machine).or_default() += 1;
        }
    }
    let snapshots = (0..).map_while(|index| Some((index, region.snapshot_of(index)?)));
    snapshots.map(|(index, host)| HostState::of(index, host, boots.get(&MachineNo(index)).copied())).collect()
}

impl HostState {
    fn of(index: usize, host: HostSnapshot, boots: Option<usize>) -> Self {
        let mut tasks: BTreeMap<(String, &'static str), usize> = BTreeMap::new();
        for (group, status) in host.tasks {
            *tasks.entry((group, status.name())).or_default() += 1;
        }
        Self {
            index,
            instance: host.id.to_string(),
            version: host.version.to_string(),
            boots_next: host.other_version.filter(|_| host.other_boots_next).map(|version| version.to_string()),
            version_lock: host.version_lock,
            up: host.up,
            boot_id: host.boot_id,
            boots: boots.unwrap_or(0),
            ec2_state: host.state.name(),
            ecs_status: host.status.name(),
            agent_connected: host.connected,
            drained_by_a_person: host.foreign_drain,
            tags: host.tags.into_iter().filter(|(key, _)| key.starts_with(OURS)).collect(),
            tasks: tasks.into_iter().map(|((group, status), count)| Tasks { group, status, count }).collect(),
        }
    }
}

/// What is out of the ordinary, and only that, stands between the status and the boot.
impl fmt::Display for HostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, instance, version, ecs_status, version_lock, boots, .. } = self;
        write!(f, "host {index}, {instance}: {version}, {ecs_status}")?;
        if self.drained_by_a_person {
            f.write_str(" by a person")?;
        }
        let ec2_state = self.ec2_state;
        if ec2_state != Ec2State::Running.name() {
            write!(f, ", EC2 {ec2_state}")?;
        }
        if !self.agent_connected {
            f.write_str(", agent not connected")?;
        }
        if !self.up {
            f.write_str(", down")?;
        }
        if let Some(next) = &self.boots_next {
            write!(f, ", boots {next} next")?;
        }
        let boot = self.boot_id.get(..8).unwrap_or(&self.boot_id);
        write!(f, ", boot {boot} ({boots} since the start), version-lock {version_lock}")?;
        for (key, value) in &self.tags {
            write!(f, "\n    tag {key} = {value}")?;
        }
        for Tasks { group, status, count } in &self.tasks {
            write!(f, "\n    {count} {status} of {group}")?;
        }
        Ok(())
    }
}
