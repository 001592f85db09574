//! What a pause means: nothing is begun until a person lifts it, and no run waits for that.

use models::reason::HoldReason;

use super::Closed;

pub(super) fn closed(note: &str) -> Closed {
    Closed { why: HoldReason::Paused { note: note.to_owned() }, wait_until: None }
}
