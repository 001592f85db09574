//! What a signal does to the loop of a cluster, whatever state it is in.
//!
//! | after the signal | what happens |
//! |---|---|
//! | at once | looks and waits end, nothing new is begun, what only waits is let go |
//! | 4 s | nothing is sent any more, retries included |
//! | 20 s at most | the writes that are on their way have ended, or nobody waits for them any more |
//! | then, 5 s at most | the lease is given back where every write has ended, else it expires by itself |
//!
//! The first SIGINT of a run on a terminal asks it to finish instead: from then on nothing is begun, and what was begun is
//! brought to an end. Before the first look there is nothing of that kind, and while AWS does not answer it would not end:
//! then it is the same as above.

use std::time::Duration;

use models::fleet::Instance;
use models::ids::{ClusterName, HostId};
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

/// How long after it was asked to finish a run waits for the answer to a look, and longer for each hundred instances. One
/// that takes longer is an outage.
const LOOK_ENDS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_OF_100_TAKES: Duration = Duration::from_secs(1);

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

/// Whether something was begun on the instance that takes its time: it is out of service, or an image is written there.
fn is_under_way(instance: &Instance) -> bool {
    let takes_time = instance.out_of_service_claim().is_some() || instance.command.is_some();
    instance.claim().is_some() && takes_time && instance.run.verdict.is_none()
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

    /// From now on nothing is begun, and what was begun is brought to an end, as a person asks. Returns false where the run is
    /// over at once: it has looked at nothing yet, or AWS does not answer.
    pub(super) fn begin_finishing(&mut self) -> bool {
        let is_silent = self.acts.is_silent(|operation| self.aws.calls().done(operation));
        let is_outage = self.is_cut_off || self.looks.is_in_trouble() || is_silent || !self.may_write();
        if self.looked_full.is_none() || is_outage {
            return false;
        }
        self.facts.purpose = self.facts.purpose.to_finish();
        // What was only asked of a host is not waited for.
        let has_claim = |host: &HostId| self.fleet.instances.get(host).is_some_and(|one| one.claim().is_some());
        let asked = self.fleet.instances.values().filter(|one| one.command.is_some() && !has_claim(&one.host));
        for host in asked.map(|one| one.host.clone()).collect::<Vec<_>>() {
            self.commands.forget(&host);
        }
        let cluster = self.name;
        match self.fleet.instances.values().filter(|instance| is_under_way(instance)).count() {
            0 => tracing::warn!(%cluster, "nothing more is begun, and nothing is under way"),
            1 => tracing::warn!(%cluster, "finishing 1 instance; press again to stop now"),
            count => tracing::warn!(%cluster, "finishing {count} instances; press again to stop now"),
        }
        true
    }

    /// Ends a while after a person has asked to finish: a look that is not answered by then is not waited for. Never, where
    /// the run finishes already.
    pub(super) fn hangs(&self) -> impl Future<Output = ()> + use<> {
        let (finish, begins) = (self.finish.clone(), self.facts.purpose.begins());
        let hundreds = u32::try_from(self.fleet.instances.len() / 100).unwrap_or(u32::MAX);
        let within = LOOK_ENDS_WITHIN.saturating_add(LOOK_OF_100_TAKES.saturating_mul(hundreds));
        async move {
            if !begins {
                return std::future::pending().await;
            }
            signal(finish).await;
            tokio::time::sleep(within).await;
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
