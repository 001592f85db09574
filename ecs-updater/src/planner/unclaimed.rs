//! An instance in service (or in somebody else's hands): is there something to update, and a reason not to?

use models::claim::Way;
use models::fleet::{Instance, InstanceStatus, Reach, Visit, VisitEnd};
use models::host::{ErrorCode, HostReport};
use models::plan::{Cancel, End, HostCommand, Inspect, Phase, Step};
use models::reason::{FailReason, HoldReason};

use super::context::Context;
use super::need::{Candidate, Next, is_gone, trouble};
use super::times::{MAX_CANCELS, MAX_STAGES, RETRY, after};
use super::wanted::{Wanted, is_staged, lock_to_restore, version_lock, wanted};

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
