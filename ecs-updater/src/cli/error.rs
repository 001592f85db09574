//! Why the program ended without a report, and how it says so.

use std::io::Write as _;
use std::path::PathBuf;

use models::clean;

use crate::aws::{AwsError, ErrorKind, ProfileError};
use crate::cluster_settings::OtherAccount;
use crate::config::ConfigError;
use crate::delivery::DeliveryError;
use crate::exit::ExitStatus;
use crate::telemetry::TelemetryError;

/// Why the program ended without a report.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error("the settings are not usable")]
    Config(#[from] ConfigError),
    #[error(
        "the configuration could not be read from SSM parameter {name} (it needs ssm:GetParameter on it); {}",
        source.advice()
    )]
    Parameter { name: String, source: AwsError },
    #[error(
        "config check asks AWS for nothing, and the configuration is SSM parameter {parameter}: save it with `aws ssm \
         get-parameter --name {parameter} --with-decryption --query Parameter.Value --output text >fleet.toml` and check that \
         file with --config fleet.toml"
    )]
    KeptAtAws { parameter: String },
    #[error("the text could not be written")]
    Printed(#[source] std::io::Error),
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Account(#[from] OtherAccount),
    #[error("the logs could not be set up")]
    Telemetry(#[from] TelemetryError),
    #[error("the asynchronous runtime did not start")]
    Runtime(#[source] std::io::Error),
    #[error("signals cannot be caught")]
    Signals(#[source] std::io::Error),
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    #[error("nothing was begun")]
    Page(#[source] DeliveryError),
    #[error(transparent)]
    Saved(#[from] SavedError),
    #[error("what was found could not be printed")]
    Doctor(#[source] std::io::Error),
    #[error("the status could not be printed")]
    Status(#[source] std::io::Error),
}

/// The version of the report's shape that is read.
pub(super) const VERSION: u32 = 1;

/// Why a saved report cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum SavedError {
    #[error("{} could not be read", path.display())]
    Unread { path: PathBuf, source: std::io::Error },
    #[error(
        "{} is not a report: it must hold the JSON that `ecs-updater run --output json` writes to standard output, \
         and nothing \
         else, such as the log",
        path.display()
    )]
    NotOne { path: PathBuf, source: serde_json::Error },
    #[error("{} is a report of version {version}, which this program does not know; it reads version {VERSION}", path.display())]
    Version { path: PathBuf, version: u32 },
}

impl CliError {
    pub(super) fn status(&self) -> ExitStatus {
        match self {
            Self::Config(_)
            | Self::KeptAtAws { .. }
            | Self::Profile(_)
            | Self::Account(_)
            | Self::Page(_)
            | Self::Saved(_)
            | Self::Telemetry(TelemetryError::BadLevel { .. } | TelemetryError::BadMetrics { .. }) => ExitStatus::Usage,
            Self::Parameter { source, .. } => unread_parameter(source),
            Self::Telemetry(TelemetryError::SetAlready(_))
            | Self::Runtime(_)
            | Self::Signals(_)
            | Self::Delivery(_)
            | Self::Printed(_)
            | Self::Doctor(_)
            | Self::Status(_) => ExitStatus::Failures,
        }
    }
}

/// Returns the status of a run whose configuration could not be read from its SSM parameter.
pub fn unread_parameter(error: &AwsError) -> ExitStatus {
    match error.kind {
        ErrorKind::Denied
        | ErrorKind::NotFound
        | ErrorKind::Throttled
        | ErrorKind::NoAnswer
        | ErrorKind::LeaseOver
        | ErrorKind::Stopped => ExitStatus::NotReached,
        ErrorKind::Refused(_) => ExitStatus::Usage,
    }
}

/// Tells on standard error what went wrong, with what it came of.
pub(super) fn tell_error(error: &dyn std::error::Error) {
    let mut text = format!("ecs-updater: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    // With standard error gone, there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{}", clean::lines(&text));
}
