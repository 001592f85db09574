//! Logs: what is written, in which form, and where; nothing of what they say.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

use crate::args::{GlobalArgs, LogFormat};
use crate::config::{Environment, LOG_VARIABLE, Origin};
use crate::render::progress::Live;

/// The targets that are ours.
const OURS: [&str; 2] = ["ecs_updater", "models"];

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A level that is none.
    #[error(
        "log level {given:?} in {origin} must be error, warn, info, debug, trace or off, or a list such as \"warn,ecs_updater=debug\""
    )]
    BadLevel {
        /// As given.
        given: String,
        /// Where.
        origin: Origin,
    },
    /// Somebody else was first.
    #[error("logs are set up already")]
    SetAlready(#[source] SetGlobalDefaultError),
}

/// Sends this process's logs to standard error, between the drawings of `live`.
///
/// # Errors
/// A level that is none; a second call.
pub fn init(args: &GlobalArgs, environment: &Environment, live: &Live) -> Result<(), TelemetryError> {
    let filter = filter(args, environment, live.is_shown())?;
    let lines = fmt::layer().with_writer(live.log_writer());
    let layer = match args.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(args.verbose > 0).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    tracing::subscriber::set_global_default(registry().with(layer.with_filter(filter)))
        .map_err(TelemetryError::SetAlready)
}

/// What is logged: by `-v`, else by `--log-level`, else by `ECS_UPDATER_LOG`, else `info`, or `warn` beside the live
/// view.
///
/// A level without a module is the updater's own; other modules, the AWS SDK's above all, log from `warn` unless they
/// are named.
///
/// # Errors
/// A level that is none.
pub fn filter(args: &GlobalArgs, environment: &Environment, live: bool) -> Result<Targets, TelemetryError> {
    let ours = |level: LevelFilter, others: LevelFilter| {
        Targets::new().with_default(others).with_targets(OURS.map(|target| (target, level)))
    };
    let default = if live { LevelFilter::WARN } else { LevelFilter::INFO };
    match args.verbose {
        0 => {}
        1 => return Ok(ours(LevelFilter::DEBUG, LevelFilter::WARN)),
        2 => return Ok(ours(LevelFilter::TRACE, LevelFilter::INFO)),
        3.. => return Ok(ours(LevelFilter::TRACE, LevelFilter::TRACE)),
    }
    let variable = environment.get(LOG_VARIABLE).filter(|text| !text.trim().is_empty());
    let (given, origin) = match (&args.log_level, variable) {
        (Some(given), _) => (given, Origin::Flag("--log-level".to_owned())),
        (None, Some(given)) => (given, Origin::Variable(LOG_VARIABLE.to_owned())),
        (None, None) => return Ok(ours(default, LevelFilter::WARN)),
    };
    let bad = || TelemetryError::BadLevel { given: given.clone(), origin: origin.clone() };
    let mut own = default;
    let mut named = Vec::new();
    for part in given.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some((target, level)) if !target.trim().is_empty() => {
                named.push((target.trim().to_owned(), level_of(level).ok_or_else(bad)?));
            }
            Some(_) => return Err(bad()),
            None => own = level_of(part).ok_or_else(bad)?,
        }
    }
    Ok(ours(own, own.min(LevelFilter::WARN)).with_targets(named))
}

/// A level by its name; tracing's own parser also takes numbers, which nobody means.
fn level_of(name: &str) -> Option<LevelFilter> {
    let name = name.trim();
    name.chars().all(|char| char.is_ascii_alphabetic()).then(|| LevelFilter::from_str(name).ok())?
}
