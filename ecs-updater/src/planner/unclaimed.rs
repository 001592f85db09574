//! An instance in service, or drained by another actor: is there something to update, and a reason not to?

use models::claim::Transport;
use models::fleet::{Instance, InstanceStatus, Reachability, Visit, VisitEnd, report_since};
use models::host::{ErrorCode, HostReport};
use models::plan::{Cancel, End, HostCommand, Inspect, Phase, Step};
use models::reason::{FailReason, HoldReason};
use models::time::after;
use semver::Version;

use super::context::{Context, Stop};
use super::naming;
use super::need::{Candidate, Next, trouble};
use super::scale_in;
use super::selection::is_begun;
use super::times::{EVENTUAL_CONSISTENCY, MAX_CANCELS, MAX_STAGES, RETRY, SKIP_POLL};
use super::wanted::{Wanted, is_staged, lock_to_restore, version_lock, wanted, withdrawn_at};
use super::way_back;

/// Returns what an instance needs next whose claim, if it has one, leaves it in service.
pub(crate) fn next<'a>(instance: &'a Instance, cx: &Context<'_>) -> Next<'a> {
    if let Some(next) = precondition_hold(instance, cx) {
        return next;
    }
    if !instance.agent_connected {
        // Agents reconnect several times an hour in normal life.
        let since = instance.disconnected_since.unwrap_or(cx.run.started_at);
        return if cx.now < after(since, cx.policy.timeouts.inspect) && !cx.run.dry_run {
            Next::Wait(Phase::Unseen, after(cx.now, RETRY))
        } else {
            Next::Hold(HoldReason::AgentDisconnected)
        };
    }
    if let Some(next) = naming::before_it_reports(instance, cx) {
        return next;
    }
    if let Some(in_flight) = &instance.command {
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

/// What is known of the instance without a word from its host, where that decides.
fn precondition_hold<'a>(instance: &'a Instance, cx: &Context<'_>) -> Option<Next<'a>> {
    if let Some(ec2) = instance.ec2.as_ref().filter(|_| instance.is_off()) {
        return Some(Next::Hold(HoldReason::NotRunning { state: ec2.state.as_str().to_owned() }));
    }
    let Some(variant) = &instance.variant else {
        return Some(Next::Hold(HoldReason::NotBottlerocket));
    };
    if !variant.starts_with("aws-ecs-") {
        return Some(Next::Hold(HoldReason::UnsupportedVariant { variant: variant.to_string() }));
    }
    if let Some(exclusion) = instance.tags.exclude.as_ref().filter(|_| !broken!(ExclusionIgnored)) {
        return Some(Next::Hold(exclusion.hold()));
    }
    match instance.status {
        InstanceStatus::Active => cx.not_selected(instance).filter(|_| !is_begun(instance)).map(Next::Hold),
        InstanceStatus::Draining if broken!(ActivateForeignDrains) => {
            Some(Next::Do(Phase::Held, Step::Finish(End::Held { why: HoldReason::DrainedBySomebodyElse })))
        }
        InstanceStatus::Draining => Some(foreign_drain(instance, cx)),
        InstanceStatus::Registering
        | InstanceStatus::RegistrationFailed
        | InstanceStatus::Deregistering
        | InstanceStatus::Inactive
        | InstanceStatus::Unknown => {
            Some(Next::Hold(HoldReason::NotActive { status: instance.status.as_str().to_owned() }))
        }
    }
}

/// Holds an instance that another actor drained. A run that died a moment ago may have drained it under a claim that EC2
/// does not show yet, so that no drain counts as foreign before a look that has to show such a claim.
fn foreign_drain<'a>(instance: &'a Instance, cx: &Context<'_>) -> Next<'a> {
    let claims_are_shown = after(cx.run.started_at, EVENTUAL_CONSISTENCY);
    let is_ending = cx.run.dry_run || cx.run.stop == Some(Stop::Interrupted);
    if instance.seen_at >= claims_are_shown || is_ending {
        return Next::Hold(HoldReason::DrainedBySomebodyElse);
    }
    Next::Wait(Phase::Unseen, after(cx.now, RETRY).max(claims_are_shown))
}

fn first_visit<'a>(instance: &'a Instance, cx: &Context<'_>) -> Next<'a> {
    match &instance.reach {
        None => Next::Do(Phase::Unseen, Step::Reach),
        Some(Reachability { unreachable_because: None, .. }) => {
            Next::Do(Phase::Unseen, Step::Inspect(Inspect { refresh: true }))
        }
        Some(reach) if reach.at < naming::heard_by(instance, cx) => {
            let again = after(reach.at, RETRY);
            if cx.now < again { Next::Wait(Phase::Unseen, again) } else { Next::Do(Phase::Unseen, Step::Reach) }
        }
        Some(Reachability { unreachable_because: Some(detail), .. }) => {
            Next::Hold(naming::unreachable(instance, detail.clone(), cx))
        }
    }
}

fn after_inspect<'a>(instance: &'a Instance, visit: &Visit, cx: &Context<'_>) -> Next<'a> {
    let again = |hold: HoldReason| {
        if visit.sent_at >= naming::heard_by(instance, cx) {
            return Next::Hold(hold);
        }
        visit_again(Phase::Unseen, visit, cx)
    };
    let detail = trouble(&visit.end).unwrap_or_default();
    match &visit.end {
        VisitEnd::Error(error)
            if error.at == "refresh"
                && let Some(report) = goes_back_alone(instance, cx) =>
        {
            from_report(instance, report, cx)
        }
        VisitEnd::Done => match instance.report.as_ref() {
            Some(seen) => from_report(instance, &seen.report, cx),
            None => Next::Hold(HoldReason::InspectFailed { detail: "it reported nothing".to_owned() }),
        },
        VisitEnd::Error(error) => match &error.code {
            ErrorCode::NoInPlaceUpdates => Next::Hold(HoldReason::NoInPlaceUpdates),
            ErrorCode::Busy | ErrorCode::Unsure | ErrorCode::ApiDown => again(HoldReason::InspectFailed { detail }),
            ErrorCode::Failed | ErrorCode::DispatcherFailed if error.at == "refresh" => {
                Next::Hold(HoldReason::RefreshFailed { detail: error.detail.clone() })
            }
            ErrorCode::Failed
            | ErrorCode::DispatcherFailed
            | ErrorCode::HostLockedDown
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
        VisitEnd::NotDelivered { .. } | VisitEnd::Unsure { .. } => again(naming::unreachable(instance, detail, cx)),
        // What ended the document before it could say why may have been of that moment.
        VisitEnd::Malformed { .. } => again(HoldReason::InspectFailed { detail }),
    }
}

/// The report of a host that goes back from the release without its update repository.
fn goes_back_alone<'a>(instance: &'a Instance, cx: &Context<'_>) -> Option<&'a HostReport> {
    let release = cx.run.purpose.way_back()?.release.as_ref()?;
    let report = instance.report.as_ref().map(|seen| &seen.report)?;
    (report.running().as_ref() == Some(release) && report.inactive.is_some()).then_some(report)
}

fn after_stage<'a>(instance: &'a Instance, visit: &Visit, cx: &Context<'_>) -> Next<'a> {
    let Some(detail) = trouble(&visit.end) else {
        return after_inspect(instance, visit, cx);
    };
    // One that was cut off has not put back the lock that it changed: the host is heard once more before the end.
    let is_lock_known = instance.tags.saved_lock.is_none() || report_since(instance, visit.sent_at).is_some();
    if is_lock_known && is_exhausted(instance, visit) {
        return stage_failed(detail);
    }
    visit_again(Phase::Staging, visit, cx)
}

/// Whether no further write is tried after this one. That a release was withdrawn since is no failure: another look
/// tells.
fn is_exhausted(instance: &Instance, failed: &Visit) -> bool {
    let is_withdrawn = matches!(&failed.end, VisitEnd::Error(error) if error.code == ErrorCode::NotOffered);
    instance.run.stages >= MAX_STAGES + u32::from(is_withdrawn)
}

fn stage_failed<'a>(detail: String) -> Next<'a> {
    Next::Do(Phase::Staging, Step::Finish(End::Failed { why: FailReason::StageFailed { detail } }))
}

fn visit_again<'a>(phase: Phase, visit: &Visit, cx: &Context<'_>) -> Next<'a> {
    let again = after(visit.at, RETRY);
    if cx.now < again { Next::Wait(phase, again) } else { Next::Do(phase, Step::Inspect(Inspect { refresh: true })) }
}

fn from_report<'a>(instance: &'a Instance, report: &HostReport, cx: &Context<'_>) -> Next<'a> {
    let unreadable = |detail: String| Next::Hold(HoldReason::InspectFailed { detail });
    if let Some(lock) = lock_to_restore(instance, report)
        && !cx.run.dry_run
        && let Some(boot) = report.boot_id.clone()
    {
        if instance.run.cancels >= MAX_CANCELS {
            return unreadable(format!(
                "its version-lock could not be put back to {lock}; do it with apiclient on the host"
            ));
        }
        return Next::Do(Phase::Unseen, Step::Cancel(Cancel { boot, lock: Some(lock) }));
    }
    // A bridge's report of a boot in which nobody has read the repository yet; an inspection by SSM reads it first.
    let is_unread = report.update.is_none() && cx.transport(instance) == Transport::Bridge;
    if is_unread && goes_back_alone(instance, cx).is_none() {
        let booted = instance.run.boot.as_ref().map_or(cx.run.started_at, |boot| boot.at);
        return if cx.now < after(booted, cx.policy.timeouts.inspect).max(cx.inspect_deadline()) {
            Next::Wait(Phase::Unseen, after(cx.now, RETRY))
        } else {
            unreadable("its update repository was not read since it booted".to_owned())
        };
    }
    let Some(from) = report.running() else {
        let said = report.os.as_ref().map_or("nothing", |os| os.version.as_str());
        return unreadable(format!("its running version cannot be read (it says {said:?})"));
    };
    if cx.run.purpose.awaited_skip() == Some(&from) {
        return Next::Wait(Phase::Outdated, after(cx.now, SKIP_POLL));
    }
    let wanted = match cx.run.purpose.way_back() {
        Some(back) => way_back::wanted(instance, report, (&from, back), cx),
        None => wanted(instance, report, &from, cx),
    };
    match wanted {
        Wanted::Nothing => Next::Current,
        Wanted::Held(reason) => Next::Hold(reason),
        Wanted::Version(to) if instance.tags.failed.contains(&to) => {
            Next::Hold(HoldReason::VersionFailedBefore { version: to })
        }
        Wanted::Version(_) if !instance.tags.have_room() => {
            Next::Hold(HoldReason::TagsFull { others: instance.tags.others })
        }
        Wanted::Version(to) => match cx.failed_elsewhere(&to) {
            Some(why) => Next::Hold(why),
            None => candidate(instance, report, Update { from, to }, cx),
        },
    }
}

/// The versions of an update.
struct Update {
    from: Version,
    to: Version,
}

fn candidate<'a>(instance: &'a Instance, report: &HostReport, update: Update, cx: &Context<'_>) -> Next<'a> {
    let Update { from, to } = update;
    let exhausted = instance.run.failed_stage.as_ref().filter(|failed| is_exhausted(instance, failed));
    if let Some(detail) = exhausted.and_then(|failed| trouble(&failed.end)) {
        return stage_failed(detail);
    }
    let of_its_group = || cx.snapshot.auto_scaling.hold(instance, cx.now);
    let of_managed_scaling = || scale_in::hold(cx, instance);
    if let Some(why) = cx.not_selected(instance).or_else(of_its_group).or_else(of_managed_scaling) {
        return Next::Hold(why);
    }
    // One host was told that the release was withdrawn: the others ask before they are drained for it.
    let visit = instance.visit.as_deref().filter(|_| !cx.run.dry_run);
    let doubted = visit.filter(|visit| withdrawn_at(&to, cx).is_some_and(|at| visit.sent_at < at));
    if let Some(visit) = doubted
        && cx.transport(instance) == Transport::Ssm
    {
        return visit_again(Phase::Unseen, visit, cx);
    }
    // A bridge's word can be an hour old: what an earlier run staged is asked for again, which has the host read its
    // repository first.
    let asked_again = cx.transport(instance) == Transport::Ssm || instance.run.stages > 0 || cx.run.dry_run;
    let alone = cx.run.purpose.way_back().is_some() && report.goes_back_alone(&to);
    let staged = alone || (asked_again && doubted.is_none() && is_staged(instance, report, &to));
    let keeps_lock = staged || report.chosen().as_ref() == Some(&to);
    let lock = version_lock(report).filter(|_| !keeps_lock).map(str::to_owned);
    if lock.is_none() && !keeps_lock {
        if report.locked_down {
            return Next::Hold(HoldReason::HostLockedDown { version: to });
        }
        let detail =
            format!("its settings cannot be read, and {to} would need its version-lock to be changed for a while");
        return Next::Hold(HoldReason::InspectFailed { detail });
    }
    Next::Candidate(Candidate { instance, from, to, staged, lock })
}
