//! Steps that take an instance out of service, put it back, or are done with it.

use jiff::Timestamp;
use models::claim::{CLAIM_TAG, ClaimStep, FAILED_TAG, SAVED_LOCK_TAG};
use models::fleet::{Instance, InstanceStatus, report_since};
use models::ids::{ContainerInstanceArn, HostId, TaskArn};
use models::plan::{Drain, End, MarkFailed, StopTasks};
use models::reason::HoldReason;
use models::report::{Outcome, Verdict};
use semver::Version;

use super::Actor;
use super::batches::hosts_of;
use super::claims::{NewClaim, Versions};
use crate::aws::ecs::instances::{Failure, StatusesSet};

impl Actor<'_> {
    /// Takes instances out of service: the last look, then the claim, then DRAINING.
    pub(super) async fn drain(&mut self, steps: Vec<(HostId, Drain)>) {
        let hosts = self.hold_min_sizes(hosts_of(&steps)).await;
        let clear = if broken!(NoLookBeforeDrain) { hosts } else { self.clear_for_drain(&hosts, &steps).await };
        let clear: Vec<HostId> = clear.into_iter().filter(|host| self.is_still_due(host, &steps)).collect();
        if broken!(ClaimAfterDrain) {
            self.set_status(&clear, InstanceStatus::Draining).await;
        }
        let cleared: Vec<(HostId, Drain)> = steps.into_iter().filter(|(host, _)| clear.contains(host)).collect();
        for (host, drain) in &cleared {
            self.with_instance_mut(host, |instance| instance.run.scale_out = drain.scale_out);
        }
        let claims = cleared.into_iter().map(|(host, Drain { from, to, .. })| {
            let claim = self.new_claim(&host, ClaimStep::Drain, Versions { from: &from, to: &to }, None);
            NewClaim { host, claim, saved_lock: None }
        });
        let claims = claims.collect();
        let claimed: Vec<HostId> = self.claim(claims).await.into_iter().collect();
        if !broken!(ClaimAfterDrain) {
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
        let StatusesSet { done, failures, refused, error } =
            self.aws.update_state(&self.fleet.cluster, &ids, status).await;
        let now = self.now();
        for (host, arn) in &arns {
            let Some(status) = done.get(arn) else { continue };
            tracing::debug!(%host, status = status.as_str(), "status set");
            self.succeeded(host);
            self.with_instance_mut(host, |instance| {
                instance.status = *status;
                instance.seen_at = now;
                if *status == InstanceStatus::Draining {
                    instance.run.drained_at = Some(now);
                }
            });
            if *status == InstanceStatus::Draining {
                self.fleet.note_moves(host, now);
            }
        }
        let host_of = |arn: &ContainerInstanceArn| arns.iter().find(|(_, known)| known == arn).map(|(host, _)| host);
        for Failure { arn, reason } in failures {
            if let Some(host) = host_of(&arn) {
                self.refused(host, format!("ecs:UpdateContainerInstancesState: {reason}"));
            }
        }
        for (arn, error) in refused {
            if let Some(host) = host_of(&arn) {
                self.refused_alone(host, error, !done.is_empty());
            }
        }
        if let Some((left, error)) = error {
            let left: Vec<HostId> = left.iter().filter_map(host_of).cloned().collect();
            self.failed(&left, error);
        }
    }

    /// Puts instances back into service where this program took them out, then remembers how their updates ended, then
    /// removes the claim, then records the verdict. A part that AWS refuses is done again in the next round.
    pub(super) async fn finish(&mut self, mut ends: Vec<(HostId, End)>) {
        for (host, end) in &ends {
            self.with_instance_mut(host, |instance| instance.run.ending = Some(Box::new(end.clone())));
        }
        let called_off = self.call_off_reboots(&ends).await;
        ends.retain(|(host, _)| !called_off.contains(host));
        let kept = self.put_back(&hosts_of(&ends)).await;
        ends.retain(|(host, _)| !kept.contains(host));
        self.remember(&ends).await;
        let kept = self.release(&hosts_of(&ends)).await;
        ends.retain(|(host, _)| !kept.contains(host));
        for (host, end) in ends {
            if broken!(MarkFailedLast)
                && let End::RolledBack { to, .. } = &end
            {
                self.mark_failed_now(&host, to).await;
            }
            self.settle(&host, end);
        }
    }

    /// Sets the instances ACTIVE that are DRAINING by our claim. Returns the ones that could not be.
    async fn put_back(&mut self, hosts: &[HostId]) -> Vec<HostId> {
        let mut ours = hosts.to_vec();
        ours.retain(|host| {
            (self.out_of_service_claim(host).is_some() || broken!(ActivateForeignDrains))
                && self.instance(host).is_some_and(|i| i.status == InstanceStatus::Draining)
        });
        if broken!(ReleaseBeforeActive)
            && !ours.is_empty()
            && !self.aws.delete_tags(&ours, &[CLAIM_TAG]).await.is_whole()
        {
            return hosts.to_vec();
        }
        let kept = self.kept_by_groups(&ours).await;
        self.set_status(&kept, InstanceStatus::Active).await;
        ours.retain(|host| self.instance(host).is_none_or(|i| i.status != InstanceStatus::Active));
        ours
    }

    /// Removes the claims, and the saved locks that the hosts show again. Returns the hosts whose tags could not be removed.
    async fn release(&mut self, hosts: &[HostId]) -> Vec<HostId> {
        let (mut claim_only, mut with_lock) = (Vec::new(), Vec::new());
        for host in hosts {
            let Some(instance) = self.instance(host) else { continue };
            if lock_is_back(instance) == Some(true) {
                with_lock.push(host.clone());
            } else if instance.tags.claim.is_some() {
                claim_only.push(host.clone());
            }
        }
        let mut kept = Vec::new();
        for (hosts, keys) in [(claim_only, &[CLAIM_TAG][..]), (with_lock, &[CLAIM_TAG, SAVED_LOCK_TAG][..])] {
            if hosts.is_empty() {
                continue;
            }
            let parts = self.aws.delete_tags(&hosts, keys).await;
            for host in parts.done.iter().flat_map(|(part, ())| part) {
                self.succeeded(host);
                self.record_released(host, keys.contains(&SAVED_LOCK_TAG));
            }
            let not_done = self.record_not_done(parts);
            for (host, tags) in self.read_tags_again(&not_done.refused).await {
                if tags.claim.is_none() {
                    self.record_released(&host, tags.saved_lock.is_none());
                }
            }
            kept.extend(not_done.hosts);
        }
        kept
    }

    /// Records that the claim is gone, and the saved lock with it where that is so.
    fn record_released(&mut self, host: &HostId, with_lock: bool) {
        let now = self.now();
        self.with_instance_mut(host, |instance| {
            instance.run.tags_written_at = Some(now);
            instance.tags.claim = None;
            if with_lock {
                instance.tags.saved_lock = None;
            }
        });
    }

    pub(super) async fn leave(&mut self, steps: Vec<(HostId, End)>) {
        self.remember(&steps).await;
        for (host, end) in steps {
            self.settle(&host, end);
        }
    }

    pub(super) async fn mark_failed(&mut self, steps: Vec<(HostId, MarkFailed)>) {
        for (host, MarkFailed { version }) in steps {
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
        let parts = self.aws.create_tags(hosts, &[(FAILED_TAG, failed.to_string())]).await;
        let is_written = parts.is_whole();
        let refused = self.record_not_done(parts).refused;
        let shown = self.read_tags_again(&refused).await;
        if is_written || shown.get(host).is_some_and(|tags| tags.failed == failed) {
            tracing::warn!(%host, %version, "version marked failed on the instance");
            let now = self.now();
            self.succeeded(host);
            self.with_instance_mut(host, |instance| {
                instance.tags.failed = failed;
                instance.run.tags_written_at = Some(now);
            });
        }
    }

    pub(super) async fn stop_tasks(&mut self, steps: Vec<(HostId, StopTasks)>) {
        let reason = format!("ecs-updater run {}: the instance is drained for an OS update", self.author.run);
        for (host, StopTasks { tasks }) in steps {
            for task in tasks {
                match self.aws.stop_task(&self.fleet.cluster, &task, &reason).await {
                    Ok(()) => self.record_stop_requested(&host, task),
                    Err(error) => self.failed(std::slice::from_ref(&host), error),
                }
            }
        }
    }

    fn record_stop_requested(&mut self, host: &HostId, task: TaskArn) {
        tracing::info!(%host, task = task.short(), "standalone task asked to stop");
        self.succeeded(host);
        self.with_instance_mut(host, |instance| instance.run.stopped_tasks.push(task));
    }

    fn settle(&mut self, host: &HostId, end: End) {
        let now = self.now();
        let Some(instance) = self.fleet.instances.get_mut(host) else { return };
        let verdict = verdict(instance, end, now);
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
    // A stage that was cut off may have left its own lock, whatever the host said before it.
    let since = instance.run.failed_stage.as_ref().map_or(Timestamp::MIN, |stage| stage.sent_at);
    let settings = report_since(instance, since).and_then(|report| report.settings.as_ref());
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
        End::ScaledIn { group, state } => {
            let why = HoldReason::ScaledIn { group, state };
            let words = format!("{why}; it is left DRAINING, or as ECS shows it now, with its claim");
            let (reason, detail) = said(why.code(), words);
            Verdict { outcome: Outcome::ScaledIn, reason, detail, ..plain }
        }
        End::Gone => {
            let taken_back = instance.ec2.as_ref().is_some_and(|ec2| ec2.taken_back);
            let words = if taken_back {
                "its machine is gone: EC2 has taken the Spot instance back"
            } else {
                "its machine is gone: EC2 says so, or does not know it"
            };
            let (reason, detail) = said("gone", words.to_owned());
            Verdict { outcome: Outcome::Gone, reason, detail, ..plain }
        }
    }
}
