//! Steps that a host carries out: inspect, stage, reboot, revert, cancel.

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::claim::{Claim, ClaimStep, Way};
use models::fleet::{CalledOff, CommandInFlight, Instance, InstanceStatus, SeenTasks, SentReboot, Visit, VisitEnd};
use models::ids::{BootId, HostId};
use models::plan::{Cancel, HostCommand, Inspect, PlannedStep, Reboot, Revert, Stage, Step};

use super::{Actor, hosts_of, next_attempt};
use crate::host::{Ended, bridge};
use crate::observe::{merge_tags, record_ended};

/// Reboots that are looked at, claimed and sent together: as many as one claim for a bridge has room for.
const REBOOT_BATCH: usize = 19;
/// No more in one round: what else there is to do, such as putting an instance back in service, does not wait for long.
const MAX_REBOOTS_PER_ROUND: usize = 2 * REBOOT_BATCH;

impl Actor<'_> {
    pub(super) async fn inspect(&mut self, steps: Vec<PlannedStep>) {
        let commands = steps
            .into_iter()
            .filter_map(|PlannedStep { host, step }| match step {
                Step::Inspect(Inspect { refresh }) => Some((host, HostCommand::Inspect { refresh })),
                _ => None,
            })
            .collect();
        self.send(commands).await;
    }

    pub(super) async fn stage(&mut self, steps: Vec<PlannedStep>) {
        let (mut claims, mut commands) = (Vec::new(), Vec::new());
        for PlannedStep { host, step } in steps {
            let Step::Stage(Stage { from, to, lock }) = step else { continue };
            let claim = match self.instance(&host).and_then(|one| Some((one, one.out_of_service_claim()?))) {
                Some((instance, claim)) => {
                    // What a drain has written is written again by itself when it is lost; what failed is not.
                    let failed = bridge::has_given_up(instance, claim);
                    let attempt = if failed { next_attempt(instance, claim) } else { claim.attempt };
                    Claim { way: self.way(&host), attempt, ..claim.clone() }
                }
                None => self.claim_for(&host, ClaimStep::Stage, &from, &to, None),
            };
            claims.push((host.clone(), claim, lock.clone()));
            commands.push((host, HostCommand::Stage { version: to, lock }));
        }
        let claimed = self.claim(claims).await;
        commands.retain(|(host, _)| claimed.contains(host));
        for (host, _) in &commands {
            self.with_instance_mut(host, |instance| instance.run.stages += 1);
        }
        self.send(commands).await;
    }

    /// Puts a lock back, or undoes an activation. The claim of an instance that is out of service stays as it is: it
    /// says that the drain is ours.
    pub(super) async fn cancel(&mut self, steps: Vec<PlannedStep>) {
        let (mut claims, mut commands) = (Vec::new(), Vec::new());
        for PlannedStep { host, step } in steps {
            let Step::Cancel(Cancel { boot, lock }) = step else { continue };
            let running = self.instance(&host).and_then(|instance| instance.report.as_ref()?.report.running());
            let Some(running) = running else { continue };
            if self.out_of_service_claim(&host).is_none() {
                claims.push((host.clone(), self.claim_for(&host, ClaimStep::Cancel, &running, &running, None), None));
            }
            commands.push((host, HostCommand::Revert { version: None, lock, boot }));
        }
        let asked: Vec<HostId> = claims.iter().map(|(host, _, _)| host.clone()).collect();
        let claimed = self.claim(claims).await;
        commands.retain(|(host, _)| !asked.contains(host) || claimed.contains(host));
        for (host, _) in &commands {
            self.with_instance_mut(host, |instance| {
                instance.run.cancels += 1;
                let called_off = instance.run.called_off.as_ref().map(|off| off.claim.since);
                let standing = instance.claim().filter(|claim| is_in_boot_of(instance, claim)).map(|one| one.since);
                instance.run.undone = called_off.or(standing).or(instance.run.undone);
            });
        }
        self.send(commands).await;
    }

    /// By SSM the old version is made the next to boot, and rebooted into in a step of its own. The host bridge does
    /// both for the claim, so that the last look before the reboot comes before the claim.
    pub(super) async fn revert(&mut self, mut steps: Vec<PlannedStep>) {
        let by_bridge: Vec<HostId> =
            hosts_of(&steps).into_iter().filter(|host| self.way(host) == Way::Bridge).collect();
        if !by_bridge.is_empty() {
            let clear = self.clear_for_reboot(&by_bridge).await;
            steps.retain(|step| !by_bridge.contains(&step.host) || clear.contains(&step.host));
        }
        let (mut claims, mut commands) = (Vec::new(), Vec::new());
        for PlannedStep { host, step } in steps {
            let Step::Revert(Revert { boot, lock, why }) = step else { continue };
            let Some(claim) = self.out_of_service_claim(&host).cloned() else { continue };
            tracing::warn!(%host, from = %claim.to, to = %claim.from, why, "rolling back");
            let revert = self.claim_for(&host, ClaimStep::Revert, &claim.from, &claim.to, Some(&boot));
            claims.push((host.clone(), revert, lock.clone()));
            self.with_instance_mut(&host, |instance| instance.run.trouble = Some(why));
            commands.push((host, HostCommand::Revert { version: Some(claim.from), lock, boot }));
        }
        let claimed = self.claim(claims).await;
        commands.retain(|(host, _)| claimed.contains(host));
        self.send(commands).await;
    }

    /// The last look before a reboot: DRAINING still stands, the claim is still ours, no task is left, not even one
    /// that is stopping. Whatever is found instead goes into the snapshot. Returns those that may be rebooted.
    async fn clear_for_reboot(&mut self, hosts: &[HostId]) -> Vec<HostId> {
        let Some(mut clear) = self.still_ours(hosts).await else { return Vec::new() };
        self.drain_again(&mut clear).await;
        if clear.is_empty() {
            return clear;
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

    /// A few at a time: the first need not wait until the last one's tasks are listed. Who was drained first is first.
    pub(super) async fn reboot(&mut self, mut steps: Vec<PlannedStep>) {
        steps.sort_by_key(|step| self.out_of_service_claim(&step.host).map(|claim| claim.since));
        steps.truncate(MAX_REBOOTS_PER_ROUND);
        while !steps.is_empty() {
            let later = steps.split_off(steps.len().min(REBOOT_BATCH));
            self.reboot_some(steps).await;
            steps = later;
        }
    }

    /// After the last look: the claim, then the command. What the last look finds something against is left as it is.
    async fn reboot_some(&mut self, steps: Vec<PlannedStep>) {
        let empty = self.clear_for_reboot(&hosts_of(&steps)).await;
        let (mut claims, mut commands) = (Vec::new(), Vec::new());
        for PlannedStep { host, step } in steps {
            let Step::Reboot(Reboot { to, boot }) = step else { continue };
            let Some(claim) = self.out_of_service_claim(&host).filter(|_| empty.contains(&host)).cloned() else {
                continue;
            };
            let step = if claim.step == ClaimStep::Revert { ClaimStep::Revert } else { ClaimStep::Reboot };
            let next = self.claim_for(&host, step, &claim.from, &claim.to, Some(&boot));
            // The last look has just seen it.
            if next != claim {
                claims.push((host.clone(), next, None));
            }
            commands.push((host, HostCommand::Reboot { version: to, boot }));
        }
        let to_claim: Vec<HostId> = claims.iter().map(|(host, _, _)| host.clone()).collect();
        let claimed = self.claim(claims).await;
        commands.retain(|(host, _)| !to_claim.contains(host) || claimed.contains(host));
        self.send(commands).await;
    }

    /// Whether DRAINING survives a re-registration is not documented. An instance on its way back to the old version
    /// that came up ACTIVE is drained again, and rebooted once it is empty.
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

    /// Whether it has rebooted for its claim already, or goes back to the old version.
    fn is_on_its_way_back(&self, instance: &Instance, claim: &Claim) -> bool {
        claim.step == ClaimStep::Revert || (claim.step == ClaimStep::Reboot && !is_in_boot_of(instance, claim))
    }

    /// A claim that a host bridge may still reboot for is taken back before the instance is left in service: it
    /// becomes a `drain`, for which nothing reboots. Returns these hosts: whether the reboot is off, their bridges have
    /// to say. One that has given the reboot up does not come back to it.
    pub(super) async fn call_off_reboots(&mut self, hosts: &[HostId]) -> Vec<HostId> {
        let due = |host: &&HostId| {
            self.instance(host).is_some_and(|instance| {
                let by_bridge = |claim: &Claim| claim.way == Way::Bridge || self.way(host) == Way::Bridge;
                let meant = |claim: &&Claim| {
                    by_bridge(claim) && is_in_boot_of(instance, claim) && !bridge::has_given_up(instance, claim)
                };
                instance.claim().filter(meant).is_some()
            })
        };
        let due: Vec<HostId> = hosts.iter().filter(due).cloned().collect();
        let before: Vec<(HostId, Claim)> =
            due.iter().filter_map(|host| Some((host.clone(), self.instance(host)?.claim()?.clone()))).collect();
        let claims = before.iter().map(|(host, claim)| {
            (host.clone(), self.new_claim(host, ClaimStep::Drain, &claim.from, &claim.to, None), None)
        });
        let claims: Vec<_> = claims.collect();
        let written = self.claim(claims).await;
        let at = self.now();
        for (host, claim) in before.into_iter().filter(|(host, _)| written.contains(host)) {
            self.with_instance_mut(&host, |instance| instance.run.called_off = Some(Box::new(CalledOff { claim, at })));
        }
        due
    }

    /// Reads status and tags again; returns the hosts whose claim is as it was. `None` when AWS did not answer, or when
    /// one of them shows that a later run has taken over.
    pub(super) async fn still_ours(&mut self, hosts: &[HostId]) -> Option<Vec<HostId>> {
        let before: BTreeMap<HostId, Option<Claim>> =
            hosts.iter().filter_map(|host| Some((host.clone(), self.instance(host)?.claim().cloned()))).collect();
        let now = self.now();
        let asked = hosts.iter().cloned().collect();
        if let Err(error) = crate::observe::short_look(self.aws, self.fleet, &asked, self.policy.host, now).await {
            self.failed(hosts, error);
            return None;
        }
        let machines = match self.aws.describe_instances(hosts).await {
            Ok(machines) => machines,
            Err(error) => {
                self.failed(hosts, error);
                return None;
            }
        };
        for host in hosts {
            self.with_instance_mut(host, |instance| merge_tags(instance, machines.get(host), now));
        }
        if self.is_superseded() {
            return None;
        }
        let same = |host: &&HostId| {
            if broken!(NoLookAtTags) {
                return true;
            }
            self.instance(host).is_some_and(|instance| {
                // Once the reboot is claimed, stopping halfway would be worse than going on.
                let begun = instance.claim().is_some_and(|claim| !claim.boots.is_empty());
                (begun || instance.tags.exclude.is_none() || broken!(ExclusionIgnored))
                    && (!matches!(instance.tags.claim, Some(Err(_))) || broken!(MalformedClaimOverwritten))
                    && before.get(*host).is_some_and(|claim| claim.as_ref() == instance.claim())
            })
        };
        Some(hosts.iter().filter(same).cloned().collect())
    }

    pub(super) fn out_of_service_claim(&self, host: &HostId) -> Option<&Claim> {
        self.instance(host)?.out_of_service_claim()
    }

    /// Has commands carried out: by SSM those that are alike are sent in one, by the host bridge the claim says it all.
    async fn send(&mut self, commands: Vec<(HostId, HostCommand)>) {
        let mut groups: BTreeMap<HostCommand, Vec<(HostId, HostCommand)>> = BTreeMap::new();
        for (host, command) in commands {
            match self.keep_way(&host) {
                Way::Bridge => self.hand_to_bridge(&host, command),
                Way::Ssm => groups.entry(apart_from_the_boot(&command)).or_default().push((host, command)),
            }
        }
        for group in groups.into_values() {
            if self.is_ssm_silent() {
                return;
            }
            let clock = self.clock.clone();
            let dispatch = self.commands.send(self.aws, self.policy, self.run, &group, || clock.now()).await;
            let reboots = group.first().is_some_and(|(_, command)| matches!(command, HostCommand::Reboot { .. }));
            let mut unsent: BTreeMap<HostId, HostCommand> = group.into_iter().collect();
            for (host, sent_at) in dispatch.sent {
                if let Some(command) = unsent.remove(&host) {
                    self.record_sent(&host, &command, sent_at);
                }
            }
            for (host, detail) in dispatch.refused {
                if let Some(command) = unsent.remove(&host) {
                    self.note_undelivered(&host, command, detail);
                }
            }
            for (host, error) in dispatch.failed {
                unsent.remove(&host);
                self.failed(&[host], error);
            }
            for host in dispatch.maybe_sent.iter().filter(|_| reboots) {
                self.note_maybe_sent(host);
            }
            if let Some(error) = dispatch.error {
                let hosts: Vec<HostId> = unsent.into_keys().collect();
                self.failed(&hosts, error);
            }
        }
    }

    /// SSM refuses the host: the command has ended before it began.
    fn note_undelivered(&mut self, host: &HostId, command: HostCommand, detail: String) {
        let (now, end) = (self.now(), VisitEnd::NotDelivered { detail });
        self.with_instance_mut(host, |instance| match command {
            HostCommand::Reboot { .. } => {
                instance.run.reboot = Some(Box::new(next_reboot(instance, now, Some((now, end)))));
            }
            HostCommand::Inspect { .. } | HostCommand::Stage { .. } | HostCommand::Revert { .. } => {
                instance.visit = Some(Box::new(Visit { command, sent_at: now, at: now, end }));
            }
        });
    }

    /// What SSM did not answer to can have been sent all the same: then it may still make the host reboot.
    fn note_maybe_sent(&mut self, host: &HostId) {
        let now = self.now();
        self.with_instance_mut(host, |instance| {
            let since = instance.claim().map(|claim| claim.since);
            let of_this_claim = |sent: &&SentReboot| since.is_some_and(|since| sent.sent_at >= since);
            let known = instance.run.reboot.as_deref().filter(of_this_claim).cloned();
            let unanswered = || {
                let end = VisitEnd::NotDelivered { detail: "SSM did not say whether the command was sent".to_owned() };
                next_reboot(instance, now, Some((now, end)))
            };
            let sent = SentReboot { earlier: Some(now), ..known.unwrap_or_else(unanswered) };
            instance.run.reboot = Some(Box::new(sent));
        });
    }

    /// What the agent is to do stands in the claim already. What it need not be asked for ends at once: an inspection
    /// with the report that stands, and the undoing of what an out-of-service claim began with the end of that claim.
    fn hand_to_bridge(&mut self, host: &HostId, command: HostCommand) {
        let now = self.now();
        let Some(instance) = self.instance(host) else { return };
        let claim = instance.claim().cloned();
        let end = match &command {
            HostCommand::Inspect { refresh } => Some(bridge::inspected(instance, *refresh, now)),
            HostCommand::Revert { version: None, .. } if self.out_of_service_claim(host).is_some() => {
                Some(VisitEnd::Done)
            }
            HostCommand::Stage { .. } | HostCommand::Reboot { .. } | HostCommand::Revert { .. } => None,
        };
        match (end, claim) {
            (Some(end), _) => {
                let ended = Ended { host: host.clone(), command, sent_at: now, end, report: None };
                record_ended(self.fleet, ended, now);
            }
            (None, Some(claim)) => {
                self.record_sent(host, &command, now);
                self.awaited.follow(host.clone(), command, claim, self.policy, now);
            }
            (None, None) => tracing::warn!(%host, command = command.name(), "not begun: its claim is gone"),
        }
    }

    fn record_sent(&mut self, host: &HostId, command: &HostCommand, sent_at: Timestamp) {
        self.succeeded(host);
        self.with_instance_mut(host, |instance| match command {
            HostCommand::Reboot { .. } => {
                instance.run.reboot = Some(Box::new(next_reboot(instance, sent_at, None)));
            }
            HostCommand::Inspect { .. } | HostCommand::Stage { .. } | HostCommand::Revert { .. } => {
                instance.command = Some(Box::new(CommandInFlight { command: command.clone(), sent_at }));
            }
        });
    }
}

/// Whether the host was last heard in the boot that its claim names.
fn is_in_boot_of(instance: &Instance, claim: &Claim) -> bool {
    let heard = instance.report.as_ref().and_then(|seen| seen.report.boot_id.as_ref());
    heard.is_some_and(|boot| claim.is_for(boot))
}

/// One more reboot command of this run. What was sent for an earlier claim is of another boot.
fn next_reboot(instance: &Instance, sent_at: Timestamp, end: Option<(Timestamp, VisitEnd)>) -> SentReboot {
    let of_this_claim = |before: &&SentReboot| instance.claim().is_some_and(|claim| before.sent_at >= claim.since);
    let before = instance.run.reboot.as_deref().filter(of_this_claim);
    SentReboot { sent_at, earlier: before.and_then(SentReboot::may_act_since), end }
}

/// Reboots into one version are one command, which names the boot of each of its hosts.
fn apart_from_the_boot(command: &HostCommand) -> HostCommand {
    match command {
        HostCommand::Reboot { version, .. } => HostCommand::Reboot { version: version.clone(), boot: BootId::new("") },
        HostCommand::Inspect { .. } | HostCommand::Stage { .. } | HostCommand::Revert { .. } => command.clone(),
    }
}
