//! The claim, which is written before anything else is done with an instance.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use models::claim::{Boots, CLAIM_TAG, Claim, ClaimStep, SAVED_LOCK_TAG, Transport, whole_seconds};
use models::fleet::{CalledOff, Instance};
use models::ids::{BootId, HostId};
use models::plan::End;
use semver::Version;

use super::{Actor, CONCURRENT};
use crate::host::bridge;

/// A claim to be written.
pub(super) struct NewClaim {
    pub(super) host: HostId,
    pub(super) claim: Claim,
    /// The `version-lock` to be saved beside it, where the step changes that.
    pub(super) saved_lock: Option<String>,
}

/// The versions of a claim.
#[derive(Debug, Clone, Copy)]
pub(super) struct Versions<'v> {
    pub(super) from: &'v Version,
    pub(super) to: &'v Version,
}

impl<'v> From<&'v Claim> for Versions<'v> {
    fn from(claim: &'v Claim) -> Self {
        Self { from: &claim.from, to: &claim.to }
    }
}

impl Actor<'_> {
    /// Returns a claim that begins now. `boot` is for a step that is bound to one.
    pub(super) fn new_claim(
        &self,
        host: &HostId,
        step: ClaimStep,
        Versions { from, to }: Versions<'_>,
        boot: Option<&BootId>,
    ) -> Claim {
        let since = whole_seconds(self.now());
        let transport = self.transport(host);
        let boots = boot.map(Boots::from).unwrap_or_default();
        let (run, from, to) = (self.author.run.clone(), from.clone(), to.clone());
        Claim { step, transport, run, epoch: self.author.epoch, attempt: 1, from, to, since, boots }
    }

    /// As [`Actor::new_claim`]; but where the claim that stands asks for the same, it keeps `since`, so that its deadline
    /// does. A bridge that has answered it is asked once more by another attempt.
    ///
    /// What an earlier run claimed of an instance in service is begun from the start: nothing counts from it.
    pub(super) fn claim_for(
        &self,
        host: &HostId,
        step: ClaimStep,
        versions: Versions<'_>,
        boot: Option<&BootId>,
    ) -> Claim {
        let new = self.new_claim(host, step, versions, boot);
        let Some(instance) = self.instance(host) else { return new };
        let Some(standing) = instance.claim().filter(|standing| standing.asks_for_the_same(&new)) else { return new };
        let is_ours = standing.run == new.run;
        if !is_ours && !step.takes_out_of_service() {
            return new;
        }
        let attempt = if is_ours && standing.transport == new.transport { next_attempt(instance, standing) } else { 1 };
        // A date that lay ahead is not kept: each run would count from its own first sight of it.
        let since = whole_seconds(instance.began(standing));
        Claim { since, boots: standing.boots.clone(), attempt, ..new }
    }

    /// Writes claims, in one call for the instances whose claims differ by their boots alone. Returns the hosts whose
    /// claims are written.
    pub(super) async fn claim(&mut self, claims: Vec<NewClaim>) -> BTreeSet<HostId> {
        let aws = self.aws;
        let writes = grouped(claims).into_iter().map(|group| async move {
            let mut tags = vec![(CLAIM_TAG, group.claim.to_string())];
            tags.extend(group.saved_lock.clone().map(|lock| (SAVED_LOCK_TAG, lock)));
            let parts = aws.create_tags(&group.hosts, &tags).await;
            (group, parts)
        });
        let mut writes = futures_util::stream::iter(writes).buffer_unordered(CONCURRENT);
        let (mut written, mut refused) = (BTreeSet::new(), BTreeMap::new());
        while let Some((Group { claim, saved_lock, .. }, parts)) = writes.next().await {
            for host in parts.done.iter().flat_map(|(part, ())| part) {
                self.record_claim(host, &claim, saved_lock.clone());
                written.insert(host.clone());
            }
            let hosts = self.record_not_done(parts).refused;
            refused.extend(hosts.into_iter().map(|host| (host, claim.clone())));
        }
        let hosts: Vec<HostId> = refused.keys().cloned().collect();
        for (host, tags) in self.read_tags_again(&hosts).await {
            if let Some(claim) = refused.get(&host).filter(|claim| tags.claim.as_ref() == Some(&Ok((*claim).clone()))) {
                self.record_claim(&host, claim, tags.saved_lock);
            }
        }
        written
    }

    fn record_claim(&mut self, host: &HostId, claim: &Claim, saved_lock: Option<String>) {
        let now = self.now();
        self.with_instance_mut(host, |instance| {
            note_begun(instance, claim);
            instance.run.tags_written_at = Some(now);
            instance.tags.claim = Some(Ok(claim.clone()));
            instance.note_own_claim(now);
            instance.tags.saved_lock = saved_lock.or(instance.tags.saved_lock.take());
        });
    }

    pub(super) fn out_of_service_claim(&self, host: &HostId) -> Option<&Claim> {
        self.instance(host)?.out_of_service_claim()
    }

    /// Replaces the claims for which a bridge may still reboot by `drain` claims, before the instances go back into
    /// service. Returns the affected hosts: their bridges have to confirm that the reboot is off. One that has given the
    /// reboot up does not come back to it.
    pub(super) async fn call_off_reboots(&mut self, ends: &[(HostId, End)]) -> Vec<HostId> {
        let mut due: Vec<HostId> = ends.iter().filter_map(|(host, _)| self.called_off_unheard(host)).collect();
        let reboots = ends
            .iter()
            .filter(|(host, end)| self.instance(host).is_some_and(|instance| self.bridge_may_reboot(instance, end)));
        let reboots: Vec<HostId> = reboots.map(|(host, _)| host.clone()).collect();
        let mut claims = Vec::new();
        for host in &reboots {
            let Some(before) = self.instance(host).and_then(|instance| instance.claim()).cloned() else { continue };
            let claim = self.new_claim(host, ClaimStep::Drain, Versions::from(&before), None);
            claims.push(NewClaim { host: host.clone(), claim, saved_lock: None });
            self.with_instance_mut(host, |instance| instance.run.calling_off = Some(Box::new(before)));
        }
        for host in self.claim(claims).await {
            self.called_off_unheard(&host);
        }
        due.extend(reboots);
        due
    }

    /// Records that the reboot is called off which this run wanted to call off, if its claim is replaced by now, whatever
    /// EC2 answered to that. Returns the host where it is so, and was not known before.
    fn called_off_unheard(&mut self, host: &HostId) -> Option<HostId> {
        let (run, at) = (self.author.run.clone(), self.now());
        let instance = self.fleet.instances.get_mut(host)?;
        let standing = instance.claim().filter(|claim| claim.step == ClaimStep::Drain && claim.run == run)?.clone();
        let claim = instance.run.calling_off.take_if(|before| before.to == standing.to)?;
        instance.run.called_off = Some(Box::new(CalledOff { claim: *claim, at }));
        Some(host.clone())
    }

    /// Whether a bridge may still reboot the host for its claim. That it has given up, or that its host is in another boot,
    /// any host can have written that may report for it. An agent that was disconnected tells of the reboot only where
    /// the update has ended by one.
    fn bridge_may_reboot(&self, instance: &Instance, end: &End) -> bool {
        let Some(claim) = instance.claim().filter(|claim| claim.step.needs_boot()) else { return false };
        let transport = instance.transport(self.policy.host, self.now());
        if claim.transport != Transport::Bridge && transport != Transport::Bridge {
            return false;
        }
        let is_own_word = instance.speaks_for_itself(self.policy.bridge_policy);
        let has_given_up = is_own_word && bridge::has_given_up(instance, claim);
        let has_rebooted = matches!(end, End::Updated { .. } | End::RolledBack { .. })
            && instance.was_disconnected_since(instance.began(claim));
        let is_known = is_own_word || transport == Transport::Ssm || instance.is_boot_told_by_ssm() || has_rebooted;
        !has_given_up && (!is_known || is_in_boot_of(instance, claim))
    }
}

/// Instances that get the same claim in one call.
struct Group {
    claim: Claim,
    saved_lock: Option<String>,
    hosts: Vec<HostId>,
}

fn grouped(claims: Vec<NewClaim>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for NewClaim { host, claim, saved_lock } in claims {
        let mut alike = groups.iter_mut().rev().filter(|group| group.saved_lock == saved_lock);
        match alike.find_map(|group| Some((group.claim.joined(&claim)?, group))) {
            Some((joined, group)) => {
                group.claim = joined;
                group.hosts.push(host);
            }
            None => groups.push(Group { claim, saved_lock, hosts: vec![host] }),
        }
    }
    groups
}

/// Returns the attempt by which the host is asked for what `standing` says: the next one where its bridge is done with
/// that.
pub(super) fn next_attempt(instance: &Instance, standing: &Claim) -> u32 {
    if standing.transport == Transport::Bridge && instance.bridge_has_answered(standing) {
        standing.attempt.saturating_add(1)
    } else {
        standing.attempt
    }
}

/// Records that this run was the first to claim a reboot in this boot, where it was.
fn note_begun(instance: &mut Instance, claim: &Claim) {
    if claim.boots.is_empty() || instance.claim().is_some_and(|before| before.asks_for_the_same(claim)) {
        return;
    }
    instance.run.began = Some(claim.since);
    instance.run.reboot_claims += u32::from(claim.step == ClaimStep::Reboot);
}

/// Whether the host was last heard in the boot that its claim names.
pub(super) fn is_in_boot_of(instance: &Instance, claim: &Claim) -> bool {
    let heard = instance.report.as_ref().and_then(|seen| seen.report.boot_id.as_ref());
    heard.is_some_and(|boot| claim.is_for(boot))
}
