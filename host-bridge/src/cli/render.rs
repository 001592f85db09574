//! A command's ending, as lines for people or as one JSON object. What the host says in it controls no terminal.

use models::clean;
use models::host::{HostReport, ReportedError};
use serde::Serialize;

use super::args::Command;
use super::commands::agent_line;
use super::ending::{CommandError, Done, exit, or_none};
use crate::inspect::Seen;
use crate::update::chain;

/// The JSON shape, version 1. Fields may be added; none is removed or changes its meaning.
#[derive(Debug, Serialize)]
struct Document<'a> {
    v: u32,
    command: &'a str,
    result: &'a str,
    exit: u8,
    message: String,
    next: String,
    wrote: Option<String>,
    error: Option<ReportedError>,
    busy: bool,
    blocked: bool,
    other_set_next: Option<bool>,
    host: Option<&'a HostReport>,
}

/// One line of JSON.
pub(super) fn json(
    command: &Command,
    ending: &Result<Done, CommandError>,
    seen: Option<&Seen>,
    wrote: Option<String>,
) -> String {
    let exit = exit(ending);
    let (message, next, error) = match ending {
        Ok(done) => (done.message.clone(), done.next.clone(), None),
        Err(error) => (chain(error), error.next(), Some(error.report())),
    };
    let document = Document {
        v: 1,
        command: command.name(),
        result: exit.as_str(),
        exit: exit as u8,
        message,
        next,
        wrote,
        error,
        busy: seen.is_some_and(|seen| seen.busy && !seen.blocked),
        blocked: seen.is_some_and(|seen| seen.blocked),
        other_set_next: seen.and_then(|seen| seen.other_set_next),
        // A look that failed is no host.
        host: seen.map(|seen| &seen.report).filter(|host| host.os.is_some()),
    };
    // Strings and numbers alone: it cannot fail.
    clean::json(&serde_json::to_string(&document).unwrap_or_default()).into_owned()
}

/// Lines for people, the next step last.
pub(super) fn text(command: &Command, ending: &Result<Done, CommandError>, seen: Option<&Seen>) -> String {
    let mut lines = Vec::new();
    match ending {
        Ok(done) => {
            if let (Command::Status | Command::Check, Some(seen)) = (command, seen) {
                lines.extend(table(seen));
            }
            lines.push(done.message.clone());
            lines.push(format!("next: {}", done.next));
        }
        Err(error) => {
            lines.push(format!("{} {}: {}", command.name(), exit(ending).as_str(), chain(error)));
            lines.push(format!("next: {}", error.next()));
        }
    }
    lines.iter().map(|line| clean::line(line)).collect::<Vec<_>>().join("\n")
}

fn table(seen: &Seen) -> Vec<String> {
    let host = &seen.report;
    let unknown = || "unknown".to_owned();
    let mut rows = Vec::new();
    if let Some(os) = &host.os {
        rows.push(("running", format!("{} ({}, {})", os.version, os.variant, os.arch)));
    }
    match &host.update {
        Some(update) => {
            rows.push(("update state", update.state.to_string()));
            rows.push(("chosen", or_none(host.chosen().as_ref())));
            rows.push(("staged", or_none(host.staged().as_ref())));
            let offered = match update.available.as_slice() {
                [] => "none".to_owned(),
                versions => versions.join(", "),
            };
            rows.push(("available", offered));
            if let Some(last) = &update.last {
                rows.push(("last command", format!("{} {}", last.r#type, last.status)));
            }
        }
        None if seen.blocked => rows.push(("update state", "not known: the host API is blocked (408)".to_owned())),
        None if seen.busy => rows.push(("update state", "an update command is running".to_owned())),
        None => rows.push(("update state", "not known since this boot".to_owned())),
    }
    let settings = host.settings.as_ref();
    match seen.other_set_next {
        Some(true) => rows.push(("next boot", "the other partition set".to_owned())),
        Some(false) => rows.push(("next boot", "this partition set".to_owned())),
        None => {}
    }
    if host.locked_down {
        rows.push(("api lockdown", "on: no setting can be read or changed".to_owned()));
    }
    rows.push(("version-lock", settings.and_then(|settings| settings.version_lock.clone()).unwrap_or_else(unknown)));
    if settings.and_then(|settings| settings.ignore_waves) == Some(true) {
        rows.push(("update waves", "ignored".to_owned()));
    }
    rows.push(("ecs agent", agent_line(host)));
    rows.into_iter().map(|(name, value)| format!("{name:<13} {value}")).collect()
}
