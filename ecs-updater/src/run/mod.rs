//! The loop: observe, plan, act, observe again, until nothing is left that this run could do, or a signal comes.
//!
//! Each cluster has a loop of its own; they share nothing but the signal.
//!
//! - `rhythm`: when it looks, and how fast it may turn.
//! - `acts`: what went wrong with acts, and how long that is waited out.
//! - `work`: its rounds from beginning to end, under the lease.
//! - `interruption`: what a signal does.
//! - `report`: what it says when it is over.

mod acts;
mod interruption;
mod report;
mod rhythm;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use models::claim::Way;
use models::fleet::{FleetSnapshot, Instance};
use models::ids::{ClusterName, Epoch, HostId, RunId};
use models::location::Location;
use models::pace::Pace;
use models::plan::{Phase, Plan, PlannedStep, Step};
use models::policy::Policy;
use models::report::{ClusterError, ClusterErrorKind, ClusterReport, RunReport};
use tokio::sync::watch;

use crate::aws::{Aws, AwsError, ErrorKind, Fence, Limits};
use crate::clock::Clock;
use crate::execute::{Actor, Author, Progress, goes_to_host};
use crate::host::bridge::Awaited;
use crate::host::ssm::Commands;
use crate::keeper::{HeldLease, lease_lost};
use crate::lease::superseded;
use crate::observe;
use crate::patience::{FOR_REFUSALS, FOR_SILENCE, GiveUp, Looks, Trouble, Try, WINDOW};
use crate::planner::{self, RunFacts, Stop, after};
use crate::track::Track;

use acts::{Acts, Aftermath, BREATH};
use interruption::signal;
use report::refused;
use rhythm::{Beat, Rounds, full_look_every, is_left_alone};

/// What a run is to do.
#[derive(Debug, Clone)]
pub struct Job {
    /// The run's id.
    pub run: RunId,
    /// The clusters and what a person decided for each, or why a cluster cannot be worked on.
    pub clusters: Vec<(ClusterName, Result<Policy, ClusterError>)>,
    /// Where each cluster is, for the log and the report.
    pub locations: BTreeMap<ClusterName, Location>,
    /// Whether to read only.
    pub dry_run: bool,
    /// The DynamoDB table with the leases, where there is one.
    pub lease_table: Option<String>,
}

/// Sees a cluster after every plan: for the live view.
pub trait Watch {
    /// `fleet` and `policy` are as the plan was made from; `since` tells when an instance came into its phase.
    fn see(
        &self,
        fleet: &FleetSnapshot,
        plan: &Plan,
        policy: &Policy,
        since: &dyn Fn(&HostId) -> Option<Timestamp>,
        now: Timestamp,
    );
}

/// Nobody watches.
impl Watch for () {
    fn see(&self, _: &FleetSnapshot, _: &Plan, _: &Policy, _: &dyn Fn(&HostId) -> Option<Timestamp>, _: Timestamp) {}
}

/// Runs the job to its end, or until `stop` becomes true: then nothing new is begun, the writes on their way end, and the
/// report says what is left, within half a minute.
pub async fn run(
    config: &aws_config::SdkConfig,
    clock: &Clock,
    job: Job,
    watch: &dyn Watch,
    stop: watch::Receiver<bool>,
) -> RunReport {
    let started_at = clock.now();
    let limits = Limits::default();
    let loops = job.clusters.iter().map(|(cluster, policy)| {
        let facts = RunFacts { run: job.run.clone(), started_at, dry_run: job.dry_run, stop: None, idle_since: None };
        let table = job.lease_table.as_deref().filter(|_| !job.dry_run);
        let (limits, stop) = (limits.clone(), stop.clone());
        let location = job.locations.get(cluster).cloned().unwrap_or_default();
        async move {
            let policy = match policy {
                Ok(policy) => policy,
                Err(error) => return refused(cluster, location, error),
            };
            tracing::info!(
                %cluster,
                region = location.region.as_ref().map(tracing::field::display),
                account = location.account.as_ref().map(tracing::field::display),
                run = %facts.run,
                dry_run = facts.dry_run,
                "begins"
            );
            let hold = HeldLease::default();
            let fence = table.map_or_else(Fence::open, |_| hold.fence(clock));
            let aws = Aws::new(config, &fence, limits);
            let report = Cluster::new(cluster, policy, aws, clock, facts, (table, hold), stop).run(watch).await;
            ClusterReport { location, ..report }
        }
    });
    let clusters = futures_util::future::join_all(loops).await;
    RunReport {
        version: 1,
        run: job.run.clone(),
        dry_run: job.dry_run,
        started_at,
        ended_at: clock.now(),
        interrupted: *stop.borrow(),
        clusters,
    }
}

struct Cluster<'a> {
    name: &'a ClusterName,
    policy: &'a Policy,
    aws: Aws,
    clock: &'a Clock,
    facts: RunFacts,
    /// The table with the leases, where one is needed.
    lease_table: Option<&'a str>,
    hold: HeldLease,
    epoch: Option<Epoch>,
    stop: watch::Receiver<bool>,
    fleet: FleetSnapshot,
    commands: Commands,
    awaited: Awaited,
    /// The last plan.
    plan: Plan,
    track: Track,
    looked_full: Option<Timestamp>,
    looked_short: Timestamp,
    looks: Looks,
    look_pace: Pace,
    acts: Acts,
    last_steps: Vec<PlannedStep>,
    rounds: Rounds,
}

impl<'a> Cluster<'a> {
    fn new(
        name: &'a ClusterName,
        policy: &'a Policy,
        aws: Aws,
        clock: &'a Clock,
        facts: RunFacts,
        (lease_table, hold): (Option<&'a str>, HeldLease),
        stop: watch::Receiver<bool>,
    ) -> Self {
        let fleet = FleetSnapshot {
            cluster: name.clone(),
            taken_at: clock.now(),
            instances: Default::default(),
            outdated_registrations: Default::default(),
            services: Default::default(),
        };
        Self {
            name,
            policy,
            aws,
            clock,
            facts,
            lease_table,
            hold,
            epoch: None,
            stop,
            fleet,
            commands: Commands::default(),
            awaited: Awaited::default(),
            plan: Plan::default(),
            track: Track::default(),
            looked_full: None,
            looked_short: Timestamp::MIN,
            looks: Looks::default(),
            look_pace: acts::pace(),
            acts: Acts::default(),
            last_steps: Vec::new(),
            rounds: Rounds::default(),
        }
    }

    async fn run(mut self, watch: &dyn Watch) -> ClusterReport {
        let error = self.work(watch).await.err();
        let ended = error.is_none() && self.facts.stop.is_none();
        let images = if ended { self.image_versions().await } else { BTreeMap::new() };
        self.report(error, &images)
    }

    async fn rounds(&mut self, watch: &dyn Watch) -> Result<(), ClusterError> {
        loop {
            if self.is_stopped() {
                self.let_go(watch).await;
                return Ok(());
            }
            let wait = self.rounds.begin(self.clock.now());
            if !wait.is_zero() {
                self.breathe(wait).await;
                continue;
            }
            if !self.look_and_endure().await? {
                continue;
            }
            if let Some((host, run, epoch)) = self.epoch.and_then(|ours| superseded(&self.fleet, ours)) {
                let who = format!("run {run} with the later epoch {epoch} has claimed {host}");
                return Err(lease_lost(self.name, &who));
            }
            let now = self.clock.now();
            self.plan(watch, now);
            let steps = self.permitted(now);
            if steps.is_empty() {
                if self.is_done() {
                    return Ok(());
                }
                self.note_idleness(now);
                self.sleep(now).await;
                continue;
            }
            if self.epoch.is_some() && !self.hold.may_write(self.clock) && !broken!(FenceIgnored) {
                // The lease ran out: nothing is done before it is renewed, or lost.
                self.breathe(BREATH).await;
                continue;
            }
            // Another look is no progress: one that waits for a place looks at its tasks every minute.
            if steps.iter().any(|planned| writes(&planned.step)) {
                self.facts.idle_since = None;
            }
            if self.last_steps == steps {
                // The same again means that the last round could not do it: the world has to move first.
                self.breathe(BREATH).await;
            }
            if self.is_stopped() {
                continue;
            }
            self.last_steps.clone_from(&steps);
            self.act(steps).await?;
        }
    }

    /// Looks at what is due. Returns whether that was answered, or a while later that it was not.
    async fn look_and_endure(&mut self) -> Result<bool, ClusterError> {
        let (began, stop) = (self.clock.now(), self.stop.clone());
        let looked = tokio::select! {
            biased;
            looked = self.look() => looked,
            () = signal(stop) => return Ok(false),
        };
        let now = self.clock.now();
        if let Err(error) = looked {
            self.endure(error, Try { began, ended: now }).await?;
            return Ok(false);
        }
        self.looks.answered(now);
        self.look_pace.reset();
        Ok(true)
    }

    fn plan(&mut self, watch: &dyn Watch, now: Timestamp) {
        self.plan = planner::plan(&self.fleet, self.policy, &self.facts, now);
        self.track.follow(&self.fleet, &self.plan, now);
        watch.see(&self.fleet, &self.plan, self.policy, &|host| self.track.since(host), now);
    }

    /// Whether nothing is left that this run could do.
    fn is_done(&self) -> bool {
        self.plan.steps.iter().all(|planned| self.facts.dry_run && writes(&planned.step))
            && self.plan.wake_at.is_none()
            && self.commands.is_empty()
            && self.awaited.is_empty()
    }

    /// What may be done now: on a dry run only what reads, and nothing that needs SSM before that may be asked again.
    ///
    /// While SSM does not answer, no instance is taken out of service that it is needed for: SSM is asked first whether it
    /// reaches the host.
    fn permitted(&self, now: Timestamp) -> Vec<PlannedStep> {
        let asked_again = self.acts.ssm_again_at(now).is_none();
        let is_silent = self.is_ssm_silent();
        let mut steps = Vec::new();
        for planned in &self.plan.steps {
            let by_ssm =
                || self.fleet.instances.get(&planned.host).map(|one| one.way(self.policy.host, now)) == Some(Way::Ssm);
            if self.facts.dry_run && writes(&planned.step) {
                continue;
            }
            if matches!(planned.step, Step::Drain(_)) && (is_silent || self.commands.is_unheard()) && by_ssm() {
                if asked_again && is_silent {
                    steps.push(PlannedStep { host: planned.host.clone(), step: Step::Reach });
                }
            } else if asked_again || !goes_to_host(&planned.step) || !by_ssm() {
                steps.push(planned.clone());
            }
        }
        steps
    }

    fn is_ssm_silent(&self) -> bool {
        self.acts.is_ssm_silent(|operation| self.aws.calls().done(operation))
    }

    async fn act(&mut self, steps: Vec<PlannedStep>) -> Result<(), ClusterError> {
        let began = self.clock.now();
        let errors = self.carry_out(steps).await;
        if self.is_stopped() {
            return Ok(());
        }
        if let Some(error) = errors.iter().find(|error| error.kind == ErrorKind::Denied) {
            self.begin_nothing_new(error);
        }
        let tried = Try { began, ended: self.clock.now() };
        let is_draining = self.plan.stands.iter().any(|stand| stand.phase == Phase::Draining);
        let aws = &self.aws;
        let Aftermath { pause, give_up } =
            self.acts.learn(&errors, tried, |operation| aws.calls().done(operation), is_draining);
        if let Some((why, error)) = give_up {
            return Err(self.given_up(why, error));
        }
        if let Some(pause) = pause {
            self.breathe(pause).await;
        }
        Ok(())
    }

    /// Returns the calls that did not do what they were for.
    async fn carry_out(&mut self, steps: Vec<PlannedStep>) -> Vec<AwsError> {
        let actor = Actor {
            aws: &self.aws,
            policy: self.policy,
            author: Author { run: &self.facts.run, epoch: self.epoch },
            clock: self.clock,
            fleet: &mut self.fleet,
            commands: &mut self.commands,
            awaited: &mut self.awaited,
            progress: Progress::default(),
        };
        actor.carry_out(steps).await
    }

    /// AWS refuses something that every instance needs.
    fn begin_nothing_new(&mut self, error: &AwsError) {
        let detail = error.to_string();
        self.facts.stop.get_or_insert(Stop::NotPermitted { detail, advice: error.advice() });
    }

    /// What is due of: a full look, a short one, the commands under way.
    async fn look(&mut self) -> Result<(), AwsError> {
        // What hosts say comes first: then ECS is asked since.
        let now = self.clock.now();
        let (ended, failed) = self.commands.poll(&self.aws, now).await;
        for ended in ended {
            observe::record_ended(&mut self.fleet, ended, self.clock.now());
        }
        // What SSM does not say is missed by those that it was asked about, each in its time, and by nobody else.
        if let Some(error) = failed {
            tracing::warn!(cluster = %self.name, %error, "how commands ended is not known yet");
            if error.kind == ErrorKind::Denied {
                self.begin_nothing_new(&error);
            }
        }
        let now = self.clock.now();
        let under_way = self.under_way(now);
        let full_due = self.looked_full.is_none_or(|at| now >= after(at, self.full_look_every()));
        if full_due {
            self.full_look().await?;
        } else if !under_way.is_empty() && now >= after(self.looked_short, self.beat(now).short_look) {
            let complete = observe::short_look(&self.aws, &mut self.fleet, &under_way, self.policy.host, now).await?;
            self.looked_short = now;
            if !complete {
                self.full_look().await?;
            }
        }
        let now = self.clock.now();
        for ended in self.awaited.ended(&self.fleet, now) {
            observe::record_ended(&mut self.fleet, ended, self.clock.now());
        }
        Ok(())
    }

    async fn full_look(&mut self) -> Result<(), AwsError> {
        let now = self.clock.now();
        observe::full_look(&self.aws, &mut self.fleet, self.policy.host, now).await?;
        self.looked_full = Some(now);
        self.looked_short = now;
        Ok(())
    }

    fn full_look_every(&self) -> SignedDuration {
        full_look_every(self.fleet.instances.len())
    }

    /// The instances that a short look reads: out of service by us, or with a report awaited.
    fn under_way(&self, now: Timestamp) -> BTreeSet<HostId> {
        let ours = self.worth_a_look(now).map(|(instance, _)| &instance.host);
        ours.chain(self.awaited.hosts()).cloned().collect()
    }

    /// The finer one while a host bridge has an instance out of service: it acts within a second of what it reads.
    fn beat(&self, now: Timestamp) -> Beat {
        let by_bridge = self.worth_a_look(now).any(|(_, way)| way == Way::Bridge);
        if by_bridge { Beat::OF_BRIDGES } else { Beat::OF_SSM }
    }

    /// The instances out of service of which ECS may have news, and the way by which each is reached.
    fn worth_a_look(&self, now: Timestamp) -> impl Iterator<Item = (&Instance, Way)> {
        let ours = self.out_of_service().map(move |instance| (instance, instance.way(self.policy.host, now)));
        ours.filter(move |(instance, way)| !is_left_alone(instance, *way, now))
    }

    /// The instances that are out of service by a claim and not done with.
    fn out_of_service(&self) -> impl Iterator<Item = &Instance> {
        let instances = self.fleet.instances.values();
        instances.filter(|instance| instance.run.verdict.is_none() && instance.out_of_service_claim().is_some())
    }

    /// Waits a while after a look that went wrong.
    ///
    /// # Errors
    /// At the first look anything but throttling, which a person should be told at once; later a cluster that is gone, and
    /// what lasts for longer than there is patience for.
    async fn endure(&mut self, error: AwsError, tried: Try) -> Result<(), ClusterError> {
        let how = match &error.kind {
            ErrorKind::Stopped => return Ok(()),
            ErrorKind::NotFound => return Err(error.on(self.name)),
            ErrorKind::Denied | ErrorKind::Refused(_) => Trouble::Refused,
            ErrorKind::NoAnswer | ErrorKind::Throttled | ErrorKind::LeaseOver => Trouble::Silent,
        };
        if self.looked_full.is_none() && error.kind != ErrorKind::Throttled {
            return Err(error.on(self.name));
        }
        if let Some(why) = self.looks.failed(how, tried) {
            return Err(self.given_up(why, &error));
        }
        tracing::warn!(cluster = %self.name, %error, "waiting before the next try");
        let wait = self.look_pace.next_wait();
        self.breathe(wait).await;
        Ok(())
    }

    /// The end of the work on the cluster, with what was the last straw.
    fn given_up(&self, why: GiveUp, error: &AwsError) -> ClusterError {
        const NEXT: &str = "what is under way keeps its claim, and the next run goes on with it";
        let name = self.name;
        let unreachable = |message| ClusterError { kind: ClusterErrorKind::NotReachable, message };
        match why {
            GiveUp::Refused => {
                let ClusterError { kind, message } = error.on(name);
                let minutes = FOR_REFUSALS.as_mins();
                ClusterError { kind, message: format!("{message}; AWS refused this for {minutes} minutes: {NEXT}") }
            }
            GiveUp::Silent => unreachable(format!(
                "cluster {name}: AWS has refused or not answered for {} minutes (last: {error}); {NEXT}",
                FOR_SILENCE.as_mins()
            )),
            GiveUp::TooSeldom => unreachable(format!(
                "cluster {name}: AWS has been away again and again, for more than half of the last {} minutes (last: \
                 {error}); {NEXT}",
                WINDOW.as_mins()
            )),
        }
    }

    /// Waits, or until the run is stopped. Once it is stopped, this does not wait.
    async fn breathe(&self, wait: Duration) {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = signal(self.stop.clone()) => {}
        }
    }

    fn note_idleness(&mut self, now: Timestamp) {
        let idle = self.commands.is_empty()
            && self.awaited.is_empty()
            && !self.plan.stands.iter().any(|stand| stand.phase.is_under_way());
        self.facts.idle_since = idle.then(|| self.facts.idle_since.unwrap_or(now));
    }

    /// Waits until something is due, or SSM answers what it was asked.
    async fn sleep(&mut self, now: Timestamp) {
        let full = self.looked_full.map_or(now, |at| after(at, self.full_look_every()));
        let beat = self.beat(now);
        let report = (!self.awaited.is_empty()).then(|| after(self.looked_short, beat.short_look));
        let ssm = self.acts.ssm_again_at(now);
        let due = [self.plan.wake_at, self.commands.poll_at(), report, Some(full), ssm];
        let until = due.into_iter().flatten().min().unwrap_or(now);
        let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        let wait = wait.max(Duration::from_millis(100)) + beat.from(until.max(now));
        let stop = self.stop.clone();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = signal(stop) => {}
            () = self.commands.next_answer() => {}
        }
    }
}

/// Whether a step changes something outside this program.
fn writes(step: &Step) -> bool {
    match step {
        Step::Reach | Step::Inspect(_) | Step::LookAtTasks | Step::LookAtChecks | Step::Leave(_) => false,
        Step::Stage(_)
        | Step::Drain(_)
        | Step::StopTasks(_)
        | Step::Reboot(_)
        | Step::MarkFailed(_)
        | Step::Revert(_)
        | Step::Cancel(_)
        | Step::Finish(_) => true,
    }
}
