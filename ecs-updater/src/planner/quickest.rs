//! When ECS is asked again about an instance that is out of service by us: seldom while others of this run show that it is
//! too early, and at each beat once it can be done.

use jiff::{SignedDuration, Timestamp};
use models::claim::{Claim, ClaimStep, Transport};
use models::fleet::{FleetSnapshot, Instance};
use models::time::after;

use super::times::{BRIDGE_POLL, DRAIN_POLL, FIRST_BOOT_POLL};

/// The time between two looks that are not expected to show anything: at each third beat, which three whole beats would
/// just miss.
const SELDOM: SignedDuration = SignedDuration::from_secs(14);
/// The same while SSM is to tell of a boot: what ECS says matters after that.
const TOLD_BY_SSM: SignedDuration = SignedDuration::from_secs(119);

/// How long a drain takes at least, as long as none of this run has shown otherwise: most tasks are replaced first, and a new
/// one takes as long to start and to be healthy.
const NO_DRAIN: SignedDuration = SignedDuration::from_secs(28);

/// How long the quickest of this run took so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quickest {
    /// From DRAINING to the claim for the reboot.
    drain: Option<SignedDuration>,
    /// From there to the first word from the new boot.
    boot: Option<SignedDuration>,
}

impl Quickest {
    pub(crate) fn of(fleet: &FleetSnapshot) -> Self {
        let runs = || fleet.instances.values().map(|instance| &instance.run);
        let drains = runs().filter_map(|run| Some(run.began?.duration_since(run.drained_at?)));
        let boots = runs().filter_map(|run| Some(run.boot.as_ref()?.at.duration_since(run.began?)));
        Self {
            drain: drains.filter(|took| took.is_positive()).min(),
            boot: boots.filter(|took| took.is_positive()).min(),
        }
    }

    /// When ECS is asked next about an instance that this run works on.
    pub(crate) fn next_look(&self, instance: &Instance, transport: Transport) -> Timestamp {
        match instance.claim() {
            Some(claim) if claim.step == ClaimStep::Drain => self.next_drain_look(instance, transport),
            Some(claim) if !claim.boots.is_empty() => self.next_boot_look(instance, claim, transport),
            Some(_) | None => soon(instance, transport),
        }
    }

    /// When ECS is asked next about an instance that drains.
    pub(crate) fn next_drain_look(&self, instance: &Instance, transport: Transport) -> Timestamp {
        let soon = soon(instance, transport);
        if instance.command.is_some() {
            return soon;
        }
        // Once ECS counts none, the tasks that may still be stopping are asked about by themselves.
        let counted = instance.running_tasks > 0 || instance.pending_tasks > 0;
        if !counted && instance.tasks.is_some() {
            return after(instance.seen_at, SELDOM);
        }
        match instance.run.drained_at {
            Some(at) => unhurried(instance, soon, after(at, self.drain.map_or(NO_DRAIN, |quickest| quickest * 3 / 4))),
            None => soon,
        }
    }

    fn next_boot_look(&self, instance: &Instance, claim: &Claim, transport: Transport) -> Timestamp {
        let soon = soon(instance, transport);
        if instance.run.boot.as_ref().is_some_and(|boot| !claim.is_for(&boot.id)) {
            return soon;
        }
        let began = instance.began(claim);
        // No host is back immediately.
        let first = after(began, FIRST_BOOT_POLL);
        let next = match (transport, self.boot) {
            (Transport::Ssm, _) => after(instance.seen_at, TOLD_BY_SSM),
            (Transport::Bridge, Some(quickest)) => unhurried(instance, soon, after(began, quickest * 3 / 4)),
            (Transport::Bridge, None) => soon,
        };
        next.max(first)
    }
}

fn soon(instance: &Instance, transport: Transport) -> Timestamp {
    let poll = match transport {
        Transport::Ssm => DRAIN_POLL,
        Transport::Bridge => BRIDGE_POLL,
    };
    after(instance.seen_at, poll)
}

/// Seldom until `likely`, and soon from then on.
fn unhurried(instance: &Instance, soon: Timestamp, likely: Timestamp) -> Timestamp {
    after(instance.seen_at, SELDOM).min(likely).max(soon)
}
