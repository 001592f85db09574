//! What EC2 tags have in common, whatever they say: one refused write does not spoil its batch, and what was refused may
//! be done in part.

use std::collections::BTreeMap;

use models::fleet::Tags;
use models::ids::HostId;

use super::Actor;
use crate::aws::halving::Parts;
use crate::observe::{merge_tags, read_tags};

/// The instances that a call for many was not carried out for.
#[derive(Debug, Default)]
pub(super) struct NotDone {
    pub(super) hosts: Vec<HostId>,
    /// Of these, the ones for which AWS said no.
    pub(super) refused: Vec<HostId>,
}

impl Actor<'_> {
    /// Records for whom a call was not carried out, and returns them.
    pub(super) fn record_not_done<A>(&mut self, parts: Parts<HostId, A>) -> NotDone {
        let mut not_done = NotDone::default();
        let others_done = !parts.done.is_empty();
        for (host, error) in parts.refused {
            self.refused_alone(&host, error, others_done);
            not_done.refused.push(host.clone());
            not_done.hosts.push(host);
        }
        if let Some((hosts, error)) = parts.failed {
            if error.kind.is_refusal() {
                not_done.refused.extend(hosts.iter().cloned());
            }
            self.failed(&hosts, error);
            not_done.hosts.extend(hosts);
        }
        not_done
    }

    /// Reads the tags of instances again on which a write was refused. Returns what EC2 shows; what that says of the write,
    /// the caller knows: the answer may also be older than it.
    pub(super) async fn read_tags_again(&mut self, hosts: &[HostId]) -> BTreeMap<HostId, Tags> {
        if hosts.is_empty() {
            return BTreeMap::new();
        }
        let machines = match self.aws.describe_instances(hosts).await {
            Ok(machines) => machines,
            Err(error) => {
                self.failed(&[], error);
                return BTreeMap::new();
            }
        };
        let now = self.now();
        let mut shown = BTreeMap::new();
        for host in hosts {
            let Some(machine) = machines.get(host) else { continue };
            let policy = self.policy;
            self.with_instance_mut(host, |instance| merge_tags(instance, machine, policy, now));
            shown.insert(host.clone(), read_tags(machine));
        }
        shown
    }
}
