//! The rounds of a loop from their beginning to their end: under the lease, where there is to be one, and cut short by a
//! signal.

use std::pin::pin;
use std::time::Duration;

use models::ids::Epoch;
use models::location::Location;
use models::reason::HoldReason;
use models::release::Release;
use models::report::{ClusterError, ClusterReport};

use super::cluster::{Cluster, Lease};
use super::interruption::{BEGUN_ENDS_WITHIN, LEASE_RETURNED_WITHIN, over, signal};
use super::scribe::{LAST_WITHIN, LAST_WITHIN_AFTER_A_SIGNAL, Scribe};
use super::tell::tell_of_end;
use super::watch::Watch;
use crate::keeper::{Keeper, RELEASE_WITHIN};
use crate::planner::{GroupLaunches, Purpose, Stop};

/// What a loop comes to.
pub(super) struct Worked {
    pub(super) report: ClusterReport,
    /// Whether a signal kept the work from what is wanted.
    pub(super) is_cut_short: bool,
    /// The oldest releases that run at the end, where they are to be dated.
    pub(super) oldest: Vec<Release>,
}

/// What ended the work under a lease.
enum Ended {
    /// The lease is not ours any more, or that is not known.
    Lost(ClusterError),
    /// The loop came to its end.
    Rounds(Result<(), ClusterError>),
    /// A signal came while the loop was in the middle of something.
    Cut,
}

impl Cluster<'_> {
    /// Works on the cluster to the end.
    pub(super) async fn run(mut self, watch: &dyn Watch, location: &Location) -> Worked {
        self.tell_of_begin(location);
        self.tell_of_named_release();
        let error = self.work(watch).await.err();
        // What happened since the last plan, in a run that ends early.
        self.tell(watch, self.clock.now());
        let ended = error.is_none() && self.facts.stop.is_none() && self.facts.purpose.begins();
        let launched = if ended { self.launched().await } else { GroupLaunches::default() };
        let is_interrupted = self.facts.stop == Some(Stop::Interrupted);
        let was_asked = *self.finish.borrow();
        let (began, clock) = (self.facts.started_at, self.clock);
        let told = (self.facts.run.clone(), self.facts.dry_run);
        let (mut post, aws, is_stopped) = (std::mem::take(&mut self.post), self.aws.clone(), self.is_stopped());
        let oldest = self.oldest_releases(error.as_ref());
        let mut report = self.report(error, &launched);
        let end = tell_of_end(told, &report, began, clock.now());
        post.take(&[end]);
        report.notes.extend(post.end(&aws, clock, is_stopped).await);
        let is_not_begun = report.instances.iter().any(|one| one.reason.as_deref() == Some(HoldReason::FINISHING));
        Worked { report, is_cut_short: is_interrupted || (was_asked && is_not_begun), oldest }
    }

    /// Works on the cluster until nothing is left to do, or a signal comes.
    async fn work(&mut self, watch: &dyn Watch) -> Result<(), ClusterError> {
        if self.is_stopped() || self.is_asked_to_finish() {
            self.interrupted();
            return Ok(());
        }
        if let Some(Lease { table, hold }) = &self.lease {
            let keeper = Keeper::new(table, self.name, &self.facts.run, &self.aws, self.clock, hold);
            return self.under_lease(&keeper, watch).await;
        }
        let cut = self.cut(BEGUN_ENDS_WITHIN);
        tokio::select! {
            biased;
            ended = self.rounds_and_sizes(watch) => return ended,
            () = cut => {}
        }
        self.plan_what_is_left(watch);
        Ok(())
    }

    async fn under_lease(&mut self, keeper: &Keeper, watch: &dyn Watch) -> Result<(), ClusterError> {
        let acquired = tokio::select! {
            biased;
            acquired = keeper.acquire() => Some(acquired),
            () = self.cut(Duration::ZERO) => None,
            () = signal(self.finish.clone()), if self.facts.purpose.begins() => None,
        };
        match acquired {
            Some(Ok(epoch)) => self.begin_under(epoch),
            Some(Err(error)) if !self.is_stopped() && !self.is_asked_to_finish() => return Err(error),
            Some(Err(_)) | None => {
                keeper.give_up_acquiring();
                self.interrupted();
                return Ok(());
            }
        }
        let ended = match self.rounds_while_kept(keeper, watch).await {
            Ended::Lost(lost) => Err(lost),
            Ended::Rounds(ended) => ended,
            Ended::Cut => {
                self.plan_what_is_left(watch);
                Ok(())
            }
        };
        let (mut within, mut before) = (RELEASE_WITHIN, LAST_WITHIN);
        if self.is_stopped() {
            self.aws.shutdown().return_lease();
            before = LAST_WITHIN_AFTER_A_SIGNAL;
            within = LEASE_RETURNED_WITHIN.saturating_sub(before);
        }
        let error = ended.as_ref().err().cloned().or_else(|| self.not_permitted());
        self.leave_summary(error.as_ref(), before).await;
        keeper.release(within).await;
        ended
    }

    /// The lease was acquired, with this epoch.
    fn begin_under(&mut self, epoch: Epoch) {
        self.epoch = Some(epoch);
        // A run that lets go of one instance knows nothing of the others.
        let is_about_all = !matches!(self.facts.purpose, Purpose::Release(_));
        if let Some(Lease { table, .. }) = self.lease.as_ref().filter(|_| is_about_all) {
            self.scribe = Some(Scribe::begin(&self.aws, table, self.name, epoch, self.clock.now()));
        }
    }

    /// The rounds, and what is put back once they are over, however they ended.
    async fn rounds_and_sizes(&mut self, watch: &dyn Watch) -> Result<(), ClusterError> {
        let ended = self.rounds(watch).await;
        self.put_back_min_sizes().await;
        ended
    }

    async fn rounds_while_kept(&mut self, keeper: &Keeper, watch: &dyn Watch) -> Ended {
        let aws = self.aws.clone();
        let (mut keep, mut cut) = (pin!(keeper.keep()), pin!(self.cut(BEGUN_ENDS_WITHIN)));
        let ended = tokio::select! {
            biased;
            lost = &mut keep => return Ended::Lost(lost),
            ended = self.rounds_and_sizes(watch) => Ended::Rounds(ended),
            () = &mut cut => return Ended::Cut,
        };
        // A renewal that is on its way comes to its end, so that it does not come after the return.
        tokio::select! {
            biased;
            _ = &mut keep => {}
            () = aws.in_flight().none_waited_for() => {}
            () = &mut cut => {}
        }
        ended
    }

    /// Ends after a signal, once nothing that was sent is waited for any more.
    fn cut(&self, grace: Duration) -> impl Future<Output = ()> + use<> {
        over(self.stop.clone(), self.aws.clone(), self.name.clone(), grace)
    }
}
