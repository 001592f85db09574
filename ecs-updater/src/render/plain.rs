//! What happens in a run as plain lines: for a terminal that takes nothing back, a pipe, and a file.

use jiff::{Timestamp, tz::TimeZone};
use models::clean;

use super::duration;
use crate::events::{Event, Transition, What};

/// No sentence is longer.
const LONGEST_SENTENCE: usize = 2_000;

/// Returns the line of an event, with its line break; `None` where there is nothing to say of it.
pub fn line(event: &Event) -> Option<String> {
    let words = match &event.what {
        What::Begins { .. } => "begins".to_owned(),
        What::Moves(moved) => of_instance(moved),
        What::Closes(why) => why.sentence.clone(),
        What::Opens => "updates may be begun".to_owned(),
        What::TakesBack { release, why } => format!("{release} is to go back: {}", why.sentence),
        What::Stands(tally) => format!("{}  {}", tally.progress, tally.sentence()),
        What::Ends(ending) => match &ending.error {
            Some(error) => format!("ends early: {}", error.message),
            None => format!("ends after {}", duration::short(ending.took)),
        },
    };
    let words = clean::cut(&words, LONGEST_SENTENCE);
    Some(format!("{}  {}  {}\n", time(event.at), clean::name(event.cluster.as_str()), words.trim_end()))
}

/// `12/24  i-0123456789abcdef0  draining  1.26.1 → 1.27.0`.
fn of_instance(moved: &Transition) -> String {
    let versions = match (&moved.from, &moved.to) {
        (Some(from), Some(to)) if from != to => format!("  {from} → {to}"),
        (Some(version), _) | (None, Some(version)) => format!("  {version}"),
        (None, None) => String::new(),
    };
    let why = moved.why.as_ref().map(|why| format!("  ({})", why.sentence)).unwrap_or_default();
    format!("{}  {}  {}{versions}{why}", moved.progress, moved.host, moved.is.words())
}

/// The time of day, UTC.
pub(super) fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%H:%M:%S").to_string()
}
