//! Parameters in, the report's line out.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use models::host::{ErrorCode, HostReport, ReportedError};
use semver::Version;

use super::Machine;

/// Ends a visit's work; the report carries it.
pub(super) type Step<T> = Result<T, ReportedError>;

/// A visit's error, its detail cut at [`HostReport::MAX_DETAIL`] characters.
pub(super) fn stop(at: &str, code: ErrorCode, detail: impl AsRef<str>) -> ReportedError {
    let detail = detail.as_ref().trim().chars().take(HostReport::MAX_DETAIL).collect();
    ReportedError { at: at.to_owned(), code, detail }
}

/// What a document was told.
pub(super) struct Parameters<'a>(pub(super) &'a BTreeMap<String, String>);

/// What `version-lock` is to be in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lock {
    Keep,
    To(String),
}

impl Parameters<'_> {
    const DEFAULT_TIMEOUT: i64 = 600;
    /// `Timeout` is also when SSM ends the step: the report has to be out before that.
    const MARGIN: i64 = 5;

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn bad(name: &str, value: Option<&str>) -> ReportedError {
        let detail = match value {
            Some(value) => format!("{name} cannot be {value:?}"),
            None => format!("{name} is missing"),
        };
        stop("parameters", ErrorCode::BadParameter, detail)
    }

    /// When the visit has to be over.
    pub(super) fn deadline(&self, now: Timestamp) -> Step<Timestamp> {
        let seconds = match self.get("Timeout") {
            None => Self::DEFAULT_TIMEOUT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|seconds| (30..=3_600).contains(seconds))
                .ok_or_else(|| Self::bad("Timeout", Some(text)))?,
        };
        Ok(now + SignedDuration::from_secs(seconds - Self::MARGIN))
    }

    pub(super) fn refresh(&self) -> Step<bool> {
        match self.get("Refresh") {
            None | Some("no") => Ok(false),
            Some("yes") => Ok(true),
            Some(other) => Err(Self::bad("Refresh", Some(other))),
        }
    }

    /// How long to wait for the ECS agent to be registered.
    pub(super) fn wait(&self) -> Step<SignedDuration> {
        match self.get("Wait") {
            None => Ok(SignedDuration::ZERO),
            Some(text) => match text.parse() {
                Ok(seconds) if (0..=300).contains(&seconds) => Ok(SignedDuration::from_secs(seconds)),
                Ok(_) | Err(_) => Err(Self::bad("Wait", Some(text))),
            },
        }
    }

    pub(super) fn version(&self) -> Step<String> {
        let text = self.get("Version").ok_or_else(|| Self::bad("Version", None))?;
        Version::parse(text).map(|_| text.to_owned()).map_err(|_| Self::bad("Version", Some(text)))
    }

    /// `None` for the word `none`.
    pub(super) fn version_or_none(&self) -> Step<Option<String>> {
        if self.get("Version") == Some("none") { Ok(None) } else { self.version().map(Some) }
    }

    pub(super) fn lock(&self) -> Step<Lock> {
        match self.get("Lock") {
            None | Some("keep") => Ok(Lock::Keep),
            Some("latest") => Ok(Lock::To("latest".to_owned())),
            Some(text) if Version::parse(text.strip_prefix('v').unwrap_or(text)).is_ok() => {
                Ok(Lock::To(text.to_owned()))
            }
            Some(other) => Err(Self::bad("Lock", Some(other))),
        }
    }

    /// Checks that this is the boot that the command is meant for.
    pub(super) fn this_boot(&self, machine: &dyn Machine) -> Step<()> {
        let meant = self.get("Boot").filter(|boot| !boot.is_empty()).ok_or_else(|| Self::bad("Boot", None))?;
        match machine.boot_id() {
            // One boot for each host of the command.
            Some(boot) if meant.split(' ').any(|one| one == boot) => Ok(()),
            other => {
                let other = other.unwrap_or_else(|| "unknown".to_owned());
                Err(stop("boot", ErrorCode::OtherBoot, format!("meant for boot {meant}, this is boot {other}")))
            }
        }
    }
}

/// What the first of two lines may take, so that both together are within [`HostReport::MAX_BYTES`].
pub(super) const FIRST_OF_TWO: usize = 1_100;

/// The report as one line of at most so many bytes: what does not fit is cut from the error's detail (escapes can make it
/// six times as long), then from the oldest available versions.
pub(super) fn line(report: &HostReport, most: usize) -> String {
    let mut report = report.clone();
    loop {
        let line = match serde_json::to_string(&report) {
            Ok(line) => line,
            Err(error) => return format!("the report cannot be written: {error}\n"),
        };
        if line.len() < most {
            return line + "\n";
        }
        let shortened = match (&mut report.error, &mut report.update) {
            (Some(error), _) if !error.detail.is_empty() => {
                let keep = error.detail.chars().count() * 3 / 4;
                error.detail = error.detail.chars().take(keep).collect();
                true
            }
            (_, Some(update)) => update.available.pop().is_some(),
            _ => false,
        };
        if !shortened {
            return line + "\n";
        }
    }
}
