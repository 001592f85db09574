//! The last look, just before an instance is drained or rebooted. Whatever is found instead of what the planner saw goes
//! into the snapshot.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use models::claim::{Claim, ClaimStep};
use models::fleet::{Instance, InstanceStatus, SeenTasks};
use models::ids::{ContainerInstanceArn, GroupName, HostId};
use models::plan::Drain;
use models::time::after;

use super::Actor;
use super::claims::is_in_boot_of;
use crate::aws::AwsError;
use crate::aws::ecs::instances::Listed;
use crate::observe::{Connections, alarms, found_draining, merge_ec2, short_look};
use crate::planner::{
    Asked, Membership, closed_for_drains, drained_in_vain, membership, not_selected, policy_of, rests_on_alarms, tally,
};

/// For so long a full look is good for what it has read of the cluster.
const FRESH: SignedDuration = SignedDuration::from_secs(60);

impl Actor<'_> {
    /// Checks status, tags, budget, the windows, the pause and the selection as they are *now*. Returns the hosts that may be
    /// drained, at most as many as the budget has places for.
    pub(super) async fn clear_for_drain(&mut self, hosts: &[HostId], steps: &[(HostId, Drain)]) -> Vec<HostId> {
        // It may take long, so it comes before what must not be old.
        if steps.iter().any(|(_, drain)| rests_on_alarms(drain, self.fleet, self.policy)) {
            alarms::last_look(self.aws, self.fleet, self.policy, self.now()).await;
        }
        let planned: BTreeMap<HostId, Vec<GroupName>> =
            hosts.iter().map(|host| (host.clone(), self.groups_of(host))).collect();
        let Some(mut clear) = self.still_ours(hosts).await else { return Vec::new() };
        // Its turn, its release and its tasks were judged by the settings of another group.
        clear.retain(|host| planned.get(host).is_some_and(|planned| self.is_in_still(host, planned)));
        let cluster = &self.fleet.cluster;
        let draining = self.aws.list_container_instances(cluster, Listed::Draining).await;
        let lost = self.aws.list_container_instances(cluster, Listed::Disconnected);
        let (draining, lost, wishes) = match (draining, tokio::join!(lost, self.aws.wishes(cluster))) {
            (Ok(draining), (Ok(lost), Ok(wishes))) => (draining, lost, wishes),
            (Err(error), _) | (_, (Err(error), _) | (_, Err(error))) => {
                self.failed(hosts, error);
                return Vec::new();
            }
        };
        (self.fleet.pause, self.fleet.skipped) = (wishes.pause, wishes.skipped);
        let unknown = self.merge_listed(draining, lost);
        let (members, out) = self.fleet.counted_and_out();
        let budget = self.policy.max_unavailable.of(members) + usize::from(broken!(BudgetOffByOne));
        clear.retain(|host| self.instance(host).is_some_and(|one| one.in_service() && self.is_selected(one)));
        clear.truncate(budget.saturating_sub(out + unknown));
        self.keep_places_of_groups(&mut clear, unknown);
        // The looks may have taken long.
        let asked = Asked { outside_window: self.outside_window, finish: *self.finish.borrow() };
        let is_open = |host: &HostId| {
            let policy = self.instance(host).map_or(self.policy, |one| policy_of(one, self.policy));
            let Some(why) = closed_for_drains(self.fleet, policy, asked, self.now()) else { return true };
            tracing::info!(cluster = %self.fleet.cluster, %host, %why, "not drained after all");
            false
        };
        clear.retain(is_open);
        clear
    }

    /// The groups that an instance is in.
    fn groups_of(&self, host: &HostId) -> Vec<GroupName> {
        let member = self.instance(host).map(|one| membership(one, self.policy));
        member.into_iter().flat_map(Membership::groups).map(|group| group.name.clone()).collect()
    }

    /// Whether an instance is in no other group than when it was planned, by what this look has read.
    fn is_in_still(&self, host: &HostId, planned: &[GroupName]) -> bool {
        let found = self.groups_of(host);
        if found == planned {
            return true;
        }
        tracing::info!(%host, ?planned, ?found, "not drained after all: it is in another group");
        false
    }

    /// Leaves no more of each group than its own budget has places for. What is out of service and not known may be of any.
    fn keep_places_of_groups(&self, clear: &mut Vec<HostId>, unknown: usize) {
        for group in self.policy.groups.iter().filter(|_| !broken!(GroupBudgetIgnored)) {
            let Some(most) = group.max_unavailable else { continue };
            let tally = tally(self.fleet, group, |one| !one.in_service());
            let mut places = most.of(tally.members).saturating_sub(tally.out.len() + unknown);
            clear.retain(|host| {
                let is_member = self.groups_of(host).contains(&group.name);
                let is_free = !is_member || places > 0;
                places = places.saturating_sub(usize::from(is_member));
                is_free
            });
        }
    }

    /// Whether the version that an instance is to be drained for is still one that it may have, by what this look has read.
    pub(super) fn is_still_due(&self, host: &HostId, steps: &[(HostId, Drain)]) -> bool {
        let drain = steps.iter().find(|(of, _)| of == host).map(|(_, drain)| drain);
        let Some(why) = drain.and_then(|drain| drained_in_vain(drain, self.fleet, self.policy)) else { return true };
        tracing::info!(%host, %why, "not drained after all");
        false
    }

    /// Whether the instance is still one that a person has selected, and in one group at most, by what this look has read.
    fn is_selected(&self, instance: &Instance) -> bool {
        let of_groups = || membership(instance, self.policy).hold(instance);
        let Some(why) = not_selected(instance, self.policy, self.selection).or_else(of_groups) else { return true };
        tracing::info!(host = %instance.host, %why, "not drained after all");
        false
    }

    /// Records which instances ECS lists as DRAINING, and which as disconnected. Returns how many of them are unknown: one
    /// that has just registered, perhaps under another ARN, or that the last look missed.
    fn merge_listed(&mut self, draining: Vec<ContainerInstanceArn>, lost: Vec<ContainerInstanceArn>) -> usize {
        let news = |listed: Vec<ContainerInstanceArn>, known: fn(&Instance) -> bool| {
            let known = self.fleet.instances.values().filter(|instance| known(instance));
            let known: BTreeSet<&ContainerInstanceArn> = known.map(|instance| &instance.container_instance).collect();
            listed.into_iter().filter(|arn| !known.contains(arn)).collect::<BTreeSet<_>>()
        };
        let draining = news(draining, |instance| instance.status == InstanceStatus::Draining);
        let lost = news(lost, |instance| !instance.agent_connected && instance.is_registered());
        if draining.is_empty() && lost.is_empty() {
            return 0;
        }
        let outdated = &self.fleet.outdated_registrations;
        let mut unknown: BTreeSet<&ContainerInstanceArn> =
            draining.union(&lost).filter(|arn| !outdated.contains(*arn)).collect();
        for instance in self.fleet.instances.values_mut() {
            // One that the last look has missed is there all the same.
            if draining.contains(&instance.container_instance) {
                found_draining(instance);
            }
            if lost.contains(&instance.container_instance) {
                instance.agent_connected = false;
            }
            if instance.is_registered() {
                unknown.remove(&instance.container_instance);
            }
        }
        unknown.len()
    }

    /// Checks that DRAINING still stands, the claim is still ours, and no task is left, not even one that is stopping.
    /// Returns the hosts that may be rebooted.
    pub(super) async fn clear_for_reboot(&mut self, hosts: &[HostId]) -> Vec<HostId> {
        let Some(mut clear) = self.still_ours(hosts).await else { return Vec::new() };
        self.drain_again(&mut clear).await;
        if clear.is_empty() {
            return clear;
        }
        if !self.skips_stand(&clear).await {
            return Vec::new();
        }
        let looks = match self.tasks_of(&clear).await {
            Ok(looks) => looks,
            Err(error) => {
                self.failed(&clear, error);
                return Vec::new();
            }
        };
        let at = self.now();
        let mut empty = Vec::new();
        for (host, mut tasks) in looks {
            let counted = self.instance(&host).map_or(0, |instance| instance.running_tasks);
            if self.instance(&host).is_some_and(|instance| instance.is_empty_by_its_own_word(self.policy, at)) {
                tasks.retain(|task| !task.undescribed);
            }
            if broken!(NoLookBeforeReboot) || (broken!(DrainedByCount) && counted == 0) {
                tasks.clear();
            }
            if tasks.is_empty() {
                empty.push(host.clone());
            }
            self.record_remaining_tasks(&host, SeenTasks { at, tasks });
        }
        empty
    }

    /// Whether the same releases are skipped in the cluster as when the whole of it was looked at last, where that was a
    /// while ago. Otherwise what has been decided since is decided again.
    async fn skips_stand(&mut self, hosts: &[HostId]) -> bool {
        if self.now() < after(self.fleet.taken_at, FRESH) {
            return true;
        }
        match self.aws.wishes(&self.fleet.cluster).await {
            Ok(wishes) => {
                let stand = self.fleet.skipped == wishes.skipped;
                (self.fleet.pause, self.fleet.skipped) = (wishes.pause, wishes.skipped);
                stand
            }
            Err(error) => {
                self.failed(hosts, error);
                false
            }
        }
    }

    /// Drains instances again that came up ACTIVE on their way back to the old version, and leaves only DRAINING ones in
    /// `clear`: whether DRAINING survives a re-registration is not documented.
    async fn drain_again(&mut self, clear: &mut Vec<HostId>) {
        let active: Vec<HostId> = clear
            .iter()
            .filter(|host| {
                self.instance(host).is_some_and(|instance| {
                    instance.status == InstanceStatus::Active
                        && instance.claim().is_some_and(|claim| self.is_on_its_way_back(instance, claim))
                })
            })
            .cloned()
            .collect();
        if !active.is_empty() {
            self.set_status(&active, InstanceStatus::Draining).await;
        }
        clear.retain(|host| self.instance(host).is_some_and(|i| i.status == InstanceStatus::Draining));
    }

    /// Whether the instance has rebooted for its claim already, or goes back to the old version.
    fn is_on_its_way_back(&self, instance: &Instance, claim: &Claim) -> bool {
        claim.step == ClaimStep::Revert || (claim.step == ClaimStep::Reboot && !is_in_boot_of(instance, claim))
    }

    /// Reads status, tags and what their groups do again; returns the hosts whose claim is as it was and that no group takes
    /// away. `None` when AWS did not answer, or when
    /// a claim on one of them says that a later run has taken over.
    async fn still_ours(&mut self, hosts: &[HostId]) -> Option<Vec<HostId>> {
        let before: BTreeMap<HostId, Option<Claim>> =
            hosts.iter().filter_map(|host| Some((host.clone(), self.instance(host)?.claim().cloned()))).collect();
        let now = self.now();
        let asked = hosts.iter().cloned().collect();
        let asked = (&asked, Connections::OfThese);
        let missed = match short_look(self.aws, self.fleet, asked, self.policy, now).await {
            Ok(missed) => missed,
            Err(error) => {
                self.failed(hosts, error);
                return None;
            }
        };
        let machines = match self.aws.describe_instances(hosts).await {
            Ok(machines) => machines,
            Err(error) => {
                self.failed(hosts, error);
                return None;
            }
        };
        for host in hosts {
            let policy = self.policy;
            self.with_instance_mut(host, |instance| merge_ec2(instance, &machines, policy, now));
        }
        if self.is_lease_in_doubt() {
            return None;
        }
        if !missed.is_empty() {
            // What was known of them is no last look.
            self.failed(&Vec::from_iter(missed.iter().cloned()), AwsError::not_described());
        }
        let same = |host: &&HostId| {
            if missed.contains(*host) {
                return false;
            }
            if broken!(NoLookAtTags) {
                return true;
            }
            self.instance(host).is_some_and(|instance| {
                if instance.left_out_since.is_some() || instance.is_dead() || instance.is_off() {
                    return false;
                }
                // Once the reboot is claimed, stopping halfway would be worse than going on.
                let begun = instance.claim().is_some_and(|claim| !claim.boots.is_empty());
                (begun || instance.tags.exclude.is_none() || broken!(ExclusionIgnored))
                    && (!matches!(instance.tags.claim, Some(Err(_))) || broken!(MalformedClaimOverwritten))
                    && before.get(*host).is_some_and(|claim| claim.as_ref() == instance.claim())
            })
        };
        let same: Vec<HostId> = hosts.iter().filter(same).cloned().collect();
        Some(self.kept_by_groups(&same).await)
    }
}
