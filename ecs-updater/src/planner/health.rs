//! Whether what runs on the cluster is well enough for more to be begun: by CloudWatch's alarms, and by the services whose
//! tasks were moved. What has been begun is finished all the same, and what goes back goes back.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use jiff::{SignedDuration, Timestamp};
use models::fleet::{FleetSnapshot, Instance, InstanceStatus, Service};
use models::ids::ServiceName;
use models::policy::{OnAlarm, Policy, ServiceHealth};
use models::reason::HoldReason;
use models::report::Outcome;
use models::time::after;
use semver::Version;

use super::alarms::{firing, held_by_alarms};
use super::context::Context;
use super::gate::Closed;
use super::membership::policy_of;
use super::times::{MAX_AHEAD, RETRY};
use super::way_back::newest_release;

/// A run that is scheduled daily goes on with what the one before has begun.
const NEXT_RUN: SignedDuration = SignedDuration::from_hours(24);
/// The longest time between two batches of one rollout: a window a week, and a day.
const BETWEEN_BATCHES: SignedDuration = SignedDuration::from_hours(8 * 24);

/// Returns why nothing more is begun, if so.
pub(super) fn closed(cx: &Context<'_>) -> Option<Closed> {
    if cx.run.purpose.way_back().is_some() || broken!(HealthIgnored) {
        return None;
    }
    if let Some(why) = held_by_alarms(cx.snapshot, cx.policy) {
        let silence = cx.snapshot.health.silence.as_ref().filter(|silence| !silence.is_refusal);
        let until = silence.map(|silence| after(silence.since, cx.policy.timeouts.inspect));
        let waits = until.is_some_and(|until| cx.now < until) && !is_firing(&why);
        return Some(Closed { why, wait_until: waits.then(|| after(cx.now, RETRY)) });
    }
    unsteady(cx)
}

fn is_firing(why: &HoldReason) -> bool {
    matches!(why, HoldReason::AlarmFiring { .. })
}

/// Returns the service whose tasks were moved and that is not well, if there is one.
fn unsteady(cx: &Context<'_>) -> Option<Closed> {
    if cx.policy.services == ServiceHealth::Ignore {
        return None;
    }
    let moved = moved(cx);
    let unwell = moved.into_iter().find_map(|(name, at)| {
        let service = cx.snapshot.services.get(name)?;
        let why = why_unsteady(service, at, cx)?;
        Some((at, HoldReason::ServiceUnsteady { service: name.to_string(), why }))
    });
    let (at, why) = unwell?;
    let until = after(at, cx.policy.timeouts.steady);
    Some(Closed { why, wait_until: (cx.now < until && !cx.run.dry_run).then_some(until) })
}

/// The services whose tasks were moved, and when. Which ones an earlier run has moved is not written anywhere: where one has
/// updated an instance a while ago and its release is watched, all services that are known count.
fn moved<'a>(cx: &Context<'a>) -> BTreeMap<&'a ServiceName, Timestamp> {
    let mut moved = BTreeMap::new();
    let goes_on = |instance: &Instance| {
        let last = instance.tags.last.as_ref().filter(|last| !last.is_failure());
        let within = after(cx.run.started_at, -(cx.policy.bake.saturating_add(NEXT_RUN)));
        last.is_some_and(|last| instance.run.verdict.is_none() && last.at >= within)
    };
    if cx.policy.has_stages() && cx.snapshot.registered().any(goes_on) {
        moved.extend(cx.snapshot.services.keys().map(|name| (name, cx.run.started_at)));
    }
    moved.extend(cx.snapshot.health.moved.iter().map(|(name, at)| (name, *at)));
    moved
}

/// Returns what is wrong with a service whose tasks were moved, if anything.
fn why_unsteady(service: &Service, moved_at: Timestamp, cx: &Context<'_>) -> Option<String> {
    let has_task = |instance: &&Instance| {
        let tasks = instance.tasks.iter().flat_map(|seen| &seen.tasks);
        // Nobody waits for somebody else's drain.
        let is_ours = instance.run.drained_at.is_some() && instance.run.verdict.is_none();
        is_ours
            && instance.status == InstanceStatus::Draining
            && tasks.filter_map(|task| task.service()).any(|name| *name == service.name)
    };
    if let Some(leaving) = cx.snapshot.registered().find(has_task) {
        return Some(format!("its task on {} has not stopped yet", leaving.host));
    }
    if let Some(why) = &service.failed_deployment {
        return Some(format!("a deployment of it has failed ({why})"));
    }
    if service.running < service.desired {
        return Some(format!("it runs {} of {} tasks", service.running, service.desired));
    }
    (service.at < moved_at).then(|| "ECS has not described it since".to_owned())
}

/// A release that is to be taken back, and the alarm that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) release: Version,
    pub(crate) alarm: String,
    pub(crate) since: Timestamp,
}

/// Returns the release that goes back because an alarm fires: the one that was rolled out last, where the alarm began to fire
/// after the first instance was updated to it, and while one of them was still watched, each for the `bake` of its group.
pub(crate) fn fired_in_bake(fleet: &FleetSnapshot, policy: &Policy, now: Timestamp) -> Option<Bad> {
    if policy.on_alarm != OnAlarm::RollBack {
        return None;
    }
    let is_skipped = |version: &Version| policy.skip_versions.contains(version) || fleet.skipped.contains(version);
    let ends = || fleet.registered().filter_map(updated);
    let own = || ends().filter(|(_, at)| *at <= after(now, MAX_AHEAD)).max_by_key(|(to, at)| (*at, to.clone()));
    let release = match newest_release(fleet, is_skipped, now) {
        Ok((release, _)) => release,
        Err(_) => own()?.0,
    };
    let watched = watched(fleet, &release, policy)?;
    let in_bake = |since: Timestamp| watched.contains(&since);
    firing(fleet, policy).find_map(|(name, alarm)| {
        let since = alarm.since.filter(|since| in_bake(*since))?;
        Some(Bad { release: release.clone(), alarm: name.clone(), since })
    })
}

/// From the update of the first instance of a rollout until the last of them has been watched. An instance that registered after
/// the first, or that follows the others by more than [`BETWEEN_BATCHES`] and a bake, is a straggler: the release was proved before it.
fn watched(fleet: &FleetSnapshot, release: &Version, policy: &Policy) -> Option<RangeInclusive<Timestamp>> {
    let of_release = |instance: &Instance| updated(instance).filter(|(to, _)| to == release).map(|(_, at)| at);
    let first = fleet.registered().filter_map(of_release).min()?;
    let was_there = |instance: &&Instance| instance.registered_at.is_none_or(|at| at <= first);
    let with_bake = |instance: &Instance| Some((of_release(instance)?, policy_of(instance, policy).bake));
    let mut times: Vec<(Timestamp, SignedDuration)> =
        fleet.registered().filter(was_there).filter_map(with_bake).collect();
    times.sort_unstable();
    let mut until = after(first, times.first().map_or(policy.bake, |(_, bake)| *bake));
    for (at, bake) in times {
        if at > after(until, BETWEEN_BATCHES) {
            break;
        }
        until = until.max(after(at, bake));
    }
    Some(first..=until)
}

/// Returns to which version an instance was updated last, and when, by this run's own sight or by its tag.
fn updated(instance: &Instance) -> Option<(Version, Timestamp)> {
    let verdict = instance.run.verdict.as_deref().filter(|verdict| verdict.outcome == Outcome::Updated);
    if let Some(verdict) = verdict {
        let (from, to) = (verdict.from.as_ref()?, verdict.to.as_ref()?);
        return (from < to).then(|| (to.clone(), verdict.at));
    }
    let last = instance.tags.last.as_ref().filter(|last| !last.is_failure() && last.from < last.to)?;
    Some((last.to.clone(), last.at))
}
