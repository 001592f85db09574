//! A host that AWS takes away: its Auto Scaling group, or EC2 where it is a Spot instance.

use std::time::Duration;

use models::attributes::Progress;
use models::claim::ClaimStep;
use models::host::{ErrorCode, TargetState};

use super::life::{error, progress, updater};
use super::world::{EcsAgent, NEW, OLD, Shared, World};

const HOUR: Duration = Duration::from_hours(1);

fn target(world: &World) -> Option<TargetState> {
    world.report()?.report.target_state
}

/// Lives on while the host is drained and the reboot is claimed, with this answer of the metadata service.
async fn claimed_with(answer: (u16, &'static str)) -> Shared {
    let world = World::shared();
    world.get().claim(ClaimStep::Drain);
    assert!(world.live(HOUR, |world| progress(world, ClaimStep::Drain) == Some(Progress::Done)).await);
    {
        let mut world = world.get();
        world.target = answer;
        world.claim(ClaimStep::Reboot);
    }
    world.pass(Duration::from_mins(3)).await;
    world
}

#[tokio::test(start_paused = true)]
async fn it_is_neither_activated_nor_rebooted() {
    let table = [
        ("Terminated", TargetState::Terminated),
        ("Standby\n", TargetState::Standby),
        ("Warmed:Stopped", TargetState::Warmed),
        ("Levitating", TargetState::Unknown("unknown".to_owned())),
    ];
    for (answer, told) in table {
        let shared = claimed_with((200, answer)).await;
        let world = shared.get();
        assert_eq!((world.boots, world.fake.state), (0, "Staged"), "{answer}");
        assert_eq!(progress(&world, ClaimStep::Reboot), Some(Progress::Doing), "{answer}");
        assert_eq!(error(&world), Some(("group".to_owned(), ErrorCode::Refused)), "{answer}");
        assert_eq!(target(&world), Some(told), "{answer}");
    }
}

/// It has waited, and goes on when the group has taken the host back.
#[tokio::test(start_paused = true)]
async fn it_is_rebooted_once_it_is_back_in_service() {
    let shared = claimed_with((200, "Standby")).await;
    shared.pass(Duration::from_mins(9)).await;
    assert_eq!(shared.get().boots, 0);
    shared.get().target = (200, "InService");
    assert!(shared.live(HOUR, |world| progress(world, ClaimStep::Reboot) == Some(Progress::Done)).await);
    let world = shared.get();
    assert_eq!((world.fake.running.as_str(), target(&world)), (NEW, Some(TargetState::InService)));
}

/// Nobody may be left who wants that reboot: a run has to ask again.
#[tokio::test(start_paused = true)]
async fn it_is_not_rebooted_long_after_it_was_asked_for() {
    let shared = claimed_with((200, "Standby")).await;
    shared.pass(Duration::from_mins(20)).await;
    {
        let world = shared.get();
        assert_eq!(progress(&world, ClaimStep::Reboot), Some(Progress::Failed));
        assert_eq!(error(&world), Some(("group".to_owned(), ErrorCode::Refused)));
    }
    shared.get().target = (200, "InService");
    shared.pass(Duration::from_hours(3)).await;
    assert_eq!(shared.get().boots, 0);
    shared.get().claim(ClaimStep::Reboot);
    assert!(shared.live(HOUR, |world| progress(world, ClaimStep::Reboot) == Some(Progress::Done)).await);
    assert_eq!(shared.get().fake.running.as_str(), NEW);
}

/// Its agent was dead while the host was away.
#[tokio::test(start_paused = true)]
async fn it_is_not_rebooted_late_by_an_agent_that_comes_back() {
    let shared = claimed_with((200, "Standby")).await;
    shared.get().target = (200, "InService");
    tokio::time::advance(Duration::from_hours(3)).await;
    shared.pass(Duration::from_mins(5)).await;
    let world = shared.get();
    assert_eq!((world.boots, progress(&world, ClaimStep::Reboot)), (0, Some(Progress::Failed)));
}

/// The metadata service may say so for good, long after the instance has left its group.
#[tokio::test(start_paused = true)]
async fn what_was_detached_is_rebooted() {
    let world = World::shared();
    world.get().target = (200, "Detached");
    assert!(world.live(HOUR, updater()).await);
    let world = world.get();
    assert_eq!((world.fake.running.as_str(), target(&world)), (NEW, Some(TargetState::Detached)));
}

/// Not known is not in service, and keeps nothing.
#[tokio::test(start_paused = true)]
async fn what_is_not_told_is_not_known() {
    for answer in [(404, ""), (403, ""), (500, "Terminated"), (200, ""), (200, "\n")] {
        let world = World::shared();
        world.get().target = answer;
        assert!(world.live(HOUR, updater()).await, "{answer:?}");
        let world = world.get();
        assert_eq!((world.fake.running.as_str(), target(&world)), (NEW, None), "{answer:?}");
    }
}

/// Its group ends the host between the activation and the reboot.
#[tokio::test(start_paused = true)]
async fn the_group_is_asked_again_just_before_the_reboot() {
    let world = World::shared();
    world.get().claim(ClaimStep::Drain);
    assert!(world.live(HOUR, |world| progress(world, ClaimStep::Drain) == Some(Progress::Done)).await);
    world.get().claim(ClaimStep::Reboot);
    world.get().target_once_activated = Some("Terminated");
    let taken = |world: &mut World| error(world) == Some(("group".to_owned(), ErrorCode::Refused));
    assert!(world.live(HOUR, taken).await);
    let world = world.get();
    assert_eq!((world.boots, world.fake.state), (0, "Ready"));
}

/// The agent would go back by itself, and leaves a host alone that is to end.
#[tokio::test(start_paused = true)]
async fn it_does_not_fall_back() {
    let world = World::shared();
    world.get().ecs_agent_on_new = EcsAgent::Down;
    world.get().claim(ClaimStep::Drain);
    assert!(world.live(HOUR, |world| progress(world, ClaimStep::Drain) == Some(Progress::Done)).await);
    world.get().claim(ClaimStep::Reboot);
    assert!(world.live(HOUR, |world| world.boots == 1).await);
    world.get().target = (200, "Terminated");
    world.pass(Duration::from_hours(2)).await;
    {
        let world = world.get();
        assert_eq!((world.boots, world.fake.running.as_str()), (1, NEW));
    }
    world.get().target = (404, "");
    assert!(world.live(HOUR, |world| world.fake.running == OLD).await);
}

#[tokio::test(start_paused = true)]
async fn a_spot_instance_that_ec2_takes_back_is_not_rebooted() {
    let shared = World::shared();
    shared.get().claim(ClaimStep::Drain);
    assert!(shared.live(HOUR, |world| progress(world, ClaimStep::Drain) == Some(Progress::Done)).await);
    {
        let mut world = shared.get();
        world.target = (200, "InService");
        world.spot = (200, r#"{"action":"terminate","time":"2026-11-23T03:12:00Z"}"#);
        world.claim(ClaimStep::Reboot);
    }
    shared.pass(Duration::from_mins(3)).await;
    let world = shared.get();
    assert_eq!((world.boots, target(&world)), (0, Some(TargetState::Spot)));
}

/// A notice that cannot be read is none.
#[tokio::test(start_paused = true)]
async fn a_spot_notice_that_is_refused_is_not_known() {
    let world = World::shared();
    {
        let mut world = world.get();
        (world.target, world.spot) = ((200, "InService"), (403, ""));
    }
    assert!(world.live(HOUR, updater()).await);
    assert_eq!(target(&world.get()), Some(TargetState::InService));
}
