//! What a round looks at, how long the loop sleeps until the next one, and how it goes on when AWS does not answer.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use models::claim::Transport;
use models::fleet::Instance;
use models::ids::HostId;
use models::plan::Standing;
use models::report::{ClusterError, ClusterErrorKind};
use models::time::after;

use super::cluster::Cluster;
use super::interruption::signal;
use super::rhythm::{Beat, full_look_every};
use super::rounds::is_watched;
use super::watch::Watch;
use crate::aws::{AwsError, ErrorKind};
use crate::observe::{self, Connections, alarms};
use crate::patience::{FOR_REFUSALS, FOR_SILENCE, GiveUp, Trouble, Try, WINDOW};
use crate::planner::Quickest;

/// The time between two questions for alarms by themselves.
const ALARM_LOOK: SignedDuration = SignedDuration::from_mins(1);
/// The time between two full looks while a release is watched and nothing is under way.
const WATCHED_LOOK: SignedDuration = SignedDuration::from_mins(10);
/// The same while nothing can begin before what is under way ends, and the time between two questions for alarms then.
const UNHURRIED_LOOK: SignedDuration = SignedDuration::from_mins(3);
const UNHURRIED_ALARM_LOOK: SignedDuration = SignedDuration::from_secs(30);

impl Cluster<'_> {
    /// Looks at what is due. Returns whether that was answered, or a while later that it was not.
    pub(super) async fn look_and_endure(&mut self) -> Result<bool, ClusterError> {
        let (began, stop) = (self.clock.now(), self.stop.clone());
        let hangs = self.hangs();
        let looked = tokio::select! {
            biased;
            looked = self.look() => looked,
            () = signal(stop) => return Ok(false),
            () = hangs => {
                self.is_cut_off = true;
                return Ok(false);
            }
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

    /// Looks at what is due: the commands under way, and the whole cluster or the instances under way.
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
        if self.full_look_due(now) <= now {
            self.full_look().await?;
        } else if !under_way.is_empty() && now >= after(self.looked_short, self.beat(now).short_look) {
            self.short_look(under_way, now).await?;
        }
        let now = self.clock.now();
        if self.alarms_due().is_some_and(|due| due <= now) {
            self.look_at_alarms().await;
        }
        let now = self.clock.now();
        for ended in self.awaited.ended(&self.fleet, now) {
            observe::record_ended(&mut self.fleet, ended, self.clock.now());
        }
        // What has ended may leave a place to others.
        if self.full_look_due(now) <= now {
            self.full_look().await?;
        }
        Ok(())
    }

    async fn short_look(&mut self, under_way: BTreeSet<HostId>, now: Timestamp) -> Result<(), AwsError> {
        let is_wide = self.is_unhurried();
        let of_all = if is_wide { Connections::OfAll } else { Connections::OfThese };
        let missed = observe::short_look(&self.aws, &mut self.fleet, (&under_way, of_all), self.policy, now).await?;
        self.looked_short = now;
        // A full look tells what became of them, and need not say it again while they are still missed.
        if !missed.is_subset(&self.missed) {
            self.full_look().await?;
        }
        self.missed.retain(|host| !is_wide && !under_way.contains(host));
        self.missed.extend(missed);
        Ok(())
    }

    async fn full_look(&mut self) -> Result<(), AwsError> {
        let now = self.clock.now();
        observe::full_look(&self.aws, &mut self.fleet, self.policy, now).await?;
        // The first time it was read just before.
        if self.looked_full.is_some() {
            self.read_approval_again().await;
        }
        self.look_at_alarms().await;
        self.looked_full = Some(now);
        self.looked_short = now;
        Ok(())
    }

    async fn look_at_alarms(&mut self) {
        let now = self.clock.now();
        alarms::look(&self.aws, &mut self.fleet, self.policy, now).await;
        self.asked_alarms = Some(now);
    }

    /// When the alarms are asked for by themselves, while the whole cluster is looked at less often.
    fn alarms_due(&self) -> Option<Timestamp> {
        let every = if self.is_unhurried() { UNHURRIED_ALARM_LOOK } else { ALARM_LOOK };
        self.asked_alarms.filter(|_| !self.policy.alarms.is_empty()).map(|at| after(at, every))
    }

    /// When the whole cluster is looked at again: less often while nothing can begin, and while a release is watched and
    /// nothing is under way, until the bake ends.
    fn full_look_due(&self, now: Timestamp) -> Timestamp {
        let Some(at) = self.looked_full else { return now };
        let usual = after(at, full_look_every(self.fleet.instances.len()));
        if self.is_unhurried() {
            return after(at, UNHURRIED_LOOK);
        }
        let Some(wake_at) = self.plan.wake_at.filter(|_| self.only_watches(now)) else { return usual };
        usual.max(after(at, WATCHED_LOOK).min(wake_at))
    }

    /// Whether a bake or a soak is all that is waited for.
    fn only_watches(&self, now: Timestamp) -> bool {
        let standings = || self.plan.standings.iter();
        let is_open = |standing: &Standing| standing.hold.is_none() && standing.turn.is_some();
        self.commands.is_empty()
            && self.awaited.is_empty()
            && standings().any(|standing| is_watched(standing, now))
            && !standings().any(|standing| standing.phase.is_under_way() || is_open(standing))
    }

    /// Returns the instances that a short look reads: out of service by us, or with a report awaited.
    fn under_way(&self, now: Timestamp) -> BTreeSet<HostId> {
        self.next_looks(now).filter(|(_, at)| *at <= now).map(|(instance, _)| instance.host.clone()).collect()
    }

    /// Returns a finer beat while a host bridge has an instance out of service that is to be looked at soon, since it acts
    /// within a second, and while no more than one is out of service.
    fn beat(&self, now: Timestamp) -> Beat {
        let soon = after(now, Beat::OF_SSM.short_look);
        let mut looks = self.next_looks(now).filter(|(instance, at)| {
            let is_out = instance.run.verdict.is_none() && instance.out_of_service_claim().is_some();
            is_out && *at <= soon && instance.transport(self.policy.host, now) == Transport::Bridge
        });
        if looks.next().is_some() {
            return Beat::OF_BRIDGES;
        }
        let is_one = self.commands.are_few() && self.out_of_service().nth(1).is_none();
        if is_one { Beat::OF_ONE } else { Beat::OF_SSM }
    }

    /// Returns the instances that ECS may have news about, out of service by us or with a report awaited, and when each is
    /// looked at again.
    fn next_looks(&self, now: Timestamp) -> impl Iterator<Item = (&Instance, Timestamp)> {
        self.looks_at(self.out_of_service().chain(self.awaited()), now)
    }

    /// Returns when each of these instances is looked at again.
    fn looks_at<'a>(
        &'a self,
        instances: impl Iterator<Item = &'a Instance>,
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a Instance, Timestamp)> {
        let quickest = Quickest::of(&self.fleet);
        instances.map(move |one| (one, quickest.next_look(one, one.transport(self.policy.host, now))))
    }

    /// The instances whose report is awaited.
    fn awaited(&self) -> impl Iterator<Item = &Instance> {
        self.awaited.hosts().filter_map(|host| self.fleet.instances.get(host))
    }

    /// The instances that are out of service by a claim and not done with.
    pub(super) fn out_of_service(&self) -> impl Iterator<Item = &Instance> {
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

    /// Returns the error with which the work on the cluster ends; `error` is the last one.
    pub(super) fn given_up(&self, why: GiveUp, error: &AwsError) -> ClusterError {
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
                "cluster {name}: AWS has repeatedly been away, for more than half of the last {} minutes (last: \
                 {error}); {NEXT}",
                WINDOW.as_mins()
            )),
        }
    }

    /// Waits for that long, or until the run is stopped.
    pub(super) async fn breathe(&self, wait: Duration) {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = signal(self.stop.clone()) => {}
            () = signal(self.finish.clone()), if self.facts.purpose.begins() => {}
        }
    }

    /// Waits until something is due, or SSM answers what it was asked; says meanwhile how far the cluster is.
    pub(super) async fn sleep(&mut self, watch: &dyn Watch, now: Timestamp) {
        let full = self.full_look_due(now);
        let beat = self.beat(now);
        let looks = self.looks_at(self.awaited(), now).map(|(_, at)| at);
        let report = looks.min().map(|at| at.max(after(self.looked_short, beat.short_look)));
        let ssm = self.acts.ssm_again_at(now);
        let due = [self.plan.wake_at, self.commands.poll_at(), report, Some(full), ssm, self.alarms_due()];
        let until = due.into_iter().flatten().min().unwrap_or(now);
        let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        let mut wait = wait.max(Duration::from_millis(100)) + beat.from(until.max(now));
        while let Some(in_between) = self.until_next_line().filter(|line| *line < wait) {
            let began = self.clock.now();
            if self.is_woken_within(in_between).await {
                return;
            }
            let woken = self.clock.now();
            self.tell_of_standstill(watch, woken);
            // Longer, where the process was suspended.
            let slept = Duration::try_from(woken.duration_since(began)).unwrap_or(in_between);
            wait = wait.saturating_sub(slept);
        }
        self.is_woken_within(wait).await;
    }

    /// How long it is until the cluster says how far it is.
    fn until_next_line(&self) -> Option<Duration> {
        let at = self.journal.stands_at(&self.plan)?;
        Some(Duration::try_from(at.duration_since(self.clock.now())).unwrap_or_default())
    }

    /// Whether anything but time ends a wait for so long.
    async fn is_woken_within(&mut self, wait: Duration) -> bool {
        let (stop, finish, begins) = (self.stop.clone(), self.finish.clone(), self.facts.purpose.begins());
        tokio::select! {
            () = tokio::time::sleep(wait) => return false,
            () = signal(stop) => {}
            () = signal(finish), if begins => {}
            () = self.commands.next_answer() => {}
            () = self.namer.ended() => {}
            () = self.hooks.ended() => {}
        }
        true
    }
}
