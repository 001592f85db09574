//! Since when nothing moves on in a cluster.

use jiff::Timestamp;
use models::fleet::{FleetSnapshot, Instance};
use models::report::InstanceReport;

/// When an instance of the cluster was updated last, by the tags `ecs-updater:last`. Where no tag tells of an update, when
/// the oldest of the instances was launched that are outdated: they have been as they are since then, at least. `None`
/// where that is not known either. `selects_none`: whether `select` is met by no instance.
pub(crate) fn last_progress(
    fleet: &FleetSnapshot,
    reports: &[InstanceReport],
    selects_none: bool,
) -> Option<Timestamp> {
    let ends = fleet.instances.values().filter_map(|instance| instance.tags.last.as_ref());
    let updated = ends.filter(|last| !last.is_failure()).map(|last| last.at).max();
    let launched = |instance: &Instance| instance.ec2.as_ref()?.launched_at;
    let outdated = reports.iter().filter(|report| report.is_outdated(selects_none));
    let instances = outdated.filter_map(|report| fleet.instances.get(&report.ec2_instance_id));
    updated.or_else(|| instances.filter_map(launched).min())
}

#[cfg(test)]
mod tests {
    use models::fleet::Ec2;
    use models::last::Last;
    use models::report::Outcome;
    use semver::Version;

    use super::*;
    use crate::planner::fixtures::{at, fleet, instance};

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

    fn report(instance: &Instance, outcome: Outcome) -> InstanceReport {
        InstanceReport {
            container_instance: instance.container_instance.clone(),
            ec2_instance_id: instance.host.clone(),
            zone: None,
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
