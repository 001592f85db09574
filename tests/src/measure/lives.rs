//! What the instances of a rollout went through, from the world's own log, and what nobody can be faster than.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use models::claim::CLAIM_TAG;

use crate::Region;
use crate::host::{Durations, HostEvent};
use crate::world::{Actor, BootStep, Event, InstanceChange, InstanceStatus, LastStatus, MachineNo, TaskChange};

/// Times of the rollout of a cluster.
#[derive(Debug, Clone)]
pub struct Lives {
    /// The budget.
    pub at_once: usize,
    /// Refresh and prepare on the host, without anything random.
    pub stage: SignedDuration,
    /// The refresh before the activation, which shows that the version is still offered; without anything random.
    pub refresh: SignedDuration,
    /// Mean, from DRAINING to the last task STOPPED.
    pub drain: SignedDuration,
    /// Mean, from the accepted reboot to the host's going down.
    pub shutdown: SignedDuration,
    /// Mean, from there until the host is up.
    pub boot: SignedDuration,
    /// Mean, from there until the ECS agent runs: before that nobody can put the instance back.
    pub agent: SignedDuration,
    /// Out of service beyond drain, refresh, shutdown, boot and agent, each instance's, sorted.
    pub extra: Vec<SignedDuration>,
    /// Its parts, each sorted: until the reboot was claimed, from there until it was accepted, and after the agent ran.
    pub parts: [Vec<SignedDuration>; 3],
}

impl Lives {
    /// Nobody can be faster: stage + ⌈size / at once⌉ · (drain + refresh + shutdown + boot), where a boot ends with
    /// the agent.
    pub fn bound(&self, size: usize) -> SignedDuration {
        self.waves(size, self.drain + self.refresh + self.shutdown + self.boot + self.agent)
    }

    /// The same where a boot ends with the host API, before there is an agent.
    pub fn strict_bound(&self, size: usize) -> SignedDuration {
        self.waves(size, self.drain + self.refresh + self.shutdown + self.boot)
    }

    fn waves(&self, size: usize, each: SignedDuration) -> SignedDuration {
        let waves = i32::try_from(size.div_ceil(self.at_once.max(1))).unwrap_or(i32::MAX);
        self.stage + each * waves
    }

    /// The extra time out of service that `percent` of the instances stay within.
    pub fn extra_at(&self, percent: usize) -> SignedDuration {
        let last = self.extra.len().saturating_sub(1);
        self.extra.get((self.extra.len() * percent / 100).min(last)).copied().unwrap_or_default()
    }
}

/// One machine's way through its update.
#[derive(Debug, Default, Clone, Copy)]
struct Life {
    drained: Option<Timestamp>,
    empty: Option<Timestamp>,
    claimed: Option<Timestamp>,
    accepted: Option<Timestamp>,
    down: Option<Timestamp>,
    up: Option<Timestamp>,
    agent: Option<Timestamp>,
    back: Option<Timestamp>,
}

impl Life {
    fn see(&mut self, event: &Event, at: Option<Timestamp>) {
        match event {
            Event::Instance { change: InstanceChange::Status { to, by: Actor::Updater, .. }, .. } => match to {
                InstanceStatus::Draining => (self.drained, self.empty) = (at, at),
                InstanceStatus::Active => self.back = at,
                InstanceStatus::Inactive => {}
            },
            Event::Task { change: TaskChange::Status(LastStatus::Stopped), .. } if self.accepted.is_none() => {
                self.empty = at;
            }
            Event::Tag { key, value: Some(claim), by: Actor::Updater, .. }
                if key == CLAIM_TAG && claim.starts_with("v1/reboot") =>
            {
                self.claimed = self.claimed.or(at);
            }
            Event::Boot { step: BootStep::Accepted { .. }, .. } => self.accepted = at,
            Event::Boot { step: BootStep::Begins { .. }, .. } => self.down = at,
            Event::Host { event: HostEvent::Booted { .. }, .. } => self.up = at,
            Event::Host { event: HostEvent::EcsAgentUp { .. }, .. } if self.up.is_some() => {
                self.agent = self.agent.or(at);
            }
            _ => {}
        }
    }
}

/// Returns the times of a rollout that is over.
pub(super) fn lives(region: &Region, host: Durations, at_once: usize) -> Lives {
    let (stage, refresh) = (host.refresh + host.prepare, host.refresh);
    let mut lives: BTreeMap<MachineNo, Life> = BTreeMap::new();
    for entry in region.log() {
        let Some(machine) = entry.event.machine() else { continue };
        let life = lives.entry(machine).or_default();
        let at = Some(entry.at);
        life.see(&entry.event, at);
    }
    let mut sums = [SignedDuration::ZERO; 4];
    let (mut extra, mut parts_of_extra) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
    for life in lives.values() {
        let Life { drained: Some(drained), empty: Some(empty), claimed, accepted: Some(accepted), .. } = *life else {
            continue;
        };
        let Life { down: Some(down), up: Some(up), agent: Some(agent), back: Some(back), .. } = *life else { continue };
        let parts = [
            empty.duration_since(drained),
            down.duration_since(accepted),
            up.duration_since(down),
            agent.duration_since(up),
        ];
        extra.push(parts.iter().fold(back.duration_since(drained) - refresh, |left, part| left - *part));
        let claimed = claimed.unwrap_or(accepted);
        parts_of_extra[0].push(claimed.duration_since(empty));
        parts_of_extra[1].push(accepted.duration_since(claimed));
        parts_of_extra[2].push(back.duration_since(agent));
        for (sum, part) in sums.iter_mut().zip(parts) {
            *sum += part;
        }
    }
    extra.sort();
    parts_of_extra.iter_mut().for_each(|part| part.sort());
    let count = i32::try_from(extra.len().max(1)).unwrap_or(i32::MAX);
    let [drain, shutdown, boot, agent] = sums.map(|sum| sum / count);
    Lives { at_once, stage, refresh, drain, shutdown, boot, agent, extra, parts: parts_of_extra }
}
