//! What was put on event buses.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::World;

/// An event on a bus.
#[derive(Debug, Clone, PartialEq)]
pub struct PostedEvent {
    pub bus: String,
    pub source: String,
    pub detail_type: String,
    pub detail: Map<String, Value>,
    /// When it happened, as its sender says.
    pub at: Option<Timestamp>,
}

impl World {
    /// Puts an event on its bus. Returns the id that it gets.
    pub(crate) fn post(&mut self, event: PostedEvent) -> String {
        self.posted.push(event);
        format!("00000000-0000-4000-8000-{:012}", self.posted.len())
    }

    /// Whether the next entry is not taken, for no reason of its own.
    pub(crate) fn refuses_event(&mut self) -> bool {
        self.chance("event refused", self.spec.events_refused)
    }

    /// Everything that was put on event buses.
    pub fn posted(&self) -> &[PostedEvent] {
        &self.posted
    }
}
