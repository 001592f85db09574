//! A reboot that was called off, or begun by a run that died, and the rollback.

use super::*;

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
    let heartbeat = Heartbeat { agent_version: "0.1.0".into(), at, interval: SignedDuration::from_hours(3) };
    Box::new(SeenBridge { since: at, report: BridgeReport { heartbeat, report, handled, available_cut: false } })
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
    let own_host = Policy { bridge_policy: BridgePolicy::OwnHost, ..Policy::default() };
    for (why, one, now, expected) in table {
        assert_eq!(say(one, &own_host, &facts(), now), expected, "{why}");
    }
}

/// The claim `drain` may be the one by which an earlier run called a reboot off.
#[test]
fn a_drain_by_a_bridge_that_an_earlier_run_left() {
    let next = || RunFacts { run: "NEXT".into(), started_at: at(60), ..facts() };
    let left = |since, connected| {
        let mut one = claimed(instance(0, None, at(60)), ClaimStep::Drain, at(since));
        one.tags.claim.as_mut().unwrap().as_mut().unwrap().transport = Transport::Bridge;
        one.tags.exclude = Some(exclusion("mine"));
        one.agent_connected = connected;
        one
    };
    let by_bridge = Policy { host: TransportPolicy::Bridge, ..Policy::default() };
    let visited = |mut one: Instance, minute| {
        one.visit = Some(visit(HostCommand::Inspect { refresh: false }, VisitEnd::Done, at(minute)));
        one
    };
    for (name, one, now, expected) in [
        ("it may still come", left(55, true), 61, "draining wait"),
        ("it cannot come any more", left(20, true), 61, "finish held excluded"),
        ("it may have come", left(20, false), 61, "inspect refresh=false"),
        ("it may have come, and is visited", visited(left(20, false), 62), 63, "inspect refresh=false"),
        ("nothing is heard of it", visited(left(20, false), 63), 63, "leave failed never_came_back"),
    ] {
        assert_eq!(say(one, &by_bridge, &next(), at(now)), expected, "{name}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
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
    excluded.tags.exclude = Some(exclusion("mine"));
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
        silent.visit.as_mut().unwrap().sent_at = at(75);
        assert_eq!(say(silent, &Policy::default(), &other_run(), at(75)), "leave failed never_came_back");
    }

    // By the bridge the report that stands can be from before a reboot that its agent did not live to tell of.
    let by_bridge = Policy { host: TransportPolicy::Bridge, ..Policy::default() };
    let said = |progress: Option<Progress>| {
        let claim = reactivated.claim().unwrap();
        let (step, run, since) = (claim.step, claim.run.clone(), claim.since);
        let handled = progress.map(|progress| Handled { step, run, since, attempt: 1, progress });
        let mut one = reactivated.clone();
        one.tags.claim.as_mut().unwrap().as_mut().unwrap().transport = Transport::Bridge;
        one.bridge = Some(Ok(bridge_report(one.report.as_ref().unwrap().report.clone(), handled, at(3))));
        one
    };
    let mut kept_by_tasks = said(Some(Progress::Doing));
    if let Some(Ok(seen)) = &mut kept_by_tasks.bridge {
        let (at, code) = ("reboot".to_owned(), ErrorCode::TasksRunning);
        seen.report.report.error = Some(ReportedError { at, code, detail: "tasks still run".to_owned() });
    }
    let mut asked_by_ssm = said(Some(Progress::Failed));
    asked_by_ssm.tags.claim.as_mut().unwrap().as_mut().unwrap().transport = Transport::Ssm;
    let mut silent = said(Some(Progress::Doing));
    silent.visit = Some(visit(HostCommand::Inspect { refresh: false }, VisitEnd::Done, at(63)));
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
            visited(reverting(rebooted("1.26.1", AgentState::Down), at(5)), at(15), VisitEnd::Done),
            at(16),
            "leave failed unhealthy_after_rollback",
        ),
    ];
    for (name, one, now, expected) in table {
        assert_eq!(say(one, &Policy::default(), &facts(), now), expected, "{name}");
    }
}
