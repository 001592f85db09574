//! Reads how a command ended on one host.

use models::fleet::VisitEnd;
use models::host::HostReport;
use models::plan::HostCommand;

use crate::aws::ssm::Invocation;

/// Returns the end, and the report where the document printed one.
pub(super) fn read(command: &HostCommand, invocation: &Invocation) -> (VisitEnd, Option<HostReport>) {
    let said = || {
        let is_detailed = !invocation.details.is_empty();
        if is_detailed { invocation.details.clone() } else { invocation.status.clone() }
    };
    match invocation.details.as_str() {
        "DeliveryTimedOut" | "Delivery Timed Out" | "Undeliverable" | "Terminated" | "AccessDenied"
        | "Access Denied" => return (VisitEnd::NotDelivered { detail: said() }, None),
        _ => {}
    }
    match HostReport::parse(&invocation.output) {
        Ok(report) => {
            let end = match &report.error {
                Some(error) => VisitEnd::Error(error.clone()),
                None if invocation.status == "Success" || matches!(command, HostCommand::Reboot { .. }) => {
                    VisitEnd::Done
                }
                None => VisitEnd::Unsure { detail: said() },
            };
            (end, Some(report))
        }
        Err(_) if invocation.status == "TimedOut" || invocation.status == "Cancelled" => {
            (VisitEnd::Unsure { detail: said() }, None)
        }
        // Around a reboot SSM's word on a command means nothing.
        Err(_) if matches!(command, HostCommand::Reboot { .. }) => (VisitEnd::Unsure { detail: said() }, None),
        Err(error) => (VisitEnd::Malformed { detail: format!("{error} (the command ended {})", said()) }, None),
    }
}
