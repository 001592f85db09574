//! Each rule, broken by a wrong caller and kept by a right one.

mod hooks;
mod pacing;
mod parts;

use super::*;
use crate::scenario::Scenario;
use crate::world::{Attribute, RateControl, Sending, World};

const CLAIM: &str = "v1/drain/RUN1/1.26.1/1.27.0/2026-11-23T03:00:00Z";

fn world(more: &str) -> World {
    let text = format!("[repository]\nversions = [\"1.26.1\", \"1.27.0\"]\n[[instances]]\ncount = 3\n{more}");
    let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}"));
    let mut world = World::new(&scenario).unwrap();
    pass(&mut world, 60);
    world
}

fn pass(world: &mut World, seconds: i64) {
    let now = world.now() + SignedDuration::from_secs(seconds);
    world.advance(now);
}

fn tag(world: &mut World, host: usize, key: &str, value: &str, by: Actor) {
    world.set_tag(MachineNo(host), key, value, by).unwrap();
}

fn claim(world: &mut World, host: usize) {
    tag(world, host, CLAIM_TAG, CLAIM, Actor::Updater);
}

fn set(world: &mut World, host: usize, to: InstanceStatus, by: Actor) {
    let number = world.machines()[MachineNo(host)].registration.unwrap();
    world.set_status(number, to, by);
}

fn send(world: &mut World, host: usize, script: Script) {
    let sending = Sending {
        document: "X".to_owned(),
        version: "$DEFAULT".to_owned(),
        rates: RateControl { at_once: 50, most_errors: 0 },
        parameters: BTreeMap::new(),
        comment: String::new(),
        delivery_timeout: SignedDuration::from_secs(60),
        execution_timeout: SignedDuration::from_secs(60),
        script,
        machines: vec![MachineNo(host)],
    };
    world.send_command(sending, Actor::Updater);
}

fn reboot(world: &mut World, host: usize) {
    world.host_api(MachineNo(host), &crate::host::Request::post("/actions/reboot")).unwrap();
}

fn rules(world: &World) -> Vec<Rule> {
    world.invariants().violations().iter().map(|violation| violation.rule).collect()
}

fn finish(world: &mut World, named: &[usize]) -> Vec<Rule> {
    let named = named.iter().map(|host| HostId::from(world.machines()[MachineNo(*host)].id.as_str())).collect();
    let mut invariants = world.invariants().clone();
    invariants.finish(world, &named);
    invariants.violations().iter().map(|violation| violation.rule).collect()
}

#[test]
fn the_budget_counts_whoever_took_an_instance_out() {
    let mut world = world("");
    set(&mut world, 0, InstanceStatus::Draining, Actor::Person);
    claim(&mut world, 1);
    set(&mut world, 1, InstanceStatus::Draining, Actor::Updater);
    assert_eq!(rules(&world), [], "nobody could know of the person's drain yet");
    set(&mut world, 1, InstanceStatus::Active, Actor::Updater);
    pass(&mut world, 11);
    set(&mut world, 1, InstanceStatus::Draining, Actor::Updater);
    assert_eq!(rules(&world), [Rule::Budget]);
    world.invariants_mut().set_budget("main", MaxUnavailable::Count(3));
    claim(&mut world, 2);
    set(&mut world, 2, InstanceStatus::Draining, Actor::Updater);
    assert_eq!(rules(&world), [Rule::Budget], "three may be out now");
}

#[test]
fn what_is_not_selected_is_not_begun() {
    let named = |only: &[&str], skip: &[&str]| {
        let read = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        Named { only: read(only), skip: read(skip) }
    };
    let (first, second) = ("i-00000000000000000", "i-00000000000000001");
    for (name, select, told, broken) in [
        ("meets select", "tag:role == web and attribute:role == web and provider:asg", named(&[], &[]), false),
        ("does not", "tag:role == web and attribute:role != web", named(&[], &[]), true),
        ("is named", "tag:role == web", named(&[first], &[]), false),
        ("is not", "tag:role == web", named(&[second], &[]), true),
        ("is skipped", "tag:role == web", named(&[], &[first]), true),
    ] {
        let host = "[[host]]\nindex = 0\ntags = { role = 'web' }\nattributes = { role = 'web' }\nprovider = 'asg'";
        let mut world = world(host);
        let mut invariants = std::mem::take(world.invariants_mut());
        invariants.set_select("main", Some(Filter::parse_select(select).unwrap()));
        invariants.set_named(&world, told);
        *world.invariants_mut() = invariants;
        claim(&mut world, 0);
        set(&mut world, 0, InstanceStatus::Draining, Actor::Updater);
        assert_eq!(rules(&world), vec![Rule::Selected; usize::from(broken)], "{name}");
    }
}

#[test]
fn that_a_tag_has_gone_cannot_be_known_at_once() {
    for (passed, step, broken) in
        [(9, "drain", false), (11, "drain", true), (100, "stage", false), (130, "stage", true)]
    {
        let mut world = world("[[host]]\nindex = 0\ntags = { role = 'web' }");
        let mut invariants = std::mem::take(world.invariants_mut());
        invariants.set_select("main", Some(Filter::parse_select("tag:role == web").unwrap()));
        invariants.set_named(&world, Named::default());
        *world.invariants_mut() = invariants;
        world.delete_tag(MachineNo(0), "role", None, Actor::Person);
        pass(&mut world, passed);
        tag(&mut world, 0, CLAIM_TAG, &CLAIM.replace("drain", step), Actor::Updater);
        if step == "drain" {
            set(&mut world, 0, InstanceStatus::Draining, Actor::Updater);
        }
        assert_eq!(rules(&world), vec![Rule::Selected; usize::from(broken)], "{step} after {passed} s");
    }
}

#[test]
fn a_percentage_is_one_of_the_machines_that_are_known_to_be_registered() {
    for (passed, broken) in [(39, false), (41, true)] {
        let mut world = world("");
        world.invariants_mut().set_budget("main", MaxUnavailable::Percent(67));
        set(&mut world, 2, InstanceStatus::Inactive, Actor::Person);
        pass(&mut world, passed);
        for host in 0..2 {
            claim(&mut world, host);
            set(&mut world, host, InstanceStatus::Draining, Actor::Updater);
        }
        let expected: &[Rule] = if broken { &[Rule::Budget] } else { &[] };
        assert_eq!(rules(&world), expected, "{passed} s after one of three left");
    }
}

#[test]
fn what_is_dead_or_stopped_by_others_takes_no_place() {
    // Whether the stopped one has a claim that takes it out of service, and whether EC2 hides it.
    for (ended, claimed, hidden, broken) in [
        (false, false, false, false),
        (false, true, false, true),
        (false, false, true, true),
        (true, false, false, false),
        (true, true, false, false),
        (true, false, true, true),
    ] {
        let mut world = world(&format!("[[host]]\nindex = 0\nhidden = {hidden}"));
        world.stop_instance(MachineNo(0));
        pass(&mut world, 300);
        if ended {
            world.terminate(MachineNo(0));
            pass(&mut world, 60);
        }
        if claimed {
            claim(&mut world, 0);
        }
        claim(&mut world, 1);
        set(&mut world, 1, InstanceStatus::Draining, Actor::Updater);
        let expected: &[Rule] = if broken { &[Rule::Budget] } else { &[] };
        assert_eq!(rules(&world), expected, "ended {ended}, claimed {claimed}, hidden {hidden}");
    }
}

#[test]
fn two_drains_of_the_caller_at_once_are_seen() {
    let mut world = world("");
    for host in 0..2 {
        claim(&mut world, host);
        set(&mut world, host, InstanceStatus::Draining, Actor::Updater);
    }
    assert_eq!(rules(&world), [Rule::Budget]);
}

#[test]
fn a_drain_needs_a_claim_for_it() {
    for (tags, broken) in [
        (None, true),
        (Some("v2/odd"), true),
        (Some("v1/stage/RUN1/1.26.1/1.27.0/2026-11-23T03:00:00Z"), true),
        (Some(CLAIM), false),
    ] {
        let mut world = world("");
        if let Some(value) = tags {
            tag(&mut world, 0, CLAIM_TAG, value, Actor::Updater);
        }
        set(&mut world, 0, InstanceStatus::Draining, Actor::Updater);
        assert_eq!(rules(&world) == [Rule::Claim], broken, "{tags:?}");
    }
}

#[test]
fn documents_that_write_need_a_claim() {
    let mut world = world("");
    send(&mut world, 0, Script::Inspect);
    assert_eq!(rules(&world), []);
    for script in [Script::Stage, Script::Reboot, Script::Revert] {
        send(&mut world, 0, script);
    }
    assert_eq!(rules(&world), [Rule::Claim; 3]);
    claim(&mut world, 1);
    send(&mut world, 1, Script::Stage);
    reboot(&mut world, 2);
    assert_eq!(rules(&world), [Rule::Claim; 4], "a reboot without a claim");
}

#[test]
fn a_person_s_drain_is_theirs() {
    let mut world = world("");
    set(&mut world, 0, InstanceStatus::Draining, Actor::Person);
    set(&mut world, 0, InstanceStatus::Active, Actor::Updater);
    assert_eq!(rules(&world), [Rule::ForeignDrain]);
    claim(&mut world, 1);
    set(&mut world, 1, InstanceStatus::Draining, Actor::Person);
    set(&mut world, 1, InstanceStatus::Active, Actor::Updater);
    assert_eq!(rules(&world), [Rule::ForeignDrain], "with our claim on it nobody can tell");
}

#[test]
fn no_reboot_under_a_task() {
    let mut world = world("[[task]]\nfamily = \"batch\"\nhost = 0");
    claim(&mut world, 0);
    claim(&mut world, 1);
    reboot(&mut world, 0);
    reboot(&mut world, 1);
    pass(&mut world, 300);
    assert_eq!(rules(&world), [Rule::TasksOnReboot], "once for each reboot");
}

#[test]
fn a_reboot_without_an_answer_counts_where_it_was_taken() {
    for (key, taken) in [("reboot_unsure", true), ("reboot_lost", false)] {
        let mut world = world(&format!("{key} = 1\n[[task]]\nfamily = \"batch\"\nhost = 0"));
        claim(&mut world, 0);
        let answer = world.host_api(MachineNo(0), &crate::host::Request::post("/actions/reboot"));
        assert!(answer.is_err(), "{answer:?}");
        pass(&mut world, 300);
        let expected: &[Rule] = if taken { &[Rule::TasksOnReboot] } else { &[] };
        assert_eq!(rules(&world), expected, "{key}");
    }
}

#[test]
fn a_reboot_by_itself_is_nobody_s_fault() {
    let world = world("[[task]]\nfamily = \"batch\"\nhost = 0\n[[event]]\nat = \"10s\"\ndo = \"reboot\"\nhost = 0");
    assert_eq!(rules(&world), []);
}

#[test]
fn nothing_is_left_behind() {
    let mut world = world("");
    claim(&mut world, 0);
    set(&mut world, 0, InstanceStatus::Draining, Actor::Updater);
    assert_eq!(finish(&mut world, &[]), [Rule::LeftBehind]);
    assert_eq!(finish(&mut world, &[0]), []);
    set(&mut world, 0, InstanceStatus::Active, Actor::Updater);
    assert_eq!(finish(&mut world, &[]), [Rule::ClaimLeft]);
    world.delete_tag(MachineNo(0), CLAIM_TAG, None, Actor::Updater);
    assert_eq!(finish(&mut world, &[]), []);
    set(&mut world, 0, InstanceStatus::Draining, Actor::Person);
    assert_eq!(finish(&mut world, &[]), [], "a person drained it since");
}

#[test]
fn a_claim_that_is_a_lie_is_not_the_caller_s_to_remove() {
    let lie = |value: &str, by: Actor| {
        let mut world = world("");
        let item = [("holder", Attribute::Text("RUN1".to_owned())), ("epoch", Attribute::Number(7))];
        let item = item.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        let key = world.clusters()[world.machines()[MachineNo(0)].cluster].name.clone();
        world.record(Event::Stored { table: "leases".to_owned(), key, item, caller: 0 });
        tag(&mut world, 0, CLAIM_TAG, value, by);
        finish(&mut world, &[])
    };
    let with_epoch = |epoch: u64| CLAIM.replace("RUN1", &format!("RUN1+{epoch}"));
    assert_eq!(lie("hello", Actor::Person), []);
    assert_eq!(lie(&with_epoch(8), Actor::Person), []);
    assert_eq!(lie(&with_epoch(7), Actor::Person), [Rule::ClaimLeft]);
    assert_eq!(lie(CLAIM, Actor::Person), [Rule::ClaimLeft]);
    assert!(lie("hello", Actor::Updater).contains(&Rule::ClaimLeft));
    assert!(lie(&with_epoch(8), Actor::Updater).contains(&Rule::ClaimLeft));
}

#[test]
fn nothing_moves_to_a_machine_that_does_not_run() {
    let service = "[[service]]\nname = \"web\"\ndesired = 2\ncpu = 256\nmemory = \"512 MiB\"\n";
    let stops = "[[event]]\nat = \"61s\"\ndo = \"stop\"\nhost = 2\n[[host]]\nindex = 2\n";
    let after = |seconds: i64, more: &str| {
        let mut world = world(&format!("{service}{more}"));
        pass(&mut world, seconds);
        claim(&mut world, 0);
        set(&mut world, 0, InstanceStatus::Draining, Actor::Updater);
        rules(&world)
    };
    assert_eq!(after(120, ""), [], "all run");
    assert_eq!(after(20, stops), [], "nobody can know yet");
    assert_eq!(after(60, stops), [Rule::PlacedOnDead]);
    assert_eq!(after(900, stops), [], "ECS has seen that its agent is gone");
}

#[test]
fn a_drain_that_others_ended_is_over_once_the_claim_is_gone() {
    let cases = [(Actor::World, true), (Actor::Person, true), (Actor::World, false), (Actor::Person, false)];
    for (by, unclaimed) in cases {
        let mut world = world("[[event]]\nat = \"2m\"\ndo = \"terminate\"\nhost = 0");
        claim(&mut world, 0);
        set(&mut world, 0, InstanceStatus::Draining, Actor::Updater);
        set(&mut world, 0, InstanceStatus::Active, by);
        if unclaimed {
            world.delete_tag(MachineNo(0), CLAIM_TAG, None, Actor::Updater);
        }
        pass(&mut world, 120);
        let expected: &[Rule] = if unclaimed { &[] } else { &[Rule::LeftBehind] };
        assert_eq!(finish(&mut world, &[]), expected, "ACTIVE by {by:?}, unclaimed: {unclaimed}");
    }
}

#[test]
fn a_failed_version_is_not_tried_again() {
    let mut world = world("fails_to_boot = [\"1.27.0\"]\nprevious_version = \"1.25.0\"");
    claim(&mut world, 0);
    let update = |world: &mut World| {
        for (action, wait) in [("refresh-updates", 10), ("prepare-update", 90), ("activate-update", 5)] {
            let request = crate::host::Request::post(&format!("/actions/{action}"));
            assert_eq!(world.host_api(MachineNo(0), &request).unwrap().status, 204, "{action}");
            pass(world, wait);
        }
    };
    update(&mut world);
    reboot(&mut world, 0);
    pass(&mut world, 600);
    assert_eq!(world.machines()[MachineNo(0)].host.running_version().to_string(), "1.26.1", "fell back");
    assert_eq!(rules(&world), []);
    update(&mut world);
    assert_eq!(rules(&world), [Rule::FailedVersion], "it has failed to boot here");

    tag(&mut world, 1, FAILED_TAG, "1.27.0", Actor::Updater);
    tag(&mut world, 0, FAILED_TAG, "", Actor::Person);
    let request = crate::host::Request::post("/actions/deactivate-update");
    world.host_api(MachineNo(0), &request).unwrap();
    pass(&mut world, 5);
    let request = crate::host::Request::post("/actions/activate-update");
    world.host_api(MachineNo(0), &request).unwrap();
    pass(&mut world, 5);
    assert_eq!(rules(&world), [Rule::FailedVersion], "a person cleared the mark");
}

#[test]
fn what_was_put_back_into_service_is_not_rebooted() {
    let mut world = world("");
    claim(&mut world, 0);
    set(&mut world, 0, InstanceStatus::Draining, Actor::Updater);
    set(&mut world, 0, InstanceStatus::Active, Actor::Updater);
    reboot(&mut world, 0);
    assert_eq!(rules(&world), [Rule::RebootInService]);
    let mut world = self::world("");
    claim(&mut world, 0);
    set(&mut world, 0, InstanceStatus::Draining, Actor::Updater);
    reboot(&mut world, 0);
    assert_eq!(rules(&world), []);
    set(&mut world, 0, InstanceStatus::Active, Actor::Updater);
    pass(&mut world, 400);
    assert_eq!(rules(&world), [Rule::RebootInService], "it goes down by a reboot that was accepted before");
}

#[test]
fn a_host_bridge_acts_for_claims_that_are_told_by_it() {
    let act = |world: &mut World, path: &str| {
        world.agent_host_api(MachineNo(0), &crate::host::Request::post(path)).unwrap();
    };
    let by_bridge = |world: &World, step: &str, boot: bool| {
        let boot = if boot { format!("/{}", world.machines()[MachineNo(0)].host.boot_id()) } else { String::new() };
        format!("v1/{step}@bridge/RUN1/1.26.1/1.27.0/2026-11-23T03:00:00Z{boot}")
    };
    let mut world = world("");
    set(&mut world, 0, InstanceStatus::Draining, Actor::Person);
    claim(&mut world, 0);
    act(&mut world, "/actions/reboot");
    assert_eq!(rules(&world), [Rule::Claim], "told by SSM");
    for (step, boot, broken) in [("drain", false, true), ("reboot", true, false), ("revert", true, false)] {
        let mut world = self::world("");
        set(&mut world, 0, InstanceStatus::Draining, Actor::Person);
        let claim = by_bridge(&world, step, boot);
        tag(&mut world, 0, CLAIM_TAG, &claim, Actor::Updater);
        act(&mut world, "/actions/reboot");
        assert_eq!(rules(&world) == [Rule::Claim], broken, "{step}");
    }
    let mut world = self::world("");
    set(&mut world, 0, InstanceStatus::Draining, Actor::Person);
    let (reboot, drain) = (by_bridge(&world, "reboot", true), by_bridge(&world, "drain", false));
    tag(&mut world, 0, CLAIM_TAG, &reboot, Actor::Updater);
    tag(&mut world, 0, CLAIM_TAG, &drain, Actor::Updater);
    pass(&mut world, 60);
    act(&mut world, "/actions/reboot");
    assert_eq!(rules(&world), [Rule::Claim], "that claim has not stood for a minute");
}
