//! `capacity = "scale-out"`: what has no room may wait for an instance that managed scaling launches.
//!
//! ECS makes such a task wait in PROVISIONING and launches only under conditions
//! (docs/facts/auto-scaling.md#managed-scaling); where one is not met the instance is held as before. One instance of a
//! provider goes first, and shows that launches come.

use std::collections::BTreeMap;

use models::claim::ClaimStep;
use models::fleet::{AutoScaling, GroupSize, Instance, Resources, Service, Strategy, Task};
use models::ids::ServiceName;
use models::policy::Capacity;
use models::reason::{FailReason, HoldReason};
use models::report::Outcome;

use crate::planner::context::Context;
use crate::planner::scale_in;

/// Whether instances are launched for the tasks of an instance that is to be drained.
#[derive(Debug)]
pub(super) struct ScaleOut<'a> {
    provider: Option<&'a str>,
    /// The most that a task may need: ECS asks for the smallest instance of the provider, and daemons run on that too.
    most: Resources,
    /// So many more its group may launch.
    left: usize,
    /// Instances of the provider that are being drained so.
    under_way: usize,
    /// One of them has shown that launches come.
    is_proved: bool,
    /// Why nothing is launched.
    obstacle: Option<String>,
}

impl<'a> ScaleOut<'a> {
    /// Returns what holds for the tasks of this instance; nothing where only room counts.
    pub(super) fn of(cx: &'a Context<'a>, leaving: &'a Instance, tasks: &[Task]) -> Option<Self> {
        if cx.policy.capacity == Capacity::Room {
            return None;
        }
        let provider = leaving.provider.as_deref();
        let is_same = |one: &&Instance| provider.is_some() && one.provider.as_deref() == provider;
        let alike: Vec<&Instance> = cx.snapshot.instances.values().filter(is_same).collect();
        // Of what an earlier run has drained it is not known whether its tasks wait for a launch.
        let drained = alike.iter().filter(|one| one.run.scale_out || one.run.drained_at.is_none());
        let under_way = drained.clone().filter(|one| is_under_way(one)).count();
        let failed_before = drained.clone().any(|one| has_timed_out(one));
        let is_proved =
            drained.clone().any(|one| one.run.drained_at.is_some() && !is_under_way(one) && has_left_drain(one));
        let (size, obstacle) = match size_of(cx, leaving) {
            Ok(_) if failed_before => (None, Some(timed_out(leaving))),
            Ok(size) => (Some(size), None),
            Err(obstacle) => (None, Some(obstacle)),
        };
        let left = size.map_or(0, |size| size.most.saturating_sub(size.desired) as usize);
        let most = smallest(&alike, tasks, &cx.snapshot.services);
        Some(Self { provider, most, left, under_way, is_proved, obstacle })
    }

    /// Whether an instance is launched for a task without room that is for this provider. Compared are CPU and memory: for
    /// a task that needs a GPU or a network interface none is said to be.
    pub(super) fn launches_for(&self, needs: &Resources, service: &Service, provider: Option<&str>) -> bool {
        self.obstacle.is_none()
            && provider.is_some()
            && provider == self.provider
            && service.member_of.is_empty()
            && service.most_running() > u64::from(service.desired)
            && needs.gpus == 0
            && needs.interfaces == 0
            && needs.cpu <= self.most.cpu
            && needs.memory <= self.most.memory
    }

    /// Whether this instance may be drained beside so many of its provider that were begun in this round.
    pub(super) fn may_begin(&self, begun: usize) -> bool {
        let others = self.under_way + begun;
        others == 0 || (self.is_proved && others < self.left)
    }

    /// Adds to a hold for want of room why nothing is launched.
    pub(super) fn explain(&self, hold: HoldReason) -> HoldReason {
        let why = self.obstacle.as_deref().unwrap_or(
            "its constraints, its percentages, its size, or its need of a GPU or a network interface keep managed scaling \
             from launching an instance for it",
        );
        let HoldReason::NoRoom { service, needs, missing } = hold else { return hold };
        let needs = format!("{needs} (capacity = \"scale-out\" does not help: {why})");
        HoldReason::NoRoom { service, needs, missing }
    }
}

fn is_under_way(one: &Instance) -> bool {
    let claim = one.tags.claim.as_ref().and_then(|claim| claim.as_ref().ok());
    one.run.verdict.is_none() && claim.is_some_and(|claim| claim.step == ClaimStep::Drain)
}

/// Whether its tasks have found places, rather than that its drain was called off.
fn has_left_drain(one: &Instance) -> bool {
    let outcome = one.run.verdict.as_ref().map(|verdict| verdict.outcome);
    matches!(outcome, None | Some(Outcome::Updated | Outcome::RolledBack))
}

fn has_timed_out(one: &Instance) -> bool {
    let code = FailReason::DrainTimedOut { left: String::new() };
    one.run.verdict.as_ref().is_some_and(|verdict| verdict.reason.as_deref() == Some(code.code()))
}

fn timed_out(leaving: &Instance) -> String {
    let provider = leaving.provider.as_deref().unwrap_or_default();
    format!("no instance of capacity provider {provider} took over before another drain of this run timed out")
}

/// Returns the size of the instance's group, where that launches instances for tasks that wait.
///
/// # Errors
/// What keeps it from that, in words.
fn size_of<'a>(cx: &'a Context<'a>, leaving: &Instance) -> Result<&'a GroupSize, String> {
    let known = &cx.snapshot.auto_scaling;
    let Some(provider) = &leaving.provider else {
        return Err("the instance was registered without the name of a capacity provider".to_owned());
    };
    let Some(scaling) = known.scaling_of(leaving) else {
        return Err(format!("capacity provider {provider} is not known to have managed scaling"));
    };
    let group = &scaling.group;
    let seen = known.groups.get(group).filter(|seen| seen.is_fresh(cx.now));
    let Some(size) = seen.and_then(|seen| seen.size.as_ref()) else {
        return Err(format!("{} has not told the size of Auto Scaling group {group}", AutoScaling::GROUPS));
    };
    if let Some(process) = size.suspended.first() {
        return Err(format!("the process {process} of Auto Scaling group {group} is suspended"));
    }
    if size.desired >= size.most {
        return Err(format!("Auto Scaling group {group} has as many instances as its maximum allows ({})", size.most));
    }
    Ok(size)
}

/// Returns whether the size of the instance's group is known as well as it can be.
pub(super) fn is_size_known(cx: &Context<'_>, instance: &Instance) -> bool {
    let known = &cx.snapshot.auto_scaling;
    let Some(scaling) = known.scaling_of(instance).filter(|scaling| scale_in::rests_on_size(cx, instance, scaling))
    else {
        return true;
    };
    let is_own = instance.member().is_some_and(|member| member.group == scaling.group);
    !is_own
        || known.denied.contains_key(AutoScaling::GROUPS)
        || known.groups.get(&scaling.group).is_some_and(|seen| seen.is_fresh(cx.now))
}

/// Returns what the smallest of these instances has for tasks beside the daemons that run on the one that is drained.
fn smallest(alike: &[&Instance], tasks: &[Task], services: &BTreeMap<ServiceName, Service>) -> Resources {
    let is_daemon = |task: &&Task| {
        task.service().and_then(|name| services.get(name)).is_some_and(|one| one.strategy == Strategy::Daemon)
    };
    let daemons = || tasks.iter().filter(is_daemon);
    let least = |of: fn(&Resources) -> i64| alike.iter().map(|one| of(&one.registered)).min().unwrap_or(0);
    Resources {
        cpu: least(|has| has.cpu) - daemons().map(|task| task.needs.cpu).sum::<i64>(),
        memory: least(|has| has.memory) - daemons().map(|task| task.needs.memory).sum::<i64>(),
        ..Resources::default()
    }
}

#[cfg(test)]
mod tests;
