//! What a signal does to the loop of a cluster, whatever state it is in.
//!
//! | after the signal | what happens |
//! |---|---|
//! | at once | looks and waits end, nothing new is begun, what only waits is let go |
//! | 4 s | nothing is sent any more, retries included |
//! | 20 s at most | the writes that are on their way have ended, or nobody waits for them any more |
//! | then, 5 s at most | the lease is given back where every write has ended, else it expires by itself |

use std::time::Duration;

use models::ids::ClusterName;
use models::plan::{End, Step};
use tokio::sync::watch;

use super::cluster::Cluster;
use super::watch::Watch;
use crate::aws::Aws;
use crate::planner::Stop;

/// How long what was begun before the signal may go on sending.
pub(super) const BEGUN_ENDS_WITHIN: Duration = Duration::from_secs(4);
/// How long after the signal the writes on their way are waited for. ECS kills a task 30 s after SIGTERM.
const WRITES_END_WITHIN: Duration = Duration::from_secs(20);
/// How long the return of the lease may take then.
pub(super) const LEASE_RETURNED_WITHIN: Duration = Duration::from_secs(5);

/// Waits for the signal, and without end where nobody can send one any more.
pub(super) async fn signal(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending().await
    }
}

/// A signal was heard: says so in the log, once.
fn tell_once(aws: &Aws, cluster: &ClusterName) {
    if aws.shutdown().begin() {
        tracing::warn!(%cluster, "interrupted: nothing new is begun, and in a few seconds nothing is sent any more");
    }
}

/// Waits for the signal, says so in the log, and ends once nothing of what the clients have sent is waited for any more.
/// Nothing more is sent then. What was begun before it may go on sending for `grace`.
pub(super) async fn over(stop: watch::Receiver<bool>, aws: Aws, cluster: ClusterName, grace: Duration) {
    signal(stop).await;
    tell_once(&aws, &cluster);
    let ended = async {
        tokio::time::sleep(grace).await;
        aws.shutdown().close();
        aws.in_flight().none_waited_for().await;
    };
    if tokio::time::timeout(WRITES_END_WITHIN, ended).await.is_err() {
        tracing::warn!(%cluster, "a write has got no answer since the signal; it is not waited for any more");
    }
}

impl Cluster<'_> {
    /// After a signal, what only waits is let go, unless AWS has just not answered; what is under way keeps its claim for
    /// the next run.
    pub(super) async fn let_go(&mut self, watch: &dyn Watch) {
        self.plan_what_is_left(watch);
        if self.looks.is_in_trouble() || self.facts.dry_run || !self.may_write() {
            return;
        }
        let mut steps = std::mem::take(&mut self.plan.steps);
        steps.retain(|planned| matches!(planned.step, Step::Finish(End::Held { .. })));
        if !steps.is_empty() {
            // What went wrong is in the log already, and its claim is still there.
            self.carry_out(steps).await;
        }
    }

    /// From now on nothing new is begun.
    pub(super) fn interrupted(&mut self) {
        tell_once(&self.aws, self.name);
        self.facts.stop = Some(Stop::Interrupted);
    }

    /// Plans once more, from what is known, so that the report says where every instance is left.
    pub(super) fn plan_what_is_left(&mut self, watch: &dyn Watch) {
        self.interrupted();
        if self.looked_full.is_some() {
            self.plan(watch, self.clock.now());
        }
    }
}
