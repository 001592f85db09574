//! What a run leaves beside its lease: from the report as it would be now, and from what the last run left.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use models::ids::HostId;
use models::report::{ClusterError, InstanceReport, Outcome};
use models::summary::{Heard, SeenOut, Summary, SummaryError, Troubled, VERSION};
use semver::Version;

use super::cluster::Cluster;
use super::scribe::Scribe;

impl Cluster<'_> {
    /// Takes in who is out of service, and begins to write a summary where one is due.
    pub(super) fn keep_summary(&mut self) {
        let now = self.clock.now();
        let Some(scribe) = &mut self.scribe else { return };
        scribe.see(&self.fleet, now);
        if !scribe.is_due(now) || !self.may_write() {
            return;
        }
        let summary = self.summary(None, now);
        if let (Some(scribe), Some(summary)) = (&mut self.scribe, summary) {
            scribe.write(&self.aws, summary);
        }
    }

    /// Writes the last summary, where that takes no longer.
    pub(super) async fn leave_summary(&mut self, error: Option<&ClusterError>, within: Duration) {
        // Without one look there is nothing to tell, and what the last run left stays.
        if self.looked_full.is_none() || !self.may_write() {
            return;
        }
        let aws = self.aws.clone();
        let last = async {
            let Some(scribe) = &mut self.scribe else { return };
            scribe.written().await;
            scribe.hear();
            let Some(summary) = self.summary(Some(error), self.clock.now()) else { return };
            let Some(scribe) = &mut self.scribe else { return };
            scribe.write(&aws, summary);
            scribe.written().await;
        };
        if tokio::time::timeout(within, last).await.is_err() {
            tracing::warn!(cluster = %self.name, "summary for `status` not written in time; it changes nothing else");
        }
    }

    /// `ended`: the run is over, with that error.
    fn summary(&self, ended: Option<Option<&ClusterError>>, now: Timestamp) -> Option<Summary> {
        let scribe = self.scribe.as_ref()?;
        let error = ended.flatten();
        let reports = self.instance_reports(error.map(|error| error.kind), now);
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        let mut held: BTreeMap<String, usize> = BTreeMap::new();
        for report in &reports {
            *outcomes.entry(report.outcome.as_str().to_owned()).or_default() += 1;
            if let Some(reason) = report.reason.clone().filter(|_| report.outcome == Outcome::Held) {
                *held.entry(reason).or_default() += 1;
            }
        }
        let is_troubled = |report: &&InstanceReport| {
            let is_left = ended.is_some() && matches!(report.outcome, Outcome::InProgress | Outcome::ScaledIn);
            report.outcome.is_failure() || is_left
        };
        let kind = |error: &ClusterError| SummaryError {
            kind: error.kind.as_str().to_owned(),
            message: error.message.clone(),
        };
        Some(Summary {
            version: VERSION,
            run: self.facts.run.clone(),
            started_at: self.facts.started_at,
            written_at: now,
            ended: ended.is_some(),
            interrupted: self.is_stopped(),
            error: error.map(kind),
            outcomes,
            held,
            until: self.until(),
            troubled: reports.iter().filter(is_troubled).map(troubled).collect(),
            out: scribe.out().map(|(host, how, since)| SeenOut { host: host.clone(), how, since }).collect(),
            versions: self.versions(scribe),
            left_out: 0,
        })
    }

    /// Until when instances wait by themselves, at the earliest, by code.
    fn until(&self) -> BTreeMap<String, Timestamp> {
        let mut until: BTreeMap<String, Timestamp> = BTreeMap::new();
        for hold in self.plan.standings.iter().filter_map(|standing| standing.hold.as_ref()) {
            let Some(at) = hold.watched_until() else { continue };
            let known = until.entry(hold.code().to_owned()).or_insert(at);
            *known = at.min(*known);
        }
        until
    }

    /// The version of each host: by its own word to this run, or else by what the last run left.
    fn versions(&self, scribe: &Scribe) -> Vec<Heard> {
        let before = scribe.before().map(Summary::versions_by_host).unwrap_or_default();
        let mut groups: BTreeMap<(Version, Timestamp), Vec<HostId>> = BTreeMap::new();
        for instance in self.fleet.registered() {
            let heard = instance.report.as_ref().and_then(|seen| seen.report.running());
            let heard = heard.map(|version| (version, self.facts.started_at));
            let known = heard.or_else(|| before.get(&instance.host).map(|(version, at)| ((*version).clone(), *at)));
            if let Some(group) = known {
                groups.entry(group).or_default().push(instance.host.clone());
            }
        }
        groups.into_iter().map(|((version, at), hosts)| Heard { version, at, hosts }).collect()
    }
}

fn troubled(report: &InstanceReport) -> Troubled {
    Troubled {
        host: report.ec2_instance_id.clone(),
        outcome: report.outcome.as_str().to_owned(),
        reason: report.reason.clone(),
        detail: report.detail.clone(),
    }
}
