//! Who has an instance out of service, for what, and since when.

use models::claim::{Claim, ClaimStep};
use models::fleet::{Instance, InstanceStatus, MachineState};
use models::status::{OutBy, OutOfService};
use models::summary::OutAs;

use super::gather::Facts;

/// Returns why a registered instance is out of service, where it is.
pub(super) fn out(instance: &Instance, facts: &Facts<'_>) -> Option<OutOfService> {
    let is_draining = instance.status == InstanceStatus::Draining;
    if let Some(claim) = instance.out_of_service_claim().filter(|_| is_draining) {
        let by = OutBy::Run { run: claim.run.clone() };
        return Some(OutOfService { by, why: purpose(claim), since: Some(claim.since.min(facts.now)), seen: false });
    }
    let by_itself = |why: String| Some(OutOfService { by: OutBy::Itself, why, since: None, seen: false });
    if let Some(state) = instance.machine_state().filter(|_| instance.is_dead() || instance.is_off()) {
        return by_itself(of_machine(state));
    }
    match instance.status {
        InstanceStatus::Draining => Some(drained(instance, facts)),
        InstanceStatus::Active if instance.agent_connected => None,
        InstanceStatus::Active => {
            let why = "its ECS agent is not connected".to_owned();
            Some(seen(instance, OutAs::Disconnected, OutBy::Itself, why, facts))
        }
        status @ (InstanceStatus::Registering
        | InstanceStatus::RegistrationFailed
        | InstanceStatus::Deregistering
        | InstanceStatus::Unknown) => by_itself(format!("its ECS status is {}", status.as_str())),
        InstanceStatus::Inactive => None,
    }
}

/// DRAINING, and by no claim that can be read.
fn drained(instance: &Instance, facts: &Facts<'_>) -> OutOfService {
    let no_tags = facts.no_tags.is_some() || instance.left_out_since.is_some();
    let not_known = |why: &str| OutOfService { by: OutBy::NotKnown, why: why.to_owned(), since: None, seen: false };
    if no_tags && !instance.host.is_external() {
        return not_known("DRAINING; its tags are not known");
    }
    match &instance.tags.claim {
        Some(Err(bad)) if bad.is_a_claim() => not_known("DRAINING; its claim cannot be read"),
        Some(Ok(_) | Err(_)) | None => {
            seen(instance, OutAs::Draining, OutBy::SomebodyElse, "DRAINING without a claim".to_owned(), facts)
        }
    }
}

/// ECS does not tell since when: a run may have seen it.
fn seen(instance: &Instance, how: OutAs, by: OutBy, why: String, facts: &Facts<'_>) -> OutOfService {
    let since = facts.summary.as_ref().ok().and_then(|summary| summary.out_since(&instance.host, how));
    let since = since.filter(|since| *since <= facts.now);
    OutOfService { by, why, seen: since.is_some(), since }
}

fn of_machine(state: MachineState) -> String {
    if state.is_gone() {
        format!("its machine is gone ({}), but ECS keeps the registration", state.as_str())
    } else {
        format!("its machine is {}", state.as_str())
    }
}

/// What a claim takes an instance out of service for.
pub(super) fn purpose(Claim { step, from, to, .. }: &Claim) -> String {
    match step {
        ClaimStep::Stage => format!("writing {to}, in service on {from}"),
        ClaimStep::Drain => format!("draining for {from} → {to}"),
        ClaimStep::Reboot => format!("rebooting for {from} → {to}"),
        ClaimStep::Revert => format!("going back from {to} to {from}"),
        ClaimStep::Cancel => format!("undoing what was prepared of {to}"),
    }
}
