//! What a rollout does to managed scaling. A host that is emptied for its update counts as not needed, and once more hosts of a
//! capacity provider than its target allows have been empty for 15 minutes, its group ends an instance
//! (docs/facts/auto-scaling.md#managed-scaling). So nothing is begun where that would end tasks, and drains are paced so
//! that hosts have tasks again in time. No wait is longer than what is out of service already takes.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use models::fleet::{
    AutoScaling, Emptied, FleetSnapshot, GroupSize, Instance, InstanceStatus, ManagedScaling, Service, Strategy,
};
use models::ids::HostId;
use models::plan::Plan;
use models::policy::{Capacity, Policy};
use models::reason::HoldReason;
use models::time::after;

use super::context::Context;
use super::durations::OUT_OF_SERVICE;
use super::times::RETRY;

/// So long the metric is below its target before a group ends an instance.
const PATIENCE: SignedDuration = SignedDuration::from_mins(15);
/// Between two values of the metric: a state that lasts so long is in one of them.
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// Notes since when more hosts of each capacity provider are empty than its target allows. A whole minute with no more than
/// that begins the count again.
pub(crate) fn follow(fleet: &mut FleetSnapshot, now: Timestamp) {
    let providers: Vec<_> = fleet.auto_scaling.scaled_providers.keys().cloned().collect();
    for provider in providers {
        let known = fleet.auto_scaling.emptied.get(&provider).copied();
        let next = if is_low(fleet, &provider) {
            let since = known.map_or_else(|| low_since(fleet, &provider, now), |known| known.since);
            Some(Emptied { since, full_since: None })
        } else {
            known.and_then(|known| {
                let full_since = known.full_since.unwrap_or(now);
                (now < after(full_since, MINUTE)).then_some(Emptied { full_since: Some(full_since), ..known })
            })
        };
        match next {
            Some(next) => fleet.auto_scaling.emptied.insert(provider, next),
            None => fleet.auto_scaling.emptied.remove(&provider),
        };
    }
}

fn is_low(fleet: &FleetSnapshot, provider: &str) -> bool {
    let Some(scaling) = fleet.auto_scaling.scaled_providers.get(provider) else { return false };
    let (all, empty) =
        of(fleet, provider).fold((0, 0), |(all, empty), one| (all + 1, empty + usize::from(is_empty(fleet, one))));
    empty > scaling.may_be_empty(all)
}

/// An earlier run may have emptied hosts that this one finds.
fn low_since(fleet: &FleetSnapshot, provider: &str, now: Timestamp) -> Timestamp {
    let found = of(fleet, provider).filter(|one| is_empty(fleet, one));
    let claims = found.filter_map(|one| one.out_of_service_claim().map(|claim| one.began(claim)));
    claims.min().map_or(now, |since| since.min(now))
}

fn of<'a>(fleet: &'a FleetSnapshot, provider: &'a str) -> impl Iterator<Item = &'a Instance> {
    fleet.instances.values().filter(move |one| one.counts() && one.provider.as_deref() == Some(provider))
}

/// Whether the instance is taken to run no task but those of DAEMON services. Where its tasks are not known, so many as there
/// are such services are taken for theirs.
fn is_empty(fleet: &FleetSnapshot, instance: &Instance) -> bool {
    let is_daemon = |name| fleet.services.get(name).is_some_and(|one| one.strategy == Strategy::Daemon);
    match &instance.tasks {
        Some(seen) if instance.status == InstanceStatus::Draining => {
            seen.tasks.iter().all(|task| task.service().is_some_and(is_daemon))
        }
        Some(_) | None => {
            let daemons = fleet.services.values().filter(|one| one.strategy == Strategy::Daemon).count();
            let tasks = instance.running_tasks.saturating_add(instance.pending_tasks);
            usize::try_from(tasks).is_ok_and(|tasks| tasks <= daemons)
        }
    }
}

/// Returns when to look again, where it is not known yet what the capacity provider of the instance is: not known is not
/// "without managed scaling". A run waits for that until it gives up hosts that do not answer; then it goes on, since a
/// lasting silence would keep the whole provider from its updates, and the report says so.
pub(super) fn unheard(cx: &Context<'_>, instance: &Instance) -> Option<Timestamp> {
    let waits = !cx.run.dry_run && cx.now < cx.inspect_deadline();
    (waits && !cx.snapshot.auto_scaling.knows_provider_of(instance)).then(|| after(cx.now, RETRY))
}

/// Returns why the instance is not begun at all: the scale-in that its empty host may cause would take tasks with it.
pub(super) fn hold(cx: &Context<'_>, instance: &Instance) -> Option<HoldReason> {
    let known = &cx.snapshot.auto_scaling;
    let scaling = known.scaling_of(instance)?;
    known.groups.get(&scaling.group).filter(|seen| seen.is_fresh(cx.now))?;
    // A drained host counts for no capacity: below a target of 100 the others are used more than that, and the group grows
    // before it shrinks.
    let grows = scaling.target < 100 || cx.policy.capacity == Capacity::ScaleOut;
    // Holding MinSize for the run only puts the scale-in off: it comes when that is put back.
    let size = known.size_after_run(&scaling.group);
    let size = size.filter(|size| size.may_shrink() || (grows && size.may_grow()))?;
    let why = unsafe_for(cx.snapshot, instance, scaling).filter(|_| !broken!(ScaleInIgnored))?;
    Some(HoldReason::ScaleInEndsTasks {
        provider: instance.provider.as_deref().unwrap_or_default().to_owned(),
        group: scaling.group.to_string(),
        why,
        size: size.desired,
    })
}

/// Whether the size of the instance's group decides what may be done with it.
pub(super) fn rests_on_size(cx: &Context<'_>, instance: &Instance, scaling: &ManagedScaling) -> bool {
    cx.policy.capacity == Capacity::ScaleOut || unsafe_for(cx.snapshot, instance, scaling).is_some()
}

/// Returns which tasks a scale-in of the instance's provider takes with it, and why. What managed draining is on for loses none.
fn unsafe_for(fleet: &FleetSnapshot, instance: &Instance, scaling: &ManagedScaling) -> Option<String> {
    if scaling.drains {
        return None;
    }
    if !scaling.protects {
        return Some(
            "with the tasks on it: neither managed draining nor managed termination protection is on".to_owned(),
        );
    }
    let whose = of_launch_type(fleet, instance.provider.as_deref()?)?;
    Some(format!(
        "and managed termination protection is not known to protect one that runs only tasks without a capacity provider strategy, \
         such as {whose}, while managed draining is off"
    ))
}

/// Names tasks of a launch type that run on the provider's instances, or may come there: those of a service can be placed on
/// any of them, others are known where their instance was looked at.
fn of_launch_type(fleet: &FleetSnapshot, provider: &str) -> Option<String> {
    let is_such = |one: &&Service| one.strategy == Strategy::Replica && one.providers.is_empty();
    if let Some(service) = fleet.services.values().find(is_such) {
        return Some(format!("those of service {}", service.name));
    }
    let tasks = of(fleet, provider).filter_map(|one| one.tasks.as_ref()).flat_map(|seen| &seen.tasks);
    let mut alone = tasks.filter(|task| task.provider.is_none() && task.service().is_none() && !task.undescribed);
    alone.next().map(|task| format!("the task {}", task.arn))
}

/// Returns why the instance is not drained now, and until when where that is known: its provider has had empty hosts for so
/// long that one more would be in the sixteenth minute. Those that are out of service come back first, so that the tasks of the
/// next fill them; and where they have tasks by now, that is to last a minute.
pub(super) fn wait(cx: &Context<'_>, instance: &Instance) -> Option<(HoldReason, Option<Timestamp>)> {
    let provider = instance.provider.as_ref()?;
    let emptied = cx.snapshot.auto_scaling.emptied.get(provider)?;
    let scaling = cx.snapshot.auto_scaling.scaling_of(instance)?;
    let size = cx.snapshot.auto_scaling.size_after_run(&scaling.group);
    let is_early = after(cx.now, OUT_OF_SERVICE.saturating_add(MINUTE)) <= after(emptied.since, PATIENCE);
    if is_early || size.is_some_and(|size| !size.may_shrink()) {
        return None;
    }
    let is_out = |one: &&Instance| {
        one.run.verdict.is_none() && one.out_of_service_claim().is_some() && is_empty(cx.snapshot, one)
    };
    let out: Vec<&HostId> = of(cx.snapshot, provider).filter(is_out).map(|one| &one.host).collect();
    let until = emptied.full_since.map(|since| after(since, MINUTE)).filter(|until| *until > cx.now);
    let who = match out.as_slice() {
        [] => until.map(|_| "the next value of the metric".to_owned())?,
        [one] => one.to_string(),
        [one, more @ ..] => format!("{one} and {} more", more.len()),
    };
    let why = HoldReason::ScaleInPaced { provider: provider.to_string(), since: emptied.since, who };
    Some((why, until.filter(|_| out.is_empty())))
}

/// Says, for each capacity provider on whose hosts something is begun, what managed scaling makes of empty hosts, or that it
/// is not known whether there is any.
pub(crate) fn scale_in_notes(fleet: &FleetSnapshot, policy: &Policy, plan: &Plan) -> Vec<String> {
    let known = &fleet.auto_scaling;
    let is_begun = |one: &Instance| {
        one.run.drained_at.is_some() || plan.standing(&one.host).is_some_and(|standing| standing.turn.is_some())
    };
    let note = |provider: &str, scaling: &ManagedScaling| {
        of(fleet, provider).find(|one| is_begun(one))?;
        let size = known.size_after_run(&scaling.group).filter(GroupSize::may_shrink)?;
        let loses = match (scaling.protects, scaling.drains) {
            (true, _) => "one that is empty",
            (false, true) => "any one of them, whose tasks ECS moves first",
            (false, false) => "any one of them",
        };
        let GroupSize { desired, least, .. } = size;
        let is_held = policy.hold_min_size && !known.not_held.contains_key(&scaling.group);
        let advice = if is_held {
            "hold_min_size puts that off until the run is over".to_owned()
        } else {
            format!("MinSize = {desired} while a run lasts prevents it")
        };
        Some(format!(
            "capacity provider {provider} has managed scaling with a target of {}%: a host that is emptied for its update counts as \
             not needed, and once more hosts than the target allows have been empty for 15 minutes, group {} (size {desired}, MinSize \
             {least}) ends an instance, {loses}. Drains are paced for that; where no task comes to an empty host by itself, as \
             after the last one, it happens anyway. {advice}",
            scaling.target, scaling.group
        ))
    };
    let scaled = known.scaled_providers.iter().filter_map(|(provider, scaling)| note(provider.as_str(), scaling));
    let unheard = fleet.instances.values().filter(|one| one.counts() && !known.knows_provider_of(one) && is_begun(one));
    let unheard: BTreeSet<&str> = unheard.filter_map(|one| one.provider.as_deref()).collect();
    scaled.chain(unheard.into_iter().map(not_told)).collect()
}

fn not_told(provider: &str) -> String {
    format!(
        "whether capacity provider {provider} has managed scaling is not known, as {} got no answer: with it, and without \
         managed draining, a scale-in may take tasks with it once hosts that are emptied for their updates have been empty for \
         15 minutes",
        AutoScaling::PROVIDERS
    )
}

#[cfg(test)]
mod tests;
