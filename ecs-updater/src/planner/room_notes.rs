//! What is not known of the room for tasks, for the report.

use models::fleet::{FleetSnapshot, RoomFacts};

/// Says what the count of room leaves out, and what would change that.
pub(crate) fn room_notes(fleet: &FleetSnapshot) -> Vec<String> {
    let denied = &fleet.room.denied;
    let mut notes = Vec::new();
    if let Some(error) = denied.get(RoomFacts::DEFINITIONS) {
        notes.push(format!(
            "the placement constraints of task definitions are not known ({error}): where one keeps a task off the other \
             instances, its drain waits for timeouts.drain; give the task role {}",
            RoomFacts::DEFINITIONS
        ));
    }
    if !fleet.uses_interfaces() {
        return notes;
    }
    let unknown = fleet.unknown_limits();
    if !unknown.is_empty() {
        let why = match denied.get(RoomFacts::TYPES) {
            Some(error) => format!(" ({error}); give the task role {}", RoomFacts::TYPES),
            None => String::new(),
        };
        notes.push(format!(
            "how many tasks with a network interface of their own (awsvpc) fit on an instance is not known for {}: where there \
             is no interface left, a drain waits for timeouts.drain{why}",
            unknown.join(", ")
        ));
    }
    notes
}
