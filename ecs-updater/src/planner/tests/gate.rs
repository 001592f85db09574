//! Windows, freezes and the pause: what they hold, and what is finished all the same.

use super::*;

fn bound(windows: &[&str], freezes: &[&str]) -> Policy {
    Policy {
        windows: windows.iter().map(|text| text.parse().unwrap()).collect(),
        freeze: freezes.iter().map(|text| text.parse().unwrap()).collect(),
        ..Policy::default()
    }
}

/// At one minute past three on Monday 23 November 2026, UTC.
#[test]
fn nothing_is_begun_and_what_was_begun_is_finished() {
    let now = at(1);
    let (open, closed) = (bound(&["Mon 03:00-05:00 UTC"], &[]), bound(&["Mon 04:00-05:00 UTC"], &[]));
    let (soon, frozen) = (bound(&["Mon 03:20-05:00 UTC"], &[]), bound(&[], &["2026-11-23..2026-11-24: sale"]));
    let none = Policy::default();
    let drained = || {
        let mut one = claimed(instance(0, Some(staged()), now), ClaimStep::Drain, start());
        one.run.drained_at = None;
        one
    };
    let claimed_only = || {
        let mut one = claimed(instance(0, Some(staged()), now), ClaimStep::Drain, at(-9));
        one.status = InstanceStatus::Active;
        one.run.drained_at = None;
        one
    };
    let in_service = |report: HostReport| instance(0, Some(report), now);
    let table: [(&str, &Policy, Option<&str>, Instance, &str); 14] = [
        ("staged, open", &open, None, in_service(staged()), "drain"),
        ("staged, closed", &closed, None, in_service(staged()), "hold outside_window"),
        ("not staged, closed", &closed, None, in_service(available()), "hold outside_window"),
        ("staged, it opens soon", &soon, None, in_service(staged()), "hold outside_window"),
        ("staged, frozen", &frozen, None, in_service(staged()), "hold frozen"),
        ("staged, paused", &none, Some("sale"), in_service(staged()), "hold paused"),
        ("paused and open", &open, Some(""), in_service(staged()), "hold paused"),
        ("drained by a dead run, closed", &closed, None, drained(), "reboot 1.27.0"),
        ("drained by a dead run, frozen", &frozen, None, drained(), "reboot 1.27.0"),
        ("drained by a dead run, paused", &none, Some("sale"), drained(), "reboot 1.27.0"),
        ("claimed by a dead run and not drained, closed", &closed, None, claimed_only(), "finish held outside_window"),
        ("claimed by a dead run and not drained, frozen", &frozen, None, claimed_only(), "finish held frozen"),
        ("claimed by a dead run and not drained, paused", &none, Some("x"), claimed_only(), "finish held paused"),
        ("nothing to do, closed", &closed, None, in_service(report(UpdateState::Idle, None, None)), "current rest"),
    ];
    for (name, policy, pause, instance, expected) in table {
        let mut other = report(UpdateState::Idle, None, None);
        other.os.as_mut().unwrap().variant = "aws-ecs-1".into();
        let mut fleet = fleet(vec![instance, self::instance(9, Some(other), now)], vec![]);
        fleet.pause = pause.map(str::to_owned);
        assert_eq!(said(&plan(&fleet, policy, &facts(), now)), expected, "{name}");
    }
}

#[test]
fn a_run_wakes_at_the_opening_and_a_plan_does_not_wait() {
    let soon = bound(&["Mon 03:20-05:00 UTC"], &[]);
    let at_once = Policy { window_wait: SignedDuration::ZERO, ..soon.clone() };
    let dry = RunFacts { dry_run: true, ..facts() };
    let urgent = RunFacts { outside_window: true, ..facts() };
    let fleet = fleet(vec![instance(0, Some(staged()), at(1))], vec![]);
    let wakes = |policy: &Policy, facts: &RunFacts| plan(&fleet, policy, facts, at(1)).wake_at;
    assert_eq!(wakes(&soon, &facts()), Some(at(20)));
    assert_eq!(wakes(&at_once, &facts()), None);
    assert_eq!(wakes(&soon, &dry), None);
    assert_eq!(drains(&plan(&fleet, &at_once, &urgent, at(1))), ["i-0"], "--outside-window");
}

#[test]
fn an_instance_whose_tasks_are_waited_for_needs_a_longer_window() {
    let now = at(1);
    let with_task = || {
        let mut one = instance(0, Some(staged()), now);
        one.tasks.as_mut().unwrap().tasks = vec![task(1, None)];
        one
    };
    let policy = |windows: &str| Policy { standalone_tasks: StandaloneTasks::Wait, ..bound(&[windows], &[]) };
    assert_eq!(say(with_task(), &policy("Mon 03:00-03:24 UTC"), &facts(), now), "drain");
    assert_eq!(say(with_task(), &policy("Mon 03:00-03:23 UTC"), &facts(), now), "hold outside_window");
    assert_eq!(say(instance(0, Some(staged()), now), &policy("Mon 03:00-03:23 UTC"), &facts(), now), "drain");
}

#[test]
fn the_next_opening_is_by_windows_and_freezes_alone() {
    let (now, night) = ("2026-11-23T12:00:00Z", "Mon-Fri 02:00-05:00 UTC");
    /// What is set, the windows, the freezes, and the next opening.
    type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a str], Option<&'a str>);
    let table: [Row<'_>; 6] = [
        ("at any time", &[], &[], Some(now)),
        ("tonight", &[night], &[], Some("2026-11-24T02:00:00Z")),
        ("after a freeze", &[night], &["2026-11-23..2026-11-25"], Some("2026-11-26T02:00:00Z")),
        ("after a freeze without windows", &[], &["2026-11-23..2026-11-25"], Some("2026-11-26T00:00:00Z")),
        ("for too short", &["Mon-Fri 02:00-02:04 UTC"], &[], None),
        ("years ahead", &[], &["2026-01-01..2099-12-31"], Some("2100-01-01T00:00:00Z")),
    ];
    for (name, windows, freezes, expected) in table {
        let policy = bound(windows, freezes);
        let opening = super::super::next_opening(&policy, now.parse().unwrap());
        assert_eq!(opening, expected.map(|at| at.parse().unwrap()), "{name}");
    }
}
