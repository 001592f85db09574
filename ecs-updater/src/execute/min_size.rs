//! Holds `MinSize` of Auto Scaling groups while their instances are emptied, where a person asks for that (`hold_min_size`).

use std::collections::{BTreeMap, BTreeSet};

use models::fleet::HeldSize;
use models::ids::HostId;
use smol_str::SmolStr;

use super::Actor;
use crate::aws::{AwsError, Group};
use crate::planner::{Hold, Holder, hold_min_size};

impl Actor<'_> {
    /// Holds `MinSize` of the groups of these instances that managed scaling can shrink. Returns the instances that may be drained:
    /// those whose groups did not answer are not among them. Where a right is missing, or somebody else has changed `MinSize`, the run
    /// goes on as without the setting, and says so.
    pub(super) async fn hold_min_sizes(&mut self, mut hosts: Vec<HostId>) -> Vec<HostId> {
        let groups = self.groups_to_hold(&hosts);
        if groups.is_empty() {
            return hosts;
        }
        let names: BTreeSet<SmolStr> = groups.keys().cloned().collect();
        let told = self.aws.groups(&names).await;
        for (group, of) in groups {
            let held = match &told {
                Ok(told) => self.hold_min_size(&group, told.get(&group)).await,
                Err(error) => Err(error.clone()),
            };
            match held {
                Ok(()) => {}
                Err(error) if error.kind.is_refusal() => {
                    tracing::warn!(cluster = %self.fleet.cluster, %group, %error, "MinSize is not held");
                    self.fleet.auto_scaling.not_held.insert(group.clone(), error.to_string());
                }
                Err(error) => self.failed(&of, error),
            }
            // Where it is not held, the planner has to know before anything is drained.
            if !self.fleet.auto_scaling.held.contains_key(&group) {
                hosts.retain(|host| !of.contains(host));
            }
        }
        hosts
    }

    /// The groups whose `MinSize` is to be held and is not yet, with those of the instances that are in them.
    fn groups_to_hold(&self, hosts: &[HostId]) -> BTreeMap<SmolStr, Vec<HostId>> {
        let mut groups: BTreeMap<SmolStr, Vec<HostId>> = BTreeMap::new();
        let known = &self.fleet.auto_scaling;
        for host in hosts.iter().filter(|_| self.policy.hold_min_size) {
            let scaling = self.instance(host).and_then(|instance| known.scaling_of(instance));
            let Some(group) = scaling.map(|scaling| &scaling.group) else { continue };
            if !known.held.contains_key(group) && !known.not_held.contains_key(group) {
                groups.entry(group.clone()).or_default().push(host.clone());
            }
        }
        groups
    }

    async fn hold_min_size(&mut self, name: &SmolStr, told: Option<&Group>) -> Result<(), AwsError> {
        let by = Holder { run: self.author.run, alone: self.author.epoch.is_some(), now: self.now() };
        let Some((size, tag)) = told.and_then(|group| Some((group.size.clone()?, &group.tag))) else {
            let words = format!("EC2 Auto Scaling does not tell the size of group {name}");
            self.fleet.auto_scaling.not_held.insert(name.clone(), words);
            return Ok(());
        };
        let held = match hold_min_size(name, &size, tag, by) {
            Hold::NotNeeded => HeldSize { old: size.least, held: size.least },
            Hold::Foreign(words) => {
                tracing::warn!(cluster = %self.fleet.cluster, group = %name, "{words}");
                self.fleet.auto_scaling.not_held.insert(name.clone(), words);
                return Ok(());
            }
            Hold::Take { tag, raise } => {
                if !broken!(MinSizeNotTagged) {
                    self.aws.tag_group(name, &tag).await?;
                }
                if raise {
                    self.aws.set_min_size(name, tag.held).await?;
                }
                tracing::info!(cluster = %self.fleet.cluster, group = %name, old = tag.old, held = tag.held, "MinSize is held");
                HeldSize { old: tag.old, held: tag.held }
            }
        };
        let known = &mut self.fleet.auto_scaling;
        known.held.insert(name.clone(), held);
        known.note_held(name, held.held, None);
        if let Some(size) = known.groups.get_mut(name).and_then(|seen| seen.size.as_mut()) {
            size.least = held.held;
        }
        Ok(())
    }
}
