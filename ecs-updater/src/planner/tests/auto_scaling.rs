//! What an Auto Scaling group does with an instance, and what becomes of it then.

use models::fleet::{AutoScaling, GroupMember, SeenGroup, SeenLifecycle};
use models::host::TargetState;

use super::*;

fn seen(state: &str, at: Timestamp) -> Option<Box<SeenLifecycle>> {
    let member = GroupMember { group: "web".into(), state: state.into() };
    Some(Box::new(SeenLifecycle { at, member: Some(member) }))
}

#[test]
fn what_is_not_in_service_in_its_group_is_left_alone() {
    let now = at(4);
    let in_service = || instance(0, Some(staged()), now);
    let drained = || claimed(instance(0, Some(staged()), now), ClaimStep::Drain, at(2));
    let rebooted =
        || claimed(instance(0, Some(rebooted("1.27.0", AgentState::Registered)), now), ClaimStep::Reboot, at(2));
    let ended = || {
        let why = FailReason::DrainTimedOut { left: String::new() };
        let mut one = drained();
        one.run.ending = Some(Box::new(End::Failed { why }));
        one
    };
    let active_again = || Instance { status: InstanceStatus::Active, ..drained() };
    let foreign = || Instance { status: InstanceStatus::Draining, ..in_service() };
    type Case<'c> = (&'c str, &'c dyn Fn() -> Instance, &'c str);
    let table: &[Case<'_>] = &[
        ("InService", &in_service, "drain"),
        ("InService", &drained, "reboot 1.27.0"),
        ("InService", &ended, "finish failed drain_timed_out"),
        ("Terminating", &in_service, "hold scaled_in"),
        ("Terminating:Wait", &foreign, "hold scaled_in"),
        ("Terminating:Wait", &drained, "leave scaled_in"),
        ("Terminating:Proceed", &rebooted, "leave scaled_in"),
        ("Terminating:Wait", &ended, "leave scaled_in"),
        ("Terminating:Wait", &active_again, "finish held scaled_in"),
        ("Terminating:Retained", &in_service, "hold not_in_service"),
        ("Terminating:Retained", &drained, "leave failed not_in_service"),
        ("Standby", &in_service, "hold not_in_service"),
        ("Standby", &drained, "leave failed not_in_service"),
        ("Standby", &rebooted, "leave failed not_in_service"),
        ("Detaching", &drained, "leave failed not_in_service"),
        ("Pending:Wait", &in_service, "hold not_in_service"),
        ("ReplacingRootVolume:Wait", &rebooted, "leave failed not_in_service"),
        ("Warmed:Running", &in_service, "hold not_running"),
        ("Levitating", &in_service, "hold not_in_service"),
        ("Levitating", &ended, "leave failed not_in_service"),
    ];
    for (state, make, expected) in table {
        let one = Instance { auto_scaling: seen(state, now), ..make() };
        assert_eq!(say(one, &Policy::default(), &facts(), now), *expected, "{state}");
    }
    let old = Instance { auto_scaling: seen("Standby", at(-2)), ..in_service() };
    assert_eq!(say(old, &Policy::default(), &facts(), now), "drain", "a standby that was seen long ago");
    let old = Instance { auto_scaling: seen("Terminating", at(-2)), ..in_service() };
    assert_eq!(say(old, &Policy::default(), &facts(), now), "hold scaled_in", "nothing ends that");
}

/// Its own word counts where EC2 Auto Scaling was not asked since, and nobody else can have said it.
#[test]
fn what_its_host_says_of_its_group() {
    let now = at(4);
    let drained = || claimed(instance(0, Some(staged()), now), ClaimStep::Drain, at(2));
    let in_service = || instance(0, Some(staged()), now);
    type Case<'c> = (&'c str, &'c dyn Fn() -> Instance, Option<Box<SeenLifecycle>>, BridgePolicy, &'c str);
    let own = BridgePolicy::OwnHost;
    let table: &[Case<'_>] = &[
        ("InService", &drained, None, own, "reboot 1.27.0"),
        ("Terminated", &drained, None, own, "leave scaled_in"),
        ("Terminated", &in_service, None, own, "hold scaled_in"),
        ("Standby", &drained, None, own, "leave failed not_in_service"),
        ("Detached", &in_service, None, own, "drain"),
        ("Warmed", &in_service, None, own, "hold not_running"),
        ("unknown", &drained, None, own, "leave failed not_in_service"),
        ("", &drained, None, own, "reboot 1.27.0"),
        ("Terminated", &drained, None, BridgePolicy::Cluster, "reboot 1.27.0"),
        ("Terminated", &drained, seen("InService", at(3)), own, "leave scaled_in"),
        ("Terminated", &drained, seen("InService", now), own, "reboot 1.27.0"),
        ("Spot", &drained, seen("InService", now), own, "leave scaled_in"),
        ("Spot", &in_service, seen("InService", now), own, "hold scaled_in"),
        ("InService", &drained, seen("Terminating:Wait", now), own, "leave scaled_in"),
    ];
    for (said, make, told, bridge_policy, expected) in table {
        let report = BridgeReport {
            heartbeat: Heartbeat { agent_version: "1".into(), at: at(3), interval: SignedDuration::from_hours(3) },
            report: HostReport {
                target_state: Some(TargetState::from(*said)).filter(|state| *state != TargetState::Missing),
                ..staged()
            },
            handled: None,
            available_cut: false,
        };
        let bridge = Some(Ok(Box::new(SeenBridge { since: at(3), report })));
        let one = Instance { bridge, auto_scaling: told.clone(), ..make() };
        let policy = Policy { host: TransportPolicy::Ssm, bridge_policy: *bridge_policy, ..Policy::default() };
        assert_eq!(say(one, &policy, &facts(), now), *expected, "{said} {told:?} {bridge_policy:?}");
    }
}

#[test]
fn a_group_is_asked_before_the_word_of_a_host_counts_alone() {
    let now = at(4);
    let said = |target, tag: Option<&str>, told, policy: Policy, facts: &RunFacts, now| {
        let report = BridgeReport {
            heartbeat: Heartbeat { agent_version: "1".into(), at: at(3), interval: SignedDuration::from_hours(3) },
            report: HostReport { target_state: Some(target), ..staged() },
            handled: None,
            available_cut: false,
        };
        let bridge = Some(Ok(Box::new(SeenBridge { since: at(3), report })));
        let mut one = Instance { bridge, auto_scaling: told, ..instance(0, Some(staged()), now) };
        one.ec2.as_mut().unwrap().auto_scaling_group = tag.map(Into::into);
        say(one, &Policy { host: TransportPolicy::Ssm, bridge_policy: BridgePolicy::OwnHost, ..policy }, facts, now)
    };
    let inspects_for = |minutes| {
        let mut policy = Policy::default();
        policy.timeouts.inspect = SignedDuration::from_mins(minutes);
        policy
    };
    let (asks, short) = (|| inspects_for(10), || inspects_for(2));
    let told = || seen("InService", at(3));
    let away = TargetState::Standby;
    assert_eq!(said(away.clone(), Some("web"), None, asks(), &facts(), now), "tasks");
    assert_eq!(said(away.clone(), Some("web"), told(), asks(), &facts(), now), "hold not_in_service");
    assert_eq!(said(away, Some("web"), None, short(), &facts(), now), "hold not_in_service", "no answer");
    // What was detached may say so for good.
    assert_eq!(said(TargetState::Detached, None, None, asks(), &facts(), now), "drain");
}

/// A group may have stopped it on purpose, which an earlier run knew and this one does not.
#[test]
fn the_group_of_a_stopped_one_is_asked_before_its_version_is_blamed() {
    let now = at(4);
    let stopped = |auto_scaling| {
        let mut one = claimed(instance(0, None, now), ClaimStep::Reboot, at(2));
        let ec2 = one.ec2.as_mut().unwrap();
        (ec2.state, ec2.auto_scaling_group) = (MachineState::Stopped, Some("web".into()));
        Instance { auto_scaling, ..one }
    };
    let said = |auto_scaling| say(stopped(auto_scaling), &Policy::default(), &facts(), now);
    assert_eq!(said(None), "tasks");
    assert_eq!(said(seen("Warmed:Stopped", now)), "leave failed not_in_service");
    assert_eq!(said(seen("InService", now)), "leave failed never_came_back");
}

#[test]
fn groups_are_known_before_an_instance_is_begun() {
    let now = at(4);
    let policy = Policy::default();
    let grouped = |auto_scaling| {
        let mut one = Instance { auto_scaling, ..instance(0, Some(available()), now) };
        one.ec2.as_mut().unwrap().auto_scaling_group = Some("web".into());
        one
    };
    let group = |check: Option<&str>, refresh: Option<&str>, at| SeenGroup {
        at,
        load_balancer_check: check.map(Into::into),
        refresh: refresh.map(Into::into),
        size: None,
    };
    let table = [
        ("nothing", None, None, &[][..], "tasks"),
        ("no right to ask", None, None, &[AutoScaling::INSTANCES][..], "stage"),
        ("not of its group", seen("InService", now), None, &[], "tasks"),
        ("no right to ask of its group", seen("InService", now), None, &[AutoScaling::GROUPS], "tasks"),
        ("nor of its refreshes", seen("InService", now), None, &[AutoScaling::GROUPS, AutoScaling::REFRESHES], "stage"),
        ("all is well", seen("InService", at(-60)), Some(group(None, None, at(-60))), &[], "stage"),
        ("replaced", seen("InService", now), Some(group(Some("ELB"), None, now)), &[], "hold load_balancer_check"),
        ("refresh", seen("InService", now), Some(group(None, Some("Baking"), now)), &[], "hold instance_refresh"),
        ("a refresh some time ago", seen("InService", now), Some(group(None, Some("Pending"), at(-9))), &[], "tasks"),
        ("a standby some time ago", seen("Standby", at(-9)), Some(group(None, None, now)), &[], "tasks"),
    ];
    for (name, auto_scaling, group, denied, expected) in table {
        let mut other = report(UpdateState::Idle, None, None);
        other.os.as_mut().unwrap().variant = "aws-ecs-1".into();
        let mut fleet = fleet(vec![grouped(auto_scaling), instance(9, Some(other), now)], vec![]);
        fleet.auto_scaling.groups.extend(group.map(|group| ("web".into(), group)));
        fleet
            .auto_scaling
            .denied
            .extend(denied.iter().map(|operation| ((*operation).into(), "AccessDenied".to_owned())));
        let said = said(&plan(&fleet, &policy, &facts(), now));
        assert_eq!(said.split(' ').next(), expected.split(' ').next(), "{name}: {said}");
        assert!(!expected.starts_with("hold") || said == expected, "{name}: {said}");
    }
}

#[test]
fn what_aws_manages_is_no_part_of_the_cluster() {
    let now = at(1);
    let managed = || Instance { managed_by_aws: true, ..instance(0, Some(staged()), now) };
    assert_eq!(say(managed(), &Policy::default(), &facts(), now), "hold managed_by_aws");
    let lost = Instance { left_out_since: Some(start()), variant: None, ..managed() };
    assert_eq!(say(lost, &Policy::default(), &facts(), now), "hold managed_by_aws", "whatever else is known of it");
    let draining = Instance { status: InstanceStatus::Draining, ..managed() };
    let warm = Instance { auto_scaling: seen("Warmed:Running", now), ..instance(1, Some(staged()), now) };
    let all = fleet(vec![draining, warm, instance(2, Some(staged()), now)], vec![]);
    assert_eq!(all.counted_and_out(), (1, 0));
}

/// Not known is not "without managed scaling".
#[test]
fn what_a_provider_is_is_waited_for_and_not_for_ever() {
    let inspect = Policy::default().timeouts.inspect;
    let (early, late) = (after(start(), inspect - SignedDuration::from_secs(1)), after(start(), inspect));
    let dry = RunFacts { dry_run: true, ..facts() };
    type Known = fn(&mut AutoScaling);
    let unknown: Known = |known| known.managed_providers.clear();
    let table: [(&str, Known, RunFacts, Timestamp, bool, bool); 6] = [
        ("described, or not returned", |_| {}, facts(), early, false, false),
        ("no answer yet", unknown, facts(), early, true, true),
        ("no answer for timeouts.inspect", unknown, facts(), late, false, true),
        ("no answer, and only planned", unknown, dry, early, false, true),
        (
            "no right to ask",
            |known| {
                known.managed_providers.clear();
                known.denied.insert(AutoScaling::PROVIDERS.into(), "AccessDenied".to_owned());
            },
            facts(),
            early,
            false,
            false,
        ),
        (
            "another is known",
            |known| known.managed_providers = [("other".into(), false)].into(),
            facts(),
            early,
            true,
            true,
        ),
    ];
    for (name, change, facts, now, waits, is_noted) in table {
        let one = Instance { provider: Some("own".into()), ..instance(0, Some(staged()), now) };
        let mut other = report(UpdateState::Idle, None, None);
        other.os.as_mut().unwrap().variant = "aws-ecs-1".into();
        let mut fleet = fleet(vec![one, instance(9, Some(other), now)], vec![]);
        change(&mut fleet.auto_scaling);
        let plan = plan(&fleet, &Policy::default(), &facts, now);
        let is_begun = plan.steps.iter().any(|planned| planned.host.as_str() == "i-0");
        let wake = plan.wake_at.map(|at| at.duration_since(now).as_secs());
        let again = if waits { Some(20) } else { wake };
        assert_eq!((is_begun, wake), (!waits && !facts.dry_run, again), "{name}: {plan:?}");
        let notes = crate::planner::scale_in_notes(&fleet, &Policy::default(), &plan).join("\n");
        let says = notes.contains("whether capacity provider own has managed scaling is not known");
        assert_eq!(says, is_noted, "{name}: {notes}");
    }
}
