//! From facts to steps: pure, synchronous, deterministic. Nothing here reads a clock or speaks to anyone.
//!
//! [`plan`] asks `next` what each instance needs by itself, and `admission` which of those that need to go out of
//! service may do so now.

#![deny(clippy::wildcard_enum_match_arm)]

mod admission;
mod alarms;
mod claimed;
mod context;
mod draft;
mod durations;
mod estimate;
mod gate;
mod groups;
mod health;
mod hooks;
mod limits;
mod membership;
mod min_size;
mod naming;
mod need;
mod next;
mod outage;
mod progress;
mod purpose;
mod quickest;
mod refusal;
mod rollout;
mod room_notes;
mod scale_in;
mod selection;
mod times;
mod track_record;
mod unclaimed;
mod wanted;
mod way_back;
mod workload;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use models::fleet::{FleetSnapshot, InstanceStatus};
use models::ids::HostId;
use models::plan::{End, Phase, Plan, PlannedStep, Standing, Step};
use models::policy::Policy;
use models::reason::HoldReason;
use models::time::after;

pub(crate) use admission::obstacles;
pub(crate) use claimed::sent::reboot_may_come_until;
pub use context::{RunFacts, Stop};
pub(crate) use estimate::{Ahead, estimate};
pub(crate) use gate::{Asked, closed_for_drains, next_opening, open_until};
pub use groups::{GroupLaunches, group_names, groups, image_version, scale_out_notes, youngest_images};
pub(crate) use health::{Bad, fired_in_bake};
pub(crate) use limits::{drained_in_vain, rests_on_alarms, undated};
pub(crate) use membership::{Membership, empty_groups, in_two_groups, membership, policy_of, tally};
pub(crate) use min_size::{Hold, Holder, PutBack, hold as hold_min_size, put_back as put_back_min_size};
pub(crate) use naming::{Unnamed, may_get_a_bridge, unnamed};
pub(crate) use progress::{last_progress, oldest_running};
pub use purpose::{Purpose, WayBack};
pub(crate) use quickest::Quickest;
pub(crate) use refusal::refused_again;
pub(crate) use room_notes::room_notes;
pub(crate) use scale_in::{follow as follow_scale_in, scale_in_notes};
pub(crate) use selection::{not_selected, selects_none};
pub(crate) use times::{BRIDGE_POLL, DRAIN_POLL, EVENTUAL_CONSISTENCY, SKIP_POLL, TASKS_FRESH};
pub(crate) use track_record::failed_releases;
pub(crate) use way_back::{newest_release, on_release, runs_skipped};
pub(crate) use workload::standalone_words;

use admission::Counted;
use claimed::Claimed;
use context::{Context, Contexts};
use draft::Draft;
use need::Next;
use times::{AGENT_FLAG_LAG, RETRY};

/// Returns what to do now.
///
/// Deterministic: the same facts, policy and time give the same plan. The plan is empty and has no `wake_at` when
/// nothing is left that this run could do.
pub fn plan(snapshot: &FleetSnapshot, policy: &Policy, run: &RunFacts, now: Timestamp) -> Plan {
    let all = Contexts::new(snapshot, policy, run, now);
    let cx = &all.whole;
    let mut draft = Draft::of(snapshot.instances.len());
    let mut queue = Vec::new();
    let mut counted = Counted::nothing(run.api_share);
    let mut looks = Vec::new();
    for instance in snapshot.instances.values() {
        counted.count(instance, now);
        match next::next(instance, all.of(instance)) {
            Next::Candidate(candidate) => match all.member(instance).hold(instance) {
                Some(why) => draft.hold(instance, why),
                None => queue.push(draft.enqueue(candidate)),
            },
            Next::Do(phase, step) => draft.step(instance, phase, step),
            Next::Wait(phase, until) => draft.wait(instance, phase, until),
            Next::Ask(phase, ask) => {
                draft.standing(instance, phase, None);
                draft.ask(*ask);
            }
            Next::LookAtOthers(phase, others) => {
                draft.standing(instance, phase, None);
                looks.extend(others);
            }
            Next::Standing(phase) => draft.standing(instance, phase, None),
            Next::Hold(reason) => draft.hold(instance, reason),
            Next::Current => draft.standing(instance, Phase::Current, None),
            Next::Settled => {
                draft.standing(instance, Phase::Settled, None);
                hooks::after_instance(instance, cx, &mut draft);
            }
        }
    }
    draft.look(looks);
    admission::admit(&all, &queue, &counted, &mut draft);
    let waits = || waits_for_others(cx, &draft) || waits_for_ecs(cx, &draft) || waits_for_a_description(cx);
    if draft.is_at_rest() && waits() {
        draft.wake(after(now, RETRY));
    }
    if run.purpose.awaited_skip().is_some() {
        draft.wake(after(now, SKIP_POLL));
    }
    if draft.is_at_rest() || run.stop == Some(Stop::Interrupted) {
        release_what_waits_in_vain(cx, &mut draft);
    }
    if draft.is_at_rest() {
        hooks::after_run(cx, &mut draft);
    }
    draft.plan()
}

/// Notes which instances are healthy while a function of the user's is asked whether they are: the time in which one is to
/// become healthy again counts from then.
pub(crate) fn follow_health(snapshot: &mut FleetSnapshot, policy: &Policy, run: &RunFacts, now: Timestamp) {
    let cx = Context::new(snapshot, policy, run, now);
    let asked = cx.snapshot.instances.values().filter(|instance| instance.run.hook.is_some());
    let claimed = asked.filter_map(|instance| Some(Claimed { instance, claim: instance.claim()?, cx: &cx }));
    let well: Vec<HostId> =
        claimed.filter(|one| one.is_well_while_asked()).map(|one| one.instance.host.clone()).collect();
    for host in well {
        if let Some(instance) = snapshot.instances.get_mut(&host) {
            instance.run.last_seen.well = Some(now);
        }
    }
}

/// Whether it is worth while to wait for a place that others take up, or for agents that were lost together: a
/// connection that is lost for a moment must not end a rollout.
fn waits_for_others(cx: &Context<'_>, draft: &Draft) -> bool {
    let lost_together = cx.run.purpose.begins() && outage::is_of_the_cluster(cx);
    let waiting = draft.standings.iter().any(|standing| match &standing.hold {
        Some(HoldReason::BudgetUsedUp { .. }) => true,
        Some(HoldReason::AgentDisconnected) => lost_together && outage::was_connected(cx, &standing.host),
        Some(_) | None => false,
    });
    let since = cx.run.idle_since.unwrap_or(cx.now);
    waiting && !cx.run.dry_run && cx.now < after(since, cx.policy.timeouts.inspect)
}

/// Whether some wait until ECS finds out that a machine does not run, which takes it a few minutes.
fn waits_for_ecs(cx: &Context<'_>, draft: &Draft) -> bool {
    let is_one = |hold: &HoldReason| matches!(hold, HoldReason::StoppedMachineFirst { .. });
    let waiting = draft.standings.iter().any(|standing| standing.hold.as_ref().is_some_and(is_one));
    let since = cx.run.idle_since.unwrap_or(cx.now);
    let patience = AGENT_FLAG_LAG.max(cx.policy.timeouts.inspect);
    waiting && !cx.run.dry_run && cx.now < after(since, patience)
}

/// Whether ECS lists instances that it has not described to this run so far: one of them may be out of service by an
/// earlier run.
fn waits_for_a_description(cx: &Context<'_>) -> bool {
    let is_early = cx.now < cx.inspect_deadline();
    is_early && !cx.run.dry_run && !cx.snapshot.unknown_registrations.is_empty()
}

/// Releases the claims of instances that will not be drained in this run (nothing is in progress and nothing may
/// start), so that the next run starts clean.
fn release_what_waits_in_vain(cx: &Context<'_>, draft: &mut Draft) {
    if cx.run.dry_run {
        return;
    }
    let waiting: Vec<PlannedStep> = draft.standings.iter().filter_map(|standing| release(cx, standing)).collect();
    draft.steps.extend(waiting);
}

/// The step that releases an instance in service which stands like this; `None` where it has no claim, or no end.
fn release(cx: &Context<'_>, standing: &Standing) -> Option<PlannedStep> {
    let instance = cx.snapshot.instances.get(&standing.host)?;
    let claim = instance.claim()?;
    let in_service = instance.status == InstanceStatus::Active || !claim.step.takes_out_of_service();
    // A run that died a moment ago may have drained it under a claim that EC2 does not show yet.
    let may_be_old = instance.status != InstanceStatus::Active
        && claim.run != cx.run.run
        && instance.seen_at < after(cx.run.started_at, EVENTUAL_CONSISTENCY);
    if !in_service || may_be_old || instance.command.is_some() || instance.left_out_since.is_some() {
        return None;
    }
    let end = match &standing.hold {
        Some(why) => End::Held { why: why.clone() },
        None if standing.phase == Phase::Current => End::Current,
        None => return None,
    };
    Some(PlannedStep { host: instance.host.clone(), step: Step::Finish(end) })
}
