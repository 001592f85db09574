//! Where the report goes: to standard output, and where that does not take it, to standard error. A run cannot be done
//! again for its report.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use models::report::RunReport;

use crate::args::{GlobalArgs, LogFormat, Output};
use crate::render::{html, json, metrics, stdout_width, table};

/// Why the report is not where it was meant to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    #[error("the report could not be written to standard output; it stands on standard error, above this line")]
    OnStandardError(#[source] io::Error),
    #[error("the report could be written neither to standard output nor to standard error")]
    Nowhere(#[source] io::Error),
    #[error("the page could not be written to {}", path.display())]
    Page { path: PathBuf, source: io::Error },
    #[error("the report could not be made")]
    Render(#[from] serde_json::Error),
}

/// How long the report waits for what stands beside it to be read. Standard error and standard output are two pipes, and what
/// reads both for one log, such as Docker's `awslogs`, does not keep them in order: a line of the report behind one of the
/// metrics or of the log would belong to the same record there, which then is no JSON any more.
pub(crate) const BESIDE_FIRST: Duration = Duration::from_millis(250);

/// Writes the metrics of a run to standard error, each a line of its own. Nobody is told that they could not be written:
/// there is nowhere left to tell it, and the report says the same.
pub(crate) fn write_metrics(report: &RunReport, updater: &str) {
    let lines = metrics::lines(report, updater);
    if !lines.is_empty() && write(io::stderr().lock(), &lines.join("\n")).is_ok() {
        std::thread::sleep(BESIDE_FIRST);
    }
}

/// Makes sure that a page can be written, before there is anything to write. The file keeps what it holds until then.
///
/// # Errors
/// It cannot be.
pub(crate) fn check_page(path: &Path) -> Result<(), DeliveryError> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map(drop).map_err(|source| DeliveryError::Page { path: path.to_owned(), source })
}

/// Writes the report as a page.
///
/// # Errors
/// It is not there.
pub(crate) fn write_page(path: &Path, report: &RunReport) -> Result<(), DeliveryError> {
    fs::write(path, html::render(report)).map_err(|source| DeliveryError::Page { path: path.to_owned(), source })
}

/// Writes the table for people into the log, beside a report for programs: a reader of a scheduled run's log finds both
/// there. Among logs in JSON each line is an object. Below `info` nothing is written, as in all of the log.
pub(crate) fn tell_people(args: &GlobalArgs, report: &RunReport) {
    if args.output != Output::Json || report.dry_run || !tracing::enabled!(tracing::Level::INFO) {
        return;
    }
    let text = table::render(report, None);
    match args.log_format {
        // Nothing is lost where it cannot be written: the report says the same.
        LogFormat::Text => drop(write(io::stderr().lock(), &text)),
        LogFormat::Json => {
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                tracing::info!(run = %report.run, "{line}");
            }
        }
    }
    std::thread::sleep(BESIDE_FIRST);
}

/// Writes the report to standard output.
///
/// # Errors
/// It is not there. That the reader of a plan is gone is none: it has read what it wanted, as `head` does, and a plan can
/// be made again.
pub(crate) fn deliver(args: &GlobalArgs, report: &RunReport) -> Result<(), DeliveryError> {
    let text = match args.output {
        Output::Table => table::render(report, stdout_width()),
        Output::Json => json::render(report, json::Layout::Pretty)?,
    };
    let is_closed = is_closed();
    let written = if is_closed { Err(io::Error::other("it is closed")) } else { write(io::stdout().lock(), &text) };
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe && report.dry_run => Ok(()),
        Err(error) => {
            // Among logs in JSON each line stays an object.
            let text = match args.log_format {
                LogFormat::Text => text,
                LogFormat::Json => json::render(report, json::Layout::Compact)?,
            };
            match write(io::stderr().lock(), &text) {
                // A program that started it so wants no report, or takes none: that is no failure of the run.
                Ok(()) if is_closed => Ok(()),
                Ok(()) => Err(DeliveryError::OnStandardError(error)),
                Err(_) => Err(DeliveryError::Nowhere(error)),
            }
        }
    }
}

fn write(mut out: impl Write, text: &str) -> io::Result<()> {
    writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush())
}

/// Whether this process was started without a standard output. Rust then opens `/dev/null` for reading and writing in its
/// place, where the report would be lost without a word; a shell opens it for writing alone, and a program that wants no output
/// may do either. Linux tells; elsewhere it is not known, and none counts as closed.
fn is_closed() -> bool {
    let is_null = std::fs::read_link("/proc/self/fd/1").is_ok_and(|path| path.as_os_str() == "/dev/null");
    let about = std::fs::read_to_string("/proc/self/fdinfo/1").unwrap_or_default();
    let flags = about.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).unwrap_or(0);
    is_null && flags & ACCESS_MODE == READ_AND_WRITE
}

/// `O_ACCMODE` and `O_RDWR` of Linux (open(2)).
const ACCESS_MODE: u32 = 0o3;
const READ_AND_WRITE: u32 = 0o2;
