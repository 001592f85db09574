//! When ECS is asked again about an instance that is out of service.

use models::fleet::SeenBoot;

use super::*;
use crate::planner::quickest::Quickest;

/// Seconds after 03:00.
fn second(second: i64) -> Timestamp {
    after(at(0), SignedDuration::from_secs(second))
}

/// One that drained in 80 s and was heard 60 s after that.
fn updated() -> Instance {
    let mut one = instance(7, Some(rebooted("1.27.0", AgentState::Registered)), second(140));
    one.run.drained_at = Some(second(0));
    one.run.began = Some(second(80));
    one
}

#[test]
fn a_drain_is_looked_at_seldom_until_it_can_be_over() {
    let none = Quickest::of(&fleet(vec![], vec![]));
    let some = Quickest::of(&fleet(vec![updated()], vec![]));
    // Seen at that second of its drain, next looked at in that one: by SSM, by its bridge, and before any other was drained.
    let table = [
        (0, 14, 14, 14),
        (15, 29, 29, 28),
        (30, 44, 44, 34),
        (50, 60, 60, 54),
        (57, 61, 60, 61),
        (60, 64, 62, 64),
        (200, 204, 202, 204),
    ];
    for (seen, by_ssm, by_bridge, first) in table {
        let mut one = claimed(instance(0, Some(staged()), second(seen)), ClaimStep::Drain, second(0));
        one.running_tasks = 1;
        assert_eq!(some.next_look(&one, Transport::Ssm), second(by_ssm), "{seen}");
        assert_eq!(some.next_look(&one, Transport::Bridge), second(by_bridge), "{seen}");
        assert_eq!(none.next_look(&one, Transport::Ssm), second(first), "{seen}");
        one.run.drained_at = None;
        assert_eq!(some.next_look(&one, Transport::Ssm), second(seen + 4), "drained by another run, at {seen}");
    }
}

#[test]
fn tasks_that_stop_are_asked_about_instead() {
    let mut one = claimed(instance(0, Some(staged()), second(90)), ClaimStep::Drain, second(0));
    one.tasks = Some(SeenTasks { at: second(90), tasks: vec![task(0, Some("web"))] });
    let fleet = fleet(vec![one.clone()], vec![]);
    assert_eq!(Quickest::of(&fleet).next_look(&one, Transport::Ssm), second(104));
    let plan = plan(&fleet, &Policy::default(), &facts(), second(92));
    assert_eq!((plan.steps, plan.wake_at), (vec![], Some(second(93))));
}

#[test]
fn a_boot_is_looked_at_when_it_can_be_over() {
    let none = Quickest::of(&fleet(vec![], vec![]));
    let some = Quickest::of(&fleet(vec![updated()], vec![]));
    let reboots = |seen| claimed(instance(0, Some(staged()), second(seen)), ClaimStep::Reboot, second(0));
    // The quickest was heard after 60 s.
    for (seen, by_ssm, by_bridge, first_by_bridge) in [(0, 119, 30, 30), (30, 149, 44, 32), (44, 163, 46, 46)] {
        assert_eq!(some.next_look(&reboots(seen), Transport::Ssm), second(by_ssm), "{seen}");
        assert_eq!(some.next_look(&reboots(seen), Transport::Bridge), second(by_bridge), "{seen}");
        assert_eq!(none.next_look(&reboots(seen), Transport::Bridge), second(first_by_bridge), "{seen}");
    }
    let mut heard = reboots(70);
    heard.run.boot = Some(SeenBoot { id: NEW_BOOT.into(), at: second(70) });
    assert_eq!(some.next_look(&heard, Transport::Ssm), second(74));
}
