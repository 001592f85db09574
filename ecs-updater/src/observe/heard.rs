//! What was heard of a host: its bridge's report, and how commands ended on it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::attributes::{AttributesError, BridgeReport};
use models::claim::Transport;
use models::fleet::{FleetSnapshot, Instance, SeenBoot, SeenBridge, ToldBoot, Visit, VisitEnd};
use models::host::{HostReport, SeenReport};
use models::plan::HostCommand;

use crate::host::{Ended, bridge};

/// Merges the host bridge's report. Returns whether that is news.
pub(super) fn merge_bridge(instance: &mut Instance, attributes: &BTreeMap<String, String>, now: Timestamp) -> bool {
    let read = match BridgeReport::decode(attributes) {
        // A re-registration can lose attributes; what is known stands until the agent reports again.
        Err(AttributesError::Absent) => return false,
        Err(error) => Err(error),
        Ok(report) => match &instance.bridge {
            Some(Ok(seen)) if seen.report == report => return false,
            _ => Ok(Box::new(SeenBridge { since: now, report })),
        },
    };
    instance.bridge = Some(read);
    true
}

/// Takes the bridge's report for the host's newest word, and for the end of an inspection.
pub(super) fn adopt_bridge_report(instance: &mut Instance, now: Timestamp) {
    if let Some(seen) = instance.heard_bridge() {
        let (asked_at, report) = (seen.since, seen.report.report.clone());
        merge_report(instance, report, asked_at, now);
    }
    let Some(&HostCommand::Inspect { refresh }) = instance.visit.as_ref().map(|visit| &visit.command) else { return };
    let end = bridge::inspected(instance, refresh, now);
    instance.visit = Some(Box::new(Visit { command: HostCommand::Inspect { refresh }, sent_at: now, at: now, end }));
}

/// Merges a host's report, if it is newer than the known one.
fn merge_report(instance: &mut Instance, report: HostReport, asked_at: Timestamp, now: Timestamp) {
    if report.boot_id.is_none() || report.os.is_none() {
        return;
    }
    let seen = instance.run.boot.as_ref().map(|boot| &boot.id);
    if let Some(id) = report.boot_id.clone().filter(|id| seen != Some(id)) {
        instance.run.boot = Some(SeenBoot { id, at: now });
    }
    if instance.report.as_ref().is_none_or(|seen| seen.asked_at <= asked_at) {
        instance.report = Some(Box::new(SeenReport { at: now, asked_at, report }));
    }
}

/// Records the boot that SSM tells of, where a bridge's word on it may need that.
fn record_told_by_ssm(instance: &mut Instance, report: &HostReport) {
    if instance.run.transport == Some(Transport::Bridge)
        && let Some(id) = report.boot_id.clone()
    {
        instance.run.told_by_ssm = Some(Box::new(ToldBoot { id, version: report.running() }));
    }
}

/// Records how a command ended on a host.
pub(crate) fn record_ended(fleet: &mut FleetSnapshot, ended: Ended, now: Timestamp) {
    let Some(instance) = fleet.instances.get_mut(&ended.host) else { return };
    if let Some(report) = ended.report {
        record_told_by_ssm(instance, &report);
        merge_report(instance, report, ended.sent_at, now);
    }
    match &ended.end {
        VisitEnd::Done => tracing::debug!(host = %ended.host, command = ended.command.name(), "visited"),
        end => tracing::info!(host = %ended.host, command = ended.command.name(), ?end, "visit ended badly"),
    }
    match &ended.command {
        HostCommand::Reboot { .. } => {
            if let Some(reboot) = &mut instance.run.reboot
                && reboot.sent_at == ended.sent_at
            {
                reboot.end = Some((now, ended.end));
            }
        }
        HostCommand::Inspect { .. } | HostCommand::Stage { .. } | HostCommand::Revert { .. } => {
            instance.command = None;
            let visit = Box::new(Visit { command: ended.command, sent_at: ended.sent_at, at: now, end: ended.end });
            if matches!(visit.command, HostCommand::Stage { .. }) {
                instance.run.failed_stage = (visit.end != VisitEnd::Done).then(|| visit.clone());
            }
            instance.visit = Some(visit);
        }
    }
}
