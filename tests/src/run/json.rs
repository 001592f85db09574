//! What came of a scenario, for programs. `docs/simulator.md` has the shape.

use ecs_updater::exit::ExitStatus;
use jiff::Timestamp;
use models::report::RunReport;
use serde::Serialize;

use super::Ended;
use super::hosts::HostState;
use crate::expect::{Exit, Expect};
use crate::invariants::Violation;
use crate::rollout::Ran;

#[derive(Serialize)]
struct Document<'a> {
    about: &'a str,
    ended_at: Timestamp,
    /// Whether nothing is wrong.
    right: bool,
    problems: &'a [String],
    /// The reports; none of a run that was killed, or did not end.
    runs: Vec<Option<&'a RunReport>>,
    /// How each of them ended.
    ends: Vec<End<'a>>,
    /// Why the updater ended before its first run.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'a str>,
    broken_rules: Vec<Broken<'a>>,
    not_modelled: &'a [String],
    hosts: &'a [HostState],
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a [String]>,
}

#[derive(Serialize)]
struct End<'a> {
    end: &'static str,
    took_s: i64,
    /// Where it gave a report.
    exit: Option<String>,
    exit_code: Option<u8>,
    /// The call at which it was killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    died_at: Option<&'a str>,
    /// It ended before it could be killed, interrupted or suspended.
    missed: bool,
}

#[derive(Serialize)]
struct Broken<'a> {
    rule: String,
    at: Timestamp,
    instance: &'a str,
    detail: &'a str,
    /// `[expect]` allows it.
    expected: bool,
}

/// The document, with a line break at its end.
///
/// # Errors
/// None that an end can cause; serde's signature has one.
pub(super) fn render(ended: &Ended<'_>) -> Result<String, serde_json::Error> {
    let ran: &[Ran] = ended.runs.as_ref().map_or(&[], |trial| &trial.ran);
    let document = Document {
        about: ended.about,
        ended_at: ended.at,
        right: ended.verdict.problems.is_empty(),
        problems: &ended.verdict.problems,
        runs: ran.iter().map(|ran| ran.report.as_ref()).collect(),
        ends: ran.iter().map(end).collect(),
        refused: ended.runs.as_ref().err().map(|refusal| refusal.why.as_str()),
        broken_rules: ended.verdict.broken_rules.iter().map(|violation| broken(violation, ended.expect)).collect(),
        not_modelled: &ended.verdict.not_modelled,
        hosts: &ended.hosts,
        log: ended.log.as_deref(),
    };
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}

fn end(ran: &Ran) -> End<'_> {
    let status = ran.report.as_ref().map(|report| ran.exit(report));
    let end = match (status, ran.endless) {
        (Some(_), _) => "reported",
        (None, Some(_)) => "endless",
        (None, None) => "killed",
    };
    End {
        end,
        took_s: ran.took.as_secs(),
        exit: status.map(|status| Exit(status).to_string()),
        exit_code: status.map(ExitStatus::code),
        died_at: ran.died_at.as_deref(),
        missed: ran.missed,
    }
}

fn broken<'a>(violation: &'a Violation, expect: &Expect) -> Broken<'a> {
    Broken {
        rule: format!("{:?}", violation.rule),
        at: violation.at,
        instance: violation.instance.as_str(),
        detail: &violation.detail,
        expected: expect.broken_rules.contains(&violation.rule),
    }
}
