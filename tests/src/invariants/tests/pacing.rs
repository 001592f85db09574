//! How far a release may go, and how fast.

use models::policy::Policy;

use super::*;

fn told(world: &mut World, canary: u32, soak: i64) {
    let (bake, soak) = (SignedDuration::from_mins(10), SignedDuration::from_secs(soak));
    let policy = Policy { canary: Some(canary), bake, soak, ..Policy::default() };
    world.invariants_mut().set_pacing("main", Pacing::of(&policy, None));
    world.invariants_mut().set_budget("main", MaxUnavailable::Count(3));
}

fn drain(world: &mut World, host: usize) {
    claim(world, host);
    set(world, host, InstanceStatus::Draining, Actor::Updater);
}

/// The host runs the release from now on, as if it had rebooted, and is put back.
fn come_back(world: &mut World, host: usize) {
    set(world, host, InstanceStatus::Active, Actor::Updater);
    world.delete_tag(MachineNo(host), CLAIM_TAG, None, Actor::Updater);
}

#[test]
fn nothing_goes_before_the_canaries_and_their_bake() {
    let launched_with_it = "[[host]]\nindex = 0\nversion = '1.27.0'";
    for (name, passed, broken) in [("not watched", 60, true), ("watched", 601, false)] {
        let mut world = world(launched_with_it);
        told(&mut world, 1, 0);
        drain(&mut world, 0);
        come_back(&mut world, 0);
        pass(&mut world, passed);
        drain(&mut world, 1);
        assert_eq!(rules(&world), vec![Rule::Canary; usize::from(broken)], "{name}");
    }
}

#[test]
fn nothing_is_drained_for_a_release_while_an_alarm_fires() {
    for (name, lasts, broken) in [("for long", "10m", true), ("not heard of yet", "1m", false)] {
        let mut world = world(&format!("[alarms]\nweb = {{ state = 'ALARM', lasts = '{lasts}' }}"));
        let policy = Policy { alarms: ["web".to_owned()].into(), ..Policy::default() };
        world.invariants_mut().set_pacing("main", Pacing::of(&policy, None));
        drain(&mut world, 0);
        assert_eq!(rules(&world), vec![Rule::Alarm; usize::from(broken)], "{name}");
    }
}

#[test]
fn no_more_canaries_are_begun_than_there_are_to_be() {
    let mut world = world("");
    told(&mut world, 2, 0);
    drain(&mut world, 0);
    drain(&mut world, 1);
    assert_eq!(rules(&world), []);
    drain(&mut world, 2);
    assert_eq!(rules(&world), [Rule::Canary]);
}

#[test]
fn one_that_never_rebooted_was_no_canary() {
    let mut world = world("");
    told(&mut world, 1, 0);
    drain(&mut world, 0);
    come_back(&mut world, 0);
    drain(&mut world, 1);
    assert_eq!(rules(&world), []);
}

#[test]
fn drains_do_not_follow_each_other_sooner_than_they_may() {
    for (passed, broken) in [(50, true), (61, false)] {
        let mut world = world("");
        told(&mut world, 3, 60);
        drain(&mut world, 0);
        pass(&mut world, passed);
        drain(&mut world, 1);
        assert_eq!(rules(&world), vec![Rule::Soak; usize::from(broken)], "after {passed} s");
    }
}

#[test]
fn one_that_somebody_took_back_before_its_reboot_was_no_canary() {
    for by in [Actor::Person, Actor::World] {
        let mut world = world("");
        told(&mut world, 1, 0);
        drain(&mut world, 0);
        set(&mut world, 0, InstanceStatus::Active, by);
        world.delete_tag(MachineNo(0), CLAIM_TAG, None, Actor::Updater);
        drain(&mut world, 1);
        assert_eq!(rules(&world), [], "{by:?}");
    }
}
