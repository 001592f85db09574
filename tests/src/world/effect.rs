//! What the world asks its driver to do.

use std::collections::BTreeMap;

use super::ids::{CommandNo, MachineNo};
use crate::documents::Script;

/// Something that the world asks its driver to do.
#[derive(Debug)]
pub enum Effect {
    /// Run a document on a host and hand its output to [`World::document_ended`](super::World::document_ended).
    Run {
        /// The command that it is for.
        command: CommandNo,
        /// The host.
        machine: MachineNo,
        /// What runs.
        script: Script,
        /// The parameters of the command.
        parameters: BTreeMap<String, String>,
    },
    /// Start the agent of `host-bridge` on a host that came up, or end it.
    Bridge {
        /// The host.
        machine: MachineNo,
        /// Whether it runs.
        runs: bool,
    },
    /// Report to ECS with the role of a host.
    Report {
        /// The host whose role it is.
        machine: MachineNo,
        /// The parameters of `PutAttributes`.
        parameters: serde_json::Value,
    },
    /// End a document: its host went down, or its time is over.
    Abort {
        /// The command that it is for.
        command: CommandNo,
        /// The host.
        machine: MachineNo,
    },
}
