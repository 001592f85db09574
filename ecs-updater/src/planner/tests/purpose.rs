//! A run that only finishes, and one that lets go of one instance.

use super::*;

fn finishing() -> RunFacts {
    RunFacts { purpose: Purpose::Finish, run: "NEXT".into(), started_at: at(60), ..facts() }
}

fn releasing() -> RunFacts {
    RunFacts { purpose: Purpose::Release("i-0".into()), run: "NEXT".into(), started_at: at(60), ..facts() }
}

/// As an earlier run left it.
fn taken_over(step: ClaimStep, report: Option<HostReport>) -> Instance {
    let mut one = claimed(instance(0, report, at(61)), step, at(55));
    one.run.drained_at = None;
    one
}

fn active(mut one: Instance) -> Instance {
    one.status = InstanceStatus::Active;
    one
}

fn unseen() -> Instance {
    let mut one = instance(0, None, at(61));
    (one.visit, one.reach) = (None, None);
    one
}

/// With the lock that the host had before, which it does not show.
fn locked(mut one: Instance) -> Instance {
    one.tags.saved_lock = Some("1.26.0".into());
    one
}

#[test]
fn a_run_that_finishes_begins_nothing() {
    let in_service = |report: HostReport| instance(0, Some(report), at(61));
    let table = [
        ("not seen yet", unseen(), "hold finishing"),
        ("staged", in_service(staged()), "hold finishing"),
        ("outdated", in_service(available()), "hold finishing"),
        ("current", in_service(report(UpdateState::Idle, None, None)), "current rest"),
        ("staging", taken_over(ClaimStep::Stage, Some(available())), "finish held finishing"),
        ("a lock is to be put back", locked(in_service(staged())), "cancel"),
        ("claimed and not drained", active(taken_over(ClaimStep::Drain, Some(staged()))), "finish held finishing"),
        ("drained", taken_over(ClaimStep::Drain, Some(staged())), "reboot 1.27.0"),
        ("rebooting", taken_over(ClaimStep::Reboot, Some(staged())), "reboot 1.27.0"),
        ("fell back", taken_over(ClaimStep::Reboot, Some(rebooted("1.26.1", AgentState::Registered))), "mark 1.27.0"),
        ("going back", taken_over(ClaimStep::Revert, Some(staged())), "mark 1.27.0"),
    ];
    for (name, one, expected) in table {
        assert_eq!(say(one, &Policy::default(), &finishing(), at(61)), expected, "{name}");
    }
}

#[test]
fn a_command_that_only_looks_is_not_waited_for() {
    let mut one = unseen();
    one.command = Some(Box::new(CommandInFlight { command: HostCommand::Inspect { refresh: true }, sent_at: at(60) }));
    assert_eq!(say(one.clone(), &Policy::default(), &finishing(), at(61)), "hold finishing");
    one = claimed(one, ClaimStep::Stage, at(60));
    assert_eq!(say(one, &Policy::default(), &finishing(), at(61)), "unseen wait", "it has a claim");
}

#[test]
fn an_instance_is_let_go_of() {
    let ready = || report(UpdateState::Ready, Some("1.27.0"), Some("1.27.0"));
    let late = |mut one: Instance| {
        one.report.as_mut().unwrap().asked_at = at(69);
        one
    };
    let updated =
        checked(taken_over(ClaimStep::Reboot, Some(rebooted("1.27.0", AgentState::Registered))), at(61), "ok");
    let table = [
        ("nothing of ours", instance(0, Some(staged()), at(61)), 61, "hold released"),
        ("not seen yet", unseen(), 61, "hold released"),
        ("staged", taken_over(ClaimStep::Stage, None), 61, "finish held released"),
        ("claimed and not drained", active(taken_over(ClaimStep::Drain, None)), 61, "finish held released"),
        ("draining", taken_over(ClaimStep::Drain, None), 61, "finish held released"),
        ("its lock is not heard", locked(taken_over(ClaimStep::Drain, None)), 61, "inspect refresh=false"),
        ("its lock was changed", locked(taken_over(ClaimStep::Drain, Some(staged()))), 61, "cancel"),
        ("a reboot may come", taken_over(ClaimStep::Reboot, Some(ready())), 61, "inspect refresh=false"),
        ("it may still come", taken_over(ClaimStep::Reboot, Some(ready())), 67, "inspect refresh=false"),
        ("it comes no more", late(taken_over(ClaimStep::Reboot, Some(ready()))), 69, "cancel"),
        (
            "it is over, and nothing is activated",
            late(taken_over(ClaimStep::Reboot, Some(staged()))),
            69,
            "finish held released",
        ),
        ("it has come", updated, 61, "finish updated 1.27.0"),
        ("it is on its way back", taken_over(ClaimStep::Revert, Some(staged())), 61, "mark 1.27.0"),
    ];
    for (name, mut one, minute, expected) in table {
        one.visit = None;
        assert_eq!(say(one, &Policy::default(), &releasing(), at(minute)), expected, "{name}");
    }
}

#[test]
fn all_others_are_left_as_they_are() {
    let others = [
        instance(1, Some(staged()), at(61)),
        claimed(instance(2, Some(available()), at(61)), ClaimStep::Stage, at(55)),
        claimed(instance(3, Some(staged()), at(61)), ClaimStep::Drain, at(1)),
        claimed(instance(4, Some(staged()), at(61)), ClaimStep::Reboot, at(1)),
    ];
    let released = taken_over(ClaimStep::Drain, None);
    let all = std::iter::once(released).chain(others).collect();
    let plan = plan(&fleet(all, vec![]), &Policy::default(), &releasing(), at(61));
    let hosts: Vec<&str> = plan.steps.iter().map(|planned| planned.host.as_str()).collect();
    assert_eq!(hosts, ["i-0"]);
}
