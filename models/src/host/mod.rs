//! What a Bottlerocket host says of itself: the host API's own types, and the [`HostReport`] that every way to a
//! host ends in.
//!
//! The host may be newer than this program: unknown fields are ignored, unknown enum values are kept as
//! `Unknown`, and every field of an object may be null or missing.

mod api;
mod belief;
mod report;
#[cfg(test)]
mod tests;
mod tolerant;

pub use api::{CommandResult, CommandStatus, CommandType, Image, OsInfo, Partition, UpdateState, UpdateStatus};
pub use report::{
    AgentState, ErrorCode, HostReport, ReportError, ReportedAgent, ReportedCommand, ReportedError, ReportedOs,
    ReportedSettings, ReportedUpdate, SeenReport, TargetState,
};
pub(crate) use tolerant::NoVersion;
pub use tolerant::parse_version;
