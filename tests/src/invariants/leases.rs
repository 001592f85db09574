//! Never two runs at once, by epoch: the run that took the lease last is the only one to write.

use std::collections::BTreeMap;

use models::claim::{CLAIM_TAG, Claim};
use models::ids::HostId;

use super::rule::{Rule, Violation};
use crate::world::{Actor, Attribute, CommandStep, Event, InstanceChange, Item, MachineNo, World};

/// How the keys of the summaries begin that runs leave beside their leases.
const SUMMARY: &str = "summary#";

/// Who holds the lease on each cluster.
#[derive(Debug, Clone, Default)]
pub(super) struct Leases {
    by_cluster: BTreeMap<String, Lease>,
    /// The epoch of each summary.
    summaries: BTreeMap<String, i128>,
}

/// Who took the lease on a cluster last.
#[derive(Debug, Clone)]
struct Lease {
    epoch: i128,
    holder: String,
    caller: u32,
}

impl Leases {
    /// Looks at something that has just happened; returns what it breaks.
    pub(super) fn see(&mut self, world: &World, event: &Event) -> Vec<Violation> {
        if let Event::Stored { key, item, caller, .. } = event {
            if key.starts_with(SUMMARY) {
                return self.summarized(world, key, item, *caller).into_iter().collect();
            }
            return self.take(world, key, item, *caller).into_iter().collect();
        }
        let Some((machine, what)) = written(event) else { return Vec::new() };
        let known = &world.machines()[machine];
        let Some(lease) = self.by_cluster.get(&world.clusters()[known.cluster].name) else { return Vec::new() };
        let broken = |detail| violation(world, known.id.as_str(), detail);
        let mut found = Vec::new();
        if lease.caller != world.caller {
            found.push(broken(format!("process {} {what}, and {} holds the lease", world.caller, lease.holder)));
        }
        if let Event::Tag { key, value: Some(value), .. } = event
            && key == CLAIM_TAG
            && let Ok(claim) = value.parse::<Claim>()
            && claim.epoch.map(|epoch| i128::from(epoch.number())) != Some(lease.epoch)
        {
            found.push(broken(format!("the claim {claim} does not have the lease's epoch {}", lease.epoch)));
        }
        found
    }

    /// The highest epoch of the cluster's lease so far; `None` where nobody took it.
    pub(super) fn epoch(&self, cluster: &str) -> Option<i128> {
        self.by_cluster.get(cluster).map(|lease| lease.epoch)
    }

    /// A summary is written by the run that has the lease, and never over that of a later one.
    fn summarized(&mut self, world: &World, key: &str, item: &Item, caller: u32) -> Option<Violation> {
        let Some(Attribute::Number(epoch)) = item.get("epoch") else { return None };
        let cluster = key.strip_prefix(SUMMARY)?;
        let before = self.summaries.insert(key.to_owned(), *epoch);
        let lease = self.by_cluster.get(cluster);
        let is_own = lease.is_some_and(|lease| *epoch < lease.epoch || lease.caller == caller);
        let right = is_own && before.is_none_or(|before| before <= *epoch);
        (!right).then(|| {
            violation(
                world,
                cluster,
                format!("a summary of epoch {epoch} over that of {before:?}, with the lease {lease:?}"),
            )
        })
    }

    fn take(&mut self, world: &World, cluster: &str, item: &Item, caller: u32) -> Option<Violation> {
        let (Some(Attribute::Text(holder)), Some(Attribute::Number(epoch))) = (item.get("holder"), item.get("epoch"))
        else {
            return None;
        };
        let taken = Lease { epoch: *epoch, holder: holder.clone(), caller };
        let right = match self.by_cluster.get(cluster) {
            None => true,
            Some(known) if known.holder == *holder => known.epoch == *epoch && known.caller == caller,
            Some(known) => known.epoch + 1 == *epoch,
        };
        let before = self.by_cluster.insert(cluster.to_owned(), taken.clone());
        (!right).then(|| violation(world, cluster, format!("the lease of {cluster} went to {taken:?} from {before:?}")))
    }
}

/// What the caller wrote on a machine, in words.
fn written(event: &Event) -> Option<(MachineNo, String)> {
    match event {
        Event::Instance { machine, change: InstanceChange::Status { to, by: Actor::Updater, .. } } => {
            Some((*machine, format!("set {}", to.name())))
        }
        Event::Tag { machine, key, value: None, by: Actor::Updater } => {
            Some((*machine, format!("deleted the tag {key}")))
        }
        Event::Tag { machine, key, value: Some(value), by: Actor::Updater } => {
            Some((*machine, format!("wrote the tag {key}={value}")))
        }
        Event::Command { machine, step: CommandStep::Sent { script, by: Actor::Updater }, .. } => {
            Some((*machine, format!("sent {script:?}")))
        }
        Event::Instance { .. } | Event::Tag { .. } | Event::Command { .. } | Event::Boot { .. } => None,
        Event::Task { .. } | Event::Host { .. } | Event::AgentActs { .. } | Event::Ec2State { .. } => None,
        Event::Hooked(_)
        | Event::Service { .. }
        | Event::Group { .. }
        | Event::Stored { .. }
        | Event::Scripted { .. } => None,
    }
}

fn violation(world: &World, instance: &str, detail: String) -> Violation {
    tracing::warn!(%instance, rule = ?Rule::SingleRun, detail, "an invariant was broken");
    Violation { at: world.now(), rule: Rule::SingleRun, instance: HostId::from(instance), detail }
}
