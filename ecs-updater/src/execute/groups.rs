//! What EC2 Auto Scaling does with instances: asked before their turn, and again just before they are drained, rebooted or set
//! ACTIVE. A group ends an instance whatever is done with it, and ECS drains it for that.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use models::fleet::{AutoScaling, GROUPS_FRESH, Instance, SeenGroup, SeenLifecycle};
use models::ids::HostId;
use models::time::after;
use smol_str::SmolStr;

use super::Actor;
use crate::aws::AwsError;
use crate::aws::auto_scaling::{Group, MOST_NAMED};

/// How old the answer may be by which an instance is drained, rebooted or set ACTIVE: one call is for all whose turn comes in
/// this moment.
const LAST_LOOK_FRESH: SignedDuration = SignedDuration::from_secs(4);

impl Actor<'_> {
    /// Looks at where instances are in their groups, and at these groups, as far as that is not known well enough. Returns the
    /// instances whose place is not known after it.
    pub(super) async fn look_at_groups(&mut self, hosts: &[HostId]) -> BTreeSet<HostId> {
        let now = self.now();
        let is_due = |host: &&HostId| {
            self.instance(host).is_some_and(|one| one.auto_scaling.as_ref().is_none_or(|seen| !seen.is_fresh(now)))
        };
        let due: Vec<HostId> = hosts.iter().filter(is_due).cloned().collect();
        let mut unanswered = self.ask_where_they_are(&due).await;
        let known = &self.fleet.auto_scaling;
        let is_stale = |name: &SmolStr| known.groups.get(name).is_none_or(|group| !group.is_fresh(now));
        let in_groups = hosts.iter().filter_map(|host| Some((host, self.instance(host)?.member()?.group.clone())));
        let in_stale: Vec<(HostId, SmolStr)> =
            in_groups.filter(|(_, group)| is_stale(group)).map(|(host, group)| (host.clone(), group)).collect();
        if in_stale.is_empty() || known.knows_nothing_of_groups() {
            return unanswered;
        }
        let names = in_stale.iter().map(|(_, group)| group.clone()).collect();
        if let Err(error) = self.ask_about_groups(names).await {
            let hosts: Vec<HostId> = in_stale.into_iter().map(|(host, _)| host).collect();
            self.failed(&hosts, error);
            unanswered.extend(hosts);
        }
        unanswered
    }

    /// Looks at the groups of instances in service whose tasks are to be looked at. Returns those that still need that: not the
    /// ones whose groups did not answer, nor those whose tasks are known and that waited for their groups alone.
    pub(super) async fn look_at_their_groups(&mut self, mut hosts: Vec<HostId>) -> Vec<HostId> {
        if !self.fleet.has_groups() {
            return hosts;
        }
        let now = self.now();
        let waited = |host: &&HostId| {
            let known = |instance: &Instance| self.fleet.auto_scaling.knows(instance, now);
            self.instance(host).is_some_and(|instance| instance.tasks.is_some() && !known(instance))
        };
        let waited: BTreeSet<HostId> = hosts.iter().filter(waited).cloned().collect();
        let unanswered = self.look_at_groups(&hosts).await;
        for host in waited.difference(&unanswered) {
            self.succeeded(host);
        }
        hosts.retain(|host| !unanswered.contains(host) && !waited.contains(host));
        hosts
    }

    /// Takes the last look at their groups. Returns the instances that none of them is taking away; those whose groups did not
    /// answer are not among them.
    pub(super) async fn kept_by_groups(&mut self, hosts: &[HostId]) -> Vec<HostId> {
        if broken!(GroupsIgnored) {
            return hosts.to_vec();
        }
        let now = self.now();
        let is_due = |instance: &Instance| {
            instance.auto_scaling.as_ref().is_none_or(|seen| {
                let good_for = if seen.member.is_none() { GROUPS_FRESH } else { LAST_LOOK_FRESH };
                now >= after(seen.at, good_for)
            })
        };
        let due = hosts.iter().filter_map(|host| self.instance(host)).filter(|one| is_due(one));
        let mut due: Vec<HostId> = due.map(|instance| instance.host.clone()).collect();
        if !due.is_empty() {
            // What else is out of service is looked at soon: it costs nothing to ask about it in the same call.
            let free = due.len().next_multiple_of(MOST_NAMED) - due.len();
            let out = self.fleet.instances.values().filter(|one| one.run.verdict.is_none() && is_due(one));
            let out = out.filter(|one| one.out_of_service_claim().is_some() && !hosts.contains(&one.host));
            let more: Vec<HostId> = out.map(|one| one.host.clone()).take(free).collect();
            due.extend(more);
        }
        let unanswered = self.ask_where_they_are(&due).await;
        let now = self.now();
        let is_kept = |host: &&HostId| {
            let taken = self.instance(host).and_then(|one| one.out_of_group(self.policy.bridge_policy, now));
            if let Some((member, _)) = &taken {
                let (group, state) = (member.group.as_str(), member.state.as_str());
                tracing::warn!(%host, group, state, "left alone: its Auto Scaling group does not have it in service");
            }
            taken.is_none() && !unanswered.contains(*host)
        };
        hosts.iter().filter(is_kept).cloned().collect()
    }

    /// Asks where these instances are in their groups. Returns those that were not told of; where a right is missing, that is
    /// nobody.
    async fn ask_where_they_are(&mut self, hosts: &[HostId]) -> BTreeSet<HostId> {
        if hosts.is_empty() || !self.fleet.has_groups() {
            return BTreeSet::new();
        }
        match self.aws.group_members(hosts).await {
            Ok(members) => {
                let at = self.now();
                for host in hosts {
                    let seen = SeenLifecycle { at, member: members.get(host).cloned() };
                    self.with_instance_mut(host, |instance| instance.auto_scaling = Some(Box::new(seen)));
                }
                BTreeSet::new()
            }
            Err(error) if error.is_missing_right() => {
                self.cannot_be_known(AutoScaling::INSTANCES, &error);
                BTreeSet::new()
            }
            Err(error) => {
                self.failed(hosts, error);
                hosts.iter().cloned().collect()
            }
        }
    }

    async fn ask_about_groups(&mut self, names: BTreeSet<SmolStr>) -> Result<(), AwsError> {
        let is_permitted = !self.fleet.auto_scaling.denied.contains_key(AutoScaling::GROUPS);
        let told = if is_permitted { self.aws.groups(&names).await } else { Ok(Default::default()) };
        let mut told = match told {
            // Refreshes may be told all the same.
            Err(error) if error.is_missing_right() => {
                self.cannot_be_known(AutoScaling::GROUPS, &error);
                Default::default()
            }
            told => told?,
        };
        for name in names {
            let refresh = self.refresh_of(&name).await?;
            let Group { load_balancer_check, size, tag } = told.remove(&name).unwrap_or_default();
            if let Some(size) = &size {
                let tag = tag.and_then(Result::ok);
                self.fleet.auto_scaling.note_held(&name, size.least, tag.as_ref());
            }
            let seen = SeenGroup { at: self.now(), load_balancer_check, refresh, size };
            self.fleet.auto_scaling.groups.insert(name, seen);
        }
        Ok(())
    }

    async fn refresh_of(&mut self, group: &SmolStr) -> Result<Option<SmolStr>, AwsError> {
        if self.fleet.auto_scaling.denied.contains_key(AutoScaling::REFRESHES) {
            return Ok(None);
        }
        match self.aws.refresh_in_progress(group).await {
            Err(error) if error.is_missing_right() => {
                self.cannot_be_known(AutoScaling::REFRESHES, &error);
                Ok(None)
            }
            refresh => refresh,
        }
    }

    /// Records that AWS refuses to tell. It is not asked again, and the run goes on without.
    fn cannot_be_known(&mut self, operation: &'static str, error: &AwsError) {
        tracing::warn!(cluster = %self.fleet.cluster, %error, "what Auto Scaling groups do is not known in full");
        self.fleet.auto_scaling.denied.insert(operation.into(), error.to_string());
    }
}
