//! The planner's table: facts on the left, what it says on the right.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use models::attributes::{BridgeReport, Handled, Heartbeat, Progress};
use models::claim::{ClaimStep, Transport};
use models::fleet::{
    BadClaim, CalledOff, CommandInFlight, FleetSnapshot, Instance, InstanceStatus, MachineState, RefusedStep,
    Resources, SeenBridge, SeenTasks, SentReboot, Service, Task, VisitEnd,
};
use models::host::{AgentState, ErrorCode, HostReport, ReportedError, UpdateState};
use models::plan::{End, HostCommand, Inspect, MarkFailed, Plan, Reboot, Stage, Step, StopTasks};
use models::policy::{
    BridgePolicy, MaxUnavailable, OwnerLock, Policy, StandaloneTasks, StopAfter, Target, Timeouts, TransportPolicy,
    Zones,
};
use models::reason::{FailReason, HoldReason};
use models::report::{Outcome, Verdict};
use models::time::after;
use proptest::prelude::*;

use super::fixtures::*;
use super::{Purpose, RunFacts, Stop, WayBack, newest_release, plan};

mod admission;
mod auto_scaling;
mod dead_run;
mod drain;
mod gate;
mod groups;
mod health;
mod hooks;
mod in_service;
mod interfaces;
mod limits;
mod memory;
mod outage;
mod pace;
mod plan;
mod purpose;
mod quickest;
mod reboot;
mod rollout;
mod selection;
mod way_back;
mod whose_word;

/// What is said about the first instance: the step, or the hold's code, or how long to wait.
fn said(plan: &Plan) -> String {
    let host = &plan.standings.iter().map(|standing| standing.host.clone()).min().unwrap();
    if let Some(planned) = plan.steps.iter().find(|planned| planned.host == *host) {
        return step_word(&planned.step);
    }
    let standing = plan.standings.iter().find(|standing| standing.host == *host).unwrap();
    match &standing.hold {
        Some(hold) => format!("hold {}", hold.code()),
        None => format!("{} {}", standing.phase.as_str(), plan.wake_at.map_or("rest", |_| "wait")),
    }
}

fn step_word(step: &Step) -> String {
    match step {
        Step::Finish(end) => format!("finish {}", end_word(end)),
        Step::Leave(end) => format!("leave {}", end_word(end)),
        Step::Inspect(Inspect { refresh }) => format!("inspect refresh={refresh}"),
        Step::Stage(Stage { to, lock, .. }) => format!("stage {to} lock={}", lock.as_deref().unwrap_or("keep")),
        Step::Drain(_) => "drain".into(),
        Step::Reboot(Reboot { to, .. }) => format!("reboot {to}"),
        Step::Revert(_) => "revert".into(),
        Step::Cancel(_) => "cancel".into(),
        Step::MarkFailed(MarkFailed { version }) => format!("mark {version}"),
        Step::Reach => "reach".into(),
        Step::Confirm => "confirm".into(),
        Step::LookAtTasks => "tasks".into(),
        Step::LookAtChecks => "checks".into(),
        Step::StopTasks(StopTasks { tasks }) => format!("stop {}", tasks.len()),
    }
}

fn end_word(end: &End) -> String {
    match end {
        End::Updated { to, .. } => format!("updated {to}"),
        End::RolledBack { why, .. } => format!("rolled_back {}", why.code()),
        End::Failed { why } => format!("failed {}", why.code()),
        End::Held { why } => format!("held {}", why.code()),
        End::Current => "current".into(),
        End::Gone => "gone".into(),
        End::ScaledIn { .. } => "scaled_in".into(),
    }
}

/// The plan for one instance, with a second one beside it that has room and nothing to do.
fn say(instance: Instance, policy: &Policy, facts: &RunFacts, now: Timestamp) -> String {
    let mut other = report(UpdateState::Idle, None, None);
    other.os.as_mut().unwrap().variant = "aws-ecs-1".into();
    said(&plan(&fleet(vec![instance, self::instance(9, Some(other), now)], vec![]), policy, facts, now))
}

fn available() -> HostReport {
    report(UpdateState::Available, Some("1.27.0"), None)
}

fn staged() -> HostReport {
    report(UpdateState::Staged, Some("1.27.0"), Some("1.27.0"))
}

type Change = fn(&mut Instance);

/// A step that was refused first and last so many seconds before the table's `now`, if that is negative.
fn refused(step: &str, since: i64, last: i64) -> Option<Box<RefusedStep>> {
    let at = |seconds| after(at(1), SignedDuration::from_secs(seconds));
    Some(Box::new(RefusedStep { step: step.into(), since: at(since), at: at(last), detail: "AccessDenied".into() }))
}

fn drains(plan: &Plan) -> Vec<String> {
    plan.steps
        .iter()
        .filter(|planned| matches!(planned.step, Step::Drain(_)))
        .map(|planned| planned.host.to_string())
        .collect()
}

fn verdict(outcome: Outcome) -> Box<Verdict> {
    Box::new(Verdict { outcome, reason: None, detail: None, from: None, to: None, at: start(), of_its_own: false })
}

fn rebooting(report: Option<HostReport>, seen: Timestamp, end: Option<VisitEnd>) -> Instance {
    let mut one = claimed(instance(0, report, seen), ClaimStep::Reboot, at(2));
    one.run.reboot = Some(Box::new(SentReboot { sent_at: at(2), earlier: None, end: end.map(|end| (at(3), end)) }));
    one.run.began = Some(at(2));
    one
}

/// The same, visited once more.
fn visited(mut one: Instance, at: Timestamp, end: VisitEnd) -> Instance {
    one.visit = Some(visit(HostCommand::Inspect { refresh: false }, end, at));
    one
}

/// The same after an attempt to undo what was activated, which ended so.
fn undone_at(mut one: Instance, at: Timestamp, end: VisitEnd) -> Instance {
    let cancel = HostCommand::Revert { version: None, lock: None, boot: OLD_BOOT.into() };
    if end == VisitEnd::Done {
        one.report.as_mut().unwrap().report.update.as_mut().unwrap().state = UpdateState::Staged;
    }
    one.visit = Some(visit(cancel, end, at));
    one.run.cancels += 1;
    one.run.undone = one.claim().map(|claim| claim.since);
    one
}
