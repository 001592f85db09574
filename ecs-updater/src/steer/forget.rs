//! The marks of versions that failed: taken off the instances, so that they are tried again.
//!
//! They are a run's own tags, read and written as a whole, so that this takes the lease: a mark that a run makes at the same
//! time would be lost.

use std::collections::BTreeMap;

use models::claim::{FAILED_TAG, FailedVersions};
use models::fleet::{FleetSnapshot, Instance};
use models::ids::HostId;
use models::last::LAST_TAG;
use semver::Version;

use super::error::SteerError;
use super::steering::{Steered, Steering};
use crate::aws::Aws;
use crate::aws::halving::Parts;
use crate::keeper::{HeldLease, Keeper, RELEASE_WITHIN};

/// What is forgotten on one instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Forgotten {
    /// What its tag says then, where that changes; empty: the tag goes.
    failed: Option<String>,
    /// Whether its last update is forgotten: a host that never came back has no other mark.
    last: bool,
}

/// Takes the marks of a version, or of all, off these instances, or off all of the cluster. A signal ends it, and gives the
/// lease back.
pub(super) async fn forget(
    at: &Steering<'_>,
    version: Option<&Version>,
    hosts: &[HostId],
) -> Result<Steered, SteerError> {
    let Some(proposed) = at.unless_stopped(propose(at, version, hosts)).await else { return Ok(Steered::STOPPED) };
    if let Some(ended) = proposed? {
        return Ok(ended);
    }
    let hold = HeldLease::default();
    let Some(table) = at.lease_table else {
        let written = at.unless_stopped(write(at, &at.aws(), version, hosts)).await;
        return written.unwrap_or(Ok(Steered::STOPPED));
    };
    let aws = Aws::new(at.config, &hold.fence(at.clock), at.limits());
    let keeper = Keeper::new(table, at.cluster, &at.run, &aws, at.clock, &hold);
    keeper.acquire().await.map_err(SteerError::Cluster)?;
    let written = at.unless_stopped(write(at, &aws, version, hosts)).await;
    keeper.release(RELEASE_WITHIN).await;
    written.unwrap_or(Ok(Steered::STOPPED))
}

/// Says what is to be forgotten, and asks. Returns how it ends where nothing is to be written.
async fn propose(
    at: &Steering<'_>,
    version: Option<&Version>,
    hosts: &[HostId],
) -> Result<Option<Steered>, SteerError> {
    let fleet = at.look(&at.aws()).await?;
    for host in hosts {
        at.find(&fleet, host)?;
    }
    let what = version.map_or("no version is".to_owned(), |version| format!("{version} is not"));
    for (host, forgotten) in due(&fleet, version, hosts) {
        at.say(said(&fleet, &host, &forgotten, version));
    }
    let mut of = "these";
    for instance in kept(&fleet, version, hosts) {
        of = "any other of these";
        at.say(format!(
            "{} keeps its mark: a run is in the middle of its update; finish it, or release it, first",
            instance.host
        ));
    }
    if due(&fleet, version, hosts).is_empty() {
        at.say(format!("{what} marked as failed on {of} instances: nothing to forget"));
        return Ok(Some(Steered::DONE));
    }
    Ok(if at.is_agreed().await? { None } else { Some(Steered::NOT_WANTED) })
}

/// Writes what is to be forgotten, by another look: a run may have ended since the first.
async fn write(
    at: &Steering<'_>,
    aws: &Aws,
    version: Option<&Version>,
    hosts: &[HostId],
) -> Result<Steered, SteerError> {
    let fleet = at.look(aws).await?;
    let mut alike: BTreeMap<Forgotten, Vec<HostId>> = BTreeMap::new();
    for (host, forgotten) in due(&fleet, version, hosts) {
        alike.entry(forgotten).or_default().push(host);
    }
    for (Forgotten { failed, last }, hosts) in alike {
        let mut gone = Vec::new();
        match failed.as_deref() {
            Some("") => gone.push(FAILED_TAG),
            Some(left) => all_done(at, aws.create_tags(&hosts, &[(FAILED_TAG, left.to_owned())]).await)?,
            None => {}
        }
        if last {
            gone.push(LAST_TAG);
        }
        if !gone.is_empty() {
            all_done(at, aws.delete_tags(&hosts, &gone).await)?;
        }
        for host in hosts {
            at.say(format!("{host}: forgotten; the next run tries it there again"));
        }
    }
    Ok(Steered::DONE)
}

fn all_done(at: &Steering<'_>, parts: Parts<HostId, ()>) -> Result<(), SteerError> {
    let refused = parts.refused.into_iter().map(|(_, error)| error);
    match refused.chain(parts.failed.map(|(_, error)| error)).next() {
        Some(source) => Err(at.failed(source)),
        None => Ok(()),
    }
}

/// Returns what is to be forgotten, by instance. Where a run is in the middle of an update, nothing is: it would mark the
/// version again.
fn due(fleet: &FleetSnapshot, version: Option<&Version>, hosts: &[HostId]) -> Vec<(HostId, Forgotten)> {
    let free = meant(fleet, hosts).filter(|instance| instance.out_of_service_claim().is_none());
    free.filter_map(|instance| Some((instance.host.clone(), forgotten(instance, version)?))).collect()
}

/// Returns the instances on which nothing is forgotten although there is something.
fn kept<'f>(
    fleet: &'f FleetSnapshot,
    version: Option<&Version>,
    hosts: &[HostId],
) -> impl Iterator<Item = &'f Instance> {
    let busy = meant(fleet, hosts).filter(|instance| instance.out_of_service_claim().is_some());
    busy.filter(move |instance| forgotten(instance, version).is_some())
}

fn meant<'f>(fleet: &'f FleetSnapshot, hosts: &[HostId]) -> impl Iterator<Item = &'f Instance> {
    fleet.instances.values().filter(move |instance| hosts.is_empty() || hosts.contains(&instance.host))
}

fn forgotten(instance: &Instance, version: Option<&Version>) -> Option<Forgotten> {
    let marks = &instance.tags.failed;
    let left = version.map_or_else(FailedVersions::default, |version| marks.without(version));
    let failed = (left != *marks).then(|| left.to_string());
    let never_came_back = instance.tags.last.as_ref().filter(|last| last.never_came_back());
    let last = never_came_back.is_some_and(|last| version.is_none_or(|version| last.to == *version));
    (failed.is_some() || last).then_some(Forgotten { failed, last })
}

fn said(fleet: &FleetSnapshot, host: &HostId, forgotten: &Forgotten, version: Option<&Version>) -> String {
    let marks = fleet.instances.get(host).map(|instance| instance.tags.failed.to_string()).unwrap_or_default();
    let what = match (&forgotten.failed, version) {
        (Some(_), Some(version)) => format!("that {version} failed there"),
        (Some(_), None) => format!("that these failed there: {marks}"),
        (None, _) => "that it never came back from its last update".to_owned(),
    };
    let also = if forgotten.last && forgotten.failed.is_some() { ", and that it never came back" } else { "" };
    format!("{host} will forget {what}{also}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_of_a_tag() {
        let (one, two): (Version, Version) = ("1.27.0".parse().unwrap(), "1.28.0".parse().unwrap());
        let table = [
            ("1.27.0", Some(&one), ""),
            ("1.26.5,1.27.0", Some(&one), "1.26.5"),
            ("1.26.5 odd 1.27.0", Some(&one), "1.26.5,odd"),
            ("1.26.5", Some(&two), "1.26.5"),
        ];
        for (tag, version, left) in table {
            let version = version.unwrap();
            assert_eq!(FailedVersions::parse(tag).without(version).to_string(), left, "{tag} {version}");
        }
    }
}
