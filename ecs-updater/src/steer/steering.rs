//! On which cluster a person's wish is carried out, by which means, and how that ends.

use models::api_share::ApiShare;
use models::ids::{ClusterName, RunId};
use models::location::Location;
use models::policy::Policy;
use models::report::RunReport;

use super::error::SteerError;
use super::voice::{Answer, Voice};
use crate::aws::{Aws, Fence, Limits, SdkConfig};
use crate::clock::Clock;
use crate::exit::ExitStatus;
use crate::run::Signals;

/// On which cluster, and by which means.
pub struct Steering<'a> {
    /// The AWS SDK's configuration.
    pub config: &'a SdkConfig,
    pub clock: &'a Clock,
    /// The id under which a lease is taken.
    pub run: RunId,
    pub cluster: &'a ClusterName,
    pub policy: &'a Policy,
    /// Where the cluster is.
    pub location: Location,
    /// The table with the leases, where there is one.
    pub lease_table: Option<&'a str>,
    /// How much of the account's API rates may be taken.
    pub api_share: ApiShare,
    pub signals: Signals,
    pub voice: &'a dyn Voice,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Steered {
    pub status: ExitStatus,
    /// What the run did that let go of an instance.
    pub report: Option<RunReport>,
}

impl Steered {
    /// Done, or there was nothing to do.
    pub(super) const DONE: Self = Self { status: ExitStatus::Success, report: None };
    /// A signal came first.
    pub const STOPPED: Self = Self { status: ExitStatus::Interrupted, report: None };
    /// A person said no.
    pub(super) const NOT_WANTED: Self = Self { status: ExitStatus::Interrupted, report: None };
}

impl Steering<'_> {
    /// Clients for what needs no lease.
    pub(super) fn aws(&self) -> Aws {
        Aws::new(self.config, &Fence::open(), self.limits())
    }

    pub(super) fn limits(&self) -> Limits {
        Limits::sharing(self.api_share)
    }

    pub(super) fn say(&self, line: impl AsRef<str>) {
        self.voice.say(line.as_ref());
    }

    /// Returns what comes of a thing; `None` where a signal comes first.
    pub(super) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut stopped = self.signals.stop.clone();
        tokio::select! {
            biased;
            ended = work => Some(ended),
            Ok(_) = stopped.wait_for(|stopped| *stopped) => None,
        }
    }

    /// Asks for a yes to what was said.
    pub(super) async fn is_agreed(&self) -> Result<bool, SteerError> {
        let mut stopped = self.signals.stop.clone();
        let answer = tokio::select! {
            answer = self.voice.ask() => answer,
            Ok(_) = stopped.wait_for(|stopped| *stopped) => Answer::No,
        };
        match answer {
            Answer::Yes => Ok(true),
            Answer::No => {
                self.say("nothing was done");
                Ok(false)
            }
            Answer::NobodyThere => Err(SteerError::NotAgreed),
        }
    }

    /// The flag that names the cluster's Region, for a line that somebody else is to type.
    pub(super) fn region_flag(&self) -> String {
        self.location.region.as_ref().map(|region| format!(" --region {region}")).unwrap_or_default()
    }
}
