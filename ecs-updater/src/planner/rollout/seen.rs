//! What an instance says of a release: whether it was updated to it, by whose word, and when.

use jiff::Timestamp;
use models::claim::{ClaimStep, whole_seconds};
use models::fleet::{Instance, Place};
use models::host::HostReport;
use models::report::Outcome;
use semver::Version;

use crate::planner::context::Context;
use crate::planner::times::MAX_AHEAD;
use crate::planner::track_record::failed_on;

/// Variant and architecture, as the host tells of itself.
pub(super) type Kind<'a> = (&'a str, &'a str);

/// Attribute of a container instance that ECS sets.
const ARCHITECTURE: &str = "ecs.cpu-architecture";

/// Returns the variant and architecture of an instance: by its host's own word, else by its attributes.
pub(super) fn kind(instance: &Instance) -> Option<Kind<'_>> {
    if let Some(os) = instance.report.as_ref().and_then(|seen| seen.report.os.as_ref()) {
        return Some((&os.variant, &os.arch));
    }
    let arch = instance.attributes.get(ARCHITECTURE)?;
    Some((instance.variant.as_deref()?, if arch == "arm64" { "aarch64" } else { arch }))
}

/// Since when something is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Since {
    pub(super) at: Timestamp,
    /// Whether it is written somewhere that the next run reads too.
    pub(super) is_sure: bool,
}

/// What has become of a release on an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// Out of service for it.
    UnderWay,
    /// In service, and claimed to get it.
    Staging,
    /// Updated to it by this program.
    Updated(Since),
    /// Runs it, and nothing says that it was updated: it was launched with it, as far as is known.
    Launched(Since),
    /// It failed there.
    Failed(Timestamp),
}

/// Returns what has become of a release on an instance; `None` where it has not come there.
pub(super) fn came(instance: &Instance, version: &Version, cx: &Context<'_>) -> Option<Came> {
    let verdict = instance.run.verdict.as_deref().filter(|verdict| verdict.to.as_ref() == Some(version));
    let is_out = instance.out_of_service_claim().is_some_and(|claim| claim.to == *version);
    let last = instance.tags.last.as_ref().filter(|last| last.to == *version);
    match verdict {
        Some(verdict) if verdict.outcome.is_failure() && !verdict.of_its_own => {
            return Some(Came::Failed(verdict.at));
        }
        // What its group takes away is nobody's canary.
        _ if is_out && is_ending(instance, cx) => return None,
        // What failed for a reason of its own and was left as it is is not done with either.
        _ if is_out => return Some(Came::UnderWay),
        Some(verdict) if verdict.outcome.is_failure() => return None,
        Some(_) | None => {}
    }
    if let Some(verdict) = verdict {
        let is_sure = last.is_some_and(|last| !last.is_failure());
        return Some(Came::Updated(Since { at: whole_seconds(verdict.at), is_sure }));
    }
    if failed_on(instance).contains(version) {
        let at = last.filter(|last| last.is_failure()).map_or(Timestamp::MIN, |last| last.at);
        return Some(Came::Failed(at));
    }
    let updated = last.filter(|last| !last.is_failure());
    let is_staging = instance.claim().is_some_and(|claim| claim.step == ClaimStep::Stage && claim.to == *version);
    if is_staging && verdict.is_none() {
        return Some(Came::Staging);
    }
    let running = instance.report.as_ref().map(|seen| &seen.report).and_then(HostReport::running);
    if running.as_ref().or(updated.map(|last| &last.to)) != Some(version) {
        return None;
    }
    let own_sight = Since { at: cx.run.started_at, is_sure: false };
    let launched_at = instance.ec2.as_ref().and_then(|ec2| ec2.launched_at);
    Some(match (updated, launched_at) {
        (Some(last), _) => Came::Updated(believed(last.at, cx)),
        // It was updated since that tag was written, and this end could not be.
        (None, _) if instance.tags.last.is_some() => Came::Launched(own_sight),
        (None, Some(at)) => Came::Launched(believed(at, cx)),
        (None, None) => Came::Launched(own_sight),
    })
}

/// Whether its Auto Scaling group ends the instance, or this run has seen it do so.
fn is_ending(instance: &Instance, cx: &Context<'_>) -> bool {
    let was_left = instance.run.verdict.as_deref().is_some_and(|verdict| verdict.outcome == Outcome::ScaledIn);
    let away = instance.out_of_group(cx.policy.bridge_policy, cx.now);
    was_left || away.is_some_and(|(_, place)| matches!(place, Place::Terminating))
}

/// Returns the time of an end as far as it is believed. Who may tag instances can write any: one that lies ahead is taken for
/// none, so that it keeps nothing waiting for longer than a bake.
pub(super) fn believed(at: Timestamp, cx: &Context<'_>) -> Since {
    if at.duration_since(cx.now) > MAX_AHEAD {
        Since { at: cx.run.started_at, is_sure: false }
    } else {
        Since { at, is_sure: true }
    }
}
