//! Whether Auto Scaling groups launch what the fleet has left behind: an update in place changes nothing about the
//! image in a launch template, so that a new instance starts old, and is drained and rebooted at the next run.
//!
//! What a group launches today stands in its launch template, as far as that may be read; what it launched last is seen on its
//! youngest instance.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use models::fleet::{Ec2, FleetSnapshot, Instance, ManagedScaling};
use models::ids::ImageId;
use models::policy::{Capacity, Policy};
use models::report::{GroupReport, InstanceReport, LaunchReport, Outcome};
use semver::Version;

/// An instance that was launched by a group.
#[derive(Debug, Clone, Copy)]
struct Launched<'a> {
    instance: &'a Instance,
    at: Timestamp,
    image: &'a ImageId,
}

/// The launches of each group.
fn launches(fleet: &FleetSnapshot) -> BTreeMap<&str, Vec<Launched<'_>>> {
    let mut groups: BTreeMap<&str, Vec<Launched<'_>>> = BTreeMap::new();
    for instance in fleet.instances.values() {
        let Some(Ec2 { auto_scaling_group: Some(group), image: Some(image), launched_at: Some(at), .. }) =
            &instance.ec2
        else {
            continue;
        };
        groups.entry(group).or_default().push(Launched { instance, at: *at, image });
    }
    groups
}

fn youngest<'a>(launches: &[Launched<'a>]) -> Option<Launched<'a>> {
    launches.iter().copied().max_by_key(|launched| launched.at)
}

/// What is known of images and of what groups launch.
#[derive(Debug, Default)]
pub struct GroupLaunches {
    /// The versions in images.
    pub versions: BTreeMap<ImageId, Version>,
    /// What each group launches today.
    pub launches: BTreeMap<String, LaunchReport>,
}

/// The names of the groups.
pub fn group_names(fleet: &FleetSnapshot) -> BTreeSet<String> {
    launches(fleet).into_keys().map(str::to_owned).collect()
}

/// The image of each group's youngest instance.
pub fn youngest_images(fleet: &FleetSnapshot) -> BTreeSet<ImageId> {
    launches(fleet).values().filter_map(|launches| youngest(launches)).map(|launched| launched.image.clone()).collect()
}

/// The version in an image's name, such as `bottlerocket-aws-ecs-2-x86_64-v1.42.0-5ed15786`: variant, architecture,
/// version and commit, as Bottlerocket's public parameter `image_name` has it. `None` for a name of another kind.
pub fn image_version(name: &str) -> Option<Version> {
    let (_, version) = name.strip_prefix("bottlerocket-")?.rsplit_once("-v")?;
    Version::parse(version.split('-').next().unwrap_or(version)).ok()
}

/// Each group of the fleet, by its name. `reports` are those of the run or the plan.
pub fn groups(fleet: &FleetSnapshot, reports: &[InstanceReport], launched: &GroupLaunches) -> Vec<GroupReport> {
    let newest = |launched: &Launched<'_>| {
        let report = reports.iter().find(|report| report.ec2_instance_id == launched.instance.host)?;
        match report.outcome {
            Outcome::Updated | Outcome::WouldUpdate => report.to.clone(),
            Outcome::Current
            | Outcome::Held
            | Outcome::RolledBack
            | Outcome::Failed
            | Outcome::ScaledIn
            | Outcome::Gone
            | Outcome::InProgress => report.from.clone(),
        }
    };
    launches(fleet)
        .into_iter()
        .filter_map(|(name, launches)| {
            let last = youngest(&launches)?;
            let newest_of_each: Vec<Version> = launches.iter().filter_map(newest).collect();
            Some(GroupReport {
                name: name.to_owned(),
                instances: launches.len(),
                youngest: last.instance.host.clone(),
                launched_at: last.at,
                image: last.image.clone(),
                image_version: launched.versions.get(last.image).cloned(),
                launches: launches_today(fleet, name, launched, &newest_of_each),
                newest: newest_of_each.into_iter().max(),
            })
        })
        .collect()
}

/// What the group launches today, with the versions in its images. During an instance refresh it launches something else.
fn launches_today(
    fleet: &FleetSnapshot,
    name: &str,
    launched: &GroupLaunches,
    newest_of_each: &[Version],
) -> Option<LaunchReport> {
    let mut report = launched.launches.get(name)?.clone();
    for launch in &mut report.images {
        launch.version = launched.versions.get(&launch.image).cloned();
    }
    let refresh = fleet.auto_scaling.groups.get(name).and_then(|group| group.refresh.as_ref());
    if let Some(status) = refresh {
        report.besides = Some(format!("what its instance refresh ({status}) is for"));
    }
    let oldest = report.images.iter().filter_map(|launch| launch.version.as_ref()).min();
    report.ahead = oldest.map_or(0, |oldest| newest_of_each.iter().filter(|version| *version > oldest).count());
    Some(report)
}

/// Says, with `capacity = "scale-out"`, how long a drain may take that waits for a launch, and what each group has launched
/// since the run began.
pub fn scale_out_notes(
    fleet: &FleetSnapshot,
    policy: &Policy,
    since: Timestamp,
    versions: &BTreeMap<ImageId, Version>,
) -> Vec<String> {
    if policy.capacity == Capacity::Room {
        return Vec::new();
    }
    let launches = launches(fleet);
    let note = |(provider, scaling): (_, &ManagedScaling)| {
        let longest = policy.timeouts.drain.saturating_add(scaling.launch_time());
        let launched: Vec<Launched<'_>> = launches.get(scaling.group.as_str()).into_iter().flatten().copied().collect();
        let launched: Vec<Launched<'_>> = launched.into_iter().filter(|one| one.at >= since).collect();
        let images: BTreeSet<&ImageId> = launched.iter().map(|one| one.image).collect();
        let images: Vec<String> = images
            .into_iter()
            .map(|image| match versions.get(image) {
                Some(version) => format!("{image} with {version}"),
                None => image.to_string(),
            })
            .collect();
        let from = if images.is_empty() { String::new() } else { format!(", from {}", images.join(", ")) };
        format!(
            "capacity = \"scale-out\": capacity provider {provider} (group {}) has launched {} since the run began{from}; a \
             drain whose tasks wait for a launch may take {} min",
            scaling.group,
            launched.len(),
            longest.as_mins()
        )
    };
    fleet.auto_scaling.scaled_providers.iter().map(note).collect()
}

#[cfg(test)]
mod tests {
    use models::ids::HostId;
    use models::report::LaunchImage;

    use super::*;
    use crate::planner::fixtures::{at, fleet, instance};

    fn launched(number: u32, group: &str, image: &str, minute: i64) -> Instance {
        let mut instance = instance(number, None, at(0));
        if let Some(ec2) = &mut instance.ec2 {
            ec2.auto_scaling_group = Some(group.to_owned());
            ec2.image = Some(ImageId::new(image));
            ec2.launched_at = Some(at(minute));
        }
        instance
    }

    fn report(host: &HostId, outcome: Outcome, from: &str, to: Option<&str>) -> InstanceReport {
        InstanceReport {
            container_instance: "arn".into(),
            ec2_instance_id: host.clone(),
            zone: None,
            group: None,
            outcome,
            reason: None,
            detail: None,
            from: from.parse().ok(),
            to: to.and_then(|to| to.parse().ok()),
            turn: None,
            phases: Vec::new(),
            out_of_service_s: None,
            unknown_tags: vec![],
        }
    }

    #[test]
    fn the_youngest_instance_tells_what_a_group_launches() {
        let instances = [
            launched(0, "web", "ami-new", 20),
            launched(1, "web", "ami-old", 10),
            launched(2, "batch", "ami-old", 30),
            instance(3, None, at(0)),
        ];
        let hosts: Vec<HostId> = instances.iter().map(|instance| instance.host.clone()).collect();
        let fleet = fleet(instances.to_vec(), Vec::new());
        assert_eq!(youngest_images(&fleet), BTreeSet::from([ImageId::new("ami-new"), ImageId::new("ami-old")]));
        let versions = BTreeMap::from([
            (ImageId::new("ami-new"), Version::new(1, 27, 0)),
            (ImageId::new("ami-old"), Version::new(1, 26, 1)),
        ]);
        let reports = [
            report(&hosts[0], Outcome::Current, "1.27.0", None),
            report(&hosts[1], Outcome::WouldUpdate, "1.26.1", Some("1.27.0")),
            report(&hosts[2], Outcome::WouldUpdate, "1.26.1", Some("1.27.0")),
            report(&hosts[3], Outcome::Current, "1.28.0", None),
        ];
        let by_versions = |versions| GroupLaunches { versions, ..GroupLaunches::default() };
        let nothing = GroupLaunches::default();
        let mut launched = by_versions(versions);
        let found = groups(&fleet, &reports, &launched);
        let told: Vec<_> = found.iter().map(|group| (group.name.as_str(), group.instances, group.drifts())).collect();
        assert_eq!(told, [("batch", 1, true), ("web", 2, false)]);
        assert_eq!((&found[1].youngest, found[1].launched_at), (&hosts[0], at(20)));
        // A version that is held does not count, one that is not known says nothing.
        let held = [report(&hosts[2], Outcome::Held, "1.26.1", Some("1.27.0"))];
        assert!(!groups(&fleet, &held, &launched)[0].drifts());
        assert!(!groups(&fleet, &reports, &nothing)[0].drifts());
        // What a group launches today counts more than what it launched last.
        let launch = |image: &str| LaunchImage { from: "here".into(), image: ImageId::new(image), version: None };
        let of = |images: Vec<LaunchImage>| LaunchReport { images, ..LaunchReport::default() };
        launched.launches.insert("batch".into(), of(vec![launch("ami-new")]));
        launched.launches.insert("web".into(), of(vec![launch("ami-new"), launch("ami-old")]));
        let found = groups(&fleet, &reports, &launched);
        let told: Vec<_> = found.iter().map(|group| (group.drifts(), group.launches.as_ref().unwrap().ahead)).collect();
        assert_eq!(told, [(false, 0), (true, 2)]);
        // An image whose version is not known says nothing.
        launched.launches.insert("batch".into(), of(vec![launch("ami-golden")]));
        assert!(groups(&fleet, &reports, &launched)[0].drifts());
    }

    #[test]
    fn an_image_s_name_has_its_version() {
        let versions = [
            ("bottlerocket-aws-ecs-2-x86_64-v1.42.0-5ed15786", Some(Version::new(1, 42, 0))),
            ("bottlerocket-aws-ecs-2-nvidia-aarch64-v1.7.2-c6ea6fd5", Some(Version::new(1, 7, 2))),
            ("bottlerocket-aws-ecs-2-x86_64-v1.42.0", Some(Version::new(1, 42, 0))),
            ("bottlerocket-aws-ecs-2-x86_64-v1.42", None),
            ("our-golden-image-v1.42.0", None),
            ("bottlerocket", None),
            ("", None),
        ];
        for (name, version) in versions {
            assert_eq!(image_version(name), version, "{name}");
        }
    }
}
