//! A cluster, and which of its machines are out of service.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use models::cluster_tags::{SKIP_TAG, skipped};
use models::schedule::pause;
use semver::Version;

use super::actor::Actor;
use super::ids::{MachineNo, RegistrationNo, ServiceNo, TaskNo};
use crate::scenario::StrategyItem;

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    /// Its short name.
    pub name: String,
    pub arn: String,
    pub tags: BTreeMap<String, String>,
    /// Since when a tag pauses it.
    pub paused_since: Option<Timestamp>,
    /// The versions that a tag says to skip, each with the time since when.
    pub skips: BTreeMap<Version, Timestamp>,
    /// When a tag last ceased to skip a version.
    pub skips_lifted: BTreeMap<Version, Timestamp>,
    /// Its capacity providers of Auto Scaling groups.
    pub providers: BTreeSet<String>,
    /// Its default capacity provider strategy.
    pub default_strategy: Vec<StrategyItem>,
    /// Its container instances that are not INACTIVE.
    pub registrations: BTreeSet<RegistrationNo>,
    pub services: BTreeSet<ServiceNo>,
    /// Its tasks that are not STOPPED, or still visible.
    pub tasks: BTreeSet<TaskNo>,
    /// Machines that are out of service: DRAINING, or not ACTIVE and connected.
    pub out_of_service: BTreeMap<MachineNo, OutOfService>,
}

impl Cluster {
    /// Writes a tag, or deletes it.
    pub(super) fn tag(&mut self, key: &str, value: Option<&str>, now: Timestamp) {
        match value {
            Some(value) => drop(self.tags.insert(key.to_owned(), value.to_owned())),
            None => drop(self.tags.remove(key)),
        }
        if key == SKIP_TAG {
            let after = skipped(&self.tags);
            self.skips_lifted
                .extend(self.skips.keys().filter(|one| !after.contains(*one)).map(|one| (one.clone(), now)));
            self.skips = after.into_iter().map(|one| (one.clone(), *self.skips.get(&one).unwrap_or(&now))).collect();
        }
        self.paused_since = pause(&self.tags).map(|_| self.paused_since.unwrap_or(now));
    }
}

/// Since when a machine is out of service, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfService {
    /// Since when.
    pub since: Timestamp,
    /// Who began it.
    pub by: Actor,
}
