//! From facts to steps: pure, synchronous, deterministic. Nothing here reads a clock or speaks to anyone.
//!
//! [`plan`] asks `next` what each instance needs by itself, and `admission` which of those that need to go out of
//! service may do so now.

#![deny(clippy::wildcard_enum_match_arm)]

mod admission;
mod capacity;
mod claimed;
mod constraint;
mod estimate;
mod groups;
mod next;
mod refusal;
mod unclaimed;
mod workload;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use models::claim::Way;
use models::fleet::{FleetSnapshot, Instance, InstanceStatus};
use models::host::HostReport;
use models::ids::RunId;
use models::plan::{End, Phase, Plan, PlannedStep, Stand, Step};
use models::policy::Policy;
use models::reason::HoldReason;
use semver::Version;

pub(crate) use claimed::reboot_may_come_until;
pub use estimate::estimate;
pub use groups::{groups, image_version, youngest_images};
pub(crate) use refusal::refused_again;

use admission::{Counted, Queued};
use next::{Candidate, Next};

/// What the planner must know besides the snapshot and the policy.
#[derive(Debug, Clone)]
pub struct RunFacts {
    /// This run.
    pub run: RunId,
    /// When it began.
    pub started_at: Timestamp,
    /// Whether nothing may be changed: then every candidate is looked at, not only those whose turn is near.
    pub dry_run: bool,
    /// Why no further instance may be begun, if so.
    pub stop: Option<Stop>,
    /// Since when nothing was under way although instances wait for a place in the budget.
    pub idle_since: Option<Timestamp>,
}

/// Reasons from outside not to begin anything new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A signal.
    Interrupted,
    /// AWS refuses something that every instance needs.
    NotPermitted {
        /// What AWS said.
        detail: String,
        /// The next thing to do.
        advice: &'static str,
    },
}

/// How soon a draining instance is looked at again: at the next beat of the run's grid of 5 s, which a whole beat would
/// just miss. One call tells of a hundred, and what is noticed late is time out of service.
pub(crate) const DRAIN_POLL: SignedDuration = SignedDuration::from_secs(4);
/// The same where a host bridge acts within a second of its claim and reports as fast: each beat of its finer grid of
/// 2.5 s. SSM answers to a poll of its own, which is no faster for being asked more often.
pub(crate) const BRIDGE_POLL: SignedDuration = SignedDuration::from_secs(2);
/// How often a host is visited that is to come back, or to become healthy.
pub(crate) const BOOT_POLL: SignedDuration = SignedDuration::from_secs(15);
/// From the reboot command to the first visit: no host shuts down and boots in less.
pub(crate) const FIRST_BOOT_POLL: SignedDuration = SignedDuration::from_secs(30);
/// Between two tries to reach a host that does not answer.
pub(crate) const RETRY: SignedDuration = SignedDuration::from_secs(20);
/// How long listings may lag behind a write before they count as somebody else's act.
pub(crate) const SETTLE: SignedDuration = SignedDuration::from_secs(20);
/// How long a look at tasks is good for admission.
pub(crate) const TASKS_FRESH: SignedDuration = SignedDuration::from_secs(60);
/// How long `agentConnected` may still be true for an agent that is gone ("a few minutes").
pub(crate) const AGENT_FLAG_LAG: SignedDuration = SignedDuration::from_mins(5);
/// How often one image is written to one host in a run before the instance counts as failed.
pub(crate) const MAX_STAGES: u32 = 2;
/// How often an activation is undone on one host in a run, where the command is lost on its way.
pub(crate) const MAX_UNDOS: u32 = 5;
/// How long a reboot that was called off may still come: the host bridge reads its claim every 5 s and says that it is off,
/// or waits for a reboot that it has asked for (7 min, of which a shutdown may take 5).
pub(crate) const CALL_OFF: SignedDuration = SignedDuration::from_mins(8);
/// How long after it was sent a command by SSM may make its host begin a reboot: a minute until it is delivered, two for
/// what it does before it asks (`host::ssm`), and a shutdown may take 5 more to begin.
pub(crate) const REBOOT_MAY_COME: SignedDuration = SignedDuration::from_mins(8);
/// How many boots of one host are claimed for a reboot in a run: one that reboots by itself again and again is given up.
pub(crate) const MAX_REBOOT_CLAIMS: u32 = 3;
/// How often a lock is put back on one host in a run before that counts as impossible.
pub(crate) const MAX_CANCELS: u32 = 2;

pub(crate) struct Context<'a> {
    pub(crate) snapshot: &'a FleetSnapshot,
    pub(crate) policy: &'a Policy,
    pub(crate) run: &'a RunFacts,
    pub(crate) now: Timestamp,
    newest: OnceCell<BTreeMap<(&'a str, &'a str), Version>>,
}

impl<'a> Context<'a> {
    /// The newest version that is known for each variant and architecture: every report is read for it, so not before
    /// somebody asks.
    pub(crate) fn newest(&self) -> &BTreeMap<(&'a str, &'a str), Version> {
        self.newest.get_or_init(|| unclaimed::newest_by_kind(self.snapshot))
    }

    /// When an instance that is out of service is looked at again.
    pub(crate) fn next_poll(&self, instance: &Instance) -> Timestamp {
        let poll = match instance.way(self.policy.host, self.now) {
            Way::Ssm => DRAIN_POLL,
            Way::Bridge => BRIDGE_POLL,
        };
        after(self.now, poll)
    }

    /// Until when a host that does not answer is tried again.
    pub(crate) fn inspect_deadline(&self) -> Timestamp {
        after(self.run.started_at, self.policy.timeouts.inspect)
    }
}

/// `time + duration`, at the end of time where that is beyond it.
pub(crate) fn after(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// What to do now.
///
/// Deterministic: the same facts, policy and time give the same plan. The plan is empty and has no `wake_at` when
/// nothing is left that this run could do.
pub fn plan(snapshot: &FleetSnapshot, policy: &Policy, run: &RunFacts, now: Timestamp) -> Plan {
    let cx = Context { snapshot, policy, run, now, newest: OnceCell::new() };
    let mut draft = Draft::of(snapshot.instances.len());
    let mut queue = Vec::new();
    let mut counted = Counted::default();
    for instance in snapshot.instances.values() {
        counted.count(instance, now);
        match next::next(instance, &cx) {
            Next::Candidate(candidate) => queue.push(draft.enqueue(candidate)),
            Next::Do(phase, step) => draft.step(instance, phase, step),
            Next::Wait(phase, until) => draft.wait(instance, phase, until),
            Next::Stand(phase) => draft.stand(instance, phase, None),
            Next::Hold(reason) => draft.hold(instance, reason),
            Next::Current => draft.stand(instance, Phase::Current, None),
            Next::Settled => draft.stand(instance, Phase::Settled, None),
        }
    }
    admission::admit(&cx, &queue, &counted, &mut draft);
    if draft.is_at_rest() && waits_for_others(&cx, &draft) {
        draft.wake(after(now, RETRY));
    }
    if draft.is_at_rest() || run.stop == Some(Stop::Interrupted) {
        release_what_waits_in_vain(&cx, &mut draft);
    }
    draft.plan()
}

/// Whether it is worth while to wait for a place that others take up: an agent that lost its connection for a moment
/// must not end a rollout.
fn waits_for_others(cx: &Context<'_>, draft: &Draft) -> bool {
    let waiting = draft.stands.iter().any(|stand| matches!(stand.hold, Some(HoldReason::BudgetUsedUp { .. })));
    let since = cx.run.idle_since.unwrap_or(cx.now);
    waiting && !cx.run.dry_run && cx.now < after(since, cx.policy.timeouts.inspect)
}

/// Nothing is under way and nothing can be begun, or nothing may be: what was staged ahead, or claimed by a run that died before it
/// drained, waits for the next run, without a claim.
fn release_what_waits_in_vain(cx: &Context<'_>, draft: &mut Draft) {
    if cx.run.dry_run {
        return;
    }
    let waiting: Vec<PlannedStep> = draft
        .stands
        .iter()
        .filter_map(|stand| {
            let instance = cx.snapshot.instances.get(&stand.host)?;
            let end = match (&stand.hold, stand.phase) {
                (Some(why), _) => End::Held { why: why.clone() },
                (None, Phase::Current) => End::Current,
                (
                    None,
                    Phase::Unseen
                    | Phase::Outdated
                    | Phase::Staging
                    | Phase::Staged
                    | Phase::Draining
                    | Phase::Drained
                    | Phase::Rebooting
                    | Phase::Verifying
                    | Phase::Reverting
                    | Phase::Held
                    | Phase::Settled,
                ) => return None,
            };
            let claim = instance.claim()?;
            let in_service = instance.status == InstanceStatus::Active || !claim.step.takes_out_of_service();
            let host = instance.host.clone();
            (in_service && instance.command.is_none()).then_some(PlannedStep { host, step: Step::Finish(end) })
        })
        .collect();
    draft.steps.extend(waiting);
}

/// A plan in the making.
#[derive(Debug)]
pub(crate) struct Draft {
    steps: Vec<PlannedStep>,
    stands: Vec<Stand>,
    wake_at: Option<Timestamp>,
}

impl Draft {
    /// An empty one, for so many instances.
    fn of(instances: usize) -> Self {
        Self { steps: Vec::new(), stands: Vec::with_capacity(instances), wake_at: None }
    }

    pub(crate) fn step(&mut self, instance: &Instance, phase: Phase, step: Step) {
        self.stand(instance, phase, None);
        self.steps.push(PlannedStep { host: instance.host.clone(), step });
    }

    pub(crate) fn wait(&mut self, instance: &Instance, phase: Phase, until: Timestamp) {
        self.stand(instance, phase, None);
        self.wake(until);
    }

    pub(crate) fn hold(&mut self, instance: &Instance, why: HoldReason) {
        self.stand(instance, Phase::Held, Some(why));
    }

    pub(crate) fn stand(&mut self, instance: &Instance, phase: Phase, hold: Option<HoldReason>) {
        let report = instance.report.as_ref().map(|seen| &seen.report);
        let ended_from = instance.run.verdict.as_ref().and_then(|verdict| verdict.from.clone());
        let (from, to) = match instance.claim() {
            Some(claim) => (Some(claim.from.clone()), Some(claim.to.clone())),
            None => (ended_from.or_else(|| report.and_then(HostReport::running)), None),
        };
        self.stands.push(Stand { host: instance.host.clone(), phase, hold, from, to, turn: None });
    }

    /// Keeps its place for the stand of a candidate, which its turn says.
    fn enqueue<'a>(&mut self, candidate: Candidate<'a>) -> Queued<'a> {
        let queued = Queued { stand: self.stands.len(), candidate };
        let Candidate { instance, from, to, .. } = &queued.candidate;
        self.stands.push(Stand {
            host: instance.host.clone(),
            phase: queued.candidate.waits_as(),
            hold: None,
            from: Some(from.clone()),
            to: Some(to.clone()),
            turn: None,
        });
        queued
    }

    pub(crate) fn turn(&mut self, queued: &Queued<'_>, phase: Phase, hold: Option<HoldReason>, turn: usize) {
        let stand = &mut self.stands[queued.stand];
        stand.phase = phase;
        stand.hold = hold;
        stand.turn = Some(turn);
    }

    pub(crate) fn act(&mut self, instance: &Instance, step: Step) {
        self.steps.push(PlannedStep { host: instance.host.clone(), step });
    }

    pub(crate) fn has_step(&self, instance: &Instance) -> bool {
        self.steps.iter().any(|planned| planned.host == instance.host)
    }

    pub(crate) fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn is_at_rest(&self) -> bool {
        self.steps.is_empty() && self.wake_at.is_none()
    }

    fn plan(self) -> Plan {
        Plan { steps: self.steps, stands: self.stands, wake_at: self.wake_at }
    }
}
