//! What admission has to know of all instances.

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::api_share::ApiShare;
use models::claim::{ClaimStep, Transport};
use models::fleet::{Instance, InstanceStatus};
use models::ids::{HostId, ZoneName};
use models::plan::HostCommand;

use super::pacer::Pacer;

/// The whole fleet, counted while the planner passes its instances.
#[derive(Debug)]
pub(crate) struct Counted<'a> {
    /// The instances that a percentage counts.
    pub(super) members: usize,
    /// Members that are out of service, regardless of who took them out.
    pub(super) out_by_zone: BTreeMap<Option<&'a ZoneName>, usize>,
    /// Those that this run has put back into service, or left, by zone.
    pub(super) ended_by_zone: BTreeMap<Option<&'a ZoneName>, usize>,
    /// The members that are out of service by name.
    pub(super) out_hosts: Vec<&'a HostId>,
    /// The first zone that has instances out of service by us.
    pub(super) zone: Option<&'a ZoneName>,
    /// In service, and being staged.
    pub(super) staging: usize,
    /// Those that were drained lately.
    pub(super) drains: Pacer,
    /// Those whose bridges were asked to stage lately.
    pub(super) stage_claims: Pacer,
    /// Those that failed for a reason that can be the version's, or were rolled back.
    pub(super) failures: usize,
    /// Those that failed for a reason of their own.
    pub(super) own_failures: usize,
    /// Tasks that leave an instance which this run has not drained take room too: they are to be listed once.
    pub(super) unknown_drains: Vec<&'a Instance>,
}

impl<'a> Counted<'a> {
    /// Returns the count of no instance.
    pub(crate) fn nothing(share: ApiShare) -> Self {
        Self {
            members: 0,
            out_by_zone: BTreeMap::new(),
            ended_by_zone: BTreeMap::new(),
            out_hosts: Vec::new(),
            zone: None,
            staging: 0,
            drains: Pacer::of_drains(share),
            stage_claims: Pacer::of_stage_claims(share),
            failures: 0,
            own_failures: 0,
            unknown_drains: Vec::new(),
        }
    }

    pub(crate) fn count(&mut self, instance: &'a Instance, now: Timestamp) {
        self.members += usize::from(instance.counts());
        if let Some(verdict) = instance.run.verdict.as_ref().filter(|verdict| verdict.outcome.is_failure()) {
            let failures = if verdict.of_its_own { &mut self.own_failures } else { &mut self.failures };
            *failures += 1;
        }
        let is_drained = instance.run.drained_at.is_some();
        if instance.run.verdict.is_some() && is_drained {
            *self.ended_by_zone.entry(instance.zone.as_ref()).or_default() += 1;
        }
        if takes_no_place(instance) {
            self.count_in_service(instance, now);
        } else {
            self.count_out_of_service(instance);
        }
        if instance.status == InstanceStatus::Draining && instance.running_tasks > 0 && instance.tasks.is_none() {
            self.unknown_drains.push(instance);
        }
        if let Some(at) = instance.run.drained_at {
            self.drains.count(at, now);
        }
    }

    fn count_in_service(&mut self, instance: &Instance, now: Timestamp) {
        self.staging += usize::from(is_staging(instance));
        let Some(claim) = instance.claim() else { return };
        // What a run whose clock was ahead has claimed is no reason to wait for that time.
        if claim.step == ClaimStep::Stage && claim.transport == Transport::Bridge && claim.since <= now {
            self.stage_claims.count(claim.since, now);
        }
    }

    fn count_out_of_service(&mut self, instance: &'a Instance) {
        let zone = instance.zone.as_ref();
        if instance.counts() {
            *self.out_by_zone.entry(zone).or_default() += 1;
            self.out_hosts.push(&instance.host);
        }
        let ours = instance.run.verdict.is_none() && instance.out_of_service_claim().is_some();
        if let Some(zone) = zone.filter(|_| ours) {
            self.zone = Some(self.zone.map_or(zone, |first| first.min(zone)));
        }
    }
}

/// Whether the instance is in service, and nothing that this run does next takes it out.
pub(super) fn takes_no_place(instance: &Instance) -> bool {
    instance.in_service() && !is_halfway(instance)
}

/// Whether an image is being written on the instance.
pub(super) fn is_staging(instance: &Instance) -> bool {
    let command = instance.command.as_ref().map(|in_flight| &in_flight.command);
    matches!(command, Some(HostCommand::Stage { .. }))
}

/// Whether a reboot of ours has begun on it and has not ended. Somebody may have set it ACTIVE meanwhile; what this run does
/// next may take it out of service again, so that its place stays taken.
fn is_halfway(instance: &Instance) -> bool {
    instance.run.verdict.is_none() && instance.claim().is_some_and(|claim| claim.step.needs_boot())
}
