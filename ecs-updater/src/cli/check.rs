//! `config check`: the settings that hold, and where each comes from, without a call to AWS.

use std::io::{self, Write as _};

use models::clean;

use super::error::CliError;
use crate::args::{Cli, Output};
use crate::config::{self, Effective, EffectiveGroup, Inputs, Setting};
use crate::exit::ExitStatus;
use crate::render::json;
use crate::render::live::{Live, Manner};
use crate::telemetry;

/// What the settings of a run may still differ by.
const CLOSING: &str =
    "AWS was not asked: tags of the clusters may make a setting stricter, which `ecs-updater plan` shows.";

/// Checks and prints the settings.
pub(super) fn execute(cli: &Cli) -> Result<ExitStatus, CliError> {
    let (environment, given) = (config::environment(), cli.command.given());
    telemetry::init(&cli.global, &environment, &Live::new(Manner::Hidden))?;
    telemetry::metrics(&cli.global, &environment)?;
    if let Some(parameter) = config::parameter(&given, &environment)? {
        return Err(CliError::KeptAtAws { parameter });
    }
    let effective = Inputs::gather(&given, &environment, None)?.effective(&environment)?;
    let text = match cli.global.output {
        Output::Json => json::render(&effective, json::Layout::Pretty).map_err(io::Error::from),
        Output::Table => Ok(table(&effective)),
    };
    let mut out = io::stdout().lock();
    match text.and_then(|text| writeln!(out, "{}", text.trim_end())) {
        // Its reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.map_err(CliError::Printed)?,
    }
    Ok(if effective.is_sound() { ExitStatus::Success } else { ExitStatus::Usage })
}

/// The settings in columns: those that somebody sets first, then the defaults.
fn table(effective: &Effective) -> String {
    let mut text = String::new();
    for (key, said) in [("lease_table", &effective.lease_table), ("api_share", &effective.api_share)] {
        text.push_str(&format!("{key} = {}   {}\n", said.value, said.origin));
    }
    for cluster in &effective.clusters {
        text.push_str(&format!("\nCluster {}", cluster.cluster));
        if !cluster.problems.is_empty() {
            text.push_str(" is not worked on, since its settings are wrong:\n");
            text.extend(cluster.problems.iter().map(|problem| format!("  - {}\n", clean::line(problem))));
            continue;
        }
        text.push('\n');
        text.push_str(&columns(&cluster.settings));
        for EffectiveGroup { group, matches, order, settings } in &cluster.groups {
            let matches = clean::line(matches);
            text.push_str(&format!("\n  Group {group} of {}: match = {matches:?}, order = {order}\n", cluster.cluster));
            text.push_str(&columns(settings));
        }
    }
    text.push_str(&format!("\n{CLOSING}\n"));
    text
}

/// Each setting in a line: key, value, origin.
fn columns(settings: &[Setting]) -> String {
    let (set, default): (Vec<&Setting>, Vec<_>) = settings.iter().partition(|setting| setting.said.origin != "default");
    let widest = |of: fn(&Setting) -> usize| settings.iter().map(of).max().unwrap_or(0);
    let key = widest(|setting| setting.key.len());
    let value = widest(|setting| setting.said.value.chars().count()).min(WIDEST);
    let line = |Setting { key: path, said }: &Setting| {
        format!("  {path:key$}  {:value$}  {}\n", clean::line(&said.value), clean::line(&said.origin))
    };
    set.into_iter().chain(default).map(line).collect()
}

/// A longer value pushes its origin to the right.
const WIDEST: usize = 24;
