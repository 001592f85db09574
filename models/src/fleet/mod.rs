//! One look at a cluster: everything the planner may know, and nothing else.

mod auto_scaling;
mod checks;
mod claimed;
mod health;
mod instance;
mod kinds;
mod lifecycle;
mod memory;
mod tasks;
mod visit;
mod word;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::hook::Asked;
use crate::ids::{ClusterName, ContainerInstanceArn, HostId, ServiceName};
use crate::release::{Release, ReleaseDate};

// Where the controller takes it from.
pub use crate::claim::BadClaim;
pub use auto_scaling::{AutoScaling, Emptied, GroupSize, HeldSize, ManagedScaling, SeenGroup};
pub use checks::StatusChecks;
pub use health::{Alarm, AlarmState, Health, Silence};
pub use instance::{
    Attributes, EVENTUAL_CONSISTENCY, Ec2, Exclusion, Instance, InstanceStatus, MachineState, Reachability, SeenBridge,
    Tags, report_since,
};
pub use kinds::{FreeInterfaces, RoomFacts, TASKS_KNOWN_FOR, TaskDefinition};
pub use lifecycle::{GROUPS_FRESH, GroupMember, Place, SeenLifecycle};
pub use memory::{
    CalledOff, DeniedCall, LastSeen, Naming, RefusedStep, RunMemory, SeenBoot, SeenClaim, SentReboot, ToldBoot,
};
pub use tasks::{Resources, SeenTasks, Service, Strategy, Task, TaskGroup};
pub use visit::{CommandInFlight, Visit, VisitEnd};

/// A cluster as it was at `taken_at`. Parts can be older: each carries its own time where that matters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FleetSnapshot {
    pub cluster: ClusterName,
    /// When the look was complete.
    pub taken_at: Timestamp,
    /// The note of a person's wish that nothing be begun, where the cluster is paused.
    #[serde(default)]
    pub pause: Option<String>,
    /// The versions that the cluster's tag says to skip.
    #[serde(default)]
    pub skipped: BTreeSet<Version>,
    /// What the SSM parameter that the target came from was found to say otherwise in the middle of the run, in words.
    #[serde(default)]
    pub unapproved: Option<String>,
    /// The releases whose age was asked for.
    #[serde(default)]
    pub releases: BTreeMap<Release, ReleaseDate>,
    /// Every container instance that is not INACTIVE, by the machine below it.
    pub instances: BTreeMap<HostId, Instance>,
    /// Container instances of the last full look that are not the present one of their machine.
    pub outdated_registrations: BTreeSet<ContainerInstanceArn>,
    /// Registrations that ECS lists and has never described to this run: whose they are is not known.
    #[serde(default)]
    pub unknown_registrations: BTreeSet<ContainerInstanceArn>,
    /// The services that have a task on an instance whose tasks were looked at.
    pub services: BTreeMap<ServiceName, Service>,
    /// What is known of the Auto Scaling groups of its instances.
    #[serde(default)]
    pub auto_scaling: AutoScaling,
    /// What is known of the kinds of room on its instances.
    #[serde(default)]
    pub room: RoomFacts,
    /// What is known of the health of what runs on it.
    #[serde(default)]
    pub health: Health,
    /// What the functions said that were asked about the run, before it and after it.
    #[serde(default)]
    pub hooks: RunHooks,
}

/// What the functions said that were asked about a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunHooks {
    pub before: Option<Asked>,
    pub after: Option<Asked>,
}

impl FleetSnapshot {
    /// Returns a cluster that nobody has looked at yet.
    pub fn nothing_seen(cluster: &ClusterName, now: Timestamp) -> Self {
        Self {
            cluster: cluster.clone(),
            taken_at: now,
            pause: None,
            skipped: BTreeSet::new(),
            unapproved: None,
            releases: BTreeMap::new(),
            instances: BTreeMap::new(),
            outdated_registrations: BTreeSet::new(),
            unknown_registrations: BTreeSet::new(),
            auto_scaling: Default::default(),
            room: Default::default(),
            health: Default::default(),
            hooks: Default::default(),
            services: BTreeMap::new(),
        }
    }

    /// The instances that are registered. One that went away during the run is still in the snapshot, for the report.
    pub fn registered(&self) -> impl Iterator<Item = &Instance> + Clone {
        self.instances.values().filter(|instance| instance.is_registered())
    }

    /// Whether EC2 Auto Scaling is asked about its instances: one of them is in a group, and that can be read.
    pub fn has_groups(&self) -> bool {
        let is_permitted = !self.auto_scaling.denied.contains_key(AutoScaling::INSTANCES);
        is_permitted && self.instances.values().any(|instance| instance.group_tag().is_some())
    }

    /// Notes that the services with tasks on an instance lose them there.
    pub fn note_moves(&mut self, host: &HostId, now: Timestamp) {
        let tasks = self.instances.get(host).and_then(|instance| instance.tasks.as_ref());
        let services = tasks.into_iter().flat_map(|seen| &seen.tasks).filter_map(Task::service);
        self.health.moved.extend(services.map(|name| (name.clone(), now)));
    }

    /// Returns how many instances count, and how many of these are out of service for any reason.
    pub fn counted_and_out(&self) -> (usize, usize) {
        let counted = self.instances.values().filter(|instance| instance.counts());
        counted.fold((0, 0), |(counted, out), instance| (counted + 1, out + usize::from(!instance.in_service())))
    }
}
