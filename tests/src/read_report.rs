//! A document's output, read by the code that reads it in production: for tests of the scripts themselves, and for people
//! who run one by hand.

use std::io::{Read, Write};

use models::host::{AgentState, CommandStatus, CommandType, ErrorCode, HostReport, ReportError, UpdateState};

/// Why an output was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadReportError {
    /// Standard input or output.
    #[error("failed to read the output, or to print the report")]
    Io(#[from] std::io::Error),
    /// The updater would call the command's end malformed.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The report cannot be written as JSON.
    #[error("failed to write the report")]
    Write(#[from] serde_json::Error),
}

/// Reads standard input to its end, and prints the report as JSON; on standard error, a line for each value that the
/// updater does not know.
///
/// # Errors
/// The output has no report.
pub fn run() -> Result<(), ReadReportError> {
    let mut output = String::new();
    std::io::stdin().read_to_string(&mut output)?;
    let report = HostReport::read(&output)?;
    for value in unknown(&report) {
        eprintln!("not known to the updater: {value}");
    }
    HostReport::parse(&output)?;
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?)
}

/// The values that the updater keeps as the host wrote them, with where they stand.
fn unknown(report: &HostReport) -> Vec<String> {
    let update = report.update.as_ref();
    let last = update.and_then(|update| update.last.as_ref());
    let mut found = Vec::new();
    if let Some(UpdateState::Unknown(text)) = update.map(|update| &update.state) {
        found.push(("update.state", text));
    }
    if let Some(CommandType::Unknown(text)) = last.map(|last| &last.r#type) {
        found.push(("update.last.type", text));
    }
    if let Some(CommandStatus::Unknown(text)) = last.map(|last| &last.status) {
        found.push(("update.last.status", text));
    }
    if let Some(AgentState::Unknown(text)) = report.agent.as_ref().map(|agent| &agent.state) {
        found.push(("agent.state", text));
    }
    if let Some(ErrorCode::Unknown(text)) = report.error.as_ref().map(|error| &error.code) {
        found.push(("error.code", text));
    }
    found.into_iter().map(|(at, text)| format!("{at} {text:?}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_named() {
        let known = r#"{"v":1,"update":{"state":"Ready","last":{"type":"prepare","status":"Success"}},
            "agent":{"state":"down"},"error":{"at":"os","code":"api_down","detail":""}}"#;
        let known = known.replace('\n', "");
        assert_eq!(unknown(&HostReport::read(&known).unwrap()), Vec::<String>::new());
        let odd = known
            .replace("Ready", "Paused")
            .replace("prepare", "defrost")
            .replace("Success", "Maybe")
            .replace("down\"}", "asleep\"}")
            .replace("api_down", "tired");
        assert_eq!(
            unknown(&HostReport::read(&odd).unwrap()),
            [
                "update.state \"Paused\"",
                "update.last.type \"defrost\"",
                "update.last.status \"Maybe\"",
                "agent.state \"asleep\"",
                "error.code \"tired\""
            ]
        );
    }
}
