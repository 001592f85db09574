//! What came of a scenario, for people. The last line says in short whether it is right.

use std::fmt::{Error, Write as _};

use ecs_updater::render::{duration, table};

use super::Ended;
use crate::expect::Exit;
use crate::rollout::Ran;
use crate::trial::Trial;

/// The whole text. `width` is the terminal's, in columns; `None` for a pipe.
pub(super) fn render(ended: &Ended<'_>, width: Option<u16>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, ended, width);
    out
}

fn write(out: &mut String, ended: &Ended<'_>, width: Option<u16>) -> Result<(), Error> {
    for line in ended.log.iter().flatten() {
        writeln!(out, "{line}")?;
    }
    if !ended.about.is_empty() {
        writeln!(out, "{}\n", ended.about)?;
    }
    match &ended.runs {
        Ok(trial) => write_runs(out, trial, width)?,
        Err(refusal) => {
            let code = refusal.exit.0.code();
            writeln!(out, "The updater ended before its first run, with exit code {code}: {}\n", refusal.why)?;
        }
    }
    let verdict = &ended.verdict;
    list(out, "Rules broken", &verdict.broken_rules, |violation| {
        let expected = if ended.expect.broken_rules.contains(&violation.rule) { " (as expected)" } else { "" };
        format!("{violation}{expected}")
    })?;
    list(out, "Not modelled", &verdict.not_modelled, String::clone)?;
    list(out, &format!("Hosts at {:.0}", ended.at), &ended.hosts, ToString::to_string)?;
    if verdict.problems.is_empty() {
        return writeln!(out, "{}", all_right(ended));
    }
    list(out, "Wrong", &verdict.problems, String::clone)?;
    let count = verdict.problems.len();
    let plural = if count == 1 { "" } else { "s" };
    writeln!(out, "{count} problem{plural}: {}", verdict.problems.join("; "))
}

fn write_runs(out: &mut String, trial: &Trial, width: Option<u16>) -> Result<(), Error> {
    let (kind, of) = (trial.kind.as_str(), trial.ran.len());
    for (number, ran) in (1..).zip(&trial.ran) {
        writeln!(out, "{kind} {number} of {of}: {}\n", how_it_ended(ran))?;
        if let Some(report) = &ran.report {
            writeln!(out, "{}\n", table::render(report, width).trim_end())?;
        }
    }
    Ok(())
}

fn how_it_ended(ran: &Ran) -> String {
    let took = duration::short(ran.took);
    match (&ran.report, ran.endless, &ran.died_at) {
        (Some(report), ..) => {
            let status = ran.exit(report);
            let missed = if ran.missed { "; what was to happen to it on the way never came" } else { "" };
            format!("ended after {took} with exit code {} ({}){missed}", status.code(), Exit(status))
        }
        (None, Some(endless), _) => format!("{endless}, in {took}"),
        (None, None, Some(call)) => format!("killed after {took}, at {call}"),
        (None, None, None) => format!("killed after {took}"),
    }
}

fn list<T>(out: &mut String, heading: &str, entries: &[T], line: impl Fn(&T) -> String) -> Result<(), Error> {
    if entries.is_empty() {
        return writeln!(out, "{heading}: none\n");
    }
    writeln!(out, "{heading}:")?;
    for entry in entries {
        writeln!(out, "  {}", line(entry))?;
    }
    writeln!(out)
}

fn all_right(ended: &Ended<'_>) -> String {
    let expect = ended.expect;
    let rules = if ended.verdict.broken_rules.is_empty() { "no rule was broken" } else { "no other rule was broken" };
    let named = expect.names_a_report() || !expect.process.is_empty() || !expect.versions.is_empty();
    match (&ended.runs, named) {
        (Err(refusal), _) => format!("Right: the updater ended with {} before its first run", refusal.exit),
        (Ok(_), true) => format!("Right: as expected, and {rules}"),
        (Ok(_), false) => format!("Right: it ended, and {rules}; nothing else is expected"),
    }
}
