use jiff::SignedDuration;
use models::fleet::{Attributes, MachineState, Naming, Resources, SeenTasks};
use models::policy::BridgePolicy;

use super::*;

const HOST: &str = "i-0123456789abcdef0";

fn at(seconds: i64) -> Timestamp {
    after(Timestamp::UNIX_EPOCH, SignedDuration::from_secs(seconds))
}

fn empty() -> FleetSnapshot {
    FleetSnapshot {
        cluster: "web".into(),
        taken_at: at(0),
        pause: None,
        skipped: BTreeSet::new(),
        unapproved: None,
        releases: Default::default(),
        instances: BTreeMap::new(),
        outdated_registrations: Default::default(),
        unknown_registrations: Default::default(),
        auto_scaling: Default::default(),
        room: Default::default(),
        health: Default::default(),
        hooks: Default::default(),
        services: BTreeMap::new(),
    }
}

fn described(number: i64, status: InstanceStatus, agent_connected: bool) -> instances::Described {
    instances::Described {
        arn: format!("arn:aws:ecs:eu-west-1:1:container-instance/web/{number}").as_str().into(),
        host: HOST.into(),
        status,
        agent_connected,
        running_tasks: 1,
        pending_tasks: 0,
        variant: None,
        zone: None,
        nameable: Attributes::default(),
        agent_version: None,
        registered: Resources::default(),
        remaining: Resources::default(),
        registered_at: number,
        attributes: BTreeMap::new(),
        provider: None,
        instance_tag: None,
    }
}

fn see(fleet: &mut FleetSnapshot, status: InstanceStatus, connected: bool, now: Timestamp) -> &mut Instance {
    let host = HostId::from(HOST);
    merge_ecs(fleet, &host, &described(0, status, connected), &Policy::default(), now);
    fleet.instances.get_mut(&host).unwrap()
}

#[test]
fn what_was_known_of_an_instance_before_it_drained_is_looked_at_again() {
    let mut fleet = empty();
    for (status, kept) in [
        (InstanceStatus::Active, false),
        (InstanceStatus::Active, true),
        (InstanceStatus::Draining, false),
        (InstanceStatus::Draining, true),
    ] {
        let instance = see(&mut fleet, status, true, at(0));
        assert_eq!((instance.status, instance.tasks.is_some()), (status, kept));
        instance.tasks = Some(SeenTasks { at: at(0), tasks: vec![] });
    }
}

#[test]
fn of_two_registrations_of_a_machine_the_newest_that_is_connected_counts() {
    use InstanceStatus::{Active, Draining, Inactive};
    for (old, new, newest) in [
        ((Active, true), (Active, true), 2),
        ((Active, false), (Active, true), 2),
        ((Draining, false), (Active, false), 2),
        ((Active, true), (Active, false), 1),
        ((Draining, true), (Active, false), 1),
        ((Active, false), (Inactive, true), 1),
    ] {
        let (old, new) = (described(1, old.0, old.1), described(2, new.0, new.1));
        for both in [vec![old.clone(), new.clone()], vec![new.clone(), old.clone()]] {
            let found = newest_by_host(both);
            assert_eq!(found[&HostId::from(HOST)].registered_at, newest, "{old:?}, {new:?}");
        }
    }
}

#[test]
fn an_answer_from_before_our_own_drain_says_nothing() {
    for (seconds, status) in
        [(1, InstanceStatus::Draining), (19, InstanceStatus::Draining), (20, InstanceStatus::Active)]
    {
        let mut fleet = empty();
        let instance = see(&mut fleet, InstanceStatus::Active, true, at(0));
        instance.status = InstanceStatus::Draining;
        instance.run.drained_at = Some(at(0));
        assert_eq!(see(&mut fleet, InstanceStatus::Active, true, at(seconds)).status, status, "{seconds} s");
    }
}

#[test]
fn what_ec2_says_of_a_machine() {
    let running = Machines::of(HOST.into(), MachineState::Running);
    let stopped = Machines::of(HOST.into(), MachineState::Stopped);
    let not_found = Machines::without(HOST.into());
    let left_out = Machines::default();
    // Whether ECS hears the agent; whether it is dead, off, and since when EC2 does not tell.
    for (machines, connected, expected) in [
        (&running, true, (false, false, None)),
        (&stopped, false, (false, true, None)),
        (&not_found, false, (true, false, None)),
        (&not_found, true, (false, false, Some(at(9)))),
        (&left_out, true, (false, false, Some(at(9)))),
        (&left_out, false, (false, false, Some(at(9)))),
    ] {
        let mut fleet = empty();
        let instance = see(&mut fleet, InstanceStatus::Active, connected, at(0));
        merge_ec2(instance, &stopped, &Policy::default(), at(0));
        merge_ec2(instance, machines, &Policy::default(), at(9));
        assert_eq!((instance.is_dead(), instance.is_off(), instance.left_out_since), expected, "{machines:?}");
        merge_ec2(instance, &left_out, &Policy::default(), at(20));
        assert_eq!(instance.left_out_since, expected.2.or(Some(at(20))), "since the first answer without it");
        merge_ec2(instance, &running, &Policy::default(), at(30));
        assert_eq!((instance.is_dead(), instance.is_off(), instance.left_out_since), (false, false, None));
    }
}

#[test]
fn the_tag_that_names_a_host_is_as_ecs_shows_it_but_for_what_was_just_written() {
    let own_host = Policy { bridge_policy: BridgePolicy::OwnHost, ..Policy::default() };
    let mut fleet = empty();
    let host = HostId::from(HOST);
    let mut see = |number, tag: Option<&str>, written: Option<i64>, now| {
        let one = instances::Described {
            instance_tag: tag.map(str::to_owned),
            ..described(number, InstanceStatus::Active, true)
        };
        if let Some(instance) = fleet.instances.get_mut(&host) {
            let naming = |at| Naming { on: one.arn.clone(), tries: 1, at, refused: None };
            instance.run.naming = written.map(|second| Box::new(naming(self::at(second))));
        }
        merge_ecs(&mut fleet, &host, &one, &own_host, at(now));
        fleet.instances[&host].instance_tag.as_deref().map(str::to_owned)
    };
    assert_eq!(see(0, None, None, 0), None);
    assert_eq!(see(0, Some("mine"), None, 10).as_deref(), Some("mine"));
    assert_eq!(see(0, Some("theirs"), Some(10), 20).as_deref(), Some("mine"), "from before the write");
    assert_eq!(see(0, Some("theirs"), Some(10), 30).as_deref(), Some("theirs"), "somebody has changed it");
    assert_eq!(see(1, None, Some(10), 40), None, "registered again");
}

#[test]
fn a_tag_that_named_another_host_is_put_back_at_once_and_remembered() {
    let own_host = Policy { bridge_policy: BridgePolicy::OwnHost, ..Policy::default() };
    let mut fleet = empty();
    let host = HostId::from(HOST);
    let mine = format!("arn:aws:ec2:eu-west-1:1:instance/{HOST}");
    for (now, tag, tries, misnamed_at) in [
        (0, None, 3, None),
        (30, Some(mine.as_str()), 0, None),
        (60, Some("arn:aws:ec2:eu-west-1:1:instance/i-7"), 0, Some(at(60))),
        (90, Some(mine.as_str()), 0, Some(at(60))),
    ] {
        let one =
            instances::Described { instance_tag: tag.map(str::to_owned), ..described(0, InstanceStatus::Active, true) };
        merge_ecs(&mut fleet, &host, &one, &own_host, at(now));
        let instance = fleet.instances.get_mut(&host).unwrap();
        let refused = Some("no".to_owned());
        instance.run.naming.get_or_insert(Box::new(Naming { on: one.arn, tries: 3, at: at(0), refused }));
        assert_eq!(instance.run.naming.as_ref().unwrap().tries, tries, "{now} s");
        assert_eq!(instance.run.misnamed_at, misnamed_at, "{now} s");
    }
}
