//! The agent's life with an updater that works.

use std::time::Duration;

use host_bridge::agent::Memory;
use models::attributes::Progress;
use models::claim::{CLAIM_TAG, Claim, ClaimStep, FAILED_TAG, SAVED_LOCK_TAG};
use models::host::{AgentState, ErrorCode, UpdateState};
use tokio::time::Instant;

use super::world::{EcsAgent, NEW, OLD, Shared, World};

const HOUR: Duration = Duration::from_hours(1);

/// How the claim stands by the report, if the report is about this step.
pub(super) fn progress(world: &World, step: ClaimStep) -> Option<Progress> {
    world.report()?.handled.filter(|handled| handled.step == step).map(|handled| handled.progress)
}

pub(super) fn error(world: &World) -> Option<(String, ErrorCode)> {
    world.report()?.report.error.map(|error| (error.at, error.code))
}

fn standing(world: &World) -> Option<ClaimStep> {
    let claim: models::claim::Claim = world.tags.get(CLAIM_TAG)?.parse().unwrap();
    Some(claim.step)
}

/// An updater that goes through the whole life of one instance by the reports alone.
pub(super) fn updater() -> impl FnMut(&mut World) -> bool {
    let mut done = false;
    move |world| {
        match standing(world) {
            None if done => return world.report().is_some_and(|report| report.handled.is_none()),
            None if world.report().is_some() => {
                world.claim(ClaimStep::Stage);
            }
            Some(ClaimStep::Stage) if progress(world, ClaimStep::Stage) == Some(Progress::Done) => {
                world.tasks = 1;
                world.claim(ClaimStep::Drain);
            }
            Some(ClaimStep::Drain) if progress(world, ClaimStep::Drain) == Some(Progress::Done) => {
                world.tasks = 0;
                world.claim(ClaimStep::Reboot);
            }
            Some(ClaimStep::Reboot) if progress(world, ClaimStep::Reboot) == Some(Progress::Done) => {
                let report = world.report().unwrap().report;
                let registered = report.agent.is_some_and(|agent| agent.state.as_str() == "registered");
                if registered && report.boot_id.unwrap().as_str() == world.boot_id() {
                    world.unclaim();
                    done = true;
                }
            }
            _ => {}
        }
        false
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_from_the_claim_to_its_removal() {
    let world = World::shared();
    assert!(world.live(HOUR, updater()).await);
    world.pass(Duration::from_mins(2)).await;
    let world = world.get();
    assert_eq!((world.fake.running.as_str(), world.boots, world.prepares), (NEW, 1, 1));
    assert_eq!(world.fake.lock, "latest");
    let report = world.report().unwrap();
    assert_eq!((report.handled, report.report.error), (None, None));
    assert_eq!(world.attributes["ecs-updater.os-version"], NEW);
    // Refreshed again after the boot, so that the updater sees what is offered.
    assert_eq!(report.report.update.unwrap().available[0], NEW);
    let memory = world.memory.clone().unwrap();
    assert_eq!(
        memory,
        Memory {
            target: memory.target.clone(),
            ecs_agent_in: memory.ecs_agent_in.clone(),
            written: memory.written.clone(),
            came_from: memory.came_from.clone(),
            ..Memory::default()
        }
    );
    assert!(world.puts <= 14, "{} reports for one update", world.puts);
}

/// Out of service each second counts: a claim is read and a registered ECS agent is reported within two.
#[tokio::test(start_paused = true)]
async fn nothing_is_late_while_the_instance_is_out_of_service() {
    let world = World::shared();
    {
        let mut world = world.get();
        world.ecs_agent_on_new = EcsAgent::Unregistered;
        world.registers_after = Some(Duration::from_millis(21_500));
        world.claim(ClaimStep::Stage);
    }
    assert!(world.live(HOUR, |world| progress(world, ClaimStep::Stage) == Some(Progress::Done)).await);
    world.get().claim(ClaimStep::Drain);
    assert!(world.live(HOUR, |world| progress(world, ClaimStep::Drain) == Some(Progress::Done)).await);
    world.pass(Duration::from_millis(63_300)).await;

    world.get().claim(ClaimStep::Reboot);
    let (claimed, mut taken_up) = (Instant::now(), None);
    let registered = |world: &mut World| {
        if taken_up.is_none() && progress(world, ClaimStep::Reboot) == Some(Progress::Doing) {
            taken_up = Some(claimed.elapsed());
        }
        let Some(report) = world.report().map(|report| report.report) else { return false };
        let in_new_boot = world.boots == 1 && report.boot_id.is_some_and(|id| id.as_str() == world.boot_id());
        in_new_boot && report.agent.is_some_and(|agent| agent.state == AgentState::Registered)
    };
    assert!(world.live(HOUR, registered).await);
    assert!(taken_up.unwrap() <= Duration::from_secs(2), "{taken_up:?}");
    let late = world.get().up_for() - Duration::from_millis(21_500);
    assert!(late <= Duration::from_secs(2), "{late:?}");
}

/// What nobody waits for is held back, so that the hosts of a wave do not say it all at once; a claim is answered at once.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_claim_is_reported_later_and_the_next_claim_at_once() {
    const DELAY: Duration = Duration::from_secs(20);
    let world = World::shared();
    world.get().settings.idle_report_delay = DELAY;
    world.get().claim(ClaimStep::Stage);
    let (mut released, mut silent_for) = (None, None);
    let updater = |world: &mut World| match released {
        None if progress(world, ClaimStep::Stage) == Some(Progress::Done) => {
            world.unclaim();
            released = Some(Instant::now());
            false
        }
        None => false,
        Some(at) => {
            silent_for = Some(at.elapsed());
            world.report().is_some_and(|report| report.handled.is_none())
        }
    };
    assert!(world.live(HOUR, updater).await);
    let silent_for = silent_for.unwrap();
    assert!(silent_for >= DELAY && silent_for <= DELAY + Duration::from_secs(11), "{silent_for:?}");

    world.get().claim(ClaimStep::Stage);
    let (mut released, mut claimed) = (false, None);
    let updater = |world: &mut World| match (standing(world), claimed) {
        (Some(_), None) if progress(world, ClaimStep::Stage) == Some(Progress::Done) => {
            world.unclaim();
            released = true;
            false
        }
        // Two readings of the tags later.
        (None, None) if released => {
            claimed = Some(Instant::now() + Duration::from_secs(11));
            false
        }
        (None, Some(at)) if Instant::now() >= at => {
            world.claim(ClaimStep::Drain);
            false
        }
        _ => progress(world, ClaimStep::Drain).is_some(),
    };
    assert!(world.live(HOUR, updater).await);
    let answered_in = claimed.unwrap().elapsed();
    assert!(answered_in <= Duration::from_secs(6), "{answered_in:?}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_agent_reports_once_in_three_hours() {
    let world = World::shared();
    world.pass(Duration::from_mins(2)).await;
    let (puts, calls) = (world.puts(), world.calls());
    assert!((1..=2).contains(&puts), "{puts}");
    world.pass(Duration::from_mins(179)).await;
    // A new agent reports once.
    assert_eq!(world.puts(), puts + 1);
    let calls = world.calls() - calls;
    // A reading of the tags each 5 s, five requests to the host a minute, and no more.
    assert!(calls < 179 * (12 + 7) + 50, "{calls}");
    let world = World::shared();
    world.get().settings.poll = Duration::from_secs(60);
    world.pass(Duration::from_hours(7)).await;
    assert_eq!(world.puts(), puts + 2);
}

#[tokio::test(start_paused = true)]
async fn tasks_that_come_and_go_are_not_reported() {
    let world = World::shared();
    let mut turn = 0;
    world
        .live(HOUR, |world| {
            turn += 1;
            world.tasks = turn / 60 % 7;
            false
        })
        .await;
    assert!(world.puts() <= 2);
}

#[tokio::test(start_paused = true)]
async fn a_pinned_version_is_written_and_the_lock_put_back() {
    let world = World::shared();
    world.get().fake.available = ["1.28.0", NEW, OLD].map(String::from).into();
    world.get().tags.insert(SAVED_LOCK_TAG.into(), "latest".into());
    world.get().claim(ClaimStep::Stage);
    assert!(world.live(HOUR, |world| progress(world, ClaimStep::Stage) == Some(Progress::Done)).await);
    let world = world.get();
    assert_eq!((world.fake.staged.as_deref(), world.fake.lock.as_str()), (Some(NEW), "latest"));
    assert_eq!(world.report().unwrap().report.wrote.as_deref(), Some(NEW));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_failed_here_is_neither_written_nor_booted() {
    for step in [ClaimStep::Stage, ClaimStep::Reboot] {
        let world = World::shared();
        world.get().tags.insert(FAILED_TAG.into(), NEW.into());
        world.get().claim(step);
        assert!(world.live(HOUR, |world| progress(world, step) == Some(Progress::Failed)).await);
        world.pass(HOUR).await;
        let world = world.get();
        assert_eq!((world.prepares, world.boots), (0, 0));
        assert_eq!(error(&world), Some(("choose".into(), ErrorCode::Refused)));
    }
}

#[tokio::test(start_paused = true)]
async fn another_attempt_of_the_same_claim_is_another_try() {
    let world = World::shared();
    let first = {
        let mut world = world.get();
        world.tags.insert(FAILED_TAG.into(), NEW.into());
        world.claim(ClaimStep::Stage)
    };
    world.pass(Duration::from_mins(2)).await;
    assert_eq!(world.progress(ClaimStep::Stage), Some(Progress::Failed));
    world.get().tags.remove(FAILED_TAG);
    world.pass(Duration::from_mins(5)).await;
    assert_eq!(world.progress(ClaimStep::Stage), Some(Progress::Failed), "it is done with that claim");
    let again = Claim { attempt: 2, ..first.parse().unwrap() };
    world.get().tags.insert(CLAIM_TAG.into(), again.to_string());
    world.pass(Duration::from_mins(5)).await;
    let handled = world.report().unwrap().handled.unwrap();
    assert!(handled.is_of(&again) && !handled.is_of(&first.parse().unwrap()), "{handled:?}");
    assert_eq!(handled.progress, Progress::Done);
}

#[tokio::test(start_paused = true)]
async fn nothing_reboots_while_tasks_run_or_nobody_can_say() {
    for agent in [EcsAgent::Registered, EcsAgent::Garbage] {
        let world = World::shared();
        world.get().claim(ClaimStep::Stage);
        assert!(world.live(HOUR, |world| progress(world, ClaimStep::Stage) == Some(Progress::Done)).await);
        world.get().tasks = 2;
        world.get().ecs_agent = agent;
        world.get().claim(ClaimStep::Reboot);
        world.pass(HOUR).await;
        assert_eq!(world.boots(), 0);
        assert_eq!(world.error(), Some(("reboot".into(), ErrorCode::TasksRunning)));
        assert_eq!(world.progress(ClaimStep::Reboot), Some(Progress::Doing));
        // They leave at last, while the claim stands.
        world.get().tasks = 0;
        world.get().ecs_agent = EcsAgent::Registered;
        assert!(world.live(HOUR, |world| progress(world, ClaimStep::Reboot) == Some(Progress::Done)).await);
        assert_eq!(world.get().fake.running, NEW);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reboot_claim_is_read_again_in_the_next_boot_and_changes_nothing() {
    let world = World::shared();
    world.get().claim(ClaimStep::Stage);
    world.live(HOUR, |world| progress(world, ClaimStep::Stage) == Some(Progress::Done)).await;
    world.get().claim(ClaimStep::Reboot);
    world.live(HOUR, |world| progress(world, ClaimStep::Reboot) == Some(Progress::Done)).await;
    // Nobody removes it, and the journal is lost on top.
    world.get().memory = None;
    world.pass(HOUR).await;
    let world = world.get();
    assert_eq!((world.boots, world.prepares, world.fake.running.as_str()), (1, 1, NEW));
    assert_eq!(progress(&world, ClaimStep::Reboot), Some(Progress::Done));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_rebooted_by_itself_did_not_do_it() {
    let world = World::shared();
    world.get().claim(ClaimStep::Reboot);
    world.get().boots = 7;
    assert!(world.live(HOUR, |world| progress(world, ClaimStep::Reboot) == Some(Progress::Failed)).await);
    assert_eq!(world.error(), Some(("reboot".into(), ErrorCode::OtherBoot)));
    assert_eq!(world.boots(), 7);
}

#[tokio::test(start_paused = true)]
async fn an_image_lost_by_a_reboot_is_written_again_while_drained() {
    let world = World::shared();
    world.get().claim(ClaimStep::Stage);
    world.live(HOUR, |world| progress(world, ClaimStep::Stage) == Some(Progress::Done)).await;
    world.get().claim(ClaimStep::Drain);
    world.live(HOUR, |world| progress(world, ClaimStep::Drain) == Some(Progress::Done)).await;
    assert_eq!(world.prepares(), 1);
    let fake = |world: &mut World| (world.fake.state, world.fake.status_exists) = ("Idle", false);
    fake(&mut world.get());
    world.get().fake.staged = None;
    world.get().boots = 3;
    assert!(world.live(HOUR, |world| world.fake.staged.as_deref() == Some(NEW)).await);
    world.pass(HOUR).await;
    assert_eq!((world.prepares(), world.state()), (2, "Staged"));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_changes_while_the_image_is_written() {
    let world = World::shared();
    world.get().fake.looks = 10;
    world.get().fake.available = ["1.28.0", NEW, OLD].map(String::from).into();
    world.get().tags.insert(SAVED_LOCK_TAG.into(), "latest".into());
    world.get().claim(ClaimStep::Stage);
    assert!(world.live(HOUR, |world| world.prepares == 1).await);
    assert_eq!(world.get().fake.lock, NEW);
    world.get().claim(ClaimStep::Cancel);
    assert!(world.live(HOUR, |world| progress(world, ClaimStep::Cancel) == Some(Progress::Done)).await);
    assert_eq!((world.lock(), world.boots()), ("latest", 0));
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_nobody_saved_is_left_alone_and_so_is_a_claim_told_by_ssm() {
    let world = World::shared();
    world.get().fake.available = ["1.28.0", NEW, OLD].map(String::from).into();
    world.get().claim(ClaimStep::Stage);
    assert!(world.live(HOUR, |world| progress(world, ClaimStep::Stage) == Some(Progress::Failed)).await);
    assert_eq!(world.error(), Some(("choose".into(), ErrorCode::NotOffered)));
    assert_eq!((world.prepares(), world.lock()), (0, "latest"));
    let told_by_ssm = world.get().claim(ClaimStep::Stage).replace("@bridge", "");
    world.get().fake.available = [NEW, OLD].map(String::from).into();
    world.get().tags.insert(CLAIM_TAG.into(), told_by_ssm);
    world.pass(HOUR).await;
    assert_eq!((world.prepares(), world.get().report().unwrap().handled), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_removed_before_the_reboot_leaves_nothing_activated() {
    let world = World::shared();
    world.get().claim(ClaimStep::Stage);
    world.live(HOUR, |world| progress(world, ClaimStep::Stage) == Some(Progress::Done)).await;
    world.get().tasks = 1;
    world.get().claim(ClaimStep::Reboot);
    assert!(world.live(HOUR, |world| world.fake.state == "Ready").await);
    world.get().unclaim();
    assert!(world.live(HOUR, |world| world.fake.state == "Staged").await);
    world.get().tasks = 0;
    world.pass(HOUR).await;
    assert_eq!((world.boots(), world.running()), (0, OLD));
    assert_eq!(world.report().unwrap().report.state(), Some(&UpdateState::Staged));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_claim_is_reported_and_never_guessed_at() {
    let world = World::shared();
    world.get().tags.insert(CLAIM_TAG.into(), "v9/reboot/at/once".into());
    world.pass(HOUR).await;
    let report = world.report().unwrap();
    assert_eq!(report.handled, None);
    let wrong = report.report.error.unwrap();
    assert_eq!((wrong.at.as_str(), wrong.code), ("claim", ErrorCode::BadParameter));
    assert!(wrong.detail.contains("v9"));
    assert!(world.get().fake.acts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn outages_are_survived() {
    let world = World::shared();
    world.get().imds_up = false;
    world.get().api_up = false;
    world.get().ecs_refuses = Some("ThrottlingException");
    world.pass(HOUR).await;
    assert_eq!(world.puts(), 0);
    world.get().claim(ClaimStep::Stage);
    world.get().api_up = true;
    world.pass(HOUR).await;
    // Without tags nothing is begun.
    assert!(world.get().fake.acts().is_empty());
    world.get().imds_up = true;
    world.live(HOUR, |world| world.fake.state == "Staged").await;
    world.pass(Duration::from_mins(1)).await;
    world.get().ecs_refuses = None;
    assert!(world.live(HOUR, |world| progress(world, ClaimStep::Stage) == Some(Progress::Done)).await);
    world.get().tags_shown = false;
    world.pass(HOUR).await;
    assert_eq!(world.error(), Some(("metadata".into(), ErrorCode::Refused)));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_recorded_is_not_begun_and_what_was_lost_is_reported() {
    let world = World::shared();
    world.get().journal_fails = true;
    world.get().claim(ClaimStep::Stage);
    world.pass(HOUR).await;
    assert!(world.get().fake.acts().is_empty());
    world.get().journal_fails = false;
    world.get().unclaim();
    world.get().journal_corrupt = true;
    world.pass(HOUR).await;
    assert_eq!(world.error(), Some(("journal".into(), ErrorCode::Unsure)));
    world.get().journal_corrupt = false;
    assert!(world.live(HOUR, updater()).await);
    assert_eq!(world.error(), None);
}

/// On the new version, which is to be left again.
async fn updated(rights: bool) -> Shared {
    let world = World::shared();
    world.get().rights = rights;
    for step in [ClaimStep::Stage, ClaimStep::Reboot] {
        world.get().claim(step);
        assert!(world.live(HOUR, |world| progress(world, step) == Some(Progress::Done)).await);
    }
    world.get().tags.insert(FAILED_TAG.into(), NEW.into());
    world
}

#[tokio::test(start_paused = true)]
async fn a_revert_claim_goes_back_and_an_offer_is_needed_only_without_rights() {
    for rights in [true, false] {
        let world = updated(rights).await;
        world.get().claim(ClaimStep::Revert);
        assert!(world.live(HOUR, |world| progress(world, ClaimStep::Revert) == Some(Progress::Done)).await);
        world.pass(HOUR).await;
        let world = world.get();
        assert_eq!((world.fake.running.as_str(), world.fake.lock.as_str(), world.boots), (OLD, "latest", 2));
        assert_eq!(world.prepares, if rights { 1 } else { 2 });
    }
}

/// While it runs nothing else writes to the other set, and what it has done counts.
#[tokio::test(start_paused = true)]
async fn a_revert_waits_for_a_signpost_that_is_late() {
    for outlasts in [0, 1, 4] {
        let world = updated(true).await;
        world.get().slow_signpost = Some(outlasts);
        world.get().claim(ClaimStep::Revert);
        assert!(world.live(HOUR, |world| progress(world, ClaimStep::Revert) == Some(Progress::Done)).await);
        let world = world.get();
        assert_eq!((world.fake.running.as_str(), world.boots, world.prepares), (OLD, 2, 1), "{outlasts}");
    }
}

/// It switches once the revert is called off, and before that is reported as done it is undone.
#[tokio::test(start_paused = true)]
async fn a_revert_that_is_called_off_is_so_although_signpost_is_late() {
    for outlasts in [1, 3, 4] {
        let world = updated(true).await;
        world.get().slow_signpost = Some(outlasts);
        world.get().claim(ClaimStep::Revert);
        assert!(world.live(HOUR, |world| error(world) == Some(("signpost".into(), ErrorCode::Unsure))).await);
        world.get().claim(ClaimStep::Cancel);
        assert!(world.live(HOUR, |world| progress(world, ClaimStep::Cancel) == Some(Progress::Done)).await);
        assert!(!world.get().signposted, "{outlasts}");
        world.get().unclaim();
        world.pass(HOUR).await;
        let world = world.get();
        assert_eq!((world.fake.running.as_str(), world.boots, world.prepares), (NEW, 1, 1), "{outlasts}");
        assert!(!world.signposted, "{outlasts}");
    }
}
