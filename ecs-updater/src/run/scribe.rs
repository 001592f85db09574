//! Reads what the last run left beside the lease, and writes what this one leaves there, for `status`. All of it beside the
//! loop, and as well as it can be: no run waits or fails for it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use models::fleet::{FleetSnapshot, Instance, InstanceStatus};
use models::ids::{ClusterName, Epoch, HostId};
use models::summary::{BadSummary, OutAs, Summary};
use models::time::after;
use tokio::task::JoinHandle;

use crate::aws::summaries::Kept;
use crate::aws::{Aws, AwsError, ErrorKind};
use crate::lease::TIDY_AFTER;

/// The time between two summaries of a run at work. Each is a write of up to 300 KB, and who looks in between sees claims,
/// tags and ECS as they are.
const WRITE_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// How long the end of a run waits for its last summary.
pub(super) const LAST_WITHIN: Duration = Duration::from_secs(5);
/// The same after a signal, out of the time in which the lease is given back.
pub(super) const LAST_WITHIN_AFTER_A_SIGNAL: Duration = Duration::from_secs(1);

/// A task that ends with the one who waits for it.
#[derive(Debug)]
struct Beside<T>(JoinHandle<T>);

impl<T> Drop for Beside<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Found = Result<Option<Result<Summary, BadSummary>>, AwsError>;

/// The summaries of the last run and of this one.
#[derive(Debug)]
pub(super) struct Scribe {
    table: String,
    cluster: ClusterName,
    epoch: Epoch,
    reading: Option<Beside<Found>>,
    /// What the last run left; `None` too where that is not known.
    before: Option<Summary>,
    writing: Option<Beside<Result<Kept, AwsError>>>,
    /// When the last one was written, or the run began.
    wrote_at: Timestamp,
    has_warned: bool,
    /// Since when this run has seen instances out of service, and not by a run.
    out: BTreeMap<(HostId, OutAs), Timestamp>,
}

impl Scribe {
    /// Begins to read what the last run left.
    pub(super) fn begin(aws: &Aws, table: &str, cluster: &ClusterName, epoch: Epoch, now: Timestamp) -> Self {
        let (reader, from, of) = (aws.clone(), table.to_owned(), cluster.clone());
        let reading = tokio::spawn(async move { reader.summary(&from, &of).await });
        Self {
            table: table.to_owned(),
            cluster: cluster.clone(),
            epoch,
            reading: Some(Beside(reading)),
            before: None,
            writing: None,
            wrote_at: now,
            has_warned: false,
            out: BTreeMap::new(),
        }
    }

    /// Takes in who is out of service now, and not by a run.
    pub(super) fn see(&mut self, fleet: &FleetSnapshot, now: Timestamp) {
        let mut out = BTreeMap::new();
        for (host, how) in fleet.registered().filter_map(|instance| Some((&instance.host, out_as(instance)?))) {
            let key = (host.clone(), how);
            let since = self.out.get(&key).copied().unwrap_or(now);
            out.insert(key, since);
        }
        self.out = out;
    }

    /// Returns who is out of service, and not by a run, since when this run or the last one has seen that.
    pub(super) fn out(&self) -> impl Iterator<Item = (&HostId, OutAs, Timestamp)> {
        self.out.iter().map(|((host, how), since)| {
            let before = self.before.as_ref().and_then(|before| before.out_since(host, *how));
            (host, *how, before.map_or(*since, |before| before.min(*since)))
        })
    }

    /// Returns what the last run left, once it was read.
    pub(super) fn before(&self) -> Option<&Summary> {
        self.before.as_ref()
    }

    /// Whether a summary is to be written now: what the last run left was read by then, or cannot be.
    pub(super) fn is_due(&mut self, now: Timestamp) -> bool {
        self.hear();
        let is_busy = self.reading.is_some() || self.writing.is_some();
        !is_busy && now >= after(self.wrote_at, WRITE_EVERY)
    }

    /// Begins to write a summary.
    pub(super) fn write(&mut self, aws: &Aws, summary: Summary) {
        self.wrote_at = summary.written_at;
        let (aws, table, cluster, epoch) = (aws.clone(), self.table.clone(), self.cluster.clone(), self.epoch);
        let ttl = after(summary.written_at, TIDY_AFTER);
        let writing = tokio::spawn(async move { aws.put_summary(&table, &cluster, epoch, ttl, summary).await });
        self.writing = Some(Beside(writing));
    }

    /// Waits until the one that is being written is, or is not.
    pub(super) async fn written(&mut self) {
        if let Some(writing) = &mut self.writing {
            let result = (&mut writing.0).await;
            self.writing = None;
            // A task that was aborted or has panicked has told nothing.
            if let Ok(result) = result {
                self.tell(result);
            }
        }
    }

    /// Takes in what has ended beside the loop.
    pub(super) fn hear(&mut self) {
        if let Some(found) = self.reading.as_mut().and_then(|reading| (&mut reading.0).now_or_never()) {
            self.reading = None;
            match found {
                Ok(Ok(found)) => self.adopt(found),
                Ok(Err(error)) if error.kind == ErrorKind::Stopped => {}
                Ok(Err(error)) => tracing::info!(
                    cluster = %self.cluster, %error, advice = error.advice(),
                    "what the last run left for `status` could not be read; it changes nothing else"
                ),
                Err(_) => {}
            }
        }
        if let Some(result) = self.writing.as_mut().and_then(|writing| (&mut writing.0).now_or_never()) {
            self.writing = None;
            if let Ok(result) = result {
                self.tell(result);
            }
        }
    }

    fn adopt(&mut self, found: Option<Result<Summary, BadSummary>>) {
        match found {
            Some(Ok(summary)) => self.before = Some(summary),
            Some(Err(error)) => {
                tracing::info!(cluster = %self.cluster, %error, "what the last run left for `status` is not read");
            }
            None => {}
        }
    }

    fn tell(&mut self, result: Result<Kept, AwsError>) {
        let cluster = &self.cluster;
        match result {
            Ok(Kept::Yes) => tracing::debug!(%cluster, "summary for `status` written"),
            Ok(Kept::Superseded) => {
                tracing::warn!(%cluster, "summary for `status` not written: one of a later epoch stands there");
            }
            Err(error) if error.kind == ErrorKind::Stopped || error.kind == ErrorKind::LeaseOver => {
                tracing::debug!(%cluster, %error, "summary for `status` not written");
            }
            Err(error) if self.has_warned => tracing::debug!(%cluster, %error, "summary for `status` not written"),
            Err(error) => {
                self.has_warned = true;
                tracing::warn!(
                    %cluster, %error, advice = error.advice(),
                    "summary for `status` not written; it changes nothing else"
                );
            }
        }
    }
}

/// How an instance is out of service, where it is and no claim says why.
fn out_as(instance: &Instance) -> Option<OutAs> {
    if instance.out_of_service_claim().is_some() || !instance.counts() {
        return None;
    }
    match instance.status {
        InstanceStatus::Draining => Some(OutAs::Draining),
        InstanceStatus::Active => (!instance.agent_connected).then_some(OutAs::Disconnected),
        InstanceStatus::Registering
        | InstanceStatus::RegistrationFailed
        | InstanceStatus::Deregistering
        | InstanceStatus::Inactive
        | InstanceStatus::Unknown => None,
    }
}
