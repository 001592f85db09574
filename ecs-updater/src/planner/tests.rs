//! The planner's table: facts on the left, what it says on the right.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use models::attributes::{BridgeReport, Handled, Life, Progress};
use models::claim::{ClaimStep, Way};
use models::fleet::{
    BadClaim, CalledOff, CommandInFlight, Instance, InstanceStatus, RefusedStep, Resources, SeenBridge, SeenTasks,
    SentReboot, Service, Task, VisitEnd,
};
use models::host::{AgentState, ErrorCode, HostReport, ReportedError, UpdateState};
use models::plan::{End, HostCommand, Inspect, MarkFailed, Plan, Reboot, Stage, Step, StopTasks};
use models::policy::{HostWay, MaxUnavailable, Policy, StandaloneTasks, StopAfter, Target, Zones};
use models::reason::{FailReason, HoldReason};
use models::report::{Outcome, Verdict};
use proptest::prelude::*;

use super::fixtures::*;
use super::{RunFacts, Stop, after, plan};

/// What is said about the first instance: the step, or the hold's code, or how long to wait.
fn said(plan: &Plan) -> String {
    let host = &plan.stands.iter().map(|stand| stand.host.clone()).min().unwrap();
    if let Some(planned) = plan.steps.iter().find(|planned| planned.host == *host) {
        return step_word(&planned.step);
    }
    let stand = plan.stands.iter().find(|stand| stand.host == *host).unwrap();
    match &stand.hold {
        Some(hold) => format!("hold {}", hold.code()),
        None => format!("{} {}", stand.phase.as_str(), plan.wake_at.map_or("rest", |_| "wait")),
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

#[test]
fn an_instance_in_service() {
    let now = at(1);
    let idle = || report(UpdateState::Idle, None, None);
    let nothing: Change = |_| {};
    let table: Vec<(&str, Option<HostReport>, Change, &str)> = vec![
        ("not heard of", None, nothing, "inspect refresh=true"),
        ("reach unknown", None, |i| i.reach = None, "reach"),
        (
            "SSM lost it a moment ago",
            None,
            |i| i.reach.as_mut().unwrap().closed = Some("its SSM agent is ConnectionLost".into()),
            "unseen wait",
        ),
        ("nothing offered", Some(idle()), nothing, "current rest"),
        ("an update", Some(available()), nothing, "stage 1.27.0 lock=keep"),
        ("staged", Some(staged()), nothing, "drain"),
        (
            "staged, then a newer one",
            Some(report(UpdateState::Staged, Some("1.27.1"), Some("1.27.0"))),
            nothing,
            "stage 1.27.1 lock=keep",
        ),
        ("the status lies after a bad write", Some(staged()), |i| i.run.unwritten = true, "stage 1.27.0 lock=keep"),
        ("activated by somebody", Some(report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"))), nothing, "drain"),
        ("stale chosen in Idle", Some(report(UpdateState::Idle, Some("1.27.0"), None)), nothing, "current rest"),
        ("a downgrade", Some(report(UpdateState::Available, Some("1.26.0"), None)), nothing, "hold downgrade_offered"),
        (
            "failed before",
            Some(available()),
            |i| i.tags.failed = models::claim::FailedVersions::parse("1.27.0"),
            "hold version_failed_before",
        ),
        ("excluded", Some(available()), |i| i.tags.exclude = Some("mine".into()), "hold excluded"),
        (
            "drained by a person",
            Some(available()),
            |i| i.status = InstanceStatus::Draining,
            "hold drained_by_somebody_else",
        ),
        ("registering", Some(available()), |i| i.status = InstanceStatus::Registering, "hold not_active"),
        ("agent away, early", Some(available()), |i| i.agent_connected = false, "unseen wait"),
        (
            "stopped machine",
            Some(available()),
            |i| i.ec2.as_mut().unwrap().state = "stopped".into(),
            "hold host_unreachable",
        ),
        ("terminated", Some(available()), |i| i.ec2.as_mut().unwrap().state = "terminated".into(), "leave gone"),
        ("no Bottlerocket", Some(available()), |i| i.variant = None, "hold not_bottlerocket"),
        ("Kubernetes", Some(available()), |i| i.variant = Some("aws-k8s-1.31".into()), "hold unsupported_variant"),
        (
            "a claim of the future",
            Some(available()),
            |i| {
                let error = "v9/x".parse::<models::claim::Claim>().unwrap_err();
                i.tags.claim = Some(Err(BadClaim { value: "v9/x".into(), error }));
            },
            "hold malformed_claim",
        ),
        (
            "locked by its owner",
            Some(idle()),
            |i| {
                i.report.as_mut().unwrap().report.settings.as_mut().unwrap().version_lock = Some("1.26.1".into());
            },
            "hold version_locked",
        ),
        (
            "a lock we left behind",
            Some(idle()),
            |i| {
                i.tags.saved_lock = Some("latest".into());
                i.report.as_mut().unwrap().report.settings.as_mut().unwrap().version_lock = Some("1.27.0".into());
            },
            "cancel",
        ),
        (
            "unreadable version",
            Some(available()),
            |i| {
                i.report.as_mut().unwrap().report.os.as_mut().unwrap().version = "what".into();
            },
            "hold inspect_failed",
        ),
        ("tasks not looked at", Some(available()), |i| i.tasks = None, "tasks"),
        (
            "a standalone task",
            Some(available()),
            |i| i.tasks.as_mut().unwrap().tasks.push(task(1, None)),
            "hold standalone_tasks",
        ),
        (
            "a protected task",
            Some(available()),
            |i| {
                let mut task = task(1, Some("web"));
                task.protected_until = Some(at(60));
                i.tasks.as_mut().unwrap().tasks.push(task);
            },
            "hold protected_tasks",
        ),
        ("its end is being carried out", Some(staged()), |i| i.run.ending = Some(Box::new(End::Gone)), "finish gone"),
        (
            "AWS refuses for five minutes",
            Some(staged()),
            |i| i.run.refused = refused("drain", -300, 0),
            "leave failed act_refused",
        ),
        (
            "refused long ago, and not tried since",
            Some(staged()),
            |i| i.run.refused = refused("drain", -900, -700),
            "drain",
        ),
        ("refused just now", Some(staged()), |i| i.run.refused = refused("drain", -2, -2), "staged wait"),
        (
            "refused, and it is time for another try",
            Some(staged()),
            |i| i.run.refused = refused("drain", -5, -5),
            "drain",
        ),
        ("refused for a minute", Some(staged()), |i| i.run.refused = refused("drain", -80, -20), "staged wait"),
        (
            "refused for a minute, half a minute ago",
            Some(staged()),
            |i| i.run.refused = refused("drain", -90, -30),
            "drain",
        ),
        ("another step was refused", Some(staged()), |i| i.run.refused = refused("stop_tasks", -2, -2), "drain"),
        (
            "its end is refused",
            Some(staged()),
            |i| {
                i.run.ending = Some(Box::new(End::Gone));
                i.run.refused = refused("finish", -2, -2);
            },
            "held wait",
        ),
    ];
    for (name, report, change, expected) in table {
        let mut one = instance(0, report, now);
        change(&mut one);
        assert_eq!(say(one, &Policy::default(), &facts(), now), expected, "{name}");
    }
}

/// A step that was refused first and last so many seconds before the table's `now`, if that is negative.
fn refused(step: &str, since: i64, last: i64) -> Option<Box<RefusedStep>> {
    let at = |seconds| after(at(1), SignedDuration::from_secs(seconds));
    Some(Box::new(RefusedStep { step: step.into(), since: at(since), at: at(last), detail: "AccessDenied".into() }))
}

#[test]
fn a_plan_holds_what_it_is_not_allowed_to_ask() {
    let facts = RunFacts { dry_run: true, ..facts() };
    for (since, last, expected) in
        [(-2, -2, "unseen wait"), (-5, -5, "inspect refresh=true"), (-300, 0, "hold host_unreachable")]
    {
        let mut one = instance(0, None, at(1));
        one.visit = None;
        one.run.refused = refused("inspect", since, last);
        assert_eq!(say(one, &Policy::default(), &facts, at(1)), expected, "refused from {since} to {last}");
    }
}

#[test]
fn visits_that_end_badly() {
    let table = [
        (error("refresh", ErrorCode::Failed), "hold refresh_failed", "hold refresh_failed"),
        (error("refresh", ErrorCode::NoInPlaceUpdates), "hold no_in_place_updates", "hold no_in_place_updates"),
        (error("refresh", ErrorCode::Busy), "inspect refresh=true", "hold inspect_failed"),
        (error("os", ErrorCode::ApiDown), "inspect refresh=true", "hold inspect_failed"),
        (error("os", ErrorCode::Unknown("new".into())), "hold inspect_failed", "hold inspect_failed"),
        (VisitEnd::NotDelivered { detail: "x".into() }, "inspect refresh=true", "hold host_unreachable"),
        (VisitEnd::Unsure { detail: "x".into() }, "inspect refresh=true", "hold host_unreachable"),
        (VisitEnd::Malformed { detail: "x".into() }, "hold inspect_failed", "hold inspect_failed"),
    ];
    for (end, early, late) in table {
        for (now, expected) in [(at(1), early), (at(10), late)] {
            let mut one = instance(0, None, start());
            one.visit = Some(visit(HostCommand::Inspect { refresh: true }, end.clone(), start()));
            assert_eq!(say(one, &Policy::default(), &facts(), now), expected, "{end:?} at {now}");
        }
    }
}

#[test]
fn a_write_that_fails_is_tried_twice() {
    let now = at(5);
    let stage = HostCommand::Stage { version: version("1.27.0"), lock: None };
    for (stages, expected) in [(1, "inspect refresh=true"), (2, "finish failed stage_failed")] {
        let mut one = instance(0, Some(available()), start());
        one.run.stages = stages;
        one.visit = Some(visit(stage.clone(), error("prepare", ErrorCode::WroteOther), start()));
        assert_eq!(say(one, &Policy::default(), &facts(), now), expected);
    }
}

#[test]
fn a_target_version() {
    let now = at(1);
    let policy = |target: &str, down| Policy {
        target: Target::Version(version(target)),
        allow_downgrade: down,
        ..Policy::default()
    };
    let table = [
        ("1.26.1", false, "current rest"),
        ("1.27.0", false, "stage 1.27.0 lock=keep"),
        ("1.26.0", false, "hold ahead_of_target"),
        ("1.26.0", true, "stage 1.26.0 lock=latest"),
        ("1.30.0", false, "hold target_not_offered"),
    ];
    for (target, down, expected) in table {
        assert_eq!(
            say(instance(0, Some(available()), now), &policy(target, down), &facts(), now),
            expected,
            "{target}"
        );
    }
    let mut blind = available();
    blind.settings = None;
    assert_eq!(say(instance(0, Some(blind), now), &policy("1.26.0", true), &facts(), now), "hold inspect_failed");
}

#[test]
fn a_drain() {
    let since = at(2);
    let now = at(5);
    let busy = |mut i: Instance, tasks: Vec<models::fleet::Task>, looked: Timestamp| {
        i.running_tasks = u32::try_from(tasks.len()).unwrap();
        i.tasks = Some(models::fleet::SeenTasks { at: looked, tasks });
        i
    };
    let draining = || claimed(instance(0, Some(staged()), at(1)), ClaimStep::Drain, since);
    let standalone = Policy { standalone_tasks: StandaloneTasks::Stop, ..Policy::default() };
    let table = [
        ("tasks left", busy(draining(), vec![task(1, Some("web"))], now), Policy::default(), now, "draining wait"),
        (
            "too long",
            busy(draining(), vec![task(1, Some("web"))], at(23)),
            Policy::default(),
            at(23),
            "finish failed drain_timed_out",
        ),
        (
            "too long, not looked",
            busy(draining(), vec![task(1, Some("web"))], at(3)),
            Policy::default(),
            at(23),
            "tasks",
        ),
        ("a task to stop", busy(draining(), vec![task(1, None)], now), standalone, now, "stop 1"),
        ("empty", draining(), Policy::default(), now, "reboot 1.27.0"),
        ("empty, long after", draining(), Policy::default(), at(300), "reboot 1.27.0"),
    ];
    for (name, one, policy, now, expected) in table {
        assert_eq!(say(one, &policy, &facts(), now), expected, "{name}");
    }
    let mut stopping = busy(draining(), vec![task(1, Some("web"))], now);
    stopping.running_tasks = 0;
    assert_eq!(say(stopping.clone(), &Policy::default(), &facts(), now), "draining wait", "still stopping");
    assert_eq!(say(stopping, &Policy::default(), &facts(), at(6)), "tasks", "stopped by now?");

    let mut excluded = draining();
    excluded.tags.exclude = Some("no".into());
    assert_eq!(say(excluded, &Policy::default(), &facts(), now), "finish held excluded");

    let mut active = draining();
    active.status = InstanceStatus::Active;
    active.seen_at = at(5);
    assert_eq!(say(active.clone(), &Policy::default(), &facts(), now), "finish held reactivated_by_somebody");
    active.seen_at = since;
    assert_eq!(say(active.clone(), &Policy::default(), &facts(), now), "draining wait", "the listing lags");
    active.run.drained_at = None;
    active.tasks.as_mut().unwrap().at = now;
    assert_eq!(
        say(active, &Policy::default(), &facts(), now),
        "drain",
        "a claim from a run that died before it drained"
    );

    let mut unstaged = claimed(instance(0, Some(available()), at(1)), ClaimStep::Drain, since);
    assert_eq!(say(unstaged.clone(), &Policy::default(), &facts(), now), "stage 1.27.0 lock=keep", "lost at a reboot");
    unstaged.run.stages = 2;
    assert_eq!(say(unstaged, &Policy::default(), &facts(), now), "finish failed reboot_refused");

    let unheard = claimed(instance(0, None, at(1)), ClaimStep::Drain, since);
    assert_eq!(say(unheard, &Policy::default(), &facts(), now), "inspect refresh=true", "taken over");
}

fn rebooting(report: Option<HostReport>, seen: Timestamp, end: Option<VisitEnd>) -> Instance {
    let mut one = claimed(instance(0, report, seen), ClaimStep::Reboot, at(2));
    one.run.reboot = Some(Box::new(SentReboot { sent_at: at(2), earlier: None, end: end.map(|end| (at(3), end)) }));
    one.run.began = Some(at(2));
    one
}

#[test]
fn a_reboot() {
    let other_boot = || error("boot", ErrorCode::OtherBoot);
    let ready = || report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"));
    let table = [
        ("not heard of yet", rebooting(Some(ready()), at(1), None), at(4), "inspect refresh=false"),
        ("never", rebooting(Some(ready()), at(1), None), at(18), "leave failed never_came_back"),
        (
            "awake in the old boot for too long",
            rebooting(Some(ready()), at(17), Some(VisitEnd::Done)),
            at(18),
            "cancel",
        ),
        (
            "refused, activated",
            rebooting(Some(ready()), at(3), Some(error("reboot", ErrorCode::Failed))),
            at(4),
            "cancel",
        ),
        (
            "refused, not activated",
            rebooting(Some(staged()), at(3), Some(error("activate", ErrorCode::Failed))),
            at(4),
            "finish failed reboot_refused",
        ),
        (
            "not delivered",
            rebooting(Some(staged()), at(1), Some(VisitEnd::NotDelivered { detail: "x".into() })),
            at(4),
            "reboot 1.27.0",
        ),
        (
            "new version, checks unknown",
            rebooting(Some(rebooted("1.27.0", AgentState::Registered)), at(4), None),
            at(4),
            "checks",
        ),
        (
            "new version, healthy",
            checked(rebooting(Some(rebooted("1.27.0", AgentState::Registered)), at(4), None), at(4), "ok"),
            at(5),
            "finish updated 1.27.0",
        ),
        (
            "checks not in yet",
            checked(rebooting(Some(rebooted("1.27.0", AgentState::Registered)), at(4), None), at(4), "initializing"),
            at(5),
            "finish updated 1.27.0",
        ),
        (
            "another version than asked for",
            checked(rebooting(Some(rebooted("1.28.0", AgentState::Registered)), at(4), None), at(4), "ok"),
            at(5),
            "finish updated 1.28.0",
        ),
        (
            "agent not up yet",
            rebooting(Some(rebooted("1.27.0", AgentState::Down)), at(4), None),
            at(5),
            "inspect refresh=false",
        ),
        ("agent never up", rebooting(Some(rebooted("1.27.0", AgentState::Down)), at(4), None), at(15), "mark 1.27.0"),
        (
            "agent never up, marked",
            failed_before(rebooting(Some(rebooted("1.27.0", AgentState::Down)), at(4), None), "1.27.0"),
            at(15),
            "revert",
        ),
        (
            "impaired",
            failed_before(
                checked(rebooting(Some(rebooted("1.27.0", AgentState::Registered)), at(4), None), at(15), "impaired"),
                "1.27.0",
            ),
            at(15),
            "revert",
        ),
        (
            "back on the old version, reboot still open",
            rebooting(Some(rebooted("1.26.1", AgentState::Registered)), at(4), None),
            at(4),
            "rebooting wait",
        ),
        (
            "fell back",
            rebooting(Some(rebooted("1.26.1", AgentState::Registered)), at(4), Some(VisitEnd::Done)),
            at(4),
            "mark 1.27.0",
        ),
        (
            "fell back, marked, healthy",
            failed_before(
                checked(
                    rebooting(Some(rebooted("1.26.1", AgentState::Registered)), at(4), Some(VisitEnd::Done)),
                    at(4),
                    "ok",
                ),
                "1.27.0",
            ),
            at(5),
            "finish rolled_back fell_back_at_boot",
        ),
        (
            "rebooted by itself before the command",
            rebooting(Some(rebooted("1.26.1", AgentState::Registered)), at(2), Some(other_boot())),
            at(4),
            "inspect refresh=true",
        ),
    ];
    for (name, one, now, expected) in table {
        assert_eq!(say(one, &Policy::default(), &facts(), now), expected, "{name}");
    }
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

#[test]
fn a_reboot_that_may_still_come_is_waited_out() {
    let ready = || report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"));
    let lost = || VisitEnd::NotDelivered { detail: "x".into() };
    // Sent at 2 min, and again at 14 min.
    let again = |seen, end: Option<VisitEnd>, earlier: Option<Timestamp>| {
        let mut one = rebooting(Some(ready()), seen, None);
        one.run.reboot = Some(Box::new(SentReboot { sent_at: at(14), earlier, end: end.map(|end| (at(15), end)) }));
        one
    };
    let unsure = || Some(error("reboot", ErrorCode::Unsure));
    let refused = || Some(error("reboot", ErrorCode::Failed));
    let silent = |mut one: Instance| {
        one.visit = Some(visit(HostCommand::Inspect { refresh: false }, lost(), at(20)));
        one
    };
    let mut staged_only = again(at(1), Some(lost()), None);
    staged_only.report.as_mut().unwrap().report = staged();
    let table = [
        ("unsure is not refused", rebooting(Some(ready()), at(4), unsure()), at(4), "rebooting wait"),
        (
            "unsure, and awake when it cannot come any more",
            rebooting(Some(ready()), at(10), unsure()),
            at(10),
            "reboot 1.27.0",
        ),
        ("unsure, until the deadline", rebooting(Some(ready()), at(17), unsure()), at(17), "cancel"),
        (
            "refused the second time, the first may come",
            again(at(15), refused(), Some(at(8))),
            at(15),
            "rebooting wait",
        ),
        ("refused the second time, the first did nothing", again(at(15), refused(), None), at(15), "cancel"),
        ("none was delivered", staged_only, at(17), "finish failed reboot_refused"),
        (
            "the last was not delivered, one before may come",
            again(at(17), Some(lost()), Some(at(10))),
            at(17),
            "rebooting wait",
        ),
        ("awake at the deadline, sent late", again(at(17), Some(VisitEnd::Done), None), at(17), "rebooting wait"),
        ("still awake when it cannot come any more", again(at(22), Some(VisitEnd::Done), None), at(22), "cancel"),
        (
            "silent at the deadline, sent late",
            silent(again(at(15), Some(VisitEnd::Done), None)),
            at(22),
            "inspect refresh=false",
        ),
        (
            "silent to the end of its time",
            silent(again(at(15), Some(VisitEnd::Done), None)),
            at(29),
            "leave failed never_came_back",
        ),
    ];
    for (name, one, now, expected) in table {
        assert_eq!(say(one, &Policy::default(), &facts(), now), expected, "{name}");
    }
}

#[test]
fn what_undoing_an_activation_comes_to() {
    let ready =
        || rebooting(Some(report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"))), at(17), Some(VisitEnd::Done));
    let undone = |times: u32, end: VisitEnd| {
        let mut one = undone_at(ready(), at(18), end);
        one.run.cancels = times;
        one
    };
    let lost = || VisitEnd::NotDelivered { detail: "x".into() };
    let failed = || error("deactivate", ErrorCode::Failed);
    let back = |running: &str| {
        let mut one = checked(
            rebooting(Some(rebooted(running, AgentState::Registered)), at(19), Some(VisitEnd::Done)),
            at(20),
            "ok",
        );
        one.run.undone = Some(at(2));
        one
    };
    let mut excluded = back("1.26.1");
    excluded.tags.exclude = Some("mine".into());
    let table = [
        ("done", undone(1, VisitEnd::Done), at(18), "finish failed reboot_timed_out"),
        ("lost on its way", undone(1, lost()), at(19), "cancel"),
        ("failed", undone(1, failed()), at(19), "cancel"),
        ("lost again and again", undone(5, lost()), at(19), "leave failed never_came_back"),
        ("failed again and again", undone(5, failed()), at(19), "finish failed reboot_timed_out"),
        ("it rebooted all the same, into the new version", back("1.27.0"), at(20), "finish updated 1.27.0"),
        (
            "it rebooted, into the old one, which is no fall-back",
            back("1.26.1"),
            at(20),
            "finish failed reboot_refused",
        ),
        ("the same of one that is excluded", excluded, at(20), "finish held excluded"),
    ];
    for (name, mut one, now, expected) in table {
        if let Some(seen) = one.report.as_mut() {
            seen.asked_at = now;
        }
        assert_eq!(say(one, &Policy::default(), &facts(), now), expected, "{name}");
    }
}

#[test]
fn a_boot_counts_as_its_own_only_where_no_command_can_have_made_it() {
    let other_boot = || Some(error("boot", ErrorCode::OtherBoot));
    let back = || rebooting(Some(rebooted("1.26.1", AgentState::Registered)), at(4), other_boot());
    let mut earlier = back();
    earlier.run.reboot.as_mut().unwrap().earlier = Some(at(1));
    let mut taken_over = back();
    taken_over.run.began = None;
    let mut overtaken = back();
    overtaken.tags.claim.as_mut().unwrap().as_mut().unwrap().run = "OTHER".into();
    let mut again_and_again = back();
    again_and_again.report.as_mut().unwrap().asked_at = at(5);
    again_and_again.run.reboot_claims = 3;
    let table = [
        ("this run's only command", back(), "stage 1.27.0 lock=latest"),
        ("one before it may have arrived", earlier, "mark 1.27.0"),
        ("an earlier run's claim", taken_over, "mark 1.27.0"),
        ("another run has taken over", overtaken, "mark 1.27.0"),
        ("it reboots by itself again and again", again_and_again, "finish failed reboot_refused"),
    ];
    for (name, one, expected) in table {
        assert_eq!(say(one, &Policy::default(), &facts(), at(6)), expected, "{name}");
    }
}

/// Out of service for a reboot by its bridge that was called off at 17 min; the bridge says so of the claim since then.
fn called_off(seen: HostReport, said: Option<Progress>) -> Instance {
    let reboot = claimed(instance(0, None, at(1)), ClaimStep::Reboot, at(2)).claim().unwrap().clone();
    let mut one = claimed(instance(0, Some(seen.clone()), at(18)), ClaimStep::Drain, at(17));
    one.run.called_off = Some(Box::new(CalledOff { claim: reboot, at: at(17) }));
    one.run.ending = Some(Box::new(End::Failed { why: FailReason::RebootTimedOut }));
    let handled =
        said.map(|progress| Handled { step: ClaimStep::Drain, run: "RUN".into(), since: at(17), attempt: 1, progress });
    one.bridge = Some(Ok(bridge_report(seen, handled, at(18))));
    one
}

fn bridge_report(report: HostReport, handled: Option<Handled>, at: Timestamp) -> Box<SeenBridge> {
    let life = Life { version: "0.1.0".into(), at, heartbeat: SignedDuration::from_hours(3) };
    Box::new(SeenBridge { since: at, report: BridgeReport { life, report, handled, available_cut: false } })
}

#[test]
fn a_reboot_that_is_called_off() {
    let ready = || report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"));
    let new = |version: &str| rebooted(version, AgentState::Registered);
    let finish = "finish failed reboot_timed_out";
    let table = [
        ("not read yet", called_off(ready(), None), at(18), "draining wait"),
        ("not over yet", called_off(ready(), Some(Progress::Doing)), at(24), "draining wait"),
        ("over", called_off(ready(), Some(Progress::Done)), at(18), finish),
        ("never read", called_off(ready(), None), at(25), "leave failed never_came_back"),
        ("too late", called_off(new("1.27.0"), None), at(19), "checks"),
        ("too late, and it fell back", called_off(new("1.26.1"), Some(Progress::Done)), at(19), "mark 1.27.0"),
    ];
    for (why, one, now, expected) in table {
        assert_eq!(say(one, &Policy::default(), &facts(), now), expected, "{why}");
    }
}

#[test]
fn a_reboot_of_a_run_that_died() {
    let other_run = || RunFacts { run: "NEXT".into(), started_at: at(60), ..facts() };
    let taken_over = |report: Option<HostReport>| {
        let mut one = rebooting(report, at(60), None);
        one.run.reboot = None;
        one.run.began = None;
        one.run.drained_at = None;
        one
    };
    let now = at(61);
    let cases = [
        (taken_over(None), "inspect refresh=false"),
        (taken_over(Some(staged())), "reboot 1.27.0"),
        (checked(taken_over(Some(rebooted("1.27.0", AgentState::Registered))), now, "ok"), "finish updated 1.27.0"),
        (taken_over(Some(rebooted("1.26.1", AgentState::Registered))), "mark 1.27.0"),
    ];
    for (one, expected) in cases {
        assert_eq!(say(one, &Policy::default(), &other_run(), now), expected);
    }
    let mut reactivated = taken_over(Some(report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"))));
    reactivated.status = InstanceStatus::Active;
    let mut excluded = taken_over(Some(report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"))));
    excluded.tags.exclude = Some("mine".into());
    let heard = |mut one: Instance, at: Timestamp| {
        one.report.as_mut().unwrap().asked_at = at;
        one.visit = Some(visit(HostCommand::Inspect { refresh: false }, VisitEnd::Done, at));
        one
    };
    // The run that died can have sent its command just before this one began, at 60 min.
    for (one, end) in [(&reactivated, "reactivated_by_somebody"), (&excluded, "excluded")] {
        let table = [
            (one.clone(), at(61), "inspect refresh=false".to_owned()),
            (heard(one.clone(), at(67)), after(at(67), SignedDuration::from_secs(5)), "rebooting wait".to_owned()),
            (heard(one.clone(), at(67)), at(68), "inspect refresh=false".to_owned()),
            (heard(one.clone(), at(68)), at(68), "cancel".to_owned()),
            (heard(undone_at(one.clone(), at(69), VisitEnd::Done), at(69)), at(69), format!("finish held {end}")),
        ];
        for (one, now, expected) in table {
            assert_eq!(say(one, &Policy::default(), &other_run(), now), expected, "{end} at {now}");
        }
        let mut silent = one.clone();
        let end = VisitEnd::NotDelivered { detail: "x".into() };
        silent.visit = Some(visit(HostCommand::Inspect { refresh: false }, end, at(74)));
        assert_eq!(
            say(silent.clone(), &Policy::default(), &other_run(), at(74)),
            "rebooting wait",
            "it may be going down"
        );
        assert_eq!(say(silent, &Policy::default(), &other_run(), at(75)), "leave failed never_came_back");
    }

    // By the bridge the report that stands can be from before a reboot that its agent did not live to tell of.
    let by_bridge = Policy { host: HostWay::Bridge, ..Policy::default() };
    let said = |progress: Option<Progress>| {
        let claim = reactivated.claim().unwrap();
        let (step, run, since) = (claim.step, claim.run.clone(), claim.since);
        let handled = progress.map(|progress| Handled { step, run, since, attempt: 1, progress });
        let mut one = reactivated.clone();
        one.tags.claim.as_mut().unwrap().as_mut().unwrap().way = Way::Bridge;
        one.bridge = Some(Ok(bridge_report(one.report.as_ref().unwrap().report.clone(), handled, at(3))));
        one
    };
    let mut kept_by_tasks = said(Some(Progress::Doing));
    if let Some(Ok(seen)) = &mut kept_by_tasks.bridge {
        let (at, code) = ("reboot".to_owned(), ErrorCode::TasksRunning);
        seen.report.report.error = Some(ReportedError { at, code, detail: "tasks still run".to_owned() });
    }
    let mut asked_by_ssm = said(Some(Progress::Failed));
    asked_by_ssm.tags.claim.as_mut().unwrap().as_mut().unwrap().way = Way::Ssm;
    let mut silent = said(Some(Progress::Doing));
    silent.visit = Some(visit(HostCommand::Inspect { refresh: false }, VisitEnd::Done, at(62)));
    let table = [
        ("it has not read the claim", said(None), now, "inspect refresh=false"),
        ("it is at it", said(Some(Progress::Doing)), now, "inspect refresh=false"),
        ("nothing more is heard of it", silent, at(64), "leave failed never_came_back"),
        ("it could not", said(Some(Progress::Failed)), now, "cancel"),
        ("the run that died asked by SSM", asked_by_ssm.clone(), now, "rebooting wait"),
        ("the same when it cannot come any more", asked_by_ssm, at(68), "cancel"),
        ("tasks keep it from it", kept_by_tasks, now, "cancel"),
    ];
    for (why, one, now, expected) in table {
        assert_eq!(say(one, &by_bridge, &other_run(), now), expected, "{why}");
    }
}

#[test]
fn a_rollback() {
    let reverting = |report: HostReport, seen| {
        let mut one = failed_before(claimed(instance(0, Some(report), seen), ClaimStep::Revert, at(2)), "1.27.0");
        one.run.trouble = Some("its ECS agent is not registered".into());
        one
    };
    let bad = |state, staged: Option<&str>| {
        let mut report = report(state, Some("1.26.1"), staged);
        report.os.as_mut().unwrap().version = "1.27.0".into();
        report
    };
    let revert = HostCommand::Revert { version: Some(version("1.26.1")), lock: None, boot: OLD_BOOT.into() };
    let done = |end| {
        let mut one = reverting(bad(UpdateState::Idle, None), at(3));
        one.visit = Some(visit(revert.clone(), end, at(3)));
        one
    };
    let mut unmarked = reverting(bad(UpdateState::Idle, None), at(2));
    unmarked.tags.failed = Default::default();
    let table = [
        ("not marked", unmarked, at(4), "mark 1.27.0"),
        ("to be written", reverting(bad(UpdateState::Idle, None), at(2)), at(4), "revert"),
        ("written and active", reverting(bad(UpdateState::Ready, Some("1.26.1")), at(3)), at(4), "reboot 1.26.1"),
        ("cannot be written", done(error("pin", ErrorCode::Failed)), at(4), "leave failed rollback_failed"),
        (
            "healthy again",
            checked(reverting(rebooted("1.26.1", AgentState::Registered), at(5)), at(5), "ok"),
            at(6),
            "finish rolled_back unhealthy",
        ),
        (
            "booted the bad one again",
            reverting(rebooted("1.27.0", AgentState::Down), at(5)),
            at(6),
            "leave failed rollback_failed",
        ),
        (
            "not healthy either",
            reverting(rebooted("1.26.1", AgentState::Down), at(5)),
            at(16),
            "leave failed unhealthy_after_rollback",
        ),
    ];
    for (name, one, now, expected) in table {
        assert_eq!(say(one, &Policy::default(), &facts(), now), expected, "{name}");
    }
}

#[test]
fn tasks_that_do_not_stop_are_not_waited_for_without_end() {
    let other_run = || RunFacts { run: "NEXT".into(), started_at: at(60), ..facts() };
    let with_task = |mut one: Instance, seen| {
        one.run.reboot = None;
        one.run.began = None;
        one.tasks = Some(SeenTasks { at: seen, tasks: vec![task(1, None)] });
        one
    };
    let claimed_reboot = |report| with_task(rebooting(Some(report), at(60), None), at(61));
    let ready = || report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"));
    let heard = |mut one: Instance, at: Timestamp| {
        one.report.as_mut().unwrap().asked_at = at;
        one
    };
    let mut bad = report(UpdateState::Ready, Some("1.26.1"), Some("1.26.1"));
    bad.os.as_mut().unwrap().version = "1.27.0".into();
    let reverting =
        || failed_before(claimed(instance(0, Some(bad.clone()), at(61)), ClaimStep::Revert, at(45)), "1.27.0");
    let unhealthy = || {
        let one = claimed(instance(0, Some(rebooted("1.27.0", AgentState::Down)), at(60)), ClaimStep::Reboot, at(45));
        failed_before(one, "1.27.0")
    };
    let table = [
        ("a reboot, just seen", claimed_reboot(staged()), at(61), "draining wait"),
        ("a reboot, before its deadline", claimed_reboot(staged()), at(62), "reboot 1.27.0"),
        ("a reboot, too late, which may still come", claimed_reboot(staged()), at(63), "inspect refresh=false"),
        ("a reboot, too late", heard(claimed_reboot(staged()), at(68)), at(68), "finish failed reboot_refused"),
        ("a reboot that is to be undone", heard(claimed_reboot(ready()), at(68)), at(68), "cancel"),
        ("the way back, before its deadline", with_task(reverting(), at(61)), at(62), "reboot 1.26.1"),
        ("the way back, too late", with_task(reverting(), at(61)), at(75), "leave failed rollback_failed"),
        ("seen before the way back", with_task(reverting(), at(44)), at(75), "reboot 1.26.1"),
        ("before the way back", with_task(unhealthy(), at(71)), at(72), "revert"),
        ("before the way back, too late", with_task(unhealthy(), at(71)), at(90), "leave failed rollback_failed"),
    ];
    for (name, one, now, expected) in table {
        assert_eq!(say(one, &Policy::default(), &other_run(), now), expected, "{name}");
    }
    // It rebooted by itself before the command of this run.
    let by_itself = |seen| {
        let other_boot = error("boot", ErrorCode::OtherBoot);
        let mut one = rebooting(Some(rebooted("1.26.1", AgentState::Registered)), at(4), Some(other_boot));
        one.tasks = Some(SeenTasks { at: seen, tasks: vec![task(1, None)] });
        one
    };
    assert_eq!(say(by_itself(at(4)), &Policy::default(), &facts(), at(4)), "draining wait");
    assert_eq!(say(by_itself(at(17)), &Policy::default(), &facts(), at(18)), "cancel", "too late");
}

fn drains(plan: &Plan) -> Vec<String> {
    plan.steps
        .iter()
        .filter(|planned| matches!(planned.step, Step::Drain(_)))
        .map(|planned| planned.host.to_string())
        .collect()
}

#[test]
fn the_budget_counts_whoever_took_an_instance_out() {
    let now = at(1);
    let policy = Policy { max_unavailable: MaxUnavailable::Count(3), ..Policy::default() };
    let mut instances: Vec<Instance> = (0..6).map(|n| instance(n, Some(staged()), now)).collect();
    assert_eq!(drains(&plan(&fleet(instances.clone(), vec![]), &policy, &facts(), now)).len(), 3);
    instances[4].status = InstanceStatus::Draining;
    instances[5].agent_connected = false;
    assert_eq!(drains(&plan(&fleet(instances.clone(), vec![]), &policy, &facts(), now)), ["i-0"]);
    instances[5].status = InstanceStatus::Inactive;
    instances[5].run.verdict = Some(verdict(Outcome::Gone));
    assert_eq!(
        drains(&plan(&fleet(instances, vec![]), &policy, &facts(), now)),
        ["i-0", "i-1"],
        "one is gone for good"
    );
}

fn verdict(outcome: Outcome) -> Box<Verdict> {
    Box::new(Verdict { outcome, reason: None, detail: None, from: None, to: None, at: start(), of_its_own: false })
}

#[test]
fn one_bad_host_stops_nobody_and_two_in_a_row_do() {
    let now = at(30);
    let own = |minute| Verdict { at: at(minute), of_its_own: true, ..*verdict(Outcome::Failed) };
    let release = |minute| Verdict { at: at(minute), ..*verdict(Outcome::Failed) };
    let updated = |minute| Verdict { at: at(minute), ..*verdict(Outcome::Updated) };
    let held = |minute| Verdict { at: at(minute), ..*verdict(Outcome::Held) };
    let table: Vec<(&str, u32, Vec<Verdict>, bool)> = vec![
        ("one of its own", 1, vec![own(1)], false),
        ("one that can be the version's", 1, vec![release(1)], true),
        ("two, with an update between", 1, vec![own(1), updated(2), own(3)], false),
        ("two in a row", 1, vec![updated(1), own(2), own(3)], true),
        ("two in a row, one held between", 1, vec![own(1), held(2), own(3)], true),
        ("two in a row count as two", 3, vec![own(1), own(2)], false),
        ("two in a row and one of the version's", 3, vec![own(1), own(2), release(3)], true),
        ("two pairs", 4, vec![own(1), own(2), updated(3), own(4), own(5)], true),
    ];
    for (name, limit, verdicts, stops) in table {
        let policy = Policy { stop_after_failures: StopAfter::Count(limit), ..Policy::default() };
        let mut instances = vec![instance(0, Some(staged()), now)];
        for (number, verdict) in (1..).zip(verdicts) {
            let mut done = instance(number, None, now);
            done.run.verdict = Some(Box::new(verdict));
            instances.push(done);
        }
        let plan = plan(&fleet(instances, vec![]), &policy, &facts(), now);
        assert_eq!(said(&plan), if stops { "hold stopped_after_failures" } else { "drain" }, "{name}");
    }
}

#[test]
fn the_oldest_version_goes_first_and_staging_runs_ahead() {
    let now = at(1);
    let mut old = report(UpdateState::Staged, Some("1.27.0"), Some("1.27.0"));
    old.os.as_mut().unwrap().version = "1.26.0".into();
    let instances = vec![
        instance(0, Some(staged()), now),
        instance(1, Some(available()), now),
        instance(2, Some(old), now),
        instance(3, Some(available()), now),
    ];
    let plan = plan(&fleet(instances, vec![]), &Policy::default(), &facts(), now);
    assert_eq!(drains(&plan), ["i-2"]);
    let staging: Vec<&str> = plan
        .steps
        .iter()
        .filter(|planned| matches!(planned.step, Step::Stage(_)))
        .map(|planned| planned.host.as_str())
        .collect();
    assert!(staging.is_empty(), "i-0 is staged ahead already, one slot's worth is enough: {staging:?}");
}

#[test]
fn nothing_new_is_begun_after_failures_signals_or_time() {
    let now = at(30);
    let mut failed = instance(1, Some(staged()), now);
    failed.run.verdict = Some(verdict(Outcome::RolledBack));
    let pair = |other: Instance| fleet(vec![instance(0, Some(staged()), now), other], vec![]);
    let fine = || instance(1, Some(staged()), now);
    let interrupted = RunFacts { stop: Some(Stop::Interrupted), ..facts() };
    let short = Policy { max_duration: Some(SignedDuration::from_mins(30)), ..Policy::default() };
    let table = [
        (pair(failed), Policy::default(), facts(), "hold stopped_after_failures"),
        (pair(fine()), Policy::default(), interrupted, "hold interrupted"),
        (pair(fine()), short, facts(), "hold out_of_time"),
        (pair(fine()), Policy::default(), facts(), "drain"),
    ];
    for (fleet, policy, facts, expected) in table {
        assert_eq!(said(&plan(&fleet, &policy, &facts, now)), expected);
    }
}

#[test]
fn room_is_promised_once() {
    let now = at(1);
    let policy = Policy { max_unavailable: MaxUnavailable::Count(2), ..Policy::default() };
    let full = |number: u32| {
        let mut one = instance(number, Some(staged()), now);
        one.tasks.as_mut().unwrap().tasks.push(task(number, Some("web")));
        one.remaining.cpu = 0;
        one
    };
    let mut spare = instance(2, Some(report(UpdateState::Idle, None, None)), now);
    spare.remaining.cpu = 512;
    let services = |min| vec![service("web", 2, min, 200)];
    let three = || vec![full(0), full(1), spare.clone()];
    assert_eq!(drains(&plan(&fleet(three(), services(100)), &policy, &facts(), now)), ["i-0"], "room for one");
    assert_eq!(drains(&plan(&fleet(three(), services(50)), &policy, &facts(), now)).len(), 2, "one may be missed");
}

/// Three instances with one task each, and one with room for `spare` tasks of 512 CPU units.
fn three_and_a_spare(spare: i64, now: Timestamp) -> Vec<Instance> {
    let full = |number: u32| {
        let mut one = instance(number, Some(staged()), now);
        one.tasks.as_mut().unwrap().tasks.push(task(number, Some("web")));
        one.remaining.cpu = 0;
        one
    };
    let mut other = instance(3, Some(report(UpdateState::Idle, None, None)), now);
    other.remaining.cpu = spare * 512;
    vec![full(0), full(1), full(2), other]
}

#[test]
fn room_that_is_spoken_for_is_not_given_again() {
    let now = at(1);
    let policy = Policy { max_unavailable: MaxUnavailable::Count(3), ..Policy::default() };
    let web = || service("web", 3, 100, 200);
    let going = |change: &dyn Fn(&mut Vec<Instance>, &mut models::fleet::Service)| {
        let (mut instances, mut service) = (three_and_a_spare(2, now), web());
        change(&mut instances, &mut service);
        drains(&plan(&fleet(instances, vec![service]), &policy, &facts(), now))
    };
    let draining = |instance: &mut Instance| *instance = claimed(instance.clone(), ClaimStep::Drain, now);
    assert_eq!(going(&|_, _| {}), ["i-0", "i-1"], "room for two");
    assert_eq!(going(&|all, _| draining(&mut all[0])), ["i-1"], "the first one's task has no replacement yet");
    let replaced = |all: &mut Vec<Instance>, service: &mut models::fleet::Service| {
        draining(&mut all[0]);
        (service.placed, service.running) = (4, 4);
        all[3].remaining.cpu = 512;
    };
    assert_eq!(going(&replaced), ["i-1"], "its replacement has taken its place, and nothing is done without");
    let foreign = |all: &mut Vec<Instance>, _: &mut models::fleet::Service| all[0].status = InstanceStatus::Draining;
    assert_eq!(going(&foreign), ["i-1"], "whoever drains");
    assert_eq!(going(&|_, service| service.deploying = 1), ["i-0"], "a deployment needs room");
    assert_eq!(going(&|_, service| service.placed = 2), ["i-0"], "a task is short");
}

#[test]
fn constraints_say_where_there_is_room() {
    let now = at(1);
    let policy = Policy { max_unavailable: MaxUnavailable::Count(2), ..Policy::default() };
    let told = |change: &dyn Fn(&mut models::fleet::Service)| {
        let mut service = service("web", 3, 100, 200);
        change(&mut service);
        let mut instances = three_and_a_spare(2, now);
        instances[3].attributes = attributes(&[("disk", "slow")]);
        let plan = plan(&fleet(instances, vec![service]), &policy, &facts(), now);
        let hold = plan.stands.iter().find(|stand| stand.host.as_str() == "i-0").and_then(|stand| stand.hold.clone());
        (drains(&plan).len(), hold.map(|hold| hold.to_string()))
    };
    let needs = |what: &str| {
        Some(format!("no other instance has room for a task of service web: it needs {what}; add capacity"))
    };
    assert_eq!(told(&|_| {}), (2, None));
    assert_eq!(told(&|service| service.member_of.push("attribute:disk == slow".into())), (2, None));
    assert_eq!(told(&|service| service.member_of.push("attribute:disk =~ f.*".into())), (2, None), "ECS's to decide");
    let fast = told(&|service| service.member_of.push("attribute:disk == fast".into()));
    assert_eq!(fast, (0, needs("512 CPU units and 1 GiB where attribute:disk == fast")));
    let one_each = |service: &mut models::fleet::Service| service.distinct_instance = true;
    assert_eq!(told(&one_each).0, 1, "one of them on the spare");
    let taken = told(&|service| {
        one_each(service);
        service.on.extend((0..4).map(|n| format!("arn:aws:ecs:eu-west-1:1:container-instance/web/{n}").into()));
    });
    assert_eq!(taken, (0, needs("512 CPU units and 1 GiB on an instance without another of its tasks")));
}

#[test]
fn zones_take_turns_or_wait() {
    let now = at(1);
    let in_zones = |zones: &[&str]| -> Vec<Instance> {
        let numbered = (0..).zip(zones);
        numbered.map(|(n, zone)| Instance { zone: Some((*zone).into()), ..instance(n, Some(staged()), now) }).collect()
    };
    let policy = |zone| Policy { max_unavailable: MaxUnavailable::Count(3), zone, ..Policy::default() };
    let fleet_of = |instances| fleet(instances, vec![]);
    let zones = ["a", "a", "a", "b", "b", "c"];
    let going = |instances, zone| drains(&plan(&fleet_of(instances), &policy(zone), &facts(), now));
    assert_eq!(going(in_zones(&zones), Zones::Spread), ["i-0", "i-3", "i-5"]);
    assert_eq!(going(in_zones(&zones), Zones::OneAtATime), ["i-0", "i-1", "i-2"]);
    let mut begun = in_zones(&zones);
    begun[3] = claimed(begun[3].clone(), ClaimStep::Drain, now);
    assert_eq!(going(begun.clone(), Zones::Spread), ["i-0", "i-5"]);
    assert_eq!(going(begun.clone(), Zones::OneAtATime), ["i-4"]);
    let waits = plan(&fleet_of(begun), &policy(Zones::OneAtATime), &facts(), now);
    let hold = waits.stands.iter().find(|stand| stand.host.as_str() == "i-0").and_then(|stand| stand.hold.clone());
    assert_eq!(hold.map(|hold| hold.code()), Some("other_zone_first"));
}

#[test]
fn a_drain_that_can_never_end_is_told_beforehand() {
    let now = at(1);
    let table = [
        (2, 100, 100, false),
        (2, 50, 100, true),
        (2, 100, 150, true),
        (1, 100, 150, false),
        (1, 0, 100, true),
        (1, 100, 200, true),
        (3, 67, 100, false),
        (3, 66, 100, true),
    ];
    for (desired, min, max, ends) in table {
        let mut one = instance(0, Some(staged()), now);
        one.tasks.as_mut().unwrap().tasks.push(task(0, Some("web")));
        let fleet = fleet(
            vec![one, instance(9, Some(report(UpdateState::Idle, None, None)), now)],
            vec![service("web", desired, min, max)],
        );
        let expected = if ends { "drain" } else { "hold drain_cannot_end" };
        assert_eq!(said(&plan(&fleet, &Policy::default(), &facts(), now)), expected, "{desired} tasks, {min}/{max}");
    }
}

#[test]
fn what_waits_in_vain_is_let_go() {
    let now = at(10);
    let mut one = claimed(instance(0, Some(staged()), now), ClaimStep::Stage, at(1));
    one.tags.exclude = Some("no".into());
    assert_eq!(say(one, &Policy::default(), &facts(), now), "finish held excluded");
}

#[test]
fn a_dry_run_changes_nothing() {
    let now = at(1);
    let facts = RunFacts { dry_run: true, ..facts() };
    let mut instances: Vec<Instance> = (0..4).map(|n| instance(n, Some(available()), now)).collect();
    instances[3].tags.exclude = Some("no".into());
    let plan = plan(&fleet(instances, vec![]), &Policy::default(), &facts, now);
    assert_eq!(plan.steps, []);
    assert_eq!(plan.wake_at, None);
    let turns: Vec<Option<usize>> = plan.stands.iter().map(|stand| stand.turn).collect();
    assert_eq!(turns.iter().flatten().count(), 3);
}

#[test]
fn bridges_are_asked_to_stage_no_faster_than_they_can_report() {
    let policy = Policy { host: HostWay::Bridge, max_unavailable: MaxUnavailable::Percent(100), ..Policy::default() };
    let mut instances: Vec<Instance> = (0..100).map(|n| instance(n, Some(available()), at(1))).collect();
    let staged = |plan: &Plan| -> BTreeSet<String> {
        let stages = plan.steps.iter().filter(|planned| matches!(planned.step, Step::Stage(_)));
        stages.map(|planned| planned.host.to_string()).collect()
    };
    let first = staged(&plan(&fleet(instances.clone(), vec![]), &policy, &facts(), at(1)));
    assert_eq!(first.len(), 40);
    for instance in instances.iter_mut().filter(|instance| first.contains(instance.host.as_str())) {
        *instance = claimed(instance.clone(), ClaimStep::Stage, at(1));
        if let Some(Ok(claim)) = &mut instance.tags.claim {
            claim.way = Way::Bridge;
        }
        let command = HostCommand::Stage { version: version("1.27.0"), lock: None };
        instance.command = Some(Box::new(CommandInFlight { command, sent_at: at(1) }));
    }
    let second = |seconds| {
        let now = at(1) + SignedDuration::from_secs(seconds);
        let plan = plan(&fleet(instances.clone(), vec![]), &policy, &facts(), now);
        (staged(&plan).len(), plan.wake_at.map(|at| at.duration_since(now).as_secs()))
    };
    assert_eq!(second(2), (0, Some(3)));
    assert_eq!(second(5).0, 40);
    assert_eq!(second(-60).0, 40, "a clock that was ahead keeps nobody waiting");
    let by_ssm = Policy { host: HostWay::Ssm, ..policy };
    let fresh = (0..100).map(|n| instance(n, Some(available()), at(1))).collect();
    assert_eq!(
        staged(&plan(&fleet(fresh, vec![]), &by_ssm, &facts(), at(1))).len(),
        100,
        "SSM takes as many as there are"
    );
}

#[test]
fn drains_are_no_faster_than_reboots_can_be() {
    let policy = Policy { max_unavailable: MaxUnavailable::Percent(100), ..Policy::default() };
    let mut instances: Vec<Instance> = (0..150).map(|n| instance(n, Some(staged()), at(1))).collect();
    let first = plan(&fleet(instances.clone(), vec![]), &policy, &facts(), at(1));
    assert_eq!(drains(&first).len(), 75);
    let hosts: BTreeSet<String> = drains(&first).into_iter().collect();
    let drained = |instance: &&mut Instance| hosts.contains(instance.host.as_str());
    for instance in instances.iter_mut().filter(drained) {
        instance.status = InstanceStatus::Draining;
        instance.run.drained_at = Some(at(1));
        instance.run.verdict = Some(verdict(Outcome::Updated));
    }
    let second = |seconds| {
        let now = at(1) + SignedDuration::from_secs(seconds);
        let plan = plan(&fleet(instances.clone(), vec![]), &policy, &facts(), now);
        let paced = plan.stands.iter().filter(|stand| stand.hold == Some(HoldReason::DrainsPaced)).count();
        (drains(&plan).len(), paced, plan.wake_at.map(|at| at.duration_since(now).as_secs()))
    };
    assert_eq!(second(5), (0, 75, Some(10)));
    assert_eq!(second(15), (75, 0, None));

    let minute_later = after(at(1), SignedDuration::from_secs(61));
    let looks = |plan: &Plan| plan.steps.iter().filter(|planned| planned.step == Step::LookAtTasks).count();
    let mut many: Vec<Instance> = (0..300).map(|n| instance(n, Some(staged()), at(1))).collect();
    let old = plan(&fleet(many.clone(), vec![]), &policy, &facts(), minute_later);
    assert_eq!((drains(&old).len(), looks(&old)), (0, 175), "none is drained by what was known a minute ago");
    let front: Vec<_> = old.steps.iter().take(10).map(|planned| planned.host.clone()).collect();
    for instance in many.iter_mut().filter(|instance| front.contains(&instance.host)) {
        instance.tasks.as_mut().unwrap().at = minute_later;
    }
    let fresh = plan(&fleet(many.clone(), vec![]), &policy, &facts(), minute_later);
    assert_eq!((drains(&fresh).len(), looks(&fresh)), (10, 155));

    // No room for the first while a service has the spare place to fill: the ones behind them have their look all the same.
    let service = Service { placed: 1_999, ..service("web", 2_000, 100, 200) };
    for (number, instance) in (0..).zip(&mut many) {
        instance.remaining = Resources { cpu: 0, memory: 0, ports: vec![] };
        let tasks = if number < 200 { vec![task(number, Some("web"))] } else { vec![] };
        let at = if number < 200 { minute_later } else { at(1) };
        instance.tasks = Some(SeenTasks { at, tasks });
    }
    let free = Resources { cpu: 512, memory: 1_024, ports: vec![] };
    many.push(Instance { remaining: free, ..instance(999, None, at(1)) });
    let behind = plan(&fleet(many, vec![service]), &policy, &facts(), minute_later);
    assert_eq!((drains(&behind).len(), looks(&behind)), (0, 100));

    let ready: Vec<Instance> =
        (200..240).map(|n| claimed(instance(n, Some(staged()), at(1)), ClaimStep::Drain, at(0))).collect();
    let waiting = [ready, vec![instance(0, Some(staged()), at(1))]].concat();
    let plan = plan(&fleet(waiting, vec![]), &policy, &facts(), at(1));
    assert_eq!((drains(&plan).len(), plan.steps.len()), (0, 40), "they are to be rebooted first");
}

#[test]
fn none_is_drained_past_a_slow_drain_of_the_same_service() {
    let policy = Policy { max_unavailable: MaxUnavailable::Count(3), ..Policy::default() };
    let half = 10;
    let seen = |mut instance: Instance, tasks: Vec<Task>| {
        instance.running_tasks = 1;
        instance.tasks = Some(SeenTasks { at: at(half), tasks });
        instance
    };
    let services = vec![service("web", 8, 100, 200), service("api", 8, 100, 200)];
    let drained_past = |slow: Instance, left: Task| {
        let instances = vec![
            seen(slow, vec![left]),
            seen(instance(1, Some(staged()), at(half)), vec![task(1, Some("web"))]),
            seen(instance(2, Some(staged()), at(half)), vec![task(2, Some("api"))]),
            instance(3, None, at(half)),
        ];
        let plan = plan(&fleet(instances, services.clone()), &policy, &facts(), at(half));
        let holds: Vec<_> =
            plan.stands.iter().filter_map(|stand| stand.hold.as_ref()).map(ToString::to_string).collect();
        (drains(&plan).len(), holds.join(", "))
    };
    let draining = |minutes: i64| claimed(instance(0, Some(staged()), at(half)), ClaimStep::Drain, at(minutes));
    let drained_when = |minutes, left| drained_past(draining(minutes), left);
    let web = || task(0, Some("web"));
    let words = "waits for i-0: a task of service web, which runs here too, has not begun to leave it in \
                 half of the drain time-out";
    assert_eq!(drained_when(0, web()), (1, words.to_owned()));
    assert_eq!(drained_when(1, web()), (2, String::new()), "it is not slow yet");
    assert_eq!(drained_when(0, Task { stopping: true, ..web() }), (2, String::new()), "it leaves in its own time");
    assert_eq!(drained_when(0, task(0, None)), (2, String::new()), "that is waited for on its own account");
    let mut done_with = draining(0);
    done_with.run.verdict = Some(verdict(Outcome::Held));
    assert_eq!(
        drained_past(done_with, web()),
        (2, String::new()),
        "it is left as it is, whatever becomes of its tasks"
    );
}

proptest! {
    /// Whatever the facts, no plan takes out more than the budget leaves, and the same facts give the same plan.
    #[test]
    fn never_more_than_the_budget(
        size in 1usize..30, budget in 1u32..10, out in 0usize..10, minutes in 0i64..200, seed in any::<u64>(),
    ) {
        let now = at(minutes);
        let policy = Policy { max_unavailable: MaxUnavailable::Count(budget), ..Policy::default() };
        let instances: Vec<Instance> = (0..size).map(|n| {
            let pick = seed.rotate_left(u32::try_from(n).unwrap()) % 4;
            let report = [available(), staged(), report(UpdateState::Idle, None, None), staged()][pick as usize].clone();
            let mut one = instance(u32::try_from(n).unwrap(), Some(report), now);
            if n < out {
                one.status = InstanceStatus::Draining;
            }
            one
        }).collect();
        let fleet = fleet(instances, vec![]);
        let plan_once = plan(&fleet, &policy, &facts(), now);
        let already = fleet.registered_and_out().1;
        prop_assert!(drains(&plan_once).len() + already <= (budget as usize).max(already));
        prop_assert_eq!(&plan_once, &plan(&fleet, &policy, &facts(), now));
        prop_assert!(plan_once.stands.iter().map(|stand| &stand.host).eq(fleet.instances.keys()));
        for drained in drains(&plan_once) {
            let instance = &fleet.instances[&drained.as_str().into()];
            prop_assert!(instance.in_service() && after(instance.seen_at, SignedDuration::ZERO) <= now);
        }
    }
}
