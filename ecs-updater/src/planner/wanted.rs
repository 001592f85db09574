//! Which version an instance is to run: the policy's target, and what its host is offered.

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::fleet::{FleetSnapshot, Instance};
use models::host::{HostReport, UpdateState, parse_version};
use models::policy::{OwnerLock, Target};
use models::reason::HoldReason;
use models::report::Outcome;
use semver::Version;

use super::context::Context;
use super::limits::{most_telling, objection, skips};

/// The code of [`HoldReason::Withdrawn`] in a verdict.
const WITHDRAWN: &str = "withdrawn";

/// The version that an instance is to run.
pub(super) enum Wanted {
    /// The one that it runs.
    Nothing,
    Version(Version),
    Held(HoldReason),
}

/// Returns the version that an instance which runs `running` is to run.
pub(super) fn wanted(instance: &Instance, report: &HostReport, running: &Version, cx: &Context<'_>) -> Wanted {
    match &cx.policy.target {
        Target::Latest => latest(instance, report, running, cx),
        Target::Version(target) => pinned(instance, report, running, target, cx),
        Target::Parameter(name) => {
            let why = format!("the SSM parameter {name}, which target names, was not read");
            Wanted::Held(HoldReason::ApprovalChanged { why })
        }
    }
}

fn pinned(instance: &Instance, report: &HostReport, running: &Version, target: &Version, cx: &Context<'_>) -> Wanted {
    if target == running {
        return Wanted::Nothing;
    }
    if let Some(why) = locked_otherwise(instance, report, target, cx) {
        return Wanted::Held(why);
    }
    if target < running && !cx.policy.allow_downgrade {
        return Wanted::Held(HoldReason::AheadOfTarget { target: target.clone(), running: running.clone() });
    }
    if let Some(why) = objection(report, target, cx) {
        return Wanted::Held(why);
    }
    as_offered(instance, report, target)
}

/// Returns why the host's owner keeps it from this version, if so.
pub(super) fn locked_otherwise(
    instance: &Instance,
    report: &HostReport,
    target: &Version,
    cx: &Context<'_>,
) -> Option<HoldReason> {
    let lock = owner_lock(instance, report).filter(|_| cx.policy.owner_lock == OwnerLock::Respect)?;
    let is_other = parse_version(lock).as_ref() != Some(target);
    is_other.then(|| HoldReason::VersionLocked { lock: lock.to_owned() })
}

/// Returns the version where the host is offered it, as far as is known, or why it is not.
pub(super) fn as_offered(instance: &Instance, report: &HostReport, target: &Version) -> Wanted {
    if !is_not_offered(instance, report, target) {
        Wanted::Version(target.clone())
    } else if was_offered(instance, report, target) {
        Wanted::Held(HoldReason::Withdrawn { version: target.clone() })
    } else {
        Wanted::Held(HoldReason::TargetNotOffered { target: target.clone() })
    }
}

/// Whether the versions that the host is offered are known, and this one is none of them.
pub(super) fn is_not_offered(instance: &Instance, report: &HostReport, version: &Version) -> bool {
    let Some(update) = &report.update else { return false };
    let is_cut_by_bridge = matches!(&instance.bridge, Some(Ok(seen)) if seen.report.available_cut);
    let is_cut = is_cut_by_bridge || update.available.len() >= HostReport::MAX_AVAILABLE;
    !is_cut && !available(report).any(|offered| offered == *version)
}

/// Whether the host is known to have been offered the version before: it has it on its inactive set, or this run was to
/// write it there.
fn was_offered(instance: &Instance, report: &HostReport, version: &Version) -> bool {
    is_staged(instance, report, version) || instance.run.staged_to.as_ref() == Some(version)
}

fn latest(instance: &Instance, report: &HostReport, running: &Version, cx: &Context<'_>) -> Wanted {
    match offered(report) {
        Some(version) if version == *running => Wanted::Nothing,
        // Written for a way back that has not come to it: nothing was withdrawn.
        Some(version)
            if version < *running && !cx.policy.allow_downgrade && skips(running, cx.snapshot, cx.policy).is_some() =>
        {
            Wanted::Nothing
        }
        Some(version) if version < *running && !cx.policy.allow_downgrade => Wanted::Held(match set_lock(report) {
            None => HoldReason::DowngradeOffered { version, running: running.clone() },
            Some(lock) => HoldReason::VersionLocked { lock: lock.to_owned() },
        }),
        Some(version) => match objection(report, &version, cx) {
            None => Wanted::Version(version),
            Some(why) => next_best(report, running, (version, why), cx),
        },
        None => nothing_offered(instance, report, running, cx),
    }
}

/// Returns the newest version that a host is offered and may have, where it may not have the one that it chose. A host that
/// its owner has locked to a version gets no other one.
fn next_best(report: &HostReport, running: &Version, (chosen, why): (Version, HoldReason), cx: &Context<'_>) -> Wanted {
    if set_lock(report).is_some() {
        return Wanted::Held(why);
    }
    let is_between = |version: &Version| *version < chosen && (version > running || chosen < *running);
    let mut lower: Vec<Version> = available(report).filter(is_between).filter(|version| version != running).collect();
    lower.sort_unstable_by(|one, other| other.cmp(one));
    let mut objections = vec![why];
    for version in lower {
        match objection(report, &version, cx) {
            None => return Wanted::Version(version),
            Some(why) => objections.push(why),
        }
    }
    most_telling(objections).map_or(Wanted::Nothing, Wanted::Held)
}

/// What the host would update to. `chosen_update` is stale in Idle after a failed refresh
/// (docs/facts/host-api.md#state-machine), and Idle after a good one means that nothing was chosen. A staged version
/// that is no longer offered was withdrawn, or is held back by `version-lock`.
fn offered(report: &HostReport) -> Option<Version> {
    match report.state() {
        Some(UpdateState::Available) => report.chosen(),
        Some(UpdateState::Staged | UpdateState::Ready) => {
            let is_free = set_lock(report).is_none();
            // A lower one was written for a way back, and is nobody's choice.
            let is_newer = |version: &Version| report.running().is_none_or(|running| *version > running);
            let is_offered = |version: &Version| available(report).any(|other| other == *version);
            let still = |version: &Version| is_free && is_newer(version) && is_offered(version);
            report.chosen().or_else(|| report.staged().filter(still))
        }
        Some(UpdateState::Idle | UpdateState::Unknown(_) | UpdateState::Missing) | None => None,
    }
}

fn nothing_offered(instance: &Instance, report: &HostReport, running: &Version, cx: &Context<'_>) -> Wanted {
    match set_lock(report) {
        None => match newest_among_equals(report, cx).filter(|newest| newest > running) {
            Some(version) if was_offered(instance, report, &version) => Wanted::Held(HoldReason::Withdrawn { version }),
            Some(version) => {
                Wanted::Held(objection(report, &version, cx).unwrap_or(HoldReason::WaveNotOpen { version }))
            }
            None => Wanted::Nothing,
        },
        Some(lock) => {
            let is_below = parse_version(lock).is_some_and(|locked| locked < *running);
            if is_below || available(report).any(|version| version > *running) {
                Wanted::Held(HoldReason::VersionLocked { lock: lock.to_owned() })
            } else {
                Wanted::Nothing
            }
        }
    }
}

pub(super) fn available(report: &HostReport) -> impl Iterator<Item = Version> + '_ {
    report.update.iter().flat_map(|update| &update.available).filter_map(|version| parse_version(version))
}

/// Returns by variant and architecture the newest version that a host is offered, or runs while its repository still
/// has it.
fn newest_by_kind(fleet: &FleetSnapshot) -> BTreeMap<(&str, &str), Version> {
    let mut newest: BTreeMap<(&str, &str), Version> = BTreeMap::new();
    for instance in fleet.instances.values() {
        let Some(report) = instance.report.as_ref().map(|seen| &seen.report) else { continue };
        let Some(os) = &report.os else { continue };
        let updated = instance.run.verdict.as_ref().is_some_and(|verdict| verdict.outcome == Outcome::Updated);
        let running = report.running().filter(|running| updated || available(report).any(|v| v == *running));
        if let Some(version) = [running, offered(report)].into_iter().flatten().max() {
            let known = newest.entry((&os.variant, &os.arch)).or_insert_with(|| version.clone());
            *known = version.max(known.clone());
        }
    }
    newest
}

/// The newest version among the hosts of the same variant and architecture.
fn newest_among_equals(report: &HostReport, cx: &Context<'_>) -> Option<Version> {
    let os = report.os.as_ref()?;
    let newest = cx.newest.get_or_init(|| newest_by_kind(cx.snapshot));
    newest.get(&(os.variant.as_str(), os.arch.as_str())).cloned()
}

/// Returns when a host of this cluster, just before it was to boot the version, was found to be offered it no longer.
pub(super) fn withdrawn_at(version: &Version, cx: &Context<'_>) -> Option<Timestamp> {
    let withdrawn = cx.withdrawn.get_or_init(|| {
        let verdicts = cx.snapshot.instances.values().filter_map(|instance| instance.run.verdict.as_deref());
        let mut withdrawn: BTreeMap<&Version, Timestamp> = BTreeMap::new();
        for verdict in verdicts.filter(|verdict| verdict.reason.as_deref() == Some(WITHDRAWN)) {
            let Some(to) = &verdict.to else { continue };
            let at = withdrawn.entry(to).or_insert(verdict.at);
            *at = verdict.at.max(*at);
        }
        withdrawn
    });
    withdrawn.get(version).copied()
}

/// The lock that a step of ours changed and has not put back.
pub(super) fn lock_to_restore(instance: &Instance, report: &HostReport) -> Option<String> {
    let saved = instance.tags.saved_lock.as_deref().filter(|_| !broken!(ForgetSavedLock))?;
    (version_lock(report) != Some(saved)).then(|| saved.to_owned())
}

/// Whether `version` is written to the inactive set.
pub(super) fn is_staged(instance: &Instance, report: &HostReport, version: &Version) -> bool {
    instance.run.failed_stage.is_none()
        && (report.staged().as_ref() == Some(version) || (broken!(StagedVersionIgnored) && report.staged().is_some()))
        && matches!(report.state(), Some(UpdateState::Staged | UpdateState::Ready))
}

/// Returns the lock that a host's owner has set to a version: what a step of ours has put in its place for a while is not
/// theirs.
fn owner_lock<'a>(instance: &'a Instance, report: &'a HostReport) -> Option<&'a str> {
    let lock = instance.tags.saved_lock.as_deref().or_else(|| version_lock(report));
    lock.filter(|lock| *lock != "latest")
}

/// Returns the host's lock, where it names a version.
fn set_lock(report: &HostReport) -> Option<&str> {
    version_lock(report).filter(|lock| *lock != "latest")
}

/// Returns the host's `updates.version-lock`, where its settings could be read.
pub(super) fn version_lock(report: &HostReport) -> Option<&str> {
    report.settings.as_ref().and_then(|settings| settings.version_lock.as_deref())
}
