//! An instance in service.

use models::fleet::Visit;
use models::ids::ContainerInstanceArn;

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
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
            |i| i.reach.as_mut().unwrap().unreachable_because = Some("its SSM agent is ConnectionLost".into()),
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
        (
            "the status lies after a bad write",
            Some(staged()),
            |i| i.run.failed_stage = Some(cut_off_stage()),
            "stage 1.27.0 lock=keep",
        ),
        ("activated by somebody", Some(report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"))), nothing, "drain"),
        ("stale chosen in Idle", Some(report(UpdateState::Idle, Some("1.27.0"), None)), nothing, "current rest"),
        ("a downgrade", Some(report(UpdateState::Available, Some("1.26.0"), None)), nothing, "hold downgrade_offered"),
        (
            "a lock that chose an older one",
            Some(report(UpdateState::Available, Some("1.26.0"), None)),
            |i| {
                i.report.as_mut().unwrap().report.settings.as_mut().unwrap().version_lock = Some("1.26.0".into());
            },
            "hold version_locked",
        ),
        (
            "a pin that API lockdown forbids",
            Some(report(UpdateState::Staged, None, Some("1.27.0"))),
            |i| {
                i.run.failed_stage = Some(cut_off_stage());
                let report = &mut i.report.as_mut().unwrap().report;
                (report.settings, report.locked_down) = (None, true);
            },
            "hold host_locked_down",
        ),
        (
            "failed before",
            Some(available()),
            |i| i.tags.failed = models::claim::FailedVersions::parse("1.27.0"),
            "hold version_failed_before",
        ),
        ("excluded", Some(available()), |i| i.tags.exclude = Some(exclusion("mine")), "hold excluded"),
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
            |i| i.ec2.as_mut().unwrap().state = MachineState::Stopped,
            "hold not_running",
        ),
        (
            "stopping machine, drained by others",
            Some(available()),
            |i| {
                i.ec2.as_mut().unwrap().state = MachineState::Stopping;
                i.status = InstanceStatus::Draining;
            },
            "hold not_running",
        ),
        ("terminated", Some(available()), |i| i.ec2.as_mut().unwrap().state = MachineState::Terminated, "leave gone"),
        ("unknown to EC2", Some(available()), |i| i.ec2.as_mut().unwrap().state = MachineState::NotFound, "leave gone"),
        (
            "terminated while it was out of service",
            Some(staged()),
            |i| {
                *i = claimed(i.clone(), ClaimStep::Drain, at(0));
                i.ec2.as_mut().unwrap().state = MachineState::Terminated;
            },
            "leave gone",
        ),
        (
            "stopped while it was out of service",
            Some(staged()),
            |i| {
                *i = claimed(i.clone(), ClaimStep::Drain, at(0));
                i.ec2.as_mut().unwrap().state = MachineState::Stopped;
            },
            "leave failed never_came_back",
        ),
        (
            "dead with a claim of the future",
            Some(available()),
            |i| {
                let error = "v9/x".parse::<models::claim::Claim>().unwrap_err();
                i.tags.claim = Some(Err(BadClaim { value: "v9/x".into(), error }));
                i.ec2.as_mut().unwrap().state = MachineState::Terminated;
            },
            "leave gone",
        ),
        ("not described for a while", Some(available()), |i| i.undescribed_since = Some(at(0)), "unseen wait"),
        ("not described for long", Some(available()), |i| i.undescribed_since = Some(at(-4)), "hold not_described"),
        ("left out by EC2 a moment ago", Some(available()), |i| i.left_out_since = Some(at(0)), "unseen wait"),
        ("left out by EC2", Some(available()), |i| i.left_out_since = Some(at(-3)), "hold unknown_to_ec2"),
        (
            "was stopped when EC2 told of it",
            Some(available()),
            |i| {
                i.ec2.as_mut().unwrap().state = MachineState::Stopped;
                i.left_out_since = Some(at(-3));
            },
            "hold unknown_to_ec2",
        ),
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
            "locked by its owner below what runs",
            Some(report(UpdateState::Available, Some("1.26.0"), None)),
            |i| {
                i.report.as_mut().unwrap().report.settings.as_mut().unwrap().version_lock = Some("v1.26.0".into());
            },
            "hold version_locked",
        ),
        (
            "the same, and its repository does not have that version",
            Some(idle()),
            |i| {
                let report = &mut i.report.as_mut().unwrap().report;
                report.settings.as_mut().unwrap().version_lock = Some("1.20.0".into());
                report.update.as_mut().unwrap().available = vec!["1.26.1".into()];
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

#[test]
fn what_is_refused_on_a_draining_one_says_how_it_is_left() {
    let now = at(1);
    let in_service = instance(0, Some(staged()), now);
    let draining = claimed(in_service.clone(), ClaimStep::Drain, at(0));
    for (mut one, is_said) in [(in_service, false), (draining, true)] {
        one.run.refused = refused("reboot", -300, 0);
        let plan = plan(&fleet(vec![one], vec![]), &Policy::default(), &facts(), now);
        let Step::Leave(End::Failed { why }) = &plan.steps[0].step else { unreachable!("{:?}", plan.steps) };
        assert_eq!(why.to_string().contains("left DRAINING, with its claim"), is_said, "{why}");
    }
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
        (VisitEnd::Malformed { detail: "x".into() }, "inspect refresh=true", "hold inspect_failed"),
    ];
    for (end, early, late) in table {
        for (now, sent, expected) in [(at(1), start(), early), (at(10), start(), early), (at(10), at(9), late)] {
            let mut one = instance(0, None, start());
            one.visit = Some(visit(HostCommand::Inspect { refresh: true }, end.clone(), sent));
            assert_eq!(say(one, &Policy::default(), &facts(), now), expected, "{end:?} of {sent} at {now}");
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

/// A host that goes down in the middle of a write has the lock of that write, and has said nothing since.
#[test]
fn a_write_that_was_cut_off_is_asked_for_its_lock() {
    let unsure = VisitEnd::Unsure { detail: "Failed".into() };
    let stage = HostCommand::Stage { version: version("1.27.0"), lock: Some("latest".into()) };
    let mut one = instance(0, Some(available()), start());
    one.run.stages = 2;
    one.tags.saved_lock = Some("latest".into());
    one.report.as_mut().unwrap().asked_at = at(1);
    let failed = Visit { sent_at: at(2), at: at(3), ..*visit(stage, unsure, start()) };
    one.run.failed_stage = Some(Box::new(failed.clone()));
    one.visit = Some(Box::new(failed));
    assert_eq!(say(one.clone(), &Policy::default(), &facts(), at(4)), "inspect refresh=true");
    one.visit = Some(visit(HostCommand::Inspect { refresh: true }, VisitEnd::Done, at(4)));
    let heard = one.report.as_mut().unwrap();
    heard.asked_at = at(4);
    heard.report.settings.as_mut().unwrap().version_lock = Some("1.27.0".into());
    assert_eq!(say(one.clone(), &Policy::default(), &facts(), at(5)), "cancel");
    one.report.as_mut().unwrap().report.settings.as_mut().unwrap().version_lock = Some("latest".into());
    assert_eq!(say(one, &Policy::default(), &facts(), at(6)), "finish failed stage_failed");
}

/// What ECS lists and has not described may be out of service by an earlier run.
#[test]
fn what_was_never_described_is_waited_for() {
    let unknown = ContainerInstanceArn::from("arn:aws:ecs:eu-central-1:123456789012:container-instance/web/0123");
    let wakes = |facts: &RunFacts, now: Timestamp| {
        let mut fleet = fleet(vec![instance(0, Some(report(UpdateState::Idle, None, None)), now)], vec![]);
        fleet.unknown_registrations.insert(unknown.clone());
        plan(&fleet, &Policy::default(), facts, now).wake_at.is_some()
    };
    let dry_run = RunFacts { dry_run: true, ..facts() };
    let inspect = after(start(), Policy::default().timeouts.inspect);
    assert!(wakes(&facts(), at(1)));
    assert!(!wakes(&dry_run, at(1)));
    assert!(!wakes(&facts(), inspect));
}

/// A run that died may have drained it under a claim that EC2 does not show yet.
#[test]
fn no_drain_is_foreign_at_the_first_look() {
    let seen = |seconds: i64, facts: &RunFacts| {
        let now = after(start(), SignedDuration::from_secs(seconds));
        let mut one = instance(0, Some(available()), now);
        one.status = InstanceStatus::Draining;
        say(one, &Policy::default(), facts, now)
    };
    let finish = RunFacts { purpose: Purpose::Finish, ..facts() };
    let dry_run = RunFacts { dry_run: true, ..facts() };
    assert_eq!(seen(1, &facts()), "unseen wait");
    assert_eq!(seen(1, &finish), "unseen wait");
    assert_eq!(seen(1, &dry_run), "hold drained_by_somebody_else");
    assert_eq!(seen(20, &facts()), "hold drained_by_somebody_else");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn a_release_that_was_withdrawn() {
    let now = at(1);
    let without = |mut report: HostReport| {
        let update = report.update.as_mut().unwrap();
        update.available.retain(|version| version != "1.27.0");
        update.chosen = None;
        report
    };
    // Another host runs it by now.
    let mut updated = instance(5, Some(report(UpdateState::Idle, None, None)), now);
    updated.report.as_mut().unwrap().report.os.as_mut().unwrap().version = "1.27.0".into();
    updated.run.verdict = Some(verdict(Outcome::Updated));
    let mut pulled = updated.clone();
    pulled.run.verdict = Some(Box::new(Verdict {
        reason: Some(HoldReason::Withdrawn { version: version("1.27.0") }.code().into()),
        to: Some(version("1.27.0")),
        at: at(2),
        ..*verdict(Outcome::Held)
    }));
    let target = Policy { target: Target::Version(version("1.27.0")), ..Policy::default() };
    let latest = Policy::default();
    let idle = || without(report(UpdateState::Idle, None, None));
    let nothing: Change = |_| {};
    let table: Vec<(&str, HostReport, Change, &Policy, &Instance, &str)> = vec![
        ("staged", without(staged()), nothing, &latest, &updated, "hold withdrawn"),
        ("not staged, and its wave may not be open", idle(), nothing, &latest, &updated, "hold wave_not_open"),
        (
            "this run was to stage it",
            idle(),
            |i| i.run.staged_to = Some(version("1.27.0")),
            &latest,
            &updated,
            "hold withdrawn",
        ),
        ("staged, a target", without(staged()), nothing, &target, &updated, "hold withdrawn"),
        ("a target that was never offered", idle(), nothing, &target, &updated, "hold target_not_offered"),
        ("another host found it withdrawn since", staged(), nothing, &latest, &pulled, "inspect refresh=true"),
        (
            "another host found it withdrawn before",
            staged(),
            |i| i.visit.as_mut().unwrap().sent_at = at(3),
            &latest,
            &pulled,
            "drain",
        ),
        (
            "the same by the bridge, which stages again",
            staged(),
            |i| {
                i.run.transport = Some(Transport::Bridge);
                i.run.stages = 1;
            },
            &latest,
            &pulled,
            "stage 1.27.0 lock=keep",
        ),
        (
            "not offered when it was to be written",
            staged(),
            |i| {
                let stage = HostCommand::Stage { version: version("1.27.0"), lock: None };
                i.visit = Some(visit(stage, error("refresh", ErrorCode::NotOffered), start()));
                i.run.stages = 2;
            },
            &latest,
            &updated,
            "inspect refresh=true",
        ),
    ];
    for (name, report, change, policy, other, expected) in table {
        let mut one = instance(0, Some(report), now);
        one.tasks.as_mut().unwrap().at = at(4);
        change(&mut one);
        let plan = plan(&fleet(vec![one, other.clone()], vec![]), policy, &facts(), at(4));
        assert_eq!(said(&plan), expected, "{name}");
    }
}

#[test]
fn a_target_and_the_owners_lock() {
    let now = at(1);
    let table = [
        ("1.27.0", "latest", OwnerLock::Respect, "stage 1.27.0 lock=keep"),
        ("1.27.0", "1.26.1", OwnerLock::Respect, "hold version_locked"),
        ("1.27.0", "v1.27.0", OwnerLock::Respect, "stage 1.27.0 lock=keep"),
        ("1.26.1", "1.26.0", OwnerLock::Respect, "current rest"),
        ("1.27.0", "1.26.1", OwnerLock::Override, "stage 1.27.0 lock=keep"),
    ];
    for (target, lock, owner_lock, expected) in table {
        let mut one = instance(0, Some(available()), now);
        one.report.as_mut().unwrap().report.settings.as_mut().unwrap().version_lock = Some(lock.into());
        let policy = Policy { target: Target::Version(version(target)), owner_lock, ..Policy::default() };
        assert_eq!(say(one, &policy, &facts(), now), expected, "{target}, {lock}");
    }
    // What a step of ours has put in its place is not the owner's.
    let mut one = instance(0, Some(available()), now);
    one.tags.saved_lock = Some("latest".into());
    one.report.as_mut().unwrap().report.settings.as_mut().unwrap().version_lock = Some("1.26.1".into());
    let dry_run = RunFacts { dry_run: true, ..facts() };
    let policy = Policy { target: Target::Version(version("1.27.0")), ..Policy::default() };
    assert_eq!(say(one, &policy, &dry_run, now), "hold budget_used_up");
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

fn cut_off_stage() -> Box<Visit> {
    let stage = HostCommand::Stage { version: version("1.27.0"), lock: None };
    visit(stage, VisitEnd::Malformed { detail: "cut off".into() }, start())
}
