//! Confirm or fall back.

use std::time::Duration;

use models::attributes::Progress;
use models::claim::ClaimStep;

use super::life::{error, progress};
use super::world::{EcsAgent, NEW, OLD, Shared, World};

const HOUR: Duration = Duration::from_hours(1);

/// Up to the moment at which the host is in its new boot, with nobody to remove the claim.
async fn into_the_new_version(change: impl FnOnce(&mut World)) -> Shared {
    let world = World::shared();
    change(&mut world.get());
    // An hour of waiting need not be one of polling.
    world.get().settings.poll = Duration::from_secs(20);
    world.get().settings.look_busy = Duration::from_secs(20);
    world.get().claim(ClaimStep::Stage);
    assert!(world.live(HOUR, |world| progress(world, ClaimStep::Stage) == Some(Progress::Done)).await);
    world.get().claim(ClaimStep::Reboot);
    assert!(world.live(HOUR, |world| world.boots == 1).await);
    world
}

#[tokio::test(start_paused = true)]
async fn with_a_dead_ecs_agent_it_goes_back_once_and_says_so() {
    for (state, rights) in [(EcsAgent::Down, true), (EcsAgent::Down, false), (EcsAgent::Unregistered, false)] {
        let world = into_the_new_version(|world| (world.ecs_agent_on_new, world.rights) = (state, rights)).await;
        world.pass(Duration::from_mins(29)).await;
        assert_eq!((world.running(), world.boots()), (NEW, 1));
        world.pass(HOUR).await;
        let world = world.get();
        assert_eq!((world.fake.running.as_str(), world.boots), (OLD, 2), "{state:?} {rights}");
        assert_eq!(progress(&world, ClaimStep::Reboot), Some(Progress::FellBack));
        assert_eq!(world.prepares, if rights { 1 } else { 2 });
        assert_eq!(world.fake.lock, "latest");
        let said = world.report().unwrap().report.error.unwrap();
        assert!(said.at == "confirm" && said.detail.contains("went back to 1.26.1"), "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_dead_network_it_goes_back_offline_or_says_that_it_cannot() {
    let dead = |world: &mut World| {
        world.ecs_agent_on_new = EcsAgent::Down;
        world.network_dead_on_new = true;
    };
    let world = into_the_new_version(|world| {
        dead(world);
        world.rights = true;
    })
    .await;
    // Nobody tells it about claims either.
    world.get().imds_up = false;
    world.pass(HOUR).await;
    assert_eq!((world.running(), world.boots()), (OLD, 2));

    let world = into_the_new_version(dead).await;
    world.pass(HOUR).await;
    assert_eq!((world.running(), world.boots()), (NEW, 1));
    assert_eq!(world.prepares(), 1);
    // The network comes back after a night, the ECS agent does not.
    world.get().network_dead_on_new = false;
    world.pass(HOUR).await;
    assert_eq!((world.running(), world.boots()), (OLD, 2));
}

#[tokio::test(start_paused = true)]
async fn an_updater_that_is_gone_is_no_reason_to_go_back() {
    let world = into_the_new_version(|_| {}).await;
    world.pass(HOUR).await;
    assert_eq!((world.running(), world.boots()), (NEW, 1));
    assert_eq!(world.progress(ClaimStep::Reboot), Some(Progress::Done));
    // Nor is an agent that fails after it has registered: that is for the updater.
    world.get().ecs_agent = EcsAgent::Down;
    world.pass(HOUR).await;
    assert_eq!(world.boots(), 1);
}

#[tokio::test(start_paused = true)]
async fn slow_is_not_broken() {
    let slow = |world: &mut World| {
        world.ecs_agent_on_new = EcsAgent::Down;
        world.registers_after = Some(Duration::from_mins(29));
    };
    let world = into_the_new_version(slow).await;
    world.pass(HOUR).await;
    assert_eq!((world.running(), world.boots()), (NEW, 1));

    // It registers while the way back is being prepared, which takes long: what was activated is undone.
    let world = into_the_new_version(|world| {
        slow(world);
        world.registers_after = Some(Duration::from_mins(31));
    })
    .await;
    world.get().fake.looks = 20;
    world.pass(HOUR).await;
    let world = world.get();
    assert_eq!((world.fake.running.as_str(), world.boots, world.prepares), (NEW, 1, 2));
    assert_ne!(world.fake.state, "Ready");
    assert_eq!(world.fake.lock, "latest");
    assert_eq!((progress(&world, ClaimStep::Reboot), error(&world)), (Some(Progress::Done), None));
}

#[tokio::test(start_paused = true)]
async fn the_updaters_word_ends_the_trial() {
    let dead = |world: &mut World| world.ecs_agent_on_new = EcsAgent::Down;
    let world = into_the_new_version(dead).await;
    world.pass(Duration::from_mins(20)).await;
    world.get().unclaim();
    world.pass(HOUR).await;
    assert_eq!(world.boots(), 1);
    // With an answer that proves nothing, and with an agent that was dead before as well.
    let world = into_the_new_version(|world| world.ecs_agent_on_new = EcsAgent::Garbage).await;
    world.pass(HOUR).await;
    assert_eq!(world.boots(), 1);
    let world = into_the_new_version(|world| {
        dead(world);
        world.ecs_agent = EcsAgent::Unregistered;
        world.memory = Some(host_bridge::agent::Memory {
            target: Some(host_bridge::agent::Target { cluster: "prod".into(), container_instance: "arn".into() }),
            ..Default::default()
        });
    })
    .await;
    world.pass(HOUR).await;
    assert_eq!(world.boots(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_claim_written_anew_by_the_next_run_stays_on_trial() {
    let world = into_the_new_version(|world| world.ecs_agent_on_new = EcsAgent::Down).await;
    world.pass(Duration::from_mins(5)).await;
    let old = world.get().tags[models::claim::CLAIM_TAG].clone();
    let again = old.replace("01JDBX3Z7G8Y0M2QK4T5V6W7X8", "01JDBX3Z7G8Y0M2QK4T5V6W7X9");
    world.get().tags.insert(models::claim::CLAIM_TAG.into(), again);
    world.pass(HOUR).await;
    assert_eq!((world.running(), world.boots()), (OLD, 2));
}

#[tokio::test(start_paused = true)]
async fn a_boot_that_failed_is_reported_as_done_with_the_old_version() {
    let world = World::shared();
    world.get().fails_to_boot = true;
    world.get().claim(ClaimStep::Stage);
    world.live(HOUR, |world| progress(world, ClaimStep::Stage) == Some(Progress::Done)).await;
    world.get().claim(ClaimStep::Reboot);
    assert!(world.live(HOUR, |world| progress(world, ClaimStep::Reboot) == Some(Progress::Done)).await);
    world.pass(HOUR).await;
    assert_eq!((world.running(), world.boots()), (OLD, 1));
}
