//! The loop: observe, plan, act, observe again, until nothing is left that this run could do, or a signal comes.
//!
//! Each cluster has a loop of its own; they share nothing but the signal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use models::claim::Way;
use models::fleet::{FleetSnapshot, Instance};
use models::ids::{ClusterName, Epoch, HostId, ImageId, RunId};
use models::location::Location;
use models::pace::Pace;
use models::plan::{End, Plan, PlannedStep, Step};
use models::policy::Policy;
use models::reason::HoldReason;
use models::report::{ClusterError, ClusterErrorKind, ClusterReport, Outcome, RunReport};
use semver::Version;
use tokio::sync::watch;

use crate::aws::{Aws, AwsError, ErrorKind, Fence, Limits};
use crate::clock::Clock;
use crate::execute::{Actor, Author};
use crate::host::bridge::Awaited;
use crate::host::ssm::Commands;
use crate::keeper::{Hold, Keeper, lease_lost};
use crate::lease::superseded;
use crate::observe;
use crate::planner::{self, RunFacts, Stop, after};
use crate::track::Track;

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

/// The time between two full looks at a small cluster.
const FULL_LOOK: SignedDuration = SignedDuration::from_secs(30);
/// The same for each hundred instances: a look costs two calls a hundred, and the read bucket refills with twenty a
/// second for the whole account.
const FULL_LOOK_PER_100: SignedDuration = SignedDuration::from_secs(5);
/// The time between two looks at an instance whose reboot SSM is to tell of: at each third beat, which three whole beats
/// would just miss.
const REBOOTING_LOOK: SignedDuration = SignedDuration::from_secs(14);
/// How long AWS may give no usable answer in the middle of a run before the cluster is given up. The claims stay, so
/// that the next run goes on.
const PATIENCE: SignedDuration = SignedDuration::from_mins(15);
/// A call without an answer this long ago has nothing to do with the next one.
const FORGIVEN_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// How long the report waits for the names of images, which nothing depends on.
const IMAGES_PATIENCE: Duration = Duration::from_secs(30);
/// No two rounds follow faster than this when a call went wrong in the first.
const BREATH: Duration = Duration::from_secs(2);

/// Runs the job to its end, or until `stop` becomes true: then nothing new is begun, the calls under way end, and the
/// report says what is left.
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
            let hold = Hold::default();
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

/// The report of a cluster that is not worked on.
fn refused(cluster: &ClusterName, location: Location, error: &ClusterError) -> ClusterReport {
    ClusterReport {
        cluster: cluster.clone(),
        location,
        error: Some(error.clone()),
        instances: Vec::new(),
        aws_calls: BTreeMap::new(),
        longest_out_of_service_s: None,
        estimate: None,
        auto_scaling_groups: Vec::new(),
    }
}

/// Wake-ups fall on a grid, so that what is due for many instances is done for them in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Beat {
    /// From one to the next, in milliseconds.
    grid_ms: i64,
    /// The time between two looks at the instances under way: each beat, so a little less than one.
    short_look: SignedDuration,
}

impl Beat {
    const OF_SSM: Self = Self { grid_ms: 5_000, short_look: planner::DRAIN_POLL };
    const OF_BRIDGES: Self = Self { grid_ms: 2_500, short_look: planner::BRIDGE_POLL };

    /// How long it is from `time` to the next one.
    fn from(self, time: Timestamp) -> Duration {
        let over = time.as_millisecond().rem_euclid(self.grid_ms);
        match u64::try_from(self.grid_ms - over) {
            Ok(left) if over > 0 => Duration::from_millis(left),
            Ok(_) | Err(_) => Duration::ZERO,
        }
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
    hold: Hold,
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
    silence: Option<Silence>,
    last_steps: Vec<PlannedStep>,
    pace: Pace,
}

/// Calls that got no answer, one after the other.
#[derive(Debug)]
struct Silence {
    since: Timestamp,
    last: Timestamp,
}

/// Why a loop ended before its work did.
type GaveUp = ClusterError;

impl<'a> Cluster<'a> {
    fn new(
        name: &'a ClusterName,
        policy: &'a Policy,
        aws: Aws,
        clock: &'a Clock,
        facts: RunFacts,
        (lease_table, hold): (Option<&'a str>, Hold),
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
            silence: None,
            last_steps: Vec::new(),
            pace: Pace::new(BREATH, 2.0, Duration::from_secs(30), 0.0),
        }
    }

    async fn run(mut self, watch: &dyn Watch) -> ClusterReport {
        let error = self.work(watch).await.err();
        let ended = error.is_none() && self.facts.stop.is_none();
        let images = if ended { self.image_versions().await } else { BTreeMap::new() };
        self.report(error, &images)
    }

    /// The rounds, under the lease where there is to be one.
    async fn work(&mut self, watch: &dyn Watch) -> Result<(), GaveUp> {
        let Some(table) = self.lease_table else { return self.rounds(watch).await };
        let keeper = Keeper::new(table, self.name, &self.facts.run, &self.aws, self.clock, &self.hold);
        self.epoch = Some(keeper.acquire().await?);
        let ended = tokio::select! {
            biased;
            lost = keeper.keep() => Err(lost),
            ended = self.rounds(watch) => ended,
        };
        keeper.release().await;
        ended
    }

    async fn rounds(&mut self, watch: &dyn Watch) -> Result<(), GaveUp> {
        loop {
            if *self.stop.borrow() && self.facts.stop.is_none() {
                tracing::warn!(cluster = %self.name, "interrupted: nothing new is begun");
                self.facts.stop = Some(Stop::Interrupted);
            }
            if let Err(error) = self.look().await {
                self.give_up_on(&error)?;
                self.endure(error).await?;
                continue;
            }
            if let Some((host, run, epoch)) = self.epoch.and_then(|ours| superseded(&self.fleet, ours)) {
                let who = format!("run {run} with the later epoch {epoch} has claimed {host}");
                return Err(lease_lost(self.name, &who));
            }
            let now = self.clock.now();
            self.plan = planner::plan(&self.fleet, self.policy, &self.facts, now);
            self.track.follow(&self.fleet, &self.plan, now);
            watch.see(&self.fleet, &self.plan, self.policy, &|host| self.track.since(host), now);
            let mut steps = self.permitted();
            if self.facts.stop == Some(Stop::Interrupted) {
                // What only waits is let go; what is under way keeps its claim for the next run.
                steps.retain(|planned| matches!(planned.step, Step::Finish(End::Held { .. })));
                return if steps.is_empty() { Ok(()) } else { self.act(steps).await };
            }
            if steps.is_empty() {
                if self.plan.wake_at.is_none() && self.commands.is_empty() && self.awaited.is_empty() {
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
                tokio::time::sleep(BREATH).await;
            }
            self.last_steps.clone_from(&steps);
            self.act(steps).await?;
        }
    }

    /// On a dry run only what reads.
    fn permitted(&self) -> Vec<PlannedStep> {
        self.plan.steps.iter().filter(|planned| !self.facts.dry_run || !writes(&planned.step)).cloned().collect()
    }

    async fn act(&mut self, steps: Vec<PlannedStep>) -> Result<(), GaveUp> {
        let writes = steps.iter().any(|planned| writes(&planned.step));
        let author = Author { run: &self.facts.run, epoch: self.epoch };
        let actor = Actor::new(
            &self.aws,
            self.policy,
            author,
            self.clock,
            &mut self.fleet,
            &mut self.commands,
            &mut self.awaited,
        );
        let errors = actor.carry_out(steps).await;
        let denied = errors.iter().find(|error| error.kind == ErrorKind::Denied);
        if let (Some(error), None) = (denied, &self.facts.stop) {
            self.facts.stop = Some(Stop::NotPermitted { detail: error.to_string(), advice: error.advice() });
        }
        // What AWS refuses counts against the instance it was for; only silence counts against the cluster.
        let silent = |error: &AwsError| matches!(error.kind, ErrorKind::NoAnswer | ErrorKind::Throttled);
        match errors.into_iter().max_by_key(silent) {
            Some(error) => self.endure(error).await,
            None => {
                // Reads that are answered say nothing about writes that are not.
                if writes {
                    self.silence = None;
                }
                self.pace.reset();
                Ok(())
            }
        }
    }

    /// What is due of: a full look, a short one, the commands under way.
    async fn look(&mut self) -> Result<(), AwsError> {
        // What hosts say comes first: then ECS is asked since.
        let now = self.clock.now();
        let (ended, failed) = self.commands.poll(&self.aws, now).await;
        for ended in ended {
            observe::take_ended(&mut self.fleet, ended, self.clock.now());
        }
        if let Some(error) = failed {
            return Err(error);
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
            observe::take_ended(&mut self.fleet, ended, self.clock.now());
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
        let hundreds = i32::try_from(self.fleet.instances.len().div_ceil(100)).unwrap_or(i32::MAX);
        FULL_LOOK.max(FULL_LOOK_PER_100.saturating_mul(hundreds))
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

    /// Whether a look that went wrong ends the work on the cluster: at the beginning anything but throttling does, and
    /// later a cluster that is gone, or a right that was taken away while nothing is under way.
    fn give_up_on(&self, error: &AwsError) -> Result<(), GaveUp> {
        let first = self.looked_full.is_none();
        let ends = match &error.kind {
            ErrorKind::NotFound => true,
            ErrorKind::Denied => first || (self.out_of_service().next().is_none() && self.awaited.is_empty()),
            ErrorKind::Refused(_) | ErrorKind::NoAnswer => first,
            ErrorKind::Throttled | ErrorKind::LeaseOver => false,
        };
        if ends { Err(error.on(self.name)) } else { Ok(()) }
    }

    /// Waits a while after a call that went wrong.
    ///
    /// # Errors
    /// After [`PATIENCE`] of nothing but that.
    async fn endure(&mut self, error: AwsError) -> Result<(), GaveUp> {
        let now = self.clock.now();
        let silent = matches!(error.kind, ErrorKind::NoAnswer | ErrorKind::Throttled);
        let since = match &self.silence {
            Some(silence) if now < after(silence.last, FORGIVEN_AFTER) => silence.since,
            Some(_) | None => now,
        };
        if silent {
            self.silence = Some(Silence { since, last: now });
        }
        if silent && now >= after(since, PATIENCE) {
            return Err(ClusterError {
                kind: ClusterErrorKind::NotReachable,
                message: format!(
                    "cluster {}: AWS has refused or not answered for {} minutes (last: {error}); what is under way \
                     keeps its claim, and the next run goes on with it",
                    self.name,
                    PATIENCE.as_mins()
                ),
            });
        }
        tracing::warn!(cluster = %self.name, %error, "waiting before the next try");
        let wait = self.pace.next_wait();
        self.breathe(wait).await;
        Ok(())
    }

    /// Waits, or until the run is stopped. Once it is stopped, this does not wait.
    async fn breathe(&self, wait: Duration) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.wait_for(|stopped| *stopped) => {}
        }
    }

    fn note_idleness(&mut self, now: Timestamp) {
        let idle = self.commands.is_empty()
            && self.awaited.is_empty()
            && !self.plan.stands.iter().any(|stand| stand.phase.is_under_way());
        self.facts.idle_since = idle.then(|| self.facts.idle_since.unwrap_or(now));
    }

    async fn sleep(&self, now: Timestamp) {
        let full = self.looked_full.map_or(now, |at| after(at, self.full_look_every()));
        let beat = self.beat(now);
        let report = (!self.awaited.is_empty()).then(|| after(self.looked_short, beat.short_look));
        let until =
            [self.plan.wake_at, self.commands.poll_at(), report, Some(full)].into_iter().flatten().min().unwrap_or(now);
        let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        let wait = wait.max(Duration::from_millis(100)) + beat.from(until.max(now));
        self.breathe(wait).await;
    }

    /// The versions of the images that Auto Scaling groups launched last. The report does without them where AWS does not
    /// say.
    async fn image_versions(&self) -> BTreeMap<ImageId, Version> {
        let images: Vec<ImageId> = planner::youngest_images(&self.fleet).into_iter().collect();
        let trouble = match tokio::time::timeout(IMAGES_PATIENCE, self.aws.image_names(&images)).await {
            Ok(Ok(names)) => {
                let versions = names.into_iter().filter_map(|(id, name)| Some((id, planner::image_version(&name)?)));
                return versions.collect();
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("ec2:DescribeImages: no answer within {} s", IMAGES_PATIENCE.as_secs()),
        };
        tracing::warn!(
            cluster = %self.name,
            error = trouble,
            "the report does not tell whether Auto Scaling groups launch old images; docs/operations.md lists every \
             permission"
        );
        BTreeMap::new()
    }

    fn report(self, error: Option<ClusterError>, images: &BTreeMap<ImageId, Version>) -> ClusterReport {
        let now = self.clock.now();
        let instances: Vec<_> = self
            .fleet
            .instances
            .values()
            .map(|instance| {
                let mut report = self.track.report(instance, self.plan.stand(&instance.host), now, self.facts.dry_run);
                let begun = instance.claim().is_some() || instance.run.drained_at.is_some();
                if error.is_some() && report.outcome == Outcome::InProgress && !begun {
                    let why = HoldReason::ClusterGivenUp;
                    report.outcome = Outcome::Held;
                    report.reason = Some(why.code().to_owned());
                    report.detail = Some(why.to_string());
                }
                report
            })
            .collect();
        let error = error.or_else(|| match &self.facts.stop {
            Some(Stop::NotPermitted { detail, advice }) => {
                let message = format!("cluster {}: not permitted: {detail}; {advice}", self.name);
                Some(ClusterError { kind: ClusterErrorKind::NotPermitted, message })
            }
            Some(Stop::Interrupted) | None => None,
        });
        let estimate = (self.facts.dry_run && error.is_none()).then(|| {
            let count = instances.iter().filter(|instance| instance.outcome == Outcome::WouldUpdate).count();
            let (registered, out) = self.fleet.registered_and_out();
            planner::estimate(count, registered, out, self.policy)
        });
        let auto_scaling_groups = planner::groups(&self.fleet, &instances, images);
        ClusterReport {
            cluster: self.name.clone(),
            location: Location::default(),
            error,
            instances,
            auto_scaling_groups,
            aws_calls: self.aws.calls().counts(),
            longest_out_of_service_s: self.track.longest_out_of_service(now).map(|out| out.as_secs()),
            estimate,
        }
    }
}

/// Whether its reboot was claimed and ECS need not be asked of it now: no host is back at once, and one that SSM visits is
/// heard itself before what ECS says of it matters. Until then it is looked at as seldom as it is visited.
fn is_left_alone(instance: &Instance, way: Way, now: Timestamp) -> bool {
    let Some(claim) = instance.claim().filter(|claim| !claim.boots.is_empty()) else { return false };
    let heard = instance.run.boot.as_ref().is_some_and(|boot| !claim.is_for(&boot.id));
    let seldom = way == Way::Ssm && !heard && now < after(instance.seen_at, REBOOTING_LOOK);
    seldom || now < after(claim.since, planner::FIRST_BOOT_POLL)
}

/// Whether a step changes something outside this program.
fn writes(step: &Step) -> bool {
    match step {
        Step::Reach | Step::Inspect { .. } | Step::LookAtTasks | Step::LookAtChecks | Step::Leave(_) => false,
        Step::Stage { .. }
        | Step::Drain { .. }
        | Step::StopTasks { .. }
        | Step::Reboot { .. }
        | Step::MarkFailed { .. }
        | Step::Revert { .. }
        | Step::Cancel { .. }
        | Step::Finish(_) => true,
    }
}
