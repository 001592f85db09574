//! Keeps the lease on one cluster while its loop works: acquires it, renews it on a timer of its own, releases it. What
//! to believe of it, and until when, is [`crate::lease`]'s business.
//!
//! [`Keeper::keep`] runs beside the loop in the same task, so that it never outlives it, and so that a look that takes
//! minutes does not cost the lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use models::build::DOCS;
use models::ids::{ClusterName, Epoch, RunId};
use models::report::{ClusterError, ClusterErrorKind};
use tokio::sync::{Notify, watch};

use crate::aws::dynamodb::{LeaseKey, Written};
use crate::aws::{Aws, AwsError, ErrorKind, Fence};
use crate::clock::Clock;
use crate::lease::{Entry, RENEW_EVERY, RETRY_EVERY, Refusal, Tenure, Wanted};
use crate::patience::{FOR_SILENCE, GiveUp, Streak, Trouble, Try};

/// How long the release may take at the end of a run.
pub(crate) const RELEASE_WITHIN: Duration = Duration::from_secs(10);
/// How often the timer looks at the date: a sleep goes by the monotonic clock, which stands still while the machine is
/// suspended.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The lease as the loop, the keeper and the fence before every write see it; `None` while there is none.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeldLease {
    tenure: watch::Sender<Option<Tenure>>,
    doubted: Arc<Notify>,
    /// A claim says that another run has it, and the table has not settled that yet.
    is_in_doubt: Arc<AtomicBool>,
}

impl HeldLease {
    /// A fence that is open while the lease is surely ours, for whatever writes beside the loop too.
    pub(crate) fn fence(&self, clock: &Clock) -> Fence {
        let (hold, clock) = (self.clone(), clock.clone());
        Fence::new(move || hold.may_write(&clock))
    }

    pub(crate) fn may_write(&self, clock: &Clock) -> bool {
        let is_in_doubt = self.is_in_doubt.load(Ordering::SeqCst);
        !is_in_doubt && self.get().is_some_and(|tenure| tenure.may_write(clock.moment()))
    }

    /// Has the lease renewed at once, and waits until that has shown that it is ours; nothing may be written before. Where it
    /// is not, or nobody can tell, this never ends, and [`Keeper::keep`] does.
    pub(crate) async fn prove(&self, clock: &Clock) {
        self.is_in_doubt.store(true, Ordering::SeqCst);
        let asked = clock.moment();
        self.doubted.notify_one();
        let mut tenure = self.tenure.subscribe();
        let proof = |tenure: &Option<Tenure>| tenure.is_some_and(|tenure| tenure.was_held_at(asked));
        if tenure.wait_for(proof).await.is_err() {
            return std::future::pending().await;
        }
        self.is_in_doubt.store(false, Ordering::SeqCst);
    }

    fn get(&self) -> Option<Tenure> {
        *self.tenure.borrow()
    }

    fn set(&self, tenure: Option<Tenure>) {
        self.tenure.send_replace(tenure);
    }
}

/// Keeps one lease.
pub(crate) struct Keeper {
    aws: Aws,
    clock: Clock,
    key: LeaseKey,
    hold: HeldLease,
}

/// How a renewal ended that did not work.
enum NotRenewed {
    /// Another run has it, or the item is gone.
    Lost(Option<Entry>),
    /// DynamoDB gave no answer to go by.
    Unknown(AwsError),
}

impl Keeper {
    pub(crate) fn new(
        table: &str,
        cluster: &ClusterName,
        us: &RunId,
        aws: &Aws,
        clock: &Clock,
        hold: &HeldLease,
    ) -> Self {
        let key = LeaseKey { table: table.to_owned(), cluster: cluster.clone(), us: us.clone() };
        Self { aws: aws.clone(), clock: clock.clone(), key, hold: hold.clone() }
    }

    /// Takes the lease.
    ///
    /// # Errors
    /// Another run has it; or, after the SDK's retries, nobody knows: then the cluster is not worked on.
    pub(crate) async fn acquire(&self) -> Result<Epoch, ClusterError> {
        let sent = self.clock.moment();
        let written = self.aws.acquire_lease(&self.key, &Wanted::at(sent.wall)).await;
        let epoch = match written.map_err(|error| self.not_known(&error))? {
            Written::Done(entry) => {
                self.hold.set(Some(Tenure::new(entry.epoch, sent)));
                entry.epoch
            }
            Written::Refused(found) => match Refusal::of(found, &self.key.us) {
                // An earlier try took effect and its answer was lost.
                Refusal::Ours(epoch) => {
                    self.renew(epoch).await.map_err(|why| self.not_renewed(why))?;
                    epoch
                }
                Refusal::Theirs(entry) => return Err(self.another_run(&entry)),
                Refusal::Gone => return Err(self.lost(None)),
            },
        };
        tracing::info!(cluster = %self.key.cluster, table = self.key.table, %epoch, "lease acquired");
        Ok(epoch)
    }

    /// Says in the log what is known of a lease whose acquisition was not waited for.
    pub(crate) fn give_up_acquiring(&self) {
        if self.aws.in_flight().may_still_be_carried_out() {
            let cluster = &self.key.cluster;
            tracing::warn!(%cluster, "it is not known whether the lease was acquired; if so, it expires by itself");
        }
    }

    /// Renews the lease for as long as it is polled, each minute and where it is doubted. Ends only when the lease is lost, or its renewal was refused or not
    /// answered for longer than there is patience for: until then nothing is written from [`Tenure::writes_until`] on.
    pub(crate) async fn keep(&self) -> ClusterError {
        let (mut wait, mut trouble, mut doubted) = (LOOK_EVERY, Streak::default(), false);
        loop {
            // A renewal that failed is tried again at its pace, however often the lease is doubted.
            tokio::select! {
                biased;
                () = tokio::time::sleep(wait) => {}
                () = self.hold.doubted.notified(), if !doubted => doubted = true,
            }
            let Some(tenure) = self.hold.get() else { return self.lost(None) };
            let due = tenure.renew_in(self.clock.moment());
            wait = due.min(LOOK_EVERY);
            if !due.is_zero() && !doubted {
                continue;
            }
            let began = self.clock.now();
            let why = match self.renew(tenure.epoch).await {
                Ok(()) => {
                    tracing::debug!(cluster = %self.key.cluster, "lease renewed");
                    trouble.is_over();
                    (wait, doubted) = (LOOK_EVERY, false);
                    continue;
                }
                // The run is over: what becomes of the lease, its return says.
                Err(NotRenewed::Unknown(error)) if error.kind == ErrorKind::Stopped => std::future::pending().await,
                Err(why) => why,
            };
            let tried = Try { began, ended: self.clock.now() };
            match &why {
                NotRenewed::Unknown(error) if !self.is_given_up(error, &mut trouble, tried, &tenure) => {
                    let until = tenure.writes_until();
                    tracing::warn!(cluster = %self.key.cluster, %error, %until, "lease not renewed; nothing is written from then on");
                    wait = Duration::try_from(RETRY_EVERY).unwrap_or(LOOK_EVERY);
                }
                NotRenewed::Unknown(error) => {
                    let expires = tenure.expires();
                    tracing::warn!(cluster = %self.key.cluster, %error, %expires, "lease given up; it expires by itself");
                    self.hold.set(None);
                    return self.not_renewed(why);
                }
                NotRenewed::Lost(_) => {
                    self.hold.set(None);
                    return self.not_renewed(why);
                }
            }
        }
    }

    /// Refusals are counted from the first one, silence from the last renewal.
    fn is_given_up(&self, error: &AwsError, trouble: &mut Streak, tried: Try, tenure: &Tenure) -> bool {
        let how = if error.kind.is_refusal() { Trouble::Refused } else { Trouble::Silent };
        trouble.failed(how, tried) == Some(GiveUp::Refused) || tenure.passed(self.clock.moment()) >= FOR_SILENCE
    }

    /// Gives the lease up, if we have it. It expires by itself where that cannot be done, and where a write of this run may
    /// still be carried out: no other run is to begin before that.
    pub(crate) async fn release(&self, within: Duration) {
        let Some(tenure) = self.hold.get() else { return };
        self.hold.set(None);
        let (cluster, expires) = (&self.key.cluster, tenure.expires());
        if self.aws.in_flight().may_still_be_carried_out() {
            tracing::warn!(
                %cluster,
                %expires,
                "lease not released, since a write got no answer and may still be carried out; it expires by itself"
            );
            return;
        }
        match tokio::time::timeout(within, self.aws.release_lease(&self.key, tenure.epoch)).await {
            Ok(Ok(Written::Done(_))) => tracing::debug!(%cluster, "lease released"),
            Ok(Ok(Written::Refused(_))) => tracing::warn!(%cluster, "lease not released: it was taken meanwhile"),
            Ok(Err(error)) => tracing::warn!(%cluster, %error, %expires, "lease not released; it expires by itself"),
            Err(_) => tracing::warn!(%cluster, %expires, "lease not released in time; it expires by itself"),
        }
    }

    async fn renew(&self, epoch: Epoch) -> Result<(), NotRenewed> {
        let sent = self.clock.moment();
        match self.aws.renew_lease(&self.key, epoch, &Wanted::at(sent.wall)).await {
            Ok(Written::Done(_)) => {
                self.hold.set(Some(Tenure::new(epoch, sent)));
                Ok(())
            }
            Ok(Written::Refused(found)) => Err(NotRenewed::Lost(found)),
            Err(error) => Err(NotRenewed::Unknown(error)),
        }
    }

    fn another_run(&self, entry: &Entry) -> ClusterError {
        let (cluster, table) = (&self.key.cluster, &self.key.table);
        let message = format!(
            "cluster {cluster}: another run, {}, works on it and holds its lease until {} (table {table}); nothing was \
             done here, the next run looks again. A run at work renews its lease every {} s; that of a dead one is free \
             a minute after that time",
            entry.holder,
            entry.expires,
            RENEW_EVERY.as_secs()
        );
        tracing::warn!(%cluster, holder = %entry.holder, until = %entry.expires, "another run works on this cluster");
        ClusterError { kind: ClusterErrorKind::AnotherRun, message }
    }

    fn lost(&self, found: Option<Entry>) -> ClusterError {
        let who = match found {
            Some(entry) => format!("run {} took it over with epoch {}", entry.holder, entry.epoch),
            None => format!("somebody deleted its item from table {}", self.key.table),
        };
        lease_lost(&self.key.cluster, &who)
    }

    fn not_renewed(&self, why: NotRenewed) -> ClusterError {
        match why {
            NotRenewed::Lost(found) => self.lost(found),
            NotRenewed::Unknown(error) => self.not_known(&error),
        }
    }

    /// Whether we hold the lease is not known, and so nothing may be done.
    fn not_known(&self, error: &AwsError) -> ClusterError {
        let (cluster, table) = (&self.key.cluster, &self.key.table);
        let (kind, what) = match &error.kind {
            ErrorKind::Denied => (
                ClusterErrorKind::NotPermitted,
                "give the task role (or your profile) dynamodb:UpdateItem on the table".to_owned(),
            ),
            ErrorKind::NotFound => (
                ClusterErrorKind::NotReachable,
                format!("there is no such table in this Region: aws dynamodb describe-table --table-name {table}"),
            ),
            ErrorKind::Refused(_) => (
                ClusterErrorKind::NotReachable,
                format!(
                    "check that its one key is a text named lease: {DOCS}/operations.md#two-runs-at-once has its shape"
                ),
            ),
            ErrorKind::Throttled | ErrorKind::NoAnswer | ErrorKind::LeaseOver | ErrorKind::Stopped => (
                ClusterErrorKind::NotReachable,
                "nothing is written without the lease; what is under way keeps its claim, and the next run goes on"
                    .to_owned(),
            ),
        };
        let message =
            format!("cluster {cluster}: its lease in table {table} could not be read or written ({error}); {what}");
        ClusterError { kind, message }
    }
}

fn lease_lost(cluster: &ClusterName, who: &str) -> ClusterError {
    tracing::error!(%cluster, who, "lease lost: nothing more is written");
    let message = format!(
        "cluster {cluster}: this run lost its lease ({who}) and wrote nothing more; what was under way keeps its claim, \
         and the run that has the lease goes on with it"
    );
    ClusterError { kind: ClusterErrorKind::LeaseLost, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nothing_is_written_before_a_doubted_lease_is_proved() {
        let clock = Clock::system();
        let hold = HeldLease::default();
        let acquired = || Some(Tenure::new(Epoch::new(7), clock.moment()));
        hold.set(acquired());
        assert!(hold.may_write(&clock));
        tokio::time::advance(Duration::from_secs(1)).await;
        let mut proof = Box::pin(hold.prove(&clock));
        assert!(futures_util::poll!(&mut proof).is_pending());
        assert!(!hold.may_write(&clock), "its fence is closed to the tags of container instances too");
        tokio::time::advance(Duration::from_secs(1)).await;
        hold.set(acquired());
        proof.await;
        assert!(hold.may_write(&clock));
    }
}
