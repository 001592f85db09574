//! Everything around an agent, so that a simulated fleet can put in its own.

use std::sync::Arc;

use super::ecs::Sink;
use super::imds::Imds;
use super::journal::Journal;
use super::machine::Machine;
use crate::client::Client;
use crate::introspection::Introspection;

/// What an agent lives in.
pub struct Environment {
    /// The host API.
    pub client: Client,
    /// The ECS agent on the host.
    pub introspection: Introspection,
    /// The metadata service.
    pub metadata: Arc<Imds>,
    /// Where the reports go.
    pub sink: Box<dyn Sink>,
    /// Clock, boot id, and the host's root.
    pub machine: Box<dyn Machine>,
    /// Where the memory is kept.
    pub journal: Box<dyn Journal>,
}
