//! Which versions are wanted under `min_age`, `max_version` and `skip_versions`.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use models::claim::ClaimStep;
use models::fleet::FleetSnapshot;
use models::host::UpdateState;
use models::plan::{Phase, Step};
use models::policy::{Policy, Target};
use models::release::{Release, ReleaseDate};

use super::super::fixtures::*;
use super::super::{plan, undated};

/// A host on 1.26.1 that is offered these, and chose the first.
fn offered(versions: &[&str]) -> FleetSnapshot {
    let mut report = report(UpdateState::Available, Some(versions[0]), None);
    report.update.as_mut().unwrap().available = versions.iter().map(|version| (*version).into()).collect();
    fleet(vec![instance(0, Some(report), at(0))], vec![])
}

/// As a person writes the limits: age, maximum, and what is skipped.
fn limits(min_age_days: i64, max: &str, skip: &[&str]) -> Policy {
    Policy {
        min_age: (min_age_days > 0).then(|| SignedDuration::from_hours(24 * min_age_days)),
        max_version: (!max.is_empty()).then(|| max.parse().unwrap()),
        skip_versions: skip.iter().map(|skipped| version(skipped)).collect(),
        ..Policy::default()
    }
}

fn dated(fleet: &mut FleetSnapshot, dates: &[(&str, Result<Timestamp, &str>)]) {
    fleet.releases = BTreeMap::from_iter(dates.iter().map(|(text, date)| {
        let release: Release = format!("aws-ecs-2/x86_64/{text}").parse().unwrap();
        (release, ReleaseDate { asked_at: at(0), published: date.map_err(str::to_owned) })
    }));
}

/// What the one host is to be updated to, or why not.
fn said(fleet: &FleetSnapshot, policy: &Policy) -> String {
    let plan = plan(fleet, policy, &facts(), at(1));
    let standing = &plan.standings[0];
    match (&standing.hold, &standing.to) {
        (Some(hold), _) => format!("{}: {hold}", hold.code()),
        (None, Some(to)) => to.to_string(),
        (None, None) => format!("{:?}", standing.phase),
    }
}

fn days_ago(days: i64) -> Timestamp {
    start() - SignedDuration::from_hours(24 * days)
}

#[test]
fn the_newest_that_is_allowed_is_wanted() {
    let all = &["1.28.0", "1.27.1", "1.27.0", "1.26.1", "1.26.0"][..];
    let table = [
        ("nothing is limited", all, limits(0, "", &[]), "1.28.0"),
        ("one is skipped", all, limits(0, "", &["1.28.0"]), "1.27.1"),
        ("two are", all, limits(0, "", &["1.28.0", "1.27.1"]), "1.27.0"),
        ("a maximum", all, limits(0, "1.27.0", &[]), "1.27.0"),
        ("a maximum and a skip", all, limits(0, "1.27.x", &["1.27.1"]), "1.27.0"),
        ("an age", all, limits(7, "", &[]), "1.27.0"),
        ("an age and a skip", all, limits(7, "", &["1.27.0"]), "too_young: 1.27.1"),
        ("all are skipped", &["1.28.0", "1.26.1"], limits(0, "", &["1.28.0"]), "version_skipped: 1.28.0"),
        ("all are above", &["1.28.0", "1.26.1"], limits(0, "1.26.x", &[]), "above_max_version: 1.28.0"),
        ("none is old enough", &["1.28.0", "1.27.1"], limits(7, "", &[]), "too_young: 1.27.1"),
        ("no date", &["1.30.0", "1.26.1"], limits(7, "", &[]), "release_age_unknown: the age of 1.30.0"),
        ("never asked", &["1.31.0", "1.26.1"], limits(7, "", &[]), "release_age_unknown: the age of 1.31.0"),
        ("to come", &["1.32.0", "1.26.1"], limits(7, "", &[]), "release_age_unknown: the age of 1.32.0"),
        ("no date and too young", &["1.30.0", "1.28.0"], limits(7, "", &[]), "too_young: 1.28.0"),
    ];
    for (name, versions, policy, expected) in table {
        let mut fleet = offered(versions);
        dated(
            &mut fleet,
            &[
                ("1.32.0", Ok(days_ago(-30))),
                ("1.30.0", Err("nobody knows")),
                ("1.28.0", Ok(days_ago(1))),
                ("1.27.1", Ok(days_ago(3))),
                ("1.27.0", Ok(days_ago(7))),
            ],
        );
        let said = said(&fleet, &policy);
        assert!(said.starts_with(expected), "{name}: {said}");
    }
}

#[test]
fn a_person_is_told_until_when_it_is_too_young() {
    let mut fleet = offered(&["1.28.0", "1.26.1"]);
    dated(&mut fleet, &[("1.28.0", Ok(days_ago(1)))]);
    assert!(said(&fleet, &limits(7, "", &[])).contains("from 2026-11-29T03:00:00Z on"));
    // To the second.
    dated(&mut fleet, &[("1.28.0", Ok(at(1) - SignedDuration::from_hours(24 * 7)))]);
    assert_eq!(said(&fleet, &limits(7, "", &[])), "1.28.0");
}

#[test]
fn a_lock_of_the_owner_lets_nothing_else_be_taken() {
    let mut fleet = offered(&["1.28.0", "1.27.0", "1.26.1"]);
    let report = &mut fleet.instances.values_mut().next().unwrap().report.as_mut().unwrap().report;
    report.settings.as_mut().unwrap().version_lock = Some("1.28.0".to_owned());
    assert!(said(&fleet, &limits(0, "", &["1.28.0"])).starts_with("version_skipped"));
}

#[test]
fn only_the_version_that_a_person_has_named_is_past_the_limits() {
    let strict = limits(7, "1.26.x", &["1.28.0"]);
    let target =
        |named, text: &str| Policy { target: Target::Version(version(text)), target_is_named: named, ..strict.clone() };
    let fleet = offered(&["1.28.0", "1.27.0", "1.26.1"]);
    assert!(said(&fleet, &target(false, "1.28.0")).starts_with("version_skipped"));
    assert!(said(&fleet, &target(false, "1.27.0")).starts_with("above_max_version"));
    assert_eq!(said(&fleet, &target(true, "1.28.0")), "1.28.0");
    assert_eq!(undated(&fleet, &target(true, "1.28.0"), at(1)), []);
    // A dead run's drain for another one is ended all the same.
    let fleet = {
        let instance = fleet.instances.into_values().next().unwrap();
        super::super::fixtures::fleet(vec![claimed(instance, ClaimStep::Drain, at(0))], vec![])
    };
    let is_put_back = |policy: &Policy| {
        let plan = plan(&fleet, policy, &facts(), at(1));
        plan.steps.iter().any(|planned| matches!(planned.step, Step::Finish(_)))
    };
    // The claim is for 1.27.0.
    assert!(is_put_back(&target(true, "1.28.0")));
    assert!(!is_put_back(&target(true, "1.27.0")));
}

#[test]
fn what_is_asked_for_is_what_may_be_wanted_and_is_not_known() {
    let mut fleet = offered(&["1.28.0", "1.27.1", "1.27.0", "1.26.1", "1.26.0"]);
    let asked = |fleet: &FleetSnapshot, policy: &Policy, minute| {
        let releases = undated(fleet, policy, at(minute));
        releases.iter().map(|release| release.version.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(asked(&fleet, &limits(0, "", &["1.28.0"]), 1), "", "without an age");
    assert_eq!(asked(&fleet, &limits(7, "", &[]), 1), "1.27.0 1.27.1 1.28.0");
    assert_eq!(asked(&fleet, &limits(7, "1.27.x", &["1.27.1"]), 1), "1.27.0");
    dated(&mut fleet, &[("1.28.0", Ok(days_ago(1))), ("1.27.1", Err("no"))]);
    assert_eq!(asked(&fleet, &limits(7, "", &[]), 4), "1.27.0");
    assert_eq!(asked(&fleet, &limits(7, "", &[]), 5), "1.27.0 1.27.1", "again after a while");
}

/// One call asks for many: what a host makes up is not in it.
#[test]
fn what_a_host_makes_up_is_not_asked_for() {
    let asked = |variant: &str, offers: &str| {
        let mut fleet = offered(&[offers]);
        let report = &mut fleet.instances.values_mut().next().unwrap().report.as_mut().unwrap().report;
        report.os.as_mut().unwrap().variant = variant.into();
        (undated(&fleet, &limits(7, "", &[]), at(1)).len(), said(&fleet, &limits(7, "", &[])))
    };
    assert_eq!(asked("aws-ecs-2", "1.27.0").0, 1);
    for (variant, offers) in
        [("", "1.27.0"), ("*", "1.27.0"), ("aws ecs", "1.27.0"), ("aws-ecs-2", "1.27.0+x"), (&"a".repeat(99), "1.27.0")]
    {
        let (count, said) = asked(variant, offers);
        assert!(count == 0 && said.starts_with("release_age_unknown"), "{variant:?}, {offers}: {count}, {said}");
    }
}

#[test]
fn while_the_approval_says_otherwise_nothing_is_begun() {
    let mut fleet = offered(&["1.28.0", "1.26.1"]);
    fleet.unapproved = Some("it says 1.29.0 now".to_owned());
    let plan = plan(&fleet, &Policy::default(), &facts(), at(1));
    assert_eq!(plan.standings[0].phase, Phase::Held);
    assert_eq!(plan.standings[0].hold.as_ref().map(|hold| hold.code()), Some("approval_changed"));
}
