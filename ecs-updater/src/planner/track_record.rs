//! How a release has done on the instances of a cluster, in this run and in those before it: one that fails on more of
//! them than it runs well on is not tried on the rest.

use std::collections::BTreeMap;

use models::fleet::{FleetSnapshot, Instance};
use models::host::HostReport;
use models::policy::StopAfter;
use models::reason::HoldReason;
use semver::Version;

/// On fewer instances than this a failure can be theirs, whatever `stop_after_failures` says.
const LEAST: usize = 2;

/// How one release has done.
#[derive(Debug, Default)]
pub(crate) struct TrackRecord {
    failed: usize,
    well: usize,
}

impl TrackRecord {
    /// Returns why the release is not tried on further instances, if so.
    pub(super) fn hold_reason(&self, version: &Version, stop_after: StopAfter) -> Option<HoldReason> {
        let &Self { failed, well } = self;
        let StopAfter::Count(count) = stop_after else { return None };
        let is_bad = failed >= LEAST.max(count as usize) && failed > well;
        is_bad.then(|| HoldReason::VersionFailedElsewhere { version: version.clone(), failed, well })
    }
}

/// Returns why releases are not tried on further instances of a cluster, one for each that is not.
pub(crate) fn failed_releases(fleet: &FleetSnapshot, stop_after: StopAfter) -> Vec<HoldReason> {
    let records = track_records(fleet);
    records.iter().filter_map(|(version, record)| record.hold_reason(version, stop_after)).collect()
}

/// Returns the releases that failed on an instance which is still there.
pub(super) fn track_records(fleet: &FleetSnapshot) -> BTreeMap<Version, TrackRecord> {
    let there = || fleet.instances.values().filter(|instance| !instance.is_dead());
    let mut records: BTreeMap<Version, TrackRecord> = BTreeMap::new();
    for instance in there() {
        for version in failed_on(instance) {
            records.entry(version).or_default().failed += 1;
        }
    }
    if records.is_empty() {
        return records;
    }
    for record in there().filter_map(well_on) {
        if let Some(known) = records.get_mut(&record) {
            known.well += 1;
        }
    }
    records
}

/// Returns the releases that failed on an instance and that it does not run well all the same. A host that was not heard of
/// since its reboot has no mark for that; [`Last`](models::last::Last) says it.
pub(super) fn failed_on(instance: &Instance) -> Vec<Version> {
    let mut failed = instance.tags.failed.versions();
    failed.extend(instance.tags.last.iter().filter(|last| last.never_came_back()).map(|last| last.to.clone()));
    if failed.is_empty() {
        return Vec::new();
    }
    let well = well_on(instance);
    failed.into_iter().filter(|version| Some(version) != well.as_ref()).collect()
}

/// Returns the version that an instance runs while it takes tasks: by its own word, or else as its last update ended.
fn well_on(instance: &Instance) -> Option<Version> {
    if !instance.in_service() || instance.out_of_service_claim().is_some() {
        return None;
    }
    let said = instance.report.as_ref().map(|seen| &seen.report);
    let last = instance.tags.last.as_ref().filter(|last| !last.is_failure());
    said.and_then(HostReport::running).or_else(|| last.map(|last| last.to.clone()))
}
