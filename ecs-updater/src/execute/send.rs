//! How a host is told: by SSM in a command, by its bridge in the claim that stands already.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use models::claim::{Claim, Transport};
use models::fleet::{CommandInFlight, Instance, SentReboot, Visit, VisitEnd};
use models::ids::{BootId, HostId};
use models::plan::HostCommand;

use super::Actor;
use super::claims::is_in_boot_of;
use crate::host::ssm::{Dispatch, Sender};
use crate::host::{Ended, bridge};
use crate::observe::record_ended;
use crate::planner::policy_of;

impl Actor<'_> {
    /// Sends commands. Over SSM, equal commands go out in one call; for a host bridge the claim is the command.
    pub(super) async fn send(&mut self, commands: Vec<(HostId, HostCommand)>) {
        let mut groups: BTreeMap<HostCommand, Vec<(HostId, HostCommand)>> = BTreeMap::new();
        for (host, command) in commands {
            match self.settle_transport(&host) {
                Transport::Bridge => self.hand_to_bridge(&host, command),
                Transport::Ssm => groups.entry(apart_from_the_boot(&command)).or_default().push((host, command)),
            }
        }
        for group in groups.into_values() {
            if self.is_ssm_silent() {
                return;
            }
            let dispatch = self.dispatch(&group).await;
            let reboots = group.first().is_some_and(|(_, command)| matches!(command, HostCommand::Reboot { .. }));
            let mut unsent: BTreeMap<HostId, HostCommand> = group.into_iter().collect();
            let others_done = !dispatch.sent.is_empty();
            for (host, sent_at) in dispatch.sent {
                if let Some(command) = unsent.remove(&host) {
                    self.pin_transport(&host);
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
                self.refused_alone(&host, error, others_done);
            }
            for host in &dispatch.maybe_sent {
                self.pin_transport(host);
                if reboots {
                    self.note_maybe_sent(host);
                }
            }
            if let Some(error) = dispatch.error {
                let hosts: Vec<HostId> = unsent.into_keys().collect();
                self.failed(&hosts, error);
            }
        }
    }

    /// Asks SSM what runs on hosts that are reached by their bridges. That SSM does not reach one, or is not to be used, is
    /// no refusal of a step: then ECS is left to confirm what the bridge says.
    pub(super) async fn confirm(&mut self, hosts: Vec<HostId>) {
        if self.is_ssm_silent() {
            return;
        }
        let command = HostCommand::Inspect { refresh: false };
        let group: Vec<_> = hosts.into_iter().map(|host| (host, command.clone())).collect();
        let Dispatch { sent, refused, failed, error, .. } = self.dispatch(&group).await;
        let mut unsent: BTreeMap<HostId, HostCommand> = group.into_iter().collect();
        for (host, sent_at) in sent {
            unsent.remove(&host);
            self.record_sent(&host, &command, sent_at);
        }
        for (host, detail) in
            refused.into_iter().chain(failed.into_iter().map(|(host, error)| (host, error.to_string())))
        {
            unsent.remove(&host);
            self.note_undelivered(&host, command.clone(), detail);
        }
        let Some(error) = error else { return };
        for host in unsent.into_keys() {
            self.note_undelivered(&host, command.clone(), error.to_string());
        }
        if error.kind.is_silence() {
            self.failed(&[], error);
        }
    }

    async fn dispatch(&mut self, group: &[(HostId, HostCommand)]) -> Dispatch {
        let clock = self.clock.clone();
        let hosts = group.iter().map(|(host, _)| host);
        let is_booting = |host: &&HostId| self.instance(host).is_some_and(awaits_boot);
        let booting: BTreeSet<HostId> = hosts.filter(is_booting).cloned().collect();
        let sender = Sender { aws: self.aws, policy: self.policy, run: self.author.run, booting: &booting };
        self.commands.send(sender, group, || clock.now()).await
    }

    /// Records that SSM refuses the host: the command has ended before it began.
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

    /// Records that a reboot may have been sent although SSM did not say so.
    fn note_maybe_sent(&mut self, host: &HostId) {
        let now = self.now();
        self.with_instance_mut(host, |instance| {
            let since = instance.claim().map(|claim| instance.began(claim));
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

    /// Awaits the bridge's report on a claim. Two commands end at once: an inspection, with the report that is known, and
    /// the undoing of an activation while an out-of-service claim stands, since the agent does that when the claim ends.
    fn hand_to_bridge(&mut self, host: &HostId, command: HostCommand) {
        let now = self.now();
        let Some(instance) = self.instance(host) else { return };
        let claim = instance.claim().cloned();
        let policy = policy_of(instance, self.policy);
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
                self.awaited.follow(host.clone(), command, claim, policy, now);
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

/// Whether the host has been asked for a reboot by its claim, and was not heard in another boot since.
fn awaits_boot(instance: &Instance) -> bool {
    let asked = |claim: &&Claim| instance.run.reboot.as_ref().is_some_and(|sent| sent.sent_at >= instance.began(claim));
    instance.claim().filter(asked).is_some_and(|claim| is_in_boot_of(instance, claim))
}

/// Returns this run's next reboot command. Commands for an earlier claim were meant for another boot.
fn next_reboot(instance: &Instance, sent_at: Timestamp, end: Option<(Timestamp, VisitEnd)>) -> SentReboot {
    let of_this_claim =
        |before: &&SentReboot| instance.claim().is_some_and(|claim| before.sent_at >= instance.began(claim));
    let before = instance.run.reboot.as_deref().filter(of_this_claim);
    SentReboot { sent_at, earlier: before.and_then(SentReboot::may_act_since), end }
}

/// Returns the command without its boot: reboots into one version are sent as one command that names the boot of each host.
fn apart_from_the_boot(command: &HostCommand) -> HostCommand {
    match command {
        HostCommand::Reboot { version, .. } => HostCommand::Reboot { version: version.clone(), boot: BootId::new("") },
        HostCommand::Inspect { .. } | HostCommand::Stage { .. } | HostCommand::Revert { .. } => command.clone(),
    }
}
