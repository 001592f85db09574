//! How a command reaches a host: as an SSM document, or as the claim that its host bridge follows.

pub(crate) mod bridge;
pub(crate) mod ssm;

use jiff::Timestamp;
use models::fleet::VisitEnd;
use models::host::HostReport;
use models::ids::HostId;
use models::plan::HostCommand;

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
