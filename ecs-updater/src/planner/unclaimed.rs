//! An instance in service (or in somebody else's hands): is there something to update, and a reason not to?

use std::collections::BTreeMap;

use models::claim::Way;
use models::fleet::{FleetSnapshot, Instance, InstanceStatus, Reach, Visit, VisitEnd};
use models::host::{ErrorCode, HostReport, UpdateState, parse_version};
use models::plan::{Cancel, End, HostCommand, Inspect, Phase, Step};
use models::policy::Target;
use models::reason::{FailReason, HoldReason};
use models::report::Outcome;
use semver::Version;

use super::next::{Candidate, Next, busy, is_gone, trouble};
use super::{Context, MAX_CANCELS, MAX_STAGES, RETRY, after};

/// What an instance without an out-of-service claim needs next.
pub(crate) fn next<'a>(instance: &'a Instance, cx: &Context<'_>) -> Next<'a> {
    if let Some(hold) = standing(instance) {
        return hold;
    }
    if !instance.agent_connected {
        // Agents reconnect several times an hour in normal life.
        let since = instance.disconnected_since.unwrap_or(cx.run.started_at);
        return match cx.now < after(since, cx.policy.timeouts.inspect) && !cx.run.dry_run {
            true => Next::Wait(Phase::Unseen, after(cx.now, RETRY)),
            false => Next::Hold(HoldReason::AgentDisconnected),
        };
    }
    if let Some(in_flight) = busy(instance) {
        let phase = match in_flight.command {
            HostCommand::Stage { .. } => Phase::Staging,
            HostCommand::Inspect { .. } | HostCommand::Reboot { .. } | HostCommand::Revert { .. } => Phase::Unseen,
        };
        return Next::Wait(phase, after(cx.now, RETRY));
    }
    match &instance.visit {
        None => first_visit(instance, cx),
        Some(visit) => match &visit.command {
            HostCommand::Stage { .. } => after_stage(instance, visit, cx),
            HostCommand::Inspect { .. } | HostCommand::Reboot { .. } | HostCommand::Revert { .. } => {
                after_inspect(instance, visit, cx)
            }
        },
    }
}

/// Reasons that stand before the host is asked.
fn standing<'a>(instance: &'a Instance) -> Option<Next<'a>> {
    if is_gone(instance) {
        return Some(Next::Do(Phase::Settled, Step::Leave(End::Gone)));
    }
    if let Some(ec2) = instance.ec2.as_ref().filter(|ec2| !ec2.is_running()) {
        let detail = format!("EC2 says the instance is {}", ec2.state);
        return Some(Next::Hold(HoldReason::HostUnreachable { detail }));
    }
    let Some(variant) = &instance.variant else {
        return Some(Next::Hold(HoldReason::NotBottlerocket));
    };
    if !variant.starts_with("aws-ecs-") {
        return Some(Next::Hold(HoldReason::UnsupportedVariant { variant: variant.to_string() }));
    }
    if let Some(note) = instance.tags.exclude.as_ref().filter(|_| !broken!(ExclusionIgnored)) {
        return Some(Next::Hold(HoldReason::Excluded { note: note.clone() }));
    }
    match instance.status {
        InstanceStatus::Active => None,
        InstanceStatus::Draining if broken!(ActivateForeignDrains) => {
            Some(Next::Do(Phase::Held, Step::Finish(End::Held { why: HoldReason::DrainedBySomebodyElse })))
        }
        InstanceStatus::Draining => Some(Next::Hold(HoldReason::DrainedBySomebodyElse)),
        InstanceStatus::Registering
        | InstanceStatus::RegistrationFailed
        | InstanceStatus::Deregistering
        | InstanceStatus::Inactive
        | InstanceStatus::Unknown => {
            Some(Next::Hold(HoldReason::NotActive { status: instance.status.as_str().to_owned() }))
        }
    }
}

fn first_visit<'a>(instance: &'a Instance, cx: &Context<'_>) -> Next<'a> {
    match &instance.reach {
        None => Next::Do(Phase::Unseen, Step::Reach),
        Some(Reach { closed: None, .. }) => Next::Do(Phase::Unseen, Step::Inspect(Inspect { refresh: true })),
        Some(reach) if cx.now < cx.inspect_deadline() => match cx.now >= after(reach.at, RETRY) {
            true => Next::Do(Phase::Unseen, Step::Reach),
            false => Next::Wait(Phase::Unseen, after(reach.at, RETRY)),
        },
        Some(Reach { closed: Some(detail), .. }) => Next::Hold(HoldReason::HostUnreachable { detail: detail.clone() }),
    }
}

fn after_inspect<'a>(instance: &'a Instance, visit: &Visit, cx: &Context<'_>) -> Next<'a> {
    let again = |hold: HoldReason| match cx.now < cx.inspect_deadline() {
        true if cx.now >= after(visit.at, RETRY) => Next::Do(Phase::Unseen, Step::Inspect(Inspect { refresh: true })),
        true => Next::Wait(Phase::Unseen, after(visit.at, RETRY)),
        false => Next::Hold(hold),
    };
    let detail = trouble(&visit.end).unwrap_or_default();
    match &visit.end {
        VisitEnd::Done => match instance.report.as_ref() {
            Some(seen) => from_report(instance, &seen.report, cx),
            None => Next::Hold(HoldReason::InspectFailed { detail: "it reported nothing".to_owned() }),
        },
        VisitEnd::Error(error) => match &error.code {
            ErrorCode::NoInPlaceUpdates => Next::Hold(HoldReason::NoInPlaceUpdates),
            ErrorCode::Busy | ErrorCode::Unsure | ErrorCode::ApiDown => again(HoldReason::InspectFailed { detail }),
            ErrorCode::Failed if error.at == "refresh" => {
                Next::Hold(HoldReason::RefreshFailed { detail: error.detail.clone() })
            }
            ErrorCode::Failed
            | ErrorCode::Refused
            | ErrorCode::WroteNothing
            | ErrorCode::WroteOther
            | ErrorCode::NotOffered
            | ErrorCode::OtherBoot
            | ErrorCode::TasksRunning
            | ErrorCode::BadParameter
            | ErrorCode::Unknown(_)
            | ErrorCode::Missing => Next::Hold(HoldReason::InspectFailed { detail }),
        },
        VisitEnd::NotDelivered { .. } | VisitEnd::Unsure { .. } => again(HoldReason::HostUnreachable { detail }),
        VisitEnd::Malformed { .. } => Next::Hold(HoldReason::InspectFailed { detail }),
    }
}

fn after_stage<'a>(instance: &'a Instance, visit: &Visit, cx: &Context<'_>) -> Next<'a> {
    let Some(detail) = trouble(&visit.end) else {
        return after_inspect(instance, visit, cx);
    };
    if instance.run.stages >= MAX_STAGES {
        return Next::Do(Phase::Staging, Step::Finish(End::Failed { why: FailReason::StageFailed { detail } }));
    }
    match cx.now >= after(visit.at, RETRY) {
        true => Next::Do(Phase::Staging, Step::Inspect(Inspect { refresh: true })),
        false => Next::Wait(Phase::Staging, after(visit.at, RETRY)),
    }
}

fn from_report<'a>(instance: &'a Instance, report: &HostReport, cx: &Context<'_>) -> Next<'a> {
    if let Some(lock) = lock_to_restore(instance, report)
        && !cx.run.dry_run
        && let Some(boot) = report.boot_id.clone()
    {
        if instance.run.cancels >= MAX_CANCELS {
            let detail = format!("its version-lock could not be put back to {lock}; do it with apiclient on the host");
            return Next::Hold(HoldReason::InspectFailed { detail });
        }
        return Next::Do(Phase::Unseen, Step::Cancel(Cancel { boot, lock: Some(lock) }));
    }
    // A bridge's report of a boot in which nobody has read the repository yet; an inspection by SSM reads it first.
    if report.update.is_none() && instance.way(cx.policy.host, cx.now) == Way::Bridge {
        let booted = instance.run.boot.as_ref().map_or(cx.run.started_at, |boot| boot.at);
        return match cx.now < after(booted, cx.policy.timeouts.inspect).max(cx.inspect_deadline()) {
            true => Next::Wait(Phase::Unseen, after(cx.now, RETRY)),
            false => {
                let detail = "its update repository was not read since it booted".to_owned();
                Next::Hold(HoldReason::InspectFailed { detail })
            }
        };
    }
    let Some(from) = report.running() else {
        let said = report.os.as_ref().map_or("nothing", |os| os.version.as_str());
        let detail = format!("its running version cannot be read (it says {said:?})");
        return Next::Hold(HoldReason::InspectFailed { detail });
    };
    match wanted(instance, report, &from, cx) {
        Wanted::Nothing => Next::Current,
        Wanted::Held(reason) => Next::Hold(reason),
        Wanted::Version(to) if instance.tags.failed.contains(&to) => {
            Next::Hold(HoldReason::VersionFailedBefore { version: to })
        }
        Wanted::Version(to) => {
            // A bridge's word can be an hour old: what an earlier run staged is asked for again, which has the host read
            // its repository first.
            let by_bridge = instance.way(cx.policy.host, cx.now) == Way::Bridge;
            let asked_anew = !by_bridge || instance.run.stages > 0 || cx.run.dry_run;
            let staged = asked_anew && is_staged(instance, report, &to);
            let lock = match staged || report.chosen().as_ref() == Some(&to) {
                true => None,
                false => match version_lock(report) {
                    Some(lock) => Some(lock.to_owned()),
                    None => {
                        let detail = format!(
                            "its settings cannot be read, and {to} would need its version-lock to be changed for a while"
                        );
                        return Next::Hold(HoldReason::InspectFailed { detail });
                    }
                },
            };
            Next::Candidate(Candidate { instance, from, to, staged, lock })
        }
    }
}

/// The lock that a step of ours changed and has not put back.
pub(crate) fn lock_to_restore(instance: &Instance, report: &HostReport) -> Option<String> {
    let saved = instance.tags.saved_lock.as_deref().filter(|_| !broken!(ForgetSavedLock))?;
    (version_lock(report) != Some(saved)).then(|| saved.to_owned())
}

/// Whether `version` is written to the inactive set.
pub(crate) fn is_staged(instance: &Instance, report: &HostReport, version: &Version) -> bool {
    !instance.run.unwritten
        && (report.staged().as_ref() == Some(version) || (broken!(StagedVersionIgnored) && report.staged().is_some()))
        && match report.state() {
            Some(UpdateState::Staged | UpdateState::Ready) => true,
            Some(UpdateState::Idle | UpdateState::Available | UpdateState::Unknown(_) | UpdateState::Missing)
            | None => false,
        }
}

fn version_lock(report: &HostReport) -> Option<&str> {
    report.settings.as_ref().and_then(|settings| settings.version_lock.as_deref())
}

enum Wanted {
    Nothing,
    Version(Version),
    Held(HoldReason),
}

fn wanted(instance: &Instance, report: &HostReport, running: &Version, cx: &Context<'_>) -> Wanted {
    match &cx.policy.target {
        Target::Latest => latest(report, running, cx),
        Target::Version(target) => pinned(instance, report, running, target, cx),
    }
}

fn pinned(instance: &Instance, report: &HostReport, running: &Version, target: &Version, cx: &Context<'_>) -> Wanted {
    if target == running {
        return Wanted::Nothing;
    }
    if target < running && !cx.policy.allow_downgrade {
        return Wanted::Held(HoldReason::AheadOfTarget { target: target.clone(), running: running.clone() });
    }
    let cut_by_bridge = matches!(&instance.bridge, Some(Ok(seen)) if seen.report.available_cut);
    let cut = cut_by_bridge
        || report.update.as_ref().is_some_and(|update| update.available.len() >= HostReport::MAX_AVAILABLE);
    let offered = cut || available(report).any(|version| version == *target);
    match offered || is_staged(instance, report, target) {
        true => Wanted::Version(target.clone()),
        false => Wanted::Held(HoldReason::TargetNotOffered { target: target.clone() }),
    }
}

fn latest(report: &HostReport, running: &Version, cx: &Context<'_>) -> Wanted {
    let chosen = offered(report);
    match chosen {
        Some(version) if version == *running => Wanted::Nothing,
        Some(version) if version < *running && !cx.policy.allow_downgrade => {
            Wanted::Held(HoldReason::DowngradeOffered { version, running: running.clone() })
        }
        Some(version) => Wanted::Version(version),
        None => nothing_offered(report, running, cx),
    }
}

/// What the host would update to. `chosen_update` is stale in Idle after a failed refresh
/// (docs/facts/host-api.md#state-machine), and Idle after a good one means that nothing was chosen; what was staged and
/// is offered no more was withdrawn, or is kept back by its owner's lock.
fn offered(report: &HostReport) -> Option<Version> {
    match report.state() {
        Some(UpdateState::Available) => report.chosen(),
        Some(UpdateState::Staged | UpdateState::Ready) => {
            let free = matches!(version_lock(report), Some("latest") | None);
            let still = |version: &Version| free && available(report).any(|other| other == *version);
            report.chosen().or_else(|| report.staged().filter(still))
        }
        Some(UpdateState::Idle | UpdateState::Unknown(_) | UpdateState::Missing) | None => None,
    }
}

fn nothing_offered(report: &HostReport, running: &Version, cx: &Context<'_>) -> Wanted {
    match version_lock(report) {
        Some("latest") | None => match newest_among_equals(report, cx).filter(|newest| newest > running) {
            Some(version) => Wanted::Held(HoldReason::WaveNotOpen { version }),
            None => Wanted::Nothing,
        },
        Some(lock) if available(report).any(|version| version > *running) => {
            Wanted::Held(HoldReason::VersionLocked { lock: lock.to_owned() })
        }
        Some(_) => Wanted::Nothing,
    }
}

fn available(report: &HostReport) -> impl Iterator<Item = Version> + '_ {
    report.update.iter().flat_map(|update| &update.available).filter_map(|version| parse_version(version))
}

/// By variant and architecture, the newest version that a host is offered, or runs while its repository still has it.
pub(crate) fn newest_by_kind(fleet: &FleetSnapshot) -> BTreeMap<(&str, &str), Version> {
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
    cx.newest().get(&(os.variant.as_str(), os.arch.as_str())).cloned()
}
