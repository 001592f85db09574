//! The word of the user's functions: whose, for what, and how fresh.

use super::*;
use crate::world::Hooked;

const FUNCTION: &str = "arn:aws:lambda:eu-central-1:111122223333:function:ready";

/// A Region whose caller has one function asked at each step.
fn asked() -> World {
    let mut world = world("");
    let function = || Some(FUNCTION.parse().unwrap());
    let hooks = Hooks { before_drain: function(), before_reboot: function(), ..Hooks::default() };
    world.invariants_mut().set_hooks("main", hooks);
    world
}

/// A function says ok to a step of the first host's update to a version.
fn says_ok(world: &mut World, step: &str, to: &str) {
    let id = world.machines()[MachineNo(0)].id.clone();
    let hooked = Hooked {
        cluster: "main".to_owned(),
        run: "RUN1".to_owned(),
        step: step.to_owned(),
        machine: Some(MachineNo(0)),
        key: format!("main/{id}/1.26.1/{to}/{step}"),
        ok: true,
        error: false,
    };
    world.record(Event::Hooked(hooked));
}

/// So many seconds pass between a function's ok and the drain; if any, a call is refused so many seconds before that.
#[test]
fn an_ok_is_good_for_what_it_was_asked_and_for_some_minutes() {
    let table = [
        ("fresh", "1.27.0", 60, None, false),
        ("of long ago", "1.27.0", 7 * 60, None, true),
        ("a call of the act was refused", "1.27.0", 7 * 60, Some(30), false),
        ("which does not excuse everything", "1.27.0", 13 * 60, Some(30), true),
        ("a call was refused right after it, and none since", "1.27.0", 11 * 60, Some(10 * 60), true),
        ("for another version", "1.26.0", 60, None, true),
    ];
    for (name, to, passed, troubled, broken) in table {
        let mut world = asked();
        says_ok(&mut world, "before_drain", to);
        pass(&mut world, passed - troubled.unwrap_or(0));
        if let Some(troubled) = troubled {
            let now = world.now();
            world.invariants_mut().see_trouble("ecs:ListTasks", now);
            pass(&mut world, troubled);
        }
        claim(&mut world, 0);
        set(&mut world, 0, InstanceStatus::Draining, Actor::Updater);
        assert_eq!(rules(&world), vec![Rule::Hook; usize::from(broken)], "{name}");
    }
}

/// The word has to be fresh when the reboot is claimed; the host may be asked for it for longer.
#[test]
fn a_reboot_is_claimed_by_a_fresh_ok() {
    for (name, before, after, broken) in
        [("fresh", 60, 60, false), ("asked again", 60, 15 * 60, false), ("of long ago", 15 * 60, 60, true)]
    {
        let mut world = asked();
        says_ok(&mut world, "before_drain", "1.27.0");
        claim(&mut world, 0);
        set(&mut world, 0, InstanceStatus::Draining, Actor::Updater);
        says_ok(&mut world, "before_reboot", "1.27.0");
        pass(&mut world, before);
        let boot = world.machines()[MachineNo(0)].host.boot_id()[..8].to_owned();
        let claimed = format!("{}/{boot}", CLAIM.replace("drain", "reboot"));
        tag(&mut world, 0, CLAIM_TAG, &claimed, Actor::Updater);
        pass(&mut world, after);
        reboot(&mut world, 0);
        let found = rules(&world).into_iter().filter(|rule| *rule == Rule::Hook).count();
        assert_eq!(found, usize::from(broken), "{name}");
    }
}
