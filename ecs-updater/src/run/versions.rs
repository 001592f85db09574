//! What a run asks AWS about versions, where its policy has to do with it: when releases were published, and whether the
//! parameter that approves a version says the same as when the run began.

use std::time::Duration;

use models::clean;
use models::host::parse_version;
use models::policy::Target;

use super::cluster::Cluster;
use super::interruption::signal;
use crate::aws::ErrorKind;
use crate::observe::releases;
use crate::planner;

/// How long the parameter's answer is waited for: what is under way needs the look that this is part of.
const PATIENCE: Duration = Duration::from_secs(5);

impl Cluster<'_> {
    /// Asks for the ages of the releases that may be installed, those that are not known yet.
    pub(super) async fn date_releases(&mut self) {
        let now = self.clock.now();
        let undated = planner::undated(&self.fleet, self.policy, now);
        if undated.is_empty() {
            return;
        }
        let dates = tokio::select! {
            biased;
            dates = releases::dates(&self.aws, &undated, now) => dates,
            () = signal(self.stop.clone()) => return,
        };
        for (release, date) in &dates {
            match &date.published {
                Ok(published) => tracing::info!(cluster = %self.name, %release, %published, "release dated"),
                Err(why) => {
                    tracing::warn!(cluster = %self.name, %release, why, "how old this release is, is not known")
                }
            }
        }
        self.fleet.releases.extend(dates);
    }

    /// Reads the parameter again that the target came from. While it says anything else than it did, nothing is begun; an
    /// answer that does not come says nothing.
    pub(super) async fn read_approval_again(&mut self) {
        let (Some(name), Target::Version(version)) = (&self.policy.approved_by, &self.policy.target) else { return };
        let said = tokio::time::timeout(PATIENCE, self.aws.parameter(name)).await;
        let says = match said {
            Ok(Ok(Some(text))) if parse_version(text.trim()).as_ref() == Some(version) => None,
            Ok(Ok(Some(text))) => Some(format!("says {:?} now", clean::cut(text.trim(), LONGEST))),
            Ok(Ok(None)) => Some("is gone now".to_owned()),
            Ok(Err(error)) if error.kind == ErrorKind::Denied => Some(format!("may not be read now ({error})")),
            Ok(Err(error)) => {
                tracing::warn!(cluster = %self.name, parameter = name, %error, "the approved version could not be read again");
                return;
            }
            Err(_) => {
                tracing::warn!(cluster = %self.name, parameter = name, "the approved version was not told again in time");
                return;
            }
        };
        let unapproved = says.map(|says| {
            format!("the SSM parameter {name}, which target names, said {version} when the run began, and {says}")
        });
        if let Some(why) = unapproved.as_ref().filter(|_| self.fleet.unapproved != unapproved) {
            tracing::warn!(cluster = %self.name, why, "nothing more is begun; what is under way is finished");
        }
        self.fleet.unapproved = unapproved;
    }
}

/// How many characters of a value are shown that is no version.
const LONGEST: usize = 60;
