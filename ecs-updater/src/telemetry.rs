//! Logs: what is written, in which form, and where; nothing of what they say.

use std::fmt::Debug;
use std::io::{self, Write};
use std::str::FromStr;

use models::clean;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::Layer;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;
use tracing_subscriber::registry::LookupSpan;

use crate::args::{GlobalArgs, LogFormat};
use crate::config::{Environment, LOG_VARIABLE, METRICS_VARIABLE, Origin};
use crate::render::live::Live;
use crate::render::terminal::Terminal;

/// The targets that are ours.
const OURS: [&str; 2] = ["ecs_updater", "models"];

/// The target of what happens in a run.
const EVENTS: &str = "ecs_updater::events";

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A level that is none.
    #[error(
        "log level {given:?} in {origin} must be error, warn, info, debug, trace or off, or a list such as \"warn,ecs_updater=debug\""
    )]
    BadLevel { given: String, origin: Origin },
    /// A name for metrics that CloudWatch would not take.
    #[error("name {given:?} of the metrics in {origin} must be 1 to 255 letters, digits and the characters _ - . / #")]
    BadMetrics { given: String, origin: Origin },
    /// Somebody else was first.
    #[error("logs are set up already")]
    SetAlready(#[source] SetGlobalDefaultError),
}

/// Sends this process's logs to standard error, between the drawings of `live`.
///
/// # Errors
/// A level that is none; a second call.
pub fn init(args: &GlobalArgs, environment: &Environment, live: &Live) -> Result<(), TelemetryError> {
    let filter = filter(args, environment, live.is_drawn())?;
    let layer = match args.log_format {
        LogFormat::Text => text(live.log_writer(), Terminal::of_stderr().colours, args.verbose > 0),
        LogFormat::Json => json(live.log_writer()),
    };
    tracing::subscriber::set_global_default(registry().with(layer.with_filter(filter)))
        .map_err(TelemetryError::SetAlready)
}

/// Lines for people. Messages and values are cleaned of what a terminal would obey; colours are ours alone.
pub fn text<S, W>(writer: W, colours: bool, targets: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let fields = debug_fn(write_field).delimited(" ");
    fmt::layer().with_writer(writer).with_ansi(colours).with_target(targets).fmt_fields(fields).boxed()
}

/// One JSON object a line. What a terminal would obey is escaped.
pub fn json<S, W>(writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    fmt::layer().with_writer(Escaping(writer)).json().flatten_event(true).with_span_list(false).boxed()
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let value = format!("{value:?}");
    let value = clean::line(&value);
    let name = field.name().trim_start_matches("r#");
    if name == "message" {
        write!(writer, "{value}")
    } else if writer.has_ansi_escapes() {
        write!(writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}")
    } else {
        write!(writer, "{name}={value}")
    }
}

/// Escapes what JSON itself leaves as it is. A log line comes in one piece.
struct Escaping<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Escaping<W> {
    type Writer = Escaping<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Escaping(self.0.make_writer())
    }
}

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(clean::json(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
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
        // The view shows what happens by itself.
        (None, None) if live => return Ok(ours(default, LevelFilter::WARN).with_target(EVENTS, LevelFilter::OFF)),
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

/// The name under which metrics are written: by `--metrics`, else by `ECS_UPDATER_METRICS`; `None`: they are not.
///
/// # Errors
/// A name that is none: a dimension's value is printable ASCII (CloudWatch API reference, `Dimension`).
pub fn metrics(args: &GlobalArgs, environment: &Environment) -> Result<Option<String>, TelemetryError> {
    let variable = environment.get(METRICS_VARIABLE).filter(|name| !name.is_empty());
    let (given, origin) = match (&args.metrics, variable) {
        (Some(given), _) => (given, Origin::Flag("--metrics".to_owned())),
        (None, Some(given)) => (given, Origin::Variable(METRICS_VARIABLE.to_owned())),
        (None, None) => return Ok(None),
    };
    let allowed = |char: char| char.is_ascii_alphanumeric() || "_-./#".contains(char);
    if (1..=255).contains(&given.len()) && given.chars().all(allowed) {
        Ok(Some(given.clone()))
    } else {
        Err(TelemetryError::BadMetrics { given: given.clone(), origin })
    }
}

/// A level by its name; tracing's own parser also takes numbers, which nobody means.
fn level_of(name: &str) -> Option<LevelFilter> {
    let name = name.trim();
    name.chars().all(|char| char.is_ascii_alphabetic()).then(|| LevelFilter::from_str(name).ok())?
}
