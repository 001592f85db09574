//! Alarms and services that have to be well before more is begun, and what goes back for an alarm.

use models::fleet::{Alarm, AlarmState, Silence};
use models::ids::GroupName;
use models::last::Last;
use models::policy::{AlarmMissing, Group, OnAlarm, ServiceHealth};

use super::*;
use crate::planner::health::fired_in_bake;

fn alarm(state: AlarmState, minute: i64) -> Alarm {
    Alarm { state, since: Some(at(minute)) }
}

fn policy(missing: AlarmMissing) -> Policy {
    Policy { alarms: ["web".to_owned()].into(), alarm_missing: missing, ..Policy::default() }
}

/// What is said of an instance that waits, and whether the run wakes by itself.
fn said(fleet: &FleetSnapshot, policy: &Policy, facts: &RunFacts, now: Timestamp) -> (String, bool) {
    let plan = plan(fleet, policy, facts, now);
    let hold = plan.standings[0].hold.as_ref().map_or("", HoldReason::code);
    (if drains(&plan).is_empty() { hold.to_owned() } else { "drain".to_owned() }, plan.wake_at.is_some())
}

#[test]
fn nothing_is_begun_unless_each_alarm_is_known_to_be_ok() {
    use AlarmMissing::{Hold, Ignore};
    let silence = |minute, is_refusal| Silence { since: at(minute), is_refusal, detail: "why".to_owned() };
    type Case = (&'static str, AlarmMissing, Option<Option<AlarmState>>, Option<Silence>, &'static str, bool);
    let table: Vec<Case> = vec![
        ("OK", Hold, Some(Some(AlarmState::Ok)), None, "drain", true),
        ("fires", Ignore, Some(Some(AlarmState::Alarm)), None, "alarm_firing", false),
        ("without data", Hold, Some(Some(AlarmState::InsufficientData)), None, "alarm_unknown", false),
        ("without data, ignored", Ignore, Some(Some(AlarmState::InsufficientData)), None, "drain", true),
        ("missing", Hold, Some(None), None, "alarm_unknown", false),
        ("missing, ignored", Ignore, Some(None), None, "drain", true),
        ("a new state", Ignore, Some(Some(AlarmState::Other("MUTED".to_owned()))), None, "alarm_unknown", false),
        ("never asked", Ignore, None, None, "alarm_unknown", false),
        ("unheard for a moment", Ignore, Some(Some(AlarmState::Ok)), Some(silence(99, false)), "alarm_unknown", true),
        ("unheard for long", Ignore, Some(Some(AlarmState::Ok)), Some(silence(90, false)), "alarm_unknown", false),
        ("refused", Ignore, Some(Some(AlarmState::Ok)), Some(silence(99, true)), "alarm_unknown", false),
        (
            "it fired, unheard since",
            Ignore,
            Some(Some(AlarmState::Alarm)),
            Some(silence(99, false)),
            "alarm_firing",
            false,
        ),
    ];
    for (name, missing, known, silence, expected, wakes) in table {
        let mut fleet = fleet(vec![instance(0, Some(staged()), at(100))], vec![]);
        fleet.health.alarms =
            known.map(|state| state.into_iter().map(|state| ("web".to_owned(), alarm(state, 50))).collect());
        fleet.health.silence = silence;
        let (hold, wakes_up) = said(&fleet, &policy(missing), &facts(), at(100));
        assert_eq!(hold, expected, "{name}");
        assert!(wakes_up == wakes || expected == "drain", "{name}: wakes {wakes_up}");
        assert_eq!(said(&fleet, &Policy::default(), &facts(), at(100)).0, "drain", "{name}: no alarm is asked for");
    }
}

#[test]
fn an_alarm_that_came_to_be_ok_begins_the_bake_once_more() {
    let canary = |minute| {
        let mut new = instance(1, Some(rebooted("1.27.0", AgentState::Registered)), at(100));
        new.tags.last = Last::new(None, &version("1.26.1"), &version("1.27.0"), at(minute));
        new
    };
    let bake = SignedDuration::from_mins(60);
    let policy = Policy { canary: Some(1), bake, ..policy(AlarmMissing::Hold) };
    for (name, updated, changed, expected) in [
        ("before the update", 30, 20, "drain"),
        ("in the bake", 30, 60, "baking"),
        ("and long ago", -200, -100, "drain"),
        ("after the bake", -200, 90, "baking"),
    ] {
        let mut fleet = fleet(vec![instance(0, Some(staged()), at(100)), canary(updated)], vec![]);
        fleet.health.alarms = Some([("web".to_owned(), alarm(AlarmState::Ok, changed))].into());
        assert_eq!(said(&fleet, &policy, &facts(), at(100)).0, expected, "{name}");
    }
}

#[test]
fn services_whose_tasks_were_moved_have_to_be_steady() {
    let steady = || Service { at: at(99), ..service("web", 4, 50, 200) };
    let table: Vec<(&str, Service, Option<i64>, &str)> = vec![
        ("steady", steady(), Some(95), "drain"),
        ("one is missing", Service { running: 3, ..steady() }, Some(95), "service_unsteady"),
        ("one is missing, and was not moved", Service { running: 3, ..steady() }, None, "drain"),
        (
            "its deployment failed",
            Service { failed_deployment: Some("x".into()), ..steady() },
            Some(95),
            "service_unsteady",
        ),
        ("not looked at since", Service { at: at(90), ..steady() }, Some(95), "service_unsteady"),
    ];
    let policy = Policy { services: ServiceHealth::Steady, ..Policy::default() };
    for (name, service, moved, expected) in table {
        let mut fleet = fleet(vec![instance(0, Some(staged()), at(100))], vec![service]);
        fleet.health.moved = moved.map(|minute| ("web".into(), at(minute))).into_iter().collect();
        assert_eq!(said(&fleet, &policy, &facts(), at(100)).0, expected, "{name}");
        assert_eq!(said(&fleet, &Policy::default(), &facts(), at(100)).0, "drain", "{name}: nobody asks");
        if expected == "service_unsteady" {
            assert!(said(&fleet, &policy, &facts(), at(100)).1, "{name}: it is waited for");
            assert!(!said(&fleet, &policy, &facts(), at(106)).1, "{name}: and no longer");
        }
    }
}

#[test]
fn only_an_alarm_of_the_bake_takes_a_release_back() {
    let policy = |on_alarm| Policy { on_alarm, ..policy(AlarmMissing::Hold) };
    for (name, since, expected) in [
        ("before the first", 9, false),
        ("with the first", 10, true),
        ("in the bake", 79, true),
        ("after it", 81, false),
    ] {
        let hosts = (0..).zip([10, 20]).map(|(number, minute)| {
            let mut new = instance(number, Some(rebooted("1.27.0", AgentState::Registered)), at(100));
            new.tags.last = Last::new(None, &version("1.26.1"), &version("1.27.0"), at(minute));
            new
        });
        let mut fleet = fleet(hosts.collect(), vec![]);
        fleet.health.alarms = Some([("web".to_owned(), alarm(AlarmState::Alarm, since))].into());
        let bad = fired_in_bake(&fleet, &policy(OnAlarm::RollBack), at(100));
        assert_eq!(bad.map(|bad| bad.release), expected.then(|| version("1.27.0")), "{name}");
        assert_eq!(fired_in_bake(&fleet, &policy(OnAlarm::Hold), at(100)), None, "{name}");
    }
}

/// Each is watched for the bake of its group, and the release for as long as one of them is.
#[test]
fn a_release_goes_back_within_the_bake_of_a_group() {
    let whole = Policy { on_alarm: OnAlarm::RollBack, ..policy(AlarmMissing::Hold) };
    let with_bake = |minutes| Policy { bake: SignedDuration::from_mins(minutes), ..whole.clone() };
    let of_group = |minutes| {
        let group = Group {
            name: GroupName::from("gpu"),
            matches: "attribute:pool == gpu".parse().unwrap(),
            order: 0,
            max_unavailable: None,
            has_own_course: true,
            policy: Box::new(with_bake(minutes)),
        };
        Policy { groups: vec![group], ..whole.clone() }
    };
    let updated = |number, minute, pool| {
        let mut new = instance(number, Some(rebooted("1.27.0", AgentState::Registered)), at(300));
        new.tags.last = Last::new(None, &version("1.26.1"), &version("1.27.0"), at(minute));
        new.attributes = attributes(&[("pool", pool)]);
        new
    };
    // The cluster watches for an hour.
    let table: [(&str, i64, i64, bool); 5] = [
        ("in the longer bake of the group", 120, 110, true),
        ("after it", 120, 141, false),
        ("in the cluster's, after the shorter one of the group", 10, 65, true),
        ("after both", 10, 71, false),
        ("before the first", 120, 9, false),
    ];
    for (name, bake, since, expected) in table {
        let mut fleet = fleet(vec![updated(0, 10, "none"), updated(1, 20, "gpu")], vec![]);
        fleet.health.alarms = Some([("web".to_owned(), alarm(AlarmState::Alarm, since))].into());
        let bad = fired_in_bake(&fleet, &of_group(bake), at(300));
        assert_eq!(bad.is_some(), expected, "{name}");
    }
}
