//! What a run asks AWS about versions: where its policy has to do with it, when releases were published, and whether the
//! parameter that approves a version says the same as when the run began; and for the metrics, how old the oldest release is.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use models::clean;
use models::host::parse_version;
use models::policy::Target;
use models::release::Release;
use models::report::{ClusterError, ClusterErrorKind, OldestRelease};
use tokio::sync::watch;

use super::cluster::Cluster;
use super::interruption::signal;
use super::work::Worked;
use crate::aws::{Aws, ErrorKind};
use crate::observe::releases;
use crate::planner;

/// How long the parameter's answer is waited for: what is under way needs the look that this is part of.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the end of a run waits for a date, which only a metric shows.
const DATED_WITHIN: Duration = Duration::from_secs(30);

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

impl Cluster<'_> {
    /// Returns the oldest releases that run in the cluster, where they are to be dated and AWS answers.
    pub(super) fn oldest_releases(&self, error: Option<&ClusterError>) -> Vec<Release> {
        let is_silent = error.is_some_and(|error| error.kind == ClusterErrorKind::NotReachable);
        if !self.dates_oldest || is_silent {
            return Vec::new();
        }
        planner::oldest_running(&self.fleet, &self.instance_reports(error.map(|error| error.kind), self.clock.now()))
    }
}

/// Asks once for all clusters when their oldest releases were published, and writes it into their reports. What AWS does not
/// say in time is left out; a signal ends it. The call counts in no cluster's `aws_calls`.
pub(super) async fn date_oldest(aws: &Aws, worked: &mut [Worked], now: Timestamp, stop: watch::Receiver<bool>) {
    let all: BTreeSet<Release> = worked.iter().flat_map(|one| one.oldest.iter().cloned()).collect();
    if all.is_empty() {
        return;
    }
    let asked = Vec::from_iter(all);
    let dates = tokio::select! {
        biased;
        () = signal(stop) => return,
        dates = tokio::time::timeout(DATED_WITHIN, releases::dates(aws, &asked, now)) => dates.unwrap_or_default(),
    };
    for release in &asked {
        if let Some(Err(why)) = dates.get(release).map(|date| &date.published) {
            tracing::warn!(%release, why, "how old the oldest release is that runs is not known: the metric is left out");
        } else if !dates.contains_key(release) {
            let within = DATED_WITHIN.as_secs();
            tracing::warn!(%release, within, "AWS did not say in time how old the oldest release is: the metric is left out");
        }
    }
    for one in worked {
        let published = |release: &Release| dates.get(release)?.published.clone().ok();
        let published_at = one.oldest.iter().filter_map(published).min();
        let version = one.oldest.first().map(|release| release.version.clone());
        one.report.oldest_release =
            version.zip(published_at).map(|(version, published_at)| OldestRelease { version, published_at });
    }
}

/// How many characters of a value are shown that is no version.
const LONGEST: usize = 60;
