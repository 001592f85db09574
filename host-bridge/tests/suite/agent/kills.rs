//! The agent is killed at each of its calls, before and after the call has its effect, and started again: the end is the
//! same.

use std::time::Duration;

use models::attributes::Progress;
use models::claim::{ClaimStep, SAVED_LOCK_TAG};

use super::life::{progress, updater};
use super::world::{EcsAgent, Kill, NEW, OLD, Shared, World};

const LIMIT: Duration = Duration::from_hours(3);

/// What is left of a life.
#[derive(Debug, PartialEq)]
struct Left {
    running: String,
    boots: u32,
    state: &'static str,
    lock: String,
    activated: bool,
    os_version: String,
    claim: Option<(ClaimStep, Progress)>,
    error: Option<String>,
}

fn left(world: &World) -> Left {
    let report = world.report().unwrap();
    Left {
        running: world.fake.running.clone(),
        boots: world.boots,
        state: world.fake.state,
        lock: world.fake.lock.clone(),
        activated: world.fake.state == "Ready",
        os_version: world.attributes["ecs-updater.os-version"].clone(),
        claim: report.handled.map(|handled| (handled.step, handled.progress)),
        error: report.report.error.map(|error| error.detail),
    }
}

/// Lives the same life with a kill at each call of the one without.
async fn at_each_call(heartbeat: impl AsyncFn(&Shared) -> bool) -> u32 {
    let plain = World::shared();
    assert!(heartbeat(&plain).await);
    let calls = plain.calls();
    let expected = left(&plain.get());
    for at in 1..=calls {
        for kill in [Kill::Before(at), Kill::After(at)] {
            let world = World::shared();
            world.get().kill = Some(kill);
            let ended = heartbeat(&world).await;
            assert!(ended, "{kill:?} of {calls}: no end; {:?}", left(&world.get()));
            let world = world.get();
            assert!(world.kill.is_none(), "{kill:?} of {calls} never came");
            assert_eq!(left(&world), expected, "{kill:?} of {calls}");
        }
    }
    calls
}

#[tokio::test(start_paused = true)]
async fn an_update() {
    let calls = at_each_call(async |world| {
        world.get().fake.available = ["1.28.0", NEW, OLD].map(String::from).into();
        world.get().tags.insert(SAVED_LOCK_TAG.into(), "latest".into());
        let ended = world.live(LIMIT, updater()).await;
        world.live(LIMIT, |world| world.fake.state == "Available").await && ended
    })
    .await;
    assert!(calls > 100);
}

#[tokio::test(start_paused = true)]
async fn a_fall_back_by_either_way() {
    for rights in [true, false] {
        at_each_call(async |world| {
            world.get().rights = rights;
            world.get().settings.limits.confirm = jiff::SignedDuration::from_secs(40);
            world.get().ecs_agent_on_new = EcsAgent::Down;
            world.get().claim(ClaimStep::Stage);
            let staged = world.live(LIMIT, |world| progress(world, ClaimStep::Stage) == Some(Progress::Done)).await;
            world.get().claim(ClaimStep::Reboot);
            let back = world.live(LIMIT, |world| {
                world.boots == 2
                    && progress(world, ClaimStep::Reboot) == Some(Progress::FellBack)
                    && world.attributes["ecs-updater.os-version"] == OLD
            });
            staged && back.await
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_revert_and_a_cancel() {
    at_each_call(async |world| {
        world.get().claim(ClaimStep::Stage);
        let mut ended = world.live(LIMIT, |world| progress(world, ClaimStep::Stage) == Some(Progress::Done)).await;
        world.get().tasks = 1;
        world.get().claim(ClaimStep::Reboot);
        ended &= world.live(LIMIT, |world| world.fake.state == "Ready").await;
        world.get().claim(ClaimStep::Cancel);
        ended &= world.live(LIMIT, |world| progress(world, ClaimStep::Cancel) == Some(Progress::Done)).await;
        world.get().tasks = 0;
        world.get().claim(ClaimStep::Reboot);
        ended &= world.live(LIMIT, |world| progress(world, ClaimStep::Reboot) == Some(Progress::Done)).await;
        world.get().claim(ClaimStep::Revert);
        ended & world.live(LIMIT, |world| progress(world, ClaimStep::Revert) == Some(Progress::Done)).await
    })
    .await;
}
