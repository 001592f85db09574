//! Since when nothing moves on in a cluster, and the oldest of what runs there.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use models::fleet::{FleetSnapshot, Instance};
use models::release::Release;
use models::report::InstanceReport;
use semver::Version;

use super::limits::release;

/// When an instance of the cluster was updated last, by the tags `ecs-updater:last`. Where no tag tells of an update, when
/// the oldest of the instances was launched that are outdated: they have been as they are since then, at least. `None`
/// where that is not known either. `selects_none`: whether `select` is met by no instance.
///
/// While others wait for the bake of a release, its first update counts: as canaries come and go its bake begins again, which is
/// no progress.
pub(crate) fn last_progress(
    fleet: &FleetSnapshot,
    reports: &[InstanceReport],
    selects_none: bool,
) -> Option<Timestamp> {
    let baking: BTreeSet<&Version> =
        reports.iter().filter(|one| one.is_baking()).filter_map(|one| one.to.as_ref()).collect();
    let ends = fleet.instances.values().filter_map(|instance| instance.tags.last.as_ref());
    let (mut watched, mut others): (BTreeMap<&Version, Timestamp>, Option<Timestamp>) = Default::default();
    for last in ends.filter(|last| !last.is_failure()) {
        if baking.contains(&last.to) {
            watched.entry(&last.to).and_modify(|first| *first = last.at.min(*first)).or_insert(last.at);
        } else {
            others = others.max(Some(last.at));
        }
    }
    let updated = watched.into_values().chain(others).max();
    let launched = |instance: &Instance| instance.ec2.as_ref()?.launched_at;
    let outdated = reports.iter().filter(|report| report.is_outdated(selects_none));
    let instances = outdated.filter_map(|report| fleet.instances.get(&report.ec2_instance_id));
    updated.or_else(|| instances.filter_map(launched).min())
}

/// Returns the lowest version that an instance runs at the end, as far as is known, as the releases of its variants; none where
/// AWS could not be asked for them.
pub(crate) fn oldest_running(fleet: &FleetSnapshot, reports: &[InstanceReport]) -> Vec<Release> {
    let running = |report: &InstanceReport| Some((report.version_at_end()?.clone(), report.ec2_instance_id.clone()));
    let running: BTreeSet<(Version, _)> = reports.iter().filter_map(running).collect();
    let Some((oldest, _)) = running.first() else { return Vec::new() };
    let hosts = running.iter().take_while(|(version, _)| version == oldest);
    let said = hosts.filter_map(|(_, host)| fleet.instances.get(host)?.report.as_ref());
    let releases: BTreeSet<Release> = said.filter_map(|seen| release(&seen.report, oldest)).collect();
    Vec::from_iter(releases)
}

#[cfg(test)]
mod tests {
    use models::fleet::Ec2;
    use models::host::UpdateState;
    use models::last::Last;
    use models::report::Outcome;

    use super::*;
    use crate::planner::fixtures::{self, at, fleet, instance};

    #[test]
    fn an_update_counts_and_without_any_the_oldest_launch_of_what_is_outdated() {
        let table = [
            ("nothing is known", [(None, None, Outcome::Held), (None, None, Outcome::Current)], None),
            (
                "the newest update",
                [(Some((None, 7)), Some(1), Outcome::Held), (Some((None, 9)), None, Outcome::Current)],
                Some(9),
            ),
            (
                "a failure is no progress",
                [
                    (Some((Some("unhealthy"), 9)), Some(1), Outcome::Failed),
                    (Some((None, 4)), Some(2), Outcome::Current),
                ],
                Some(4),
            ),
            (
                "the oldest launch",
                [(None, Some(5), Outcome::Held), (Some((Some("unhealthy"), 9)), Some(3), Outcome::RolledBack)],
                Some(3),
            ),
            (
                "the launch of a current one says nothing",
                [(None, Some(5), Outcome::Held), (None, Some(3), Outcome::Current)],
                Some(5),
            ),
        ];
        for (name, instances, expected) in table {
            let (from, to) = (Version::new(1, 26, 1), Version::new(1, 27, 0));
            let mut reports = Vec::new();
            let instances = (0..).zip(instances).map(|(number, (last, launched, outcome))| {
                let mut one = instance(number, None, at(0));
                one.tags.last = last.and_then(|(failure, minute)| Last::new(failure, &from, &to, at(minute)));
                one.ec2 = Some(Ec2 { launched_at: launched.map(at), ..Ec2::default() });
                reports.push(report(&one, outcome));
                one
            });
            let instances = instances.collect();
            assert_eq!(last_progress(&fleet(instances, vec![]), &reports, false), expected.map(at), "{name}");
        }
    }

    /// Canaries of 1.27.0 at the minutes 3, 5 and 9; others were updated to 1.26.1 at the minutes 1 and 2.
    #[test]
    fn of_a_release_that_is_watched_the_first_update_counts() {
        let mut reports = Vec::new();
        let ends = [(3, "1.27.0"), (5, "1.27.0"), (9, "1.27.0"), (1, "1.26.1"), (2, "1.26.1")];
        let instances = (0..).zip(ends).map(|(number, (minute, to))| {
            let mut one = instance(number, None, at(0));
            one.tags.last = Last::new(None, &Version::new(1, 25, 0), &fixtures::version(to), at(minute));
            let outcome = if to == "1.27.0" { Outcome::Current } else { Outcome::Held };
            reports.push(InstanceReport { to: Some(Version::new(1, 27, 0)), ..report(&one, outcome) });
            one
        });
        let fleet = fleet(instances.collect(), vec![]);
        for (reason, expected) in [("no_room", 9), ("baking", 3)] {
            let said =
                reports.iter().map(|report| InstanceReport { reason: Some(reason.to_owned()), ..report.clone() });
            assert_eq!(last_progress(&fleet, &said.collect::<Vec<_>>(), false), Some(at(expected)), "{reason}");
        }
    }

    #[test]
    fn the_lowest_version_at_the_end_is_asked_for_once_for_each_variant() {
        let seen = |number, variant: &str, from: &str, outcome| {
            let mut said = fixtures::report(UpdateState::Idle, None, None);
            said.os.as_mut().unwrap().variant = variant.into();
            let one = instance(number, Some(said), at(0));
            let (from, to) = (from.parse().ok(), "1.27.0".parse().ok());
            let report = InstanceReport { from, to, ..report(&one, outcome) };
            (one, report)
        };
        let oldest = |seen: Vec<(Instance, InstanceReport)>| {
            let (instances, reports): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
            let releases = oldest_running(&fleet(instances, vec![]), &reports);
            releases.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let (two, gpu, wrong) = ("aws-ecs-2", "aws-ecs-2-nvidia", "aws ecs");
        assert_eq!(
            oldest(vec![
                seen(1, two, "1.20.0", Outcome::Updated),
                seen(2, two, "1.26.1", Outcome::Held),
                seen(3, gpu, "1.26.1", Outcome::RolledBack),
                seen(4, two, "1.26.1", Outcome::Current),
                seen(5, two, "1.19.0", Outcome::Failed),
                seen(6, wrong, "1.26.1", Outcome::Held),
            ]),
            ["aws-ecs-2/x86_64/1.26.1", "aws-ecs-2-nvidia/x86_64/1.26.1"]
        );
        assert_eq!(oldest(vec![seen(1, two, "1.20.0", Outcome::Updated)]), ["aws-ecs-2/x86_64/1.27.0"]);
        // A younger one would tell a wrong age.
        assert!(
            oldest(vec![seen(1, wrong, "1.20.0", Outcome::Held), seen(2, two, "1.27.0", Outcome::Current)]).is_empty()
        );
        assert!(oldest(vec![seen(1, two, "1.20.0", Outcome::Gone)]).is_empty());
    }

    fn report(instance: &Instance, outcome: Outcome) -> InstanceReport {
        InstanceReport {
            container_instance: instance.container_instance.clone(),
            ec2_instance_id: instance.host.clone(),
            zone: None,
            group: None,
            outcome,
            reason: (outcome == Outcome::Held).then(|| "no_room".to_owned()),
            detail: None,
            from: None,
            to: None,
            turn: None,
            phases: Vec::new(),
            out_of_service_s: None,
            unknown_tags: Vec::new(),
        }
    }
}
