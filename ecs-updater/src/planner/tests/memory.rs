//! What instances remember of updates before: who failed last comes last, and a release that fails does not spread.

use models::last::Last;

use super::*;

/// An instance whose last update to 1.27.0 ended so.
fn ended(mut one: Instance, failure: Option<&str>, minute: i64) -> Instance {
    one.tags.last = Last::new(failure, &version("1.26.1"), &version("1.27.0"), at(minute));
    one
}

#[test]
fn who_failed_last_comes_last() {
    let now = at(30);
    let old = || {
        let mut old = staged();
        old.os.as_mut().unwrap().version = "1.26.0".into();
        old
    };
    let zoned =
        |number, zone: &str, report| Instance { zone: Some(zone.into()), ..instance(number, Some(report), now) };
    let instances = vec![
        ended(zoned(0, "a", old()), Some("stage_failed"), 2),
        ended(zoned(1, "a", staged()), Some("drain_timed_out"), 1),
        ended(zoned(2, "b", staged()), None, 1),
        zoned(3, "c", staged()),
    ];
    for zone in [Zones::Spread, Zones::OneAtATime] {
        let policy = Policy { zone, ..Policy::default() };
        let facts = RunFacts { dry_run: true, ..facts() };
        let plan = plan(&fleet(instances.clone(), vec![]), &policy, &facts, now);
        let turns: Vec<Option<usize>> = plan.standings.iter().map(|standing| standing.turn).collect();
        assert_eq!(turns, [Some(4), Some(3), Some(1), Some(2)], "{zone:?}");
    }
}

#[test]
fn a_release_that_fails_on_more_than_it_runs_well_on_is_held_on_the_rest() {
    let now = at(30);
    let marked = |n| failed_before(instance(n, None, now), "1.27.0");
    let lost = |n| {
        let mut one = ended(claimed(instance(n, None, now), ClaimStep::Reboot, at(1)), Some("never_came_back"), 20);
        one.agent_connected = false;
        one
    };
    let of_its_own = |n| ended(instance(n, None, now), Some("stage_failed"), 1);
    let unmarked = |n| ended(instance(n, None, now), Some("unhealthy"), 1);
    let well = |n| {
        let mut report = report(UpdateState::Idle, None, None);
        report.os.as_mut().unwrap().version = "1.27.0".into();
        instance(n, Some(report), now)
    };
    let well_before = |n| ended(instance(n, None, now), None, 1);
    let terminated = |n| {
        let mut one = marked(n);
        one.ec2.as_mut().unwrap().state = models::fleet::MachineState::Terminated;
        one
    };
    let count = |count| StopAfter::Count(count);
    let table: Vec<(&str, StopAfter, Vec<Instance>, bool)> = vec![
        ("on one", count(1), vec![marked(1)], false),
        ("on two", count(1), vec![marked(1), marked(2)], true),
        ("on one, and one that did not come back", count(1), vec![marked(1), lost(2)], true),
        ("on two, which may be three", count(3), vec![marked(1), marked(2)], false),
        ("on three", count(3), vec![marked(1), marked(2), lost(3)], true),
        ("never", StopAfter::Never, vec![marked(1), marked(2), marked(3)], false),
        ("on two hosts that are bad themselves", count(1), vec![of_its_own(1), of_its_own(2)], false),
        ("on two whose marks a person has deleted", count(1), vec![unmarked(1), unmarked(2)], false),
        ("on two of which one is there no more", count(1), vec![marked(1), terminated(2)], false),
        ("on two, and it runs well on one", count(1), vec![marked(1), marked(2), well(3)], true),
        ("on two, and it runs well on two", count(1), vec![marked(1), marked(2), well(3), well_before(4)], false),
        (
            "on two, and one of them runs it well now",
            count(1),
            vec![marked(1), failed_before(well(2), "1.27.0")],
            false,
        ),
        (
            "another one on two",
            count(1),
            vec![failed_before(marked(1), "1.26.9"), failed_before(marked(2), "1.26.9")],
            false,
        ),
    ];
    for (name, stop_after_failures, others, is_held) in table {
        let policy = Policy { stop_after_failures, max_unavailable: MaxUnavailable::Count(9), ..Policy::default() };
        let instances = [vec![instance(0, Some(staged()), now)], others].concat();
        let plan = plan(&fleet(instances, vec![]), &policy, &facts(), now);
        assert_eq!(said(&plan), if is_held { "hold version_failed_elsewhere" } else { "drain" }, "{name}");
    }
}

#[test]
fn nothing_is_begun_that_could_not_be_written_down() {
    let now = at(1);
    for (others, expected) in [(0, "drain"), (46, "drain"), (47, "hold tags_full"), (50, "hold tags_full")] {
        let mut one = instance(0, Some(staged()), now);
        one.tags.others = others;
        assert_eq!(say(one, &Policy::default(), &facts(), now), expected, "{others}");
    }
    let mut current = instance(0, Some(report(UpdateState::Idle, None, None)), now);
    current.tags.others = 50;
    assert_eq!(say(current, &Policy::default(), &facts(), now), "current rest");
}

/// These count only two in a row; the others can be the version's fault, and count at once.
#[test]
fn what_is_a_hosts_own_failure() {
    let (detail, version) = (String::new, || version("1.27.0"));
    let own = [
        FailReason::StageFailed { detail: detail() },
        FailReason::DrainTimedOut { left: detail() },
        FailReason::RebootRefused { detail: detail() },
        FailReason::RebootTimedOut,
        FailReason::TroubleElsewhere { detail: detail() },
        FailReason::Unconfirmed { detail: detail() },
        FailReason::HookFailed { detail: detail() },
        FailReason::NotInService { detail: detail() },
        FailReason::ActRefused { detail: detail() },
    ];
    let of_the_version = [
        FailReason::NeverCameBack { detail: detail() },
        FailReason::FellBackAtBoot { version: version() },
        FailReason::Unhealthy { version: version(), detail: detail() },
        FailReason::RollbackFailed { detail: detail() },
        FailReason::UnhealthyAfterRollback { detail: detail() },
    ];
    assert_eq!(own.len() + of_the_version.len(), FailReason::CODES.len());
    for (reasons, is_own) in [(&own[..], true), (&of_the_version[..], false)] {
        for reason in reasons {
            assert_eq!(reason.is_of_its_own(), is_own, "{}", reason.code());
        }
    }
}
