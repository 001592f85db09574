//! A run that takes a release back.

use models::claim::Claim;
use models::last::Last;

use super::*;

fn going_back(to: Option<&str>) -> RunFacts {
    let back = WayBack { release: Some(version("1.27.0")), to: to.map(version), ..WayBack::default() };
    RunFacts { purpose: Purpose::Rollback(back), ..facts() }
}

/// A host on 1.27.0 that is offered older ones too.
fn on_release() -> HostReport {
    let mut report = report(UpdateState::Idle, None, None);
    report.os.as_mut().unwrap().version = "1.27.0".into();
    report
}

fn remembers(mut one: Instance, last: &str) -> Instance {
    one.tags.last = last.parse().ok();
    one
}

fn skipping(mut fleet: FleetSnapshot, skipped: &[&str]) -> FleetSnapshot {
    fleet.skipped = skipped.iter().map(|text| version(text)).collect();
    fleet
}

/// With the claim of an instance that goes back from 1.27.0.
fn on_its_way(step: ClaimStep, report: HostReport, since: Timestamp) -> Instance {
    let mut one = claimed(instance(0, Some(report), at(1)), step, since);
    let claim = one.claim().cloned().unwrap();
    one.tags.claim = Some(Ok(Claim { from: claim.to.clone(), to: claim.from.clone(), ..claim }));
    one
}

#[test]
fn where_an_instance_goes() {
    const BEFORE: &str = "updated/1.26.1/1.27.0/2026-11-22T03:00:00Z";
    const EARLIER: &str = "updated/1.25.0/1.27.0/2026-11-22T03:00:00Z";
    let alone = |inactive: &str| HostReport { inactive: Some(inactive.into()), ..on_release() };
    let locked = |mut report: HostReport, lock: &str| {
        report.settings.as_mut().unwrap().version_lock = Some(lock.into());
        report
    };
    let table = [
        ("as it remembers", on_release(), BEFORE, None, "stage 1.26.1 lock=latest"),
        ("its word comes first", on_release(), BEFORE, Some("1.26.0"), "stage 1.26.1 lock=latest"),
        ("as a person says", on_release(), "", Some("1.26.0"), "stage 1.26.0 lock=latest"),
        ("nobody knows", on_release(), "", None, "hold no_version_before"),
        ("a person names a newer one", on_release(), "", Some("1.28.0"), "hold no_version_before"),
        (
            "of another update",
            on_release(),
            "updated/1.26.0/1.26.1/2026-11-22T03:00:00Z",
            None,
            "hold no_version_before",
        ),
        ("a lie", on_release(), "updated/1.28.0/1.27.0/2026-11-22T03:00:00Z", None, "hold no_version_before"),
        (
            "a lie, and a person",
            on_release(),
            "updated/1.28.0/1.27.0/2026-11-22T03:00:00Z",
            Some("1.26.1"),
            "stage 1.26.1 lock=latest",
        ),
        ("not offered", on_release(), "updated/1.25.0/1.27.0/2026-11-22T03:00:00Z", None, "hold target_not_offered"),
        ("its owner keeps it", locked(on_release(), "1.27.0"), BEFORE, None, "hold version_locked"),
        ("its owner wants that too", locked(on_release(), "1.26.1"), BEFORE, None, "stage 1.26.1 lock=1.26.1"),
        ("another version runs", available(), BEFORE, Some("1.26.0"), "current rest"),
        ("the other set has it", alone("1.26.1"), BEFORE, None, "drain"),
        ("the other set has it, and it is offered no more", alone("1.25.0"), EARLIER, None, "drain"),
        ("the other set has another one", alone("1.26.0"), BEFORE, None, "stage 1.26.1 lock=latest"),
    ];
    for (name, report, last, to, expected) in table {
        let one = remembers(instance(0, Some(report), at(1)), last);
        let fleet = skipping(fleet(vec![one.clone(), instance(9, None, at(1))], vec![]), &["1.27.0"]);
        assert_eq!(said(&plan(&fleet, &Policy::default(), &going_back(to), at(1))), expected, "{name}");
    }
    let one = remembers(instance(0, Some(on_release()), at(1)), BEFORE);
    let fleet = fleet(vec![one], vec![]);
    let by = |fleet: &FleetSnapshot, policy: &Policy, facts: &RunFacts| said(&plan(fleet, policy, facts, at(1)));
    let plain = Policy::default();
    assert_eq!(by(&fleet, &plain, &going_back(None)), "hold skip_lifted");
    let dry = RunFacts { dry_run: true, ..going_back(None) };
    assert_ne!(by(&fleet, &plain, &dry), "hold skip_lifted", "a dry run writes no skip");
    let policy = Policy { skip_versions: [version("1.27.0")].into(), ..Policy::default() };
    assert_eq!(by(&fleet, &policy, &going_back(None)), "stage 1.26.1 lock=latest");
    let both = skipping(fleet, &["1.26.1", "1.27.0"]);
    assert_eq!(by(&both, &plain, &going_back(None)), "hold version_skipped");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn whoever_finds_it_goes_on_in_the_right_direction() {
    let staged = |running: &str| {
        let mut report = report(UpdateState::Staged, Some("1.26.1"), Some("1.26.1"));
        report.os.as_mut().unwrap().version = running.into();
        report
    };
    let sick = || rebooted("1.26.1", AgentState::Down);
    let by_age = Policy { min_age: Some(SignedDuration::from_hours(24 * 30)), ..Policy::default() };
    let late = at(60);
    type Case = (&'static str, Instance, Policy, &'static [&'static str], Timestamp, &'static str);
    let table: [Case; 6] = [
        (
            "drained",
            on_its_way(ClaimStep::Drain, staged("1.27.0"), at(0)),
            Policy::default(),
            &["1.27.0"],
            at(1),
            "reboot 1.26.1",
        ),
        (
            "nobody knows its age",
            on_its_way(ClaimStep::Drain, staged("1.27.0"), at(0)),
            by_age.clone(),
            &["1.27.0"],
            at(1),
            "reboot 1.26.1",
        ),
        (
            "a plain downgrade asks",
            on_its_way(ClaimStep::Drain, staged("1.27.0"), at(0)),
            by_age,
            &[],
            at(1),
            "finish held release_age_unknown",
        ),
        (
            "both are skipped",
            on_its_way(ClaimStep::Drain, staged("1.27.0"), at(0)),
            Policy::default(),
            &["1.26.1", "1.27.0"],
            at(1),
            "finish held version_skipped",
        ),
        (
            "not healthy",
            visited(on_its_way(ClaimStep::Reboot, sick(), at(0)), late, VisitEnd::Done),
            Policy::default(),
            &["1.27.0"],
            late,
            "leave failed unhealthy_after_rollback",
        ),
        (
            "not healthy after a plain downgrade",
            visited(on_its_way(ClaimStep::Reboot, sick(), at(0)), late, VisitEnd::Done),
            Policy::default(),
            &[],
            late,
            "mark 1.26.1",
        ),
    ];
    for (name, one, policy, skipped, now, expected) in table {
        let fleet = skipping(fleet(vec![one], vec![]), skipped);
        for purpose in [Purpose::Update, Purpose::Finish, going_back(None).purpose] {
            let facts = RunFacts { purpose: purpose.clone(), ..facts() };
            assert_eq!(said(&plan(&fleet, &policy, &facts, now)), expected, "{name}, {purpose:?}");
        }
    }
}

#[test]
fn which_release_was_rolled_out_last() {
    let table: [(&str, &[&str], &str); 7] = [
        ("nobody remembers", &["", ""], "no instance"),
        (
            "the newest",
            &["updated/1.26.1/1.27.0/2026-11-22T03:00:00Z", "updated/1.25.0/1.28.0/2026-10-01T03:00:00Z"],
            "1.27.0",
        ),
        (
            "the higher one",
            &["updated/1.26.1/1.27.0/2026-11-22T03:00:00Z", "updated/1.26.1/1.27.1/2026-11-22T03:00:00Z"],
            "1.27.1",
        ),
        (
            "a failure is none",
            &["updated/1.26.1/1.27.0/2026-11-21T03:00:00Z", "unhealthy/1.26.1/1.28.0/2026-11-22T03:00:00Z"],
            "1.27.0",
        ),
        (
            "it went back by a rollback",
            &["updated/1.26.1/1.27.0/2026-11-21T03:00:00Z", "updated/1.27.0/1.26.1/2026-11-22T03:00:00Z"],
            "1.27.0",
        ),
        (
            "one that is dated ahead is a lie",
            &["updated/1.26.1/1.27.0/2026-11-21T03:00:00Z", "updated/1.27.0/1.28.0/2099-01-01T00:00:00Z"],
            "1.27.0",
        ),
        (
            "it went back otherwise",
            &["updated/1.26.1/1.27.0/2026-11-21T03:00:00Z", "updated/1.28.0/1.26.1/2026-11-22T03:00:00Z"],
            "the newest update",
        ),
    ];
    for (name, lasts, expected) in table {
        let instances = (0..).zip(lasts.iter()).map(|(number, last)| remembers(instance(number, None, at(0)), last));
        let found =
            newest_release(&fleet(instances.collect(), vec![]), |skipped| *skipped == version("1.27.0"), at(60));
        let found = found.map_or_else(|why| why, |(release, _)| release.to_string());
        assert!(found.starts_with(expected), "{name}: {found}");
    }
}

#[test]
fn what_was_updated_last_goes_back_first() {
    let instances = (0..3).map(|number: u32| {
        let mut one = instance(number, Some(on_release()), at(1));
        one.tags.last = Last::new(None, &version("1.26.1"), &version("1.27.0"), at(i64::from(number)));
        one
    });
    let fleet = skipping(fleet(instances.collect(), vec![]), &["1.27.0"]);
    let plan = plan(&fleet, &Policy::default(), &going_back(None), at(1));
    let mut turns: Vec<_> = plan.standings.iter().filter_map(|one| Some((one.turn?, one.host.to_string()))).collect();
    turns.sort_unstable();
    assert_eq!(turns.into_iter().map(|(_, host)| host).collect::<Vec<_>>(), ["i-2", "i-1", "i-0"]);
}

#[test]
fn a_person_who_asks_to_finish_lets_nothing_more_go_back() {
    let mut one = instance(0, Some(on_release()), at(1));
    one.tags.last = Last::new(None, &version("1.26.1"), &version("1.27.0"), at(0));
    let fleet = skipping(fleet(vec![one], vec![]), &["1.27.0"]);
    let asked = RunFacts { purpose: going_back(None).purpose.to_finish(), ..facts() };
    assert_eq!(said(&plan(&fleet, &Policy::default(), &asked, at(1))), "hold finishing");
    assert!(!asked.purpose.begins());
}

#[test]
fn until_the_release_is_skipped_nothing_goes_back_and_nothing_more_goes_to_it() {
    const BEFORE: &str = "updated/1.26.1/1.27.0/2026-11-22T03:00:00Z";
    let mut waiting = going_back(None);
    waiting.purpose.await_skip(true);
    let drains = claimed(instance(0, Some(staged()), at(1)), ClaimStep::Drain, at(0));
    let table = [
        ("it runs the release", remembers(instance(0, Some(on_release()), at(1)), BEFORE), "outdated wait"),
        ("it runs another version", instance(0, Some(available()), at(1)), "current wait"),
        ("it is out of service for the release", drains, "finish held version_skipped"),
    ];
    for (name, one, expected) in table {
        let fleet = fleet(vec![one], vec![]);
        assert_eq!(said(&plan(&fleet, &Policy::default(), &waiting, at(1))), expected, "{name}");
    }
    assert!(waiting.purpose.to_finish().awaited_skip().is_none());
}
