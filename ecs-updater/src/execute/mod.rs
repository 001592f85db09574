//! Steps → AWS and hosts. Each step checks again, just before it acts, that the world is as the planner saw it; what
//! it learns on the way goes into the snapshot, so that the next plan knows.
//!
//! - `batches`: sorts a plan's steps by kind.
//! - `last_look`: what is checked just before an instance is drained or rebooted.
//! - `claims`: writes claims; `last`: writes how updates ended; `tags`: what both do about a refusal.
//! - `hosts`: the steps that a host carries out, and `send`: how it is told.
//! - `service`: the steps that take an instance out of service, put it back, or are done with it.
//! - `groups`: what EC2 Auto Scaling does with instances.
//! - `looks`: the steps that only read, and `undescribed`: tasks that ECS does not describe.

mod batches;
mod claims;
mod groups;
mod hosts;
mod last;
mod last_look;
mod looks;
mod min_size;
mod send;
mod service;
mod tags;
mod undescribed;

use jiff::Timestamp;
use models::claim::Transport;
use models::fleet::{DeniedCall, FleetSnapshot, Instance};
use models::ids::{Epoch, HostId, RunId};
use models::plan::PlannedStep;
use models::policy::Policy;
use models::selection::Selection;
use tokio::sync::watch;

use crate::aws::{Aws, AwsError, ErrorKind};
use crate::clock::Clock;
use crate::host::bridge::Awaited;
use crate::host::ssm::Commands;
use crate::lease::doubted;
use crate::planner::{may_get_a_bridge, refused_again};

pub(crate) use batches::goes_to_host;

use batches::{Batch, Batches, hosts_of};

/// How many single-instance calls are under way at once: a tenth of a second's worth of ECS's read bucket.
const CONCURRENT: usize = 8;

/// Who writes: stands in each claim.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Author<'a> {
    pub(crate) run: &'a RunId,
    /// Of its lease; `None` for a run without one.
    pub(crate) epoch: Option<Epoch>,
}

/// Acts for one cluster in one run.
pub(crate) struct Actor<'a> {
    pub(crate) aws: &'a Aws,
    pub(crate) policy: &'a Policy,
    /// Whether a person asked to begin updates outside of the windows too.
    pub(crate) outside_window: bool,
    /// The instances that a person has named for this run.
    pub(crate) selection: &'a Selection,
    /// Becomes true where a person asks to begin nothing more.
    pub(crate) finish: &'a watch::Receiver<bool>,
    pub(crate) author: Author<'a>,
    pub(crate) clock: &'a Clock,
    pub(crate) fleet: &'a mut FleetSnapshot,
    pub(crate) commands: &'a mut Commands,
    pub(crate) awaited: &'a mut Awaited,
    pub(crate) progress: Progress,
}

/// How far an actor has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The kind of step that is being carried out.
    step: &'static str,
    /// The calls that did not do what they were for.
    errors: Vec<AwsError>,
}

impl Actor<'_> {
    /// Carries the steps out, what is out of service first. Returns the calls that did not do what they were for.
    pub(crate) async fn carry_out(mut self, steps: Vec<PlannedStep>) -> Vec<AwsError> {
        let batches = Batches::of(steps);
        if let Some(steps) = self.begin_ending(batches.leave) {
            self.leave(steps).await;
        }
        if let Some(steps) = self.begin_ending(batches.mark_failed) {
            self.mark_failed(steps).await;
        }
        if let Some(steps) = self.begin_ending(batches.finish) {
            self.finish(steps).await;
        }
        if let Some(steps) = self.begin(batches.revert) {
            self.revert(steps).await;
        }
        if let Some(steps) = self.begin(batches.reboot) {
            self.reboot(steps).await;
        }
        if let Some(steps) = self.begin(batches.stop_tasks) {
            self.stop_tasks(steps).await;
        }
        if let Some(steps) = self.begin(batches.drain) {
            self.drain(steps).await;
        }
        if let Some(steps) = self.begin(batches.inspect) {
            self.inspect(steps).await;
        }
        if let Some(steps) = self.begin(batches.confirm) {
            self.confirm(hosts_of(&steps)).await;
        }
        if let Some(steps) = self.begin(batches.look_at_tasks) {
            self.look_at_tasks(hosts_of(&steps)).await;
        }
        if let Some(steps) = self.begin(batches.look_at_checks) {
            self.look_at_checks(hosts_of(&steps)).await;
        }
        if let Some(steps) = self.begin(batches.cancel) {
            self.cancel(steps).await;
        }
        if let Some(steps) = self.begin(self.not_begun_since(batches.stage)) {
            self.stage(steps).await;
        }
        if let Some(steps) = self.begin(batches.reach) {
            self.reach(hosts_of(&steps)).await;
        }
        self.progress.errors
    }

    /// Leaves out what would begin with an instance, where a person has asked meanwhile to begin nothing more.
    fn not_begun_since<T>(&self, mut batch: Batch<T>) -> Batch<T> {
        if *self.finish.borrow() {
            batch.steps.retain(|(host, _)| self.out_of_service_claim(host).is_some());
        }
        batch
    }

    /// Returns the steps of a batch that may be carried out now; `None` where there is none. Once the run is to stop,
    /// only what was begun with an instance comes to its end.
    fn begin<T>(&mut self, batch: Batch<T>) -> Option<Vec<(HostId, T)>> {
        if self.aws.shutdown().has_begun() {
            return None;
        }
        self.begin_ending(batch)
    }

    /// As [`Actor::begin`], for batches that a stopped run still carries out. Once SSM has not answered in this round, the
    /// steps that need it are left out, so that the others do not wait for it again.
    fn begin_ending<T>(&mut self, batch: Batch<T>) -> Option<Vec<(HostId, T)>> {
        if self.is_lease_in_doubt() {
            return None;
        }
        let Batch { kind, mut steps } = batch;
        if kind.goes_to_host && self.is_ssm_silent() {
            steps.retain(|(host, _)| self.transport(host) != Transport::Ssm);
        }
        if steps.is_empty() {
            return None;
        }
        self.progress.step = kind.name;
        Some(steps)
    }

    fn is_ssm_silent(&self) -> bool {
        self.progress.errors.iter().any(|error| error.is_of_ssm() && error.kind.is_silence())
    }

    /// Whether a look has shown a claim that says that a later run has the lease: nothing is written before that is settled.
    fn is_lease_in_doubt(&self) -> bool {
        let Author { run, epoch } = self.author;
        epoch.is_some_and(|ours| doubted(self.fleet, run, ours).next().is_some())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Records that a call for these instances went wrong. Only what AWS refuses counts against them: no answer and
    /// throttling say nothing about an instance.
    fn failed(&mut self, hosts: &[HostId], error: AwsError) {
        let counts = match &error.kind {
            ErrorKind::Refused(_) | ErrorKind::NotFound | ErrorKind::Denied => true,
            ErrorKind::Throttled | ErrorKind::NoAnswer | ErrorKind::LeaseOver => broken!(NoAnswerCounts),
            ErrorKind::Stopped => false,
        };
        tracing::warn!(cluster = %self.fleet.cluster, %error, instances = hosts.len(), "a call failed");
        for host in hosts.iter().filter(|_| counts) {
            self.refused(host, error.to_string());
        }
        self.progress.errors.push(error);
    }

    /// Records that AWS refuses a call for this instance alone, whether or not it was done for others at the same time. A
    /// right that is missing on one instance is that one's trouble; on a second one, with none between on which it was
    /// there, it may be missing for all.
    fn refused_alone(&mut self, host: &HostId, error: AwsError, others_done: bool) {
        tracing::warn!(cluster = %self.fleet.cluster, %error, %host, "refused for this instance alone");
        self.refused(host, error.to_string());
        if error.kind == ErrorKind::Denied {
            let denied = DeniedCall { operation: error.operation.into(), done: self.aws.calls().done(error.operation) };
            let is_alike = |instance: &&Instance| instance.run.denied.as_ref() == Some(&denied);
            let alike = self.fleet.instances.values().filter(|one| one.host != *host).filter(is_alike).count();
            if others_done || (alike == 0 && self.fleet.instances.len() > 1) {
                self.with_instance_mut(host, |instance| instance.run.denied = (!others_done).then_some(denied));
                return;
            }
        }
        self.progress.errors.push(error);
    }

    fn refused(&mut self, host: &HostId, words: String) {
        let (step, now) = (self.progress.step, self.now());
        self.with_instance_mut(host, |instance| {
            let refused = refused_again(instance.run.refused.as_deref(), step, words, now);
            instance.run.refused = Some(Box::new(refused));
        });
    }

    /// Records that the step which is being carried out was not refused on this instance.
    fn succeeded(&mut self, host: &HostId) {
        let step = self.progress.step;
        self.with_instance_mut(host, |instance| drop(instance.run.refused.take_if(|refused| refused.step == step)));
    }

    /// Returns the way by which this host is reached.
    fn transport(&self, host: &HostId) -> Transport {
        self.instance(host).map_or(Transport::Ssm, |instance| instance.transport(self.policy.host, self.now()))
    }

    /// As [`Actor::transport`]; from now on the host is reached by it, unless it may yet get a bridge.
    fn settle_transport(&mut self, host: &HostId) -> Transport {
        let now = self.now();
        if self.instance(host).is_none_or(|instance| !may_get_a_bridge(instance, self.policy, now)) {
            self.pin_transport(host);
        }
        self.transport(host)
    }

    /// From now on the host is reached as it is now.
    fn pin_transport(&mut self, host: &HostId) {
        let transport = self.transport(host);
        self.with_instance_mut(host, |instance| instance.run.transport = Some(transport));
    }

    fn instance(&self, host: &HostId) -> Option<&Instance> {
        self.fleet.instances.get(host)
    }

    fn with_instance_mut(&mut self, host: &HostId, change: impl FnOnce(&mut Instance)) {
        if let Some(instance) = self.fleet.instances.get_mut(host) {
            change(instance);
        }
    }
}
