//! The exit code: what a scheduler, a pipeline or a shell script learns of a run.

use std::process::ExitCode;

use models::doctor::{DoctorReport, Severity};
use models::report::{ClusterError, ClusterErrorKind, ClusterReport, Outcome, RunReport};
use models::status::StatusReport;

/// How a run ended, the gravest last.
///
/// The order is by what a person has to do: an interrupted run is only to be started again; one that did not reach a
/// cluster needs a right or a route; a configuration that cannot be understood needs somebody to write; and one with
/// failures needs somebody to look at an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    /// Done, as far as it could be: instances may have been held, each for a reason in the report. A cluster that
    /// another run works on counts as done: the ticks of a schedule may overlap, and that must wake nobody.
    Success,
    /// Nothing was updated although something is outdated, and nobody asked for that. Only with `--fail-on-held`.
    NothingUpdated,
    /// A signal ended the run, it lost its lease, or it left instances in the middle; the next run goes on.
    Interrupted,
    /// A cluster was not permitted, not reachable or not there.
    NotReached,
    /// The command line or the configuration is wrong; nothing was begun, or nothing on the clusters that it concerns.
    Usage,
    /// An instance failed or was rolled back, a release was taken back because of an alarm, a cluster met an unexpected error, or
    /// a problem was found.
    Failures,
}

impl ExitStatus {
    /// All, in the order of their codes.
    pub const ALL: [Self; 6] =
        [Self::Success, Self::Failures, Self::Usage, Self::NotReached, Self::Interrupted, Self::NothingUpdated];

    /// The code. 2 is what clap uses for a usage error; 126 and above are the shell's.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failures => 1,
            Self::Usage => 2,
            Self::NotReached => 3,
            Self::Interrupted => 4,
            Self::NothingUpdated => 5,
        }
    }

    /// The gravest of what a report tells, where a run that updated nothing and was not to do so is no success.
    pub fn of_strict(report: &RunReport) -> Self {
        let held = if report.nothing_updated.is_some() { Self::NothingUpdated } else { Self::Success };
        Self::of(report).max(held)
    }

    /// The gravest of what a report tells.
    pub fn of(report: &RunReport) -> Self {
        let run = if report.interrupted { Self::Interrupted } else { Self::Success };
        report.clusters.iter().map(|cluster| Self::of_cluster(cluster, report.dry_run)).fold(run, Self::max)
    }

    /// The gravest of what a status tells: that somebody is needed counts as a failure.
    pub fn of_status(status: &StatusReport) -> Self {
        let needs = if status.needs_somebody() { Self::Failures } else { Self::Success };
        let errors = status.clusters.iter().filter_map(|cluster| cluster.error.as_ref());
        errors.map(Self::of_error).fold(needs, Self::max)
    }

    /// The gravest of what a doctor's report tells. A problem counts as a failure; warnings, and what is not checked, as
    /// nothing; a cluster that could not be read at all is one that was not reached.
    pub fn of_doctor(report: &DoctorReport) -> Self {
        let of = |cluster: &models::doctor::Examined| {
            if !cluster.read {
                Self::NotReached
            } else if cluster.count(Severity::Problem) > 0 {
                Self::Failures
            } else {
                Self::Success
            }
        };
        report.clusters.iter().map(of).fold(Self::Success, Self::max)
    }

    fn of_cluster(cluster: &ClusterReport, dry_run: bool) -> Self {
        let taken_back = if cluster.taken_back.is_some() { Self::Failures } else { Self::Success };
        let own = cluster.error.as_ref().map_or(Self::Success, Self::of_error).max(taken_back);
        cluster.instances.iter().map(|instance| Self::of_outcome(instance.outcome, dry_run)).fold(own, Self::max)
    }

    fn of_error(error: &ClusterError) -> Self {
        match error.kind {
            ClusterErrorKind::ClusterNotFound | ClusterErrorKind::NotPermitted | ClusterErrorKind::NotReachable => {
                Self::NotReached
            }
            ClusterErrorKind::Configuration => Self::Usage,
            ClusterErrorKind::Unexpected => Self::Failures,
            ClusterErrorKind::AnotherRun => Self::Success,
            ClusterErrorKind::LeaseLost => Self::Interrupted,
        }
    }

    fn of_outcome(outcome: Outcome, dry_run: bool) -> Self {
        match outcome {
            Outcome::Updated
            | Outcome::Current
            | Outcome::Held
            | Outcome::ScaledIn
            | Outcome::Gone
            | Outcome::WouldUpdate => Self::Success,
            // What an earlier run is in the middle of is for the next run to finish, not for a plan.
            Outcome::InProgress if dry_run => Self::Success,
            Outcome::InProgress => Self::Interrupted,
            Outcome::RolledBack | Outcome::Failed => Self::Failures,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}
