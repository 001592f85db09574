//! What is not known of the room for tasks, for the report.

use std::collections::BTreeSet;

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
    let unread = unread_definitions(fleet);
    if unread > 0 && !denied.contains_key(RoomFacts::DEFINITIONS) {
        notes.push(format!(
            "the placement constraints of {unread} task definition{} are not known, as {} got no answer: where one keeps a \
             task off the other instances, its drain waits for timeouts.drain",
            if unread == 1 { "" } else { "s" },
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

/// How many task definitions of services ECS was asked for without an answer.
fn unread_definitions(fleet: &FleetSnapshot) -> usize {
    let named: BTreeSet<_> = fleet.services.values().filter_map(|service| service.definition.as_ref()).collect();
    named.into_iter().filter(|arn| !fleet.room.definitions.contains_key(*arn)).count()
}
