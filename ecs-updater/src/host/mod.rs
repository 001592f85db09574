//! How a command reaches a host: as an SSM document, or as the claim that its host bridge follows.

pub(crate) mod bridge;
pub(crate) mod ssm;

use jiff::Timestamp;
use models::fleet::{Instance, VisitEnd};
use models::host::HostReport;
use models::ids::HostId;
use models::plan::HostCommand;
use models::policy::HostWay;

/// The way to one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// SSM documents.
    Ssm,
    /// The host bridge that lives on it.
    Bridge,
}

/// By which way this host is reached now.
pub(crate) fn way(instance: &Instance, wanted: HostWay, now: Timestamp) -> Way {
    match wanted {
        HostWay::Bridge => Way::Bridge,
        HostWay::Auto if instance.live_bridge(now).is_some() => Way::Bridge,
        HostWay::Auto | HostWay::Ssm => Way::Ssm,
    }
}

/// A command's end on one host.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) host: HostId,
    pub(crate) command: HostCommand,
    pub(crate) sent_at: Timestamp,
    pub(crate) end: VisitEnd,
    /// What it brought; a bridge's report comes by itself.
    pub(crate) report: Option<HostReport>,
}
