//! Steps that take an instance out of service, put it back, or are done with it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use models::claim::{CLAIM_TAG, ClaimStep, FAILED_TAG, SAVED_LOCK_TAG};
use models::fleet::{Instance, InstanceStatus};
use models::ids::{ContainerInstanceArn, HostId};
use models::plan::{Drain, End, MarkFailed, PlannedStep, Step};
use models::report::{Outcome, Verdict};
use semver::Version;

use super::{Actor, hosts_of};
use crate::aws::ecs::Listed;
use crate::observe::found_draining;

impl Actor<'_> {
    /// Out of service: first the last look (in service still, nobody else's claim, the budget as it is *now*), then
    /// the claim, then DRAINING.
    pub(super) async fn drain(&mut self, steps: Vec<PlannedStep>) {
        let hosts = hosts_of(&steps);
        if broken!(NoLookBeforeDrain) || broken!(ClaimAfterDrain) {
            return self.drain_wrongly(steps).await;
        }
        let Some(clear) = self.still_ours(&hosts).await else { return };
        let cluster = &self.fleet.cluster;
        let (draining, lost) = match (
            self.aws.list_container_instances(cluster, Listed::Draining).await,
            self.aws.list_container_instances(cluster, Listed::Disconnected).await,
        ) {
            (Ok(draining), Ok(lost)) => (draining, lost),
            (Err(error), _) | (_, Err(error)) => return self.failed(&hosts, error),
        };
        let unknown = self.take_listed(draining, lost);
        let (registered, out) = self.fleet.registered_and_out();
        let out = out + unknown;
        let budget = self.policy.max_unavailable.of(registered) + usize::from(broken!(BudgetOffByOne));
        let places = budget.saturating_sub(out);
        let claims: Vec<_> = steps
            .iter()
            .filter(|step| clear.contains(&step.host) && self.instance(&step.host).is_some_and(Instance::in_service))
            .filter_map(|step| match &step.step {
                Step::Drain(Drain { from, to }) => {
                    Some((step.host.clone(), self.new_claim(&step.host, ClaimStep::Drain, from, to, None), None))
                }
                _ => None,
            })
            .take(places)
            .collect();
        let claimed: Vec<HostId> = self.claim(claims).await.into_iter().collect();
        self.set_status(&claimed, InstanceStatus::Draining).await;
    }

    /// Takes in which instances ECS lists as DRAINING and which without an agent: most of them are known to be. Returns how
    /// many of them no look has shown: one that has just registered, under another ARN perhaps, or that the last look missed.
    fn take_listed(&mut self, draining: Vec<ContainerInstanceArn>, lost: Vec<ContainerInstanceArn>) -> usize {
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

    /// Two of the mistakes that a test can make.
    async fn drain_wrongly(&mut self, steps: Vec<PlannedStep>) {
        let hosts = hosts_of(&steps);
        let claims = steps.into_iter().filter_map(|planned| match planned.step {
            Step::Drain(Drain { from, to }) => {
                let claim = self.new_claim(&planned.host, ClaimStep::Drain, &from, &to, None);
                Some((planned.host, claim, None))
            }
            _ => None,
        });
        let claims: Vec<_> = claims.collect();
        if broken!(ClaimAfterDrain) {
            self.set_status(&hosts, InstanceStatus::Draining).await;
            self.claim(claims).await;
        } else {
            let claimed: Vec<HostId> = self.claim(claims).await.into_iter().collect();
            self.set_status(&claimed, InstanceStatus::Draining).await;
        }
    }

    /// Sets the status of instances that are ours; what ECS refuses counts against them.
    pub(super) async fn set_status(&mut self, hosts: &[HostId], status: InstanceStatus) {
        let arns: Vec<(HostId, ContainerInstanceArn)> = hosts
            .iter()
            .filter_map(|host| Some((host.clone(), self.instance(host)?.container_instance.clone())))
            .collect();
        if arns.is_empty() {
            return;
        }
        let ids: Vec<ContainerInstanceArn> = arns.iter().map(|(_, arn)| arn.clone()).collect();
        let (done, failures, error) = self.aws.update_state(&self.fleet.cluster, &ids, status).await;
        let now = self.now();
        for (host, arn) in &arns {
            let Some(status) = done.get(arn) else { continue };
            tracing::info!(%host, status = status.as_str(), "status set");
            self.succeeded(host);
            self.with_instance_mut(host, |instance| {
                instance.status = *status;
                instance.seen_at = now;
                if *status == InstanceStatus::Draining {
                    instance.run.drained_at = Some(now);
                }
            });
        }
        for failure in failures {
            let host = arns.iter().find(|(_, arn)| arn.as_str() == failure.arn).map(|(host, _)| host.clone());
            if let Some(host) = host {
                self.refused(&host, format!("ecs:UpdateContainerInstancesState: {}", failure.reason));
            }
        }
        if let Some(error) = error {
            let left: Vec<HostId> =
                arns.into_iter().filter(|(_, arn)| !done.contains_key(arn)).map(|(host, _)| host).collect();
            self.failed(&left, error);
        }
    }

    /// Back in service where it was us who took it out, then the claim away, then the verdict. A part that AWS refuses
    /// is done again in the next round.
    pub(super) async fn finish(&mut self, steps: Vec<PlannedStep>) {
        let mut ends = Vec::new();
        for PlannedStep { host, step } in steps {
            let Step::Finish(end) = step else { continue };
            self.with_instance_mut(&host, |instance| instance.run.ending = Some(Box::new(end.clone())));
            ends.push((host, end));
        }
        let ending: Vec<HostId> = ends.iter().map(|(host, _)| host.clone()).collect();
        let called_off = self.call_off_reboots(&ending).await;
        ends.retain(|(host, _)| !called_off.contains(host));
        let to_activate: Vec<HostId> = ends
            .iter()
            .map(|(host, _)| host)
            .filter(|host| {
                (self.out_of_service_claim(host).is_some() || broken!(ActivateForeignDrains))
                    && self.instance(host).is_some_and(|i| i.status == InstanceStatus::Draining)
            })
            .cloned()
            .collect();
        if broken!(ReleaseBeforeActive)
            && !to_activate.is_empty()
            && self.aws.delete_tags(&to_activate, &[CLAIM_TAG]).await.is_err()
        {
            return;
        }
        self.set_status(&to_activate, InstanceStatus::Active).await;
        ends.retain(|(host, _)| {
            !to_activate.contains(host) || self.instance(host).is_some_and(|i| i.status == InstanceStatus::Active)
        });
        let (mut claim_only, mut with_lock) = (Vec::new(), Vec::new());
        for (host, _) in &ends {
            let Some(instance) = self.instance(host) else { continue };
            match (&instance.tags.claim, lock_is_back(instance)) {
                (_, Some(true)) => with_lock.push(host.clone()),
                (Some(_), _) => claim_only.push(host.clone()),
                (None, _) => {}
            }
        }
        let mut kept = Vec::new();
        for (hosts, keys) in [(claim_only, &[CLAIM_TAG][..]), (with_lock, &[CLAIM_TAG, SAVED_LOCK_TAG][..])] {
            if hosts.is_empty() {
                continue;
            }
            match self.aws.delete_tags(&hosts, keys).await {
                Ok(()) => {
                    let now = self.now();
                    for host in &hosts {
                        self.succeeded(host);
                        self.with_instance_mut(host, |instance| {
                            instance.run.tags_written_at = Some(now);
                            instance.tags.claim = None;
                            if keys.contains(&SAVED_LOCK_TAG) {
                                instance.tags.saved_lock = None;
                            }
                        });
                    }
                }
                Err(error) => {
                    self.failed(&hosts, error);
                    kept.extend(hosts);
                }
            }
        }
        for (host, end) in ends.into_iter().filter(|(host, _)| !kept.contains(host)) {
            if broken!(MarkFailedLast)
                && let End::RolledBack { to, .. } = &end
            {
                self.mark_failed_now(&host, to).await;
            }
            self.settle(&host, end);
        }
    }

    pub(super) fn leave(&mut self, steps: Vec<PlannedStep>) {
        for PlannedStep { host, step } in steps {
            if let Step::Leave(end) = step {
                self.settle(&host, end);
            }
        }
    }

    pub(super) async fn mark_failed(&mut self, steps: Vec<PlannedStep>) {
        for PlannedStep { host, step } in steps {
            let Step::MarkFailed(MarkFailed { version }) = step else { continue };
            if broken!(ForgetFailedVersions) || broken!(MarkFailedLast) {
                self.with_instance_mut(&host, |instance| instance.tags.failed = instance.tags.failed.with(&version));
                continue;
            }
            self.mark_failed_now(&host, &version).await;
        }
    }

    async fn mark_failed_now(&mut self, host: &HostId, version: &Version) {
        let Some(failed) = self.instance(host).map(|instance| instance.tags.failed.with(version)) else { return };
        let hosts = std::slice::from_ref(host);
        match self.aws.create_tags(hosts, &[(FAILED_TAG, failed.to_string())]).await {
            Ok(()) => {
                tracing::warn!(%host, %version, "version marked failed on the instance");
                let now = self.now();
                self.succeeded(host);
                self.with_instance_mut(host, |instance| {
                    instance.tags.failed = failed;
                    instance.run.tags_written_at = Some(now);
                });
            }
            Err(error) => self.failed(hosts, error),
        }
    }

    fn settle(&mut self, host: &HostId, end: End) {
        let now = self.now();
        let Some(instance) = self.fleet.instances.get_mut(host) else { return };
        let verdict = verdict(instance, end, now);
        let outcome = verdict.outcome.as_str();
        match verdict.outcome.is_failure() {
            true => tracing::error!(%host, outcome, detail = verdict.detail, "done with it"),
            false => tracing::info!(%host, outcome, detail = verdict.detail, "done with it"),
        }
        instance.run.ending = None;
        instance.run.verdict = Some(Box::new(verdict));
        self.commands.forget(host);
    }
}

/// Whether the `version-lock` that a step changed is known to be what it was; `None` where none was saved.
fn lock_is_back(instance: &Instance) -> Option<bool> {
    let saved = instance.tags.saved_lock.as_deref()?;
    if broken!(ForgetSavedLock) {
        return Some(true);
    }
    let settings = instance.report.as_ref().and_then(|seen| seen.report.settings.as_ref());
    Some(settings.and_then(|settings| settings.version_lock.as_deref()) == Some(saved))
}

fn verdict(instance: &Instance, end: End, at: Timestamp) -> Verdict {
    let claim = instance.claim();
    let running = instance.report.as_ref().and_then(|seen| seen.report.running());
    let plain = Verdict {
        outcome: Outcome::Current,
        reason: None,
        detail: None,
        from: claim.map(|claim| claim.from.clone()).or(running.clone()),
        to: claim.map(|claim| claim.to.clone()),
        at,
        of_its_own: false,
    };
    let said = |code: &str, words: String| (Some(code.to_owned()), Some(words));
    match end {
        End::Updated { from, to } => Verdict { outcome: Outcome::Updated, from: Some(from), to: Some(to), ..plain },
        End::RolledBack { from, to, why } => {
            let (reason, detail) = said(why.code(), why.to_string());
            Verdict { outcome: Outcome::RolledBack, reason, detail, from: Some(from), to: Some(to), ..plain }
        }
        End::Failed { why } => {
            let (reason, detail) = said(why.code(), why.to_string());
            Verdict { outcome: Outcome::Failed, reason, detail, of_its_own: why.is_of_its_own(), ..plain }
        }
        End::Held { why } => {
            let (reason, detail) = said(why.code(), why.to_string());
            Verdict { outcome: Outcome::Held, reason, detail, ..plain }
        }
        End::Current => Verdict { from: running, to: None, ..plain },
        End::Gone => {
            let (reason, detail) = said("gone", "the machine went away during the run".to_owned());
            Verdict { outcome: Outcome::Gone, reason, detail, ..plain }
        }
    }
}
