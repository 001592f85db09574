//! Steps that a host carries out: inspect, stage, reboot, revert, cancel.

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::claim::{Claim, ClaimStep};
use models::fleet::{CommandInFlight, InstanceStatus, RunMemory, SeenTasks, SentReboot, Visit, VisitEnd};
use models::ids::HostId;
use models::plan::{HostCommand, PlannedStep, Step};

use super::{Actor, hosts_of};
use crate::observe::take_tags;

impl Actor<'_> {
    pub(super) async fn inspect(&mut self, steps: Vec<PlannedStep>) {
        let commands = steps
            .into_iter()
            .filter_map(|PlannedStep { host, step }| match step {
                Step::Inspect { refresh } => Some((host, HostCommand::Inspect { refresh })),
                _ => None,
            })
            .collect();
        self.send(commands).await;
    }

    pub(super) async fn stage(&mut self, steps: Vec<PlannedStep>) {
        let (mut claims, mut commands) = (Vec::new(), Vec::new());
        for PlannedStep { host, step } in steps {
            let Step::Stage { from, to, lock } = step else { continue };
            let claim = match self.out_of_service_claim(&host) {
                Some(claim) => claim.clone(),
                None => self.new_claim(ClaimStep::Stage, &from, &to, None),
            };
            claims.push((host.clone(), claim, lock.clone()));
            commands.push((host, HostCommand::Stage { version: to, lock }));
        }
        let claimed = self.claim(claims).await;
        commands.retain(|(host, _)| claimed.contains(host));
        for (host, _) in &commands {
            self.change(host, |instance| instance.run.stages += 1);
        }
        self.send(commands).await;
    }

    /// Puts a lock back, or undoes an activation. The claim of an instance that is out of service stays as it is: it
    /// says that the drain is ours.
    pub(super) async fn cancel(&mut self, steps: Vec<PlannedStep>) {
        let (mut claims, mut commands) = (Vec::new(), Vec::new());
        for PlannedStep { host, step } in steps {
            let Step::Cancel { boot, lock } = step else { continue };
            let running = self.instance(&host).and_then(|instance| instance.report.as_ref()?.report.running());
            let Some(running) = running else { continue };
            if self.out_of_service_claim(&host).is_none() {
                claims.push((host.clone(), self.new_claim(ClaimStep::Cancel, &running, &running, None), None));
            }
            commands.push((host, HostCommand::Revert { version: None, lock, boot }));
        }
        let asked: Vec<HostId> = claims.iter().map(|(host, _, _)| host.clone()).collect();
        let claimed = self.claim(claims).await;
        commands.retain(|(host, _)| !asked.contains(host) || claimed.contains(host));
        for (host, _) in &commands {
            self.change(host, |instance| instance.run.cancels += 1);
        }
        self.send(commands).await;
    }

    pub(super) async fn revert(&mut self, steps: Vec<PlannedStep>) {
        let (mut claims, mut commands) = (Vec::new(), Vec::new());
        for PlannedStep { host, step } in steps {
            let Step::Revert { boot, lock, why } = step else { continue };
            let Some(claim) = self.out_of_service_claim(&host).cloned() else { continue };
            tracing::warn!(%host, from = %claim.to, to = %claim.from, why, "rolling back");
            let revert = self.new_claim(ClaimStep::Revert, &claim.from, &claim.to, Some(boot.clone()));
            claims.push((host.clone(), revert, lock.clone()));
            self.change(&host, |instance| instance.run.trouble = Some(why));
            commands.push((host, HostCommand::Revert { version: Some(claim.from), lock, boot }));
        }
        let claimed = self.claim(claims).await;
        commands.retain(|(host, _)| claimed.contains(host));
        self.send(commands).await;
    }

    /// The last look before the reboot: DRAINING still stands, the claim is still ours, no task is left, not even one
    /// that is stopping. Whatever is found instead goes into the snapshot, and nothing is sent.
    pub(super) async fn reboot(&mut self, steps: Vec<PlannedStep>) {
        let hosts = hosts_of(&steps);
        let Some(mut clear) = self.still_ours(&hosts).await else { return };
        self.drain_again(&mut clear).await;
        let mut empty = Vec::new();
        if clear.is_empty() {
            return;
        }
        match self.tasks_of(&clear).await {
            Ok(looks) => {
                let at = self.now();
                for (host, tasks) in looks {
                    if tasks.is_empty() {
                        empty.push(host.clone());
                    }
                    self.change(&host, |instance| instance.tasks = Some(SeenTasks { at, tasks }));
                }
            }
            Err(error) => return self.failed(&clear, error),
        }
        let (mut claims, mut commands) = (Vec::new(), Vec::new());
        for PlannedStep { host, step } in steps {
            let Step::Reboot { to, boot } = step else { continue };
            let Some(claim) = self.out_of_service_claim(&host).filter(|_| empty.contains(&host)).cloned() else {
                continue;
            };
            if claim.step != ClaimStep::Revert {
                let reboot = self.new_claim(ClaimStep::Reboot, &claim.from, &claim.to, Some(boot.clone()));
                claims.push((host.clone(), reboot, None));
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
                        && instance.claim().is_some_and(|claim| claim.step == ClaimStep::Revert)
                })
            })
            .cloned()
            .collect();
        if !active.is_empty() {
            self.set_status(&active, InstanceStatus::Draining).await;
        }
        clear.retain(|host| self.instance(host).is_some_and(|i| i.status == InstanceStatus::Draining));
    }

    /// Reads status and tags again; returns the hosts whose claim is as it was. `None` when AWS did not answer.
    pub(super) async fn still_ours(&mut self, hosts: &[HostId]) -> Option<Vec<HostId>> {
        let before: BTreeMap<HostId, Option<Claim>> =
            hosts.iter().filter_map(|host| Some((host.clone(), self.instance(host)?.claim().cloned()))).collect();
        let now = self.now();
        let asked = hosts.iter().cloned().collect();
        if let Err(error) = crate::observe::short_look(self.aws, self.fleet, &asked, now).await {
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
            self.change(host, |instance| take_tags(instance, machines.get(host)));
        }
        let same = |host: &&HostId| {
            self.instance(host).is_some_and(|instance| {
                // Once the reboot is claimed, stopping halfway would be worse than going on.
                let begun = instance.claim().is_some_and(|claim| claim.boot.is_some());
                (begun || instance.tags.exclude.is_none())
                    && !matches!(instance.tags.claim, Some(Err(_)))
                    && before.get(*host).is_some_and(|claim| claim.as_ref() == instance.claim())
            })
        };
        Some(hosts.iter().filter(same).cloned().collect())
    }

    pub(super) fn out_of_service_claim(&self, host: &HostId) -> Option<&Claim> {
        self.instance(host)?.claim().filter(|claim| claim.step.takes_out_of_service())
    }

    /// Sends commands, those that are alike in one.
    async fn send(&mut self, commands: Vec<(HostId, HostCommand)>) {
        let mut groups: BTreeMap<HostCommand, Vec<HostId>> = BTreeMap::new();
        for (host, command) in commands {
            groups.entry(command).or_default().push(host);
        }
        for (command, hosts) in groups {
            let clock = self.clock.clone();
            let dispatch = self.commands.send(self.aws, self.policy, self.run, &command, &hosts, || clock.now()).await;
            for (host, sent_at) in dispatch.sent {
                self.succeeded(&host);
                self.change(&host, |instance| match &command {
                    HostCommand::Reboot { .. } => {
                        instance.run.reboot = Some(next_reboot(&instance.run, sent_at, None));
                    }
                    HostCommand::Inspect { .. } | HostCommand::Stage { .. } | HostCommand::Revert { .. } => {
                        instance.command = Some(CommandInFlight { command: command.clone(), sent_at });
                    }
                });
            }
            let now = self.now();
            for (host, detail) in dispatch.refused {
                let end = VisitEnd::NotDelivered { detail };
                self.change(&host, |instance| match &command {
                    HostCommand::Reboot { .. } => {
                        instance.run.reboot = Some(next_reboot(&instance.run, now, Some((now, end))));
                    }
                    HostCommand::Inspect { .. } | HostCommand::Stage { .. } | HostCommand::Revert { .. } => {
                        instance.visit = Some(Visit { command: command.clone(), sent_at: now, at: now, end });
                    }
                });
            }
            if let Some(error) = dispatch.error {
                self.failed(&hosts, error);
            }
        }
    }
}

/// One more reboot command of this run.
fn next_reboot(run: &RunMemory, sent_at: Timestamp, end: Option<(Timestamp, VisitEnd)>) -> SentReboot {
    SentReboot { sent_at, times: run.reboot.as_ref().map_or(0, |reboot| reboot.times) + 1, end }
}
