//! Reports that somebody writes for another host than the one whose role they have.

use jiff::SignedDuration;
use models::attributes::{BridgeReport, Handled, Heartbeat, Progress};
use models::claim::Claim;
use models::host::{AgentState, ErrorCode, HostReport, ReportedAgent, ReportedError, ReportedOs, ReportedUpdate};
use serde_json::{Value, json};

use super::World;
use super::effect::Effect;
use super::ids::MachineNo;
use crate::scenario::Forged;

/// No host has it.
const NO_BOOT: &str = "f0f0f0f0-0000-4000-8000-f0f0f0f0f0f0";

impl World {
    /// Has the role of one host report for another one. Nothing is said of a host without a claim.
    pub(super) fn forge(&mut self, by: MachineNo, of: MachineNo, says: Forged) {
        let Some(claim) = self.claim(of) else { return };
        let Some(registration) = self.machines[of].registration else { return };
        let (arn, cluster) = (&self.registrations[registration].arn, &self.clusters[self.machines[of].cluster].name);
        let attributes: Vec<Value> = self
            .forged(of, &claim, says)
            .encode()
            .into_iter()
            .map(|(name, value)| json!({ "name": name, "value": value, "targetType": "container-instance", "targetId": arn }))
            .collect();
        let parameters = json!({ "cluster": cluster, "attributes": attributes });
        self.effects.push(Effect::Report { machine: by, parameters });
    }

    fn forged(&self, of: MachineNo, claim: &Claim, says: Forged) -> BridgeReport {
        let host = &self.machines[of].host;
        let (progress, version, boot) = match says {
            Forged::Done => (Progress::Done, &claim.to, NO_BOOT),
            Forged::FellBack => (Progress::FellBack, &claim.from, NO_BOOT),
            Forged::Failed | Forged::DidNothing => (Progress::Failed, &claim.from, host.boot_id()),
            Forged::Withdrawn => (Progress::Failed, &claim.from, NO_BOOT),
        };
        let failed_at = match says {
            Forged::Done | Forged::FellBack => None,
            Forged::Failed => Some("activate"),
            Forged::DidNothing | Forged::Withdrawn => Some("refresh"),
        };
        let error = failed_at.map(|at| ReportedError {
            at: at.to_owned(),
            code: ErrorCode::Failed,
            detail: "forged".to_owned(),
        });
        let update = ReportedUpdate { available: vec![claim.from.to_string().into()], ..ReportedUpdate::default() };
        BridgeReport {
            heartbeat: Heartbeat {
                agent_version: "0.1.0".to_owned(),
                at: self.now,
                interval: SignedDuration::from_hours(3),
            },
            report: HostReport {
                boot_id: Some(boot.into()),
                booted_at: Some(self.now.as_second()),
                os: Some(ReportedOs {
                    version: version.to_string().into(),
                    variant: host.spec().variant.as_str().into(),
                    arch: host.spec().arch.as_str().into(),
                }),
                agent: Some(ReportedAgent { state: AgentState::Registered, container_instance: None, tasks: Some(0) }),
                update: (says == Forged::Withdrawn).then_some(update),
                error,
                ..HostReport::default()
            },
            handled: Some(Handled {
                step: claim.step,
                run: claim.run.clone(),
                since: claim.since,
                attempt: claim.attempt,
                progress,
            }),
            available_cut: false,
        }
    }
}
