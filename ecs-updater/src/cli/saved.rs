//! `report`: a saved report, shown again.

use std::io::{self, Read as _};
use std::path::Path;

use models::report::RunReport;
use serde::Deserialize;

use super::error::{CliError, SavedError, VERSION};
use crate::args::{Cli, ReportArgs};
use crate::config;
use crate::delivery;
use crate::exit::ExitStatus;
use crate::render::live::{Live, Manner};
use crate::telemetry;

/// What every version of the report has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Prints the report, and writes its page where one is asked for.
pub(super) fn execute(cli: &Cli, args: &ReportArgs) -> Result<ExitStatus, CliError> {
    telemetry::init(&cli.global, &config::environment(), &Live::new(Manner::Hidden))?;
    let report = read(&args.file)?;
    match &args.page.html {
        Some(page) => delivery::write_page(page, &report)?,
        None => delivery::deliver(&cli.global, &report)?,
    }
    Ok(ExitStatus::Success)
}

fn read(path: &Path) -> Result<RunReport, SavedError> {
    let path = path.to_owned();
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(&path).map(|read| text = read)
    };
    if let Err(source) = read {
        return Err(SavedError::Unread { path, source });
    }
    match serde_json::from_str::<Versioned>(&text) {
        Ok(Versioned { version }) if version != VERSION => Err(SavedError::Version { path, version }),
        Ok(_) => serde_json::from_str(&text).map_err(|source| SavedError::NotOne { path, source }),
        Err(source) => Err(SavedError::NotOne { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(text: &str) -> Result<RunReport, SavedError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    #[test]
    fn only_a_report_of_this_version_is_read() {
        let report = "{\"version\":1,\"run\":\"01\",\"dry_run\":false,\"started_at\":\"2026-11-23T03:00:00Z\",\
            \"ended_at\":\"2026-11-23T03:01:00Z\",\"interrupted\":false,\"clusters\":[]}";
        assert_eq!(tried(report).unwrap().run.as_str(), "01");
        assert!(matches!(tried(&report.replace("\"version\":1", "\"version\":2")), Err(SavedError::Version { .. })));
        assert!(matches!(tried("level=info begins"), Err(SavedError::NotOne { .. })));
        assert!(matches!(tried("{\"version\":1}"), Err(SavedError::NotOne { .. })));
        assert!(matches!(read(Path::new("/nowhere/report.json")), Err(SavedError::Unread { .. })));
    }
}
