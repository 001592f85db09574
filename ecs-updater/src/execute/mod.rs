//! Steps → AWS and hosts. Each step checks again, just before it acts, that the world is as the planner saw it; what
//! it learns on the way goes into the snapshot, so that the next plan knows.
//!
//! Steps of one kind are done together: one call for many instances wherever AWS takes many.

mod hosts;
mod looks;
mod service;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use jiff::Timestamp;
use models::claim::{Boots, CLAIM_TAG, Claim, ClaimStep, SAVED_LOCK_TAG, Way, whole_seconds};
use models::fleet::{FleetSnapshot, Instance};
use models::ids::{BootId, Epoch, HostId, RunId};
use models::plan::{PlannedStep, Step};
use models::policy::Policy;
use semver::Version;

use crate::aws::{Aws, AwsError, ErrorKind};
use crate::clock::Clock;
use crate::host::bridge::Awaited;
use crate::host::ssm::Commands;
use crate::lease::superseded;
use crate::planner::refused_again;

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
    pub(crate) run: &'a RunId,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) clock: &'a Clock,
    pub(crate) fleet: &'a mut FleetSnapshot,
    pub(crate) commands: &'a mut Commands,
    pub(crate) awaited: &'a mut Awaited,
    /// The kind of step that is being carried out.
    step: &'static str,
    errors: Vec<AwsError>,
}

impl<'a> Actor<'a> {
    pub(crate) fn new(
        aws: &'a Aws,
        policy: &'a Policy,
        author: Author<'a>,
        clock: &'a Clock,
        fleet: &'a mut FleetSnapshot,
        commands: &'a mut Commands,
        awaited: &'a mut Awaited,
    ) -> Self {
        let Author { run, epoch } = author;
        Self { aws, policy, run, epoch, clock, fleet, commands, awaited, step: "", errors: Vec::new() }
    }

    /// Carries the steps out, what is out of service first. Returns the calls that did not do what they were for.
    pub(crate) async fn carry_out(mut self, steps: Vec<PlannedStep>) -> Vec<AwsError> {
        let mut by_kind: BTreeMap<Kind, Vec<PlannedStep>> = BTreeMap::new();
        for step in steps {
            by_kind.entry(Kind::of(&step.step)).or_default().push(step);
        }
        for (kind, steps) in by_kind {
            // Once the run is to stop, only what was begun with an instance comes to its end.
            if self.is_superseded() || (self.aws.shutdown().has_begun() && kind > Kind::Finish) {
                break;
            }
            let steps = self.without_silent_ssm(steps);
            let Some(first) = steps.first() else { continue };
            self.step = first.step.name();
            match kind {
                Kind::Leave => self.leave(steps),
                Kind::MarkFailed => self.mark_failed(steps).await,
                Kind::Finish => self.finish(steps).await,
                Kind::Revert => self.revert(steps).await,
                Kind::Reboot => self.reboot(steps).await,
                Kind::StopTasks => self.stop_tasks(steps).await,
                Kind::Drain => self.drain(steps).await,
                Kind::Inspect => self.inspect(steps).await,
                Kind::LookAtTasks => self.look_at_tasks(hosts_of(&steps)).await,
                Kind::LookAtChecks => self.look_at_checks(hosts_of(&steps)).await,
                Kind::Cancel => self.cancel(steps).await,
                Kind::Stage => self.stage(steps).await,
                Kind::Reach => self.reach(hosts_of(&steps)).await,
            }
        }
        self.errors
    }

    /// Without those that need SSM, once it has not answered in this round: the others are not to wait for it again.
    fn without_silent_ssm(&self, mut steps: Vec<PlannedStep>) -> Vec<PlannedStep> {
        if self.is_ssm_silent() {
            steps.retain(|planned| !self.needs_ssm(planned));
        }
        steps
    }

    fn is_ssm_silent(&self) -> bool {
        self.errors.iter().any(|error| error.is_of_ssm() && error.kind.is_silence())
    }

    fn needs_ssm(&self, planned: &PlannedStep) -> bool {
        goes_to_host(&planned.step) && self.way(&planned.host) == Way::Ssm
    }

    /// Whether a look has shown a claim of a run with a later lease: then nothing more is written.
    fn is_superseded(&self) -> bool {
        self.epoch.is_some_and(|ours| superseded(self.fleet, ours).is_some())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A call for these instances went wrong. Only what AWS refuses counts against them: no answer and throttling say
    /// nothing about an instance.
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
        self.errors.push(error);
    }

    fn refused(&mut self, host: &HostId, words: String) {
        let (step, now) = (self.step, self.now());
        self.with_instance_mut(host, |instance| {
            let refused = refused_again(instance.run.refused.as_deref(), step, words, now);
            instance.run.refused = Some(Box::new(refused));
        });
    }

    /// The step that is being carried out was not refused on this instance.
    fn succeeded(&mut self, host: &HostId) {
        let step = self.step;
        self.with_instance_mut(host, |instance| drop(instance.run.refused.take_if(|refused| refused.step == step)));
    }

    /// By which way this host is reached.
    fn way(&self, host: &HostId) -> Way {
        self.instance(host).map_or(Way::Ssm, |instance| instance.way(self.policy.host, self.now()))
    }

    /// From now on the host is reached by this way.
    fn keep_way(&mut self, host: &HostId) -> Way {
        let way = self.way(host);
        self.with_instance_mut(host, |instance| instance.run.way = Some(way));
        way
    }

    fn instance(&self, host: &HostId) -> Option<&Instance> {
        self.fleet.instances.get(host)
    }

    fn with_instance_mut(&mut self, host: &HostId, change: impl FnOnce(&mut Instance)) {
        if let Some(instance) = self.fleet.instances.get_mut(host) {
            change(instance);
        }
    }

    /// Writes claims: instances with the same one, but for their boots, in one call. Returns those that have it.
    async fn claim(&mut self, claims: Vec<(HostId, Claim, Option<String>)>) -> BTreeSet<HostId> {
        let mut groups: Vec<(Claim, Option<String>, Vec<HostId>)> = Vec::new();
        for (host, claim, lock) in claims {
            let group = groups.iter_mut().filter(|(_, its_lock, _)| *its_lock == lock);
            match group.rev().find_map(|group| Some((group.0.joined(&claim)?, group))) {
                Some((joined, group)) => {
                    group.0 = joined;
                    group.2.push(host);
                }
                None => groups.push((claim, lock, vec![host])),
            }
        }
        let aws = self.aws;
        let writes = groups.into_iter().map(|(claim, lock, hosts)| async move {
            let mut tags = vec![(CLAIM_TAG, claim.to_string())];
            tags.extend(lock.clone().map(|lock| (SAVED_LOCK_TAG, lock)));
            let done = aws.create_tags(&hosts, &tags).await;
            (hosts, lock, claim, done)
        });
        let mut writes = futures_util::stream::iter(writes).buffer_unordered(CONCURRENT);
        let mut written = BTreeSet::new();
        while let Some((hosts, lock, claim, done)) = writes.next().await {
            match done {
                Ok(()) => {
                    let now = self.now();
                    for host in hosts {
                        self.with_instance_mut(&host, |instance| {
                            note_begun(instance, &claim);
                            instance.run.tags_written_at = Some(now);
                            instance.tags.claim = Some(Ok(claim.clone()));
                            instance.tags.saved_lock = lock.clone().or(instance.tags.saved_lock.take());
                        });
                        written.insert(host);
                    }
                }
                Err(error) => self.failed(&hosts, error),
            }
        }
        written
    }

    fn new_claim(&self, host: &HostId, step: ClaimStep, from: &Version, to: &Version, boot: Option<&BootId>) -> Claim {
        let since = whole_seconds(self.now());
        let way = self.way(host);
        let boots = boot.map(Boots::from).unwrap_or_default();
        let (run, from, to) = (self.run.clone(), from.clone(), to.clone());
        Claim { step, way, run, epoch: self.epoch, attempt: 1, from, to, since, boots }
    }

    /// As [`Actor::new_claim`]; but where the claim that stands asks for the same, it keeps `since`, so that its deadline
    /// does. A bridge that has answered it is asked once more by another attempt.
    ///
    /// What an earlier run claimed of an instance in service is begun from the start: nothing counts from it.
    fn claim_for(&self, host: &HostId, step: ClaimStep, from: &Version, to: &Version, boot: Option<&BootId>) -> Claim {
        let new = self.new_claim(host, step, from, to, boot);
        let Some(instance) = self.instance(host) else { return new };
        let Some(standing) = instance.claim().filter(|standing| standing.asks_for_the_same(&new)) else { return new };
        let is_ours = standing.run == new.run;
        if !is_ours && !step.takes_out_of_service() {
            return new;
        }
        let attempt = if is_ours && standing.way == new.way { next_attempt(instance, standing) } else { 1 };
        Claim { since: standing.since, boots: standing.boots.clone(), attempt, ..new }
    }
}

/// The attempt by which the host is asked for what `standing` says: the next one where its bridge is done with that.
fn next_attempt(instance: &Instance, standing: &Claim) -> u32 {
    if standing.way == Way::Bridge && instance.bridge_has_answered(standing) {
        standing.attempt.saturating_add(1)
    } else {
        standing.attempt
    }
}

/// Remembers that this run was the first to claim a reboot in this boot, where it was.
fn note_begun(instance: &mut Instance, claim: &Claim) {
    if claim.boots.is_empty() || instance.claim().is_some_and(|before| before.asks_for_the_same(claim)) {
        return;
    }
    instance.run.began = Some(claim.since);
    instance.run.reboot_claims += u32::from(claim.step == ClaimStep::Reboot);
}

fn hosts_of(steps: &[PlannedStep]) -> Vec<HostId> {
    steps.iter().map(|step| step.host.clone()).collect()
}

/// Whether a step asks something of the host, or whether it can be asked.
pub(crate) fn goes_to_host(step: &Step) -> bool {
    match step {
        Step::Reach | Step::Inspect(_) | Step::Stage(_) | Step::Reboot(_) | Step::Revert(_) | Step::Cancel(_) => true,
        Step::LookAtTasks
        | Step::LookAtChecks
        | Step::Drain(_)
        | Step::StopTasks(_)
        | Step::MarkFailed(_)
        | Step::Finish(_)
        | Step::Leave(_) => false,
    }
}

/// Kinds of steps in the order in which they are done: ends first, since they free places; then what is out of
/// service; then the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Leave,
    MarkFailed,
    Finish,
    Revert,
    Reboot,
    StopTasks,
    Drain,
    Inspect,
    LookAtTasks,
    LookAtChecks,
    Cancel,
    Stage,
    Reach,
}

impl Kind {
    fn of(step: &Step) -> Self {
        match step {
            Step::Leave(_) => Self::Leave,
            Step::MarkFailed(_) => Self::MarkFailed,
            Step::Finish(_) => Self::Finish,
            Step::Revert(_) => Self::Revert,
            Step::Reboot(_) => Self::Reboot,
            Step::StopTasks(_) => Self::StopTasks,
            Step::Drain(_) => Self::Drain,
            Step::Inspect(_) => Self::Inspect,
            Step::LookAtTasks => Self::LookAtTasks,
            Step::LookAtChecks => Self::LookAtChecks,
            Step::Cancel(_) => Self::Cancel,
            Step::Stage(_) => Self::Stage,
            Step::Reach => Self::Reach,
        }
    }
}
