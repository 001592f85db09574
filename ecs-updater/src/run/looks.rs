//! What a round looks at, how long the loop sleeps until the next one, and how it goes on when AWS does not answer.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use models::claim::Transport;
use models::fleet::Instance;
use models::ids::HostId;
use models::report::{ClusterError, ClusterErrorKind};
use models::time::after;

use super::cluster::Cluster;
use super::interruption::signal;
use super::rhythm::{Beat, full_look_every, is_left_alone};
use crate::aws::{AwsError, ErrorKind};
use crate::observe::{self, alarms};
use crate::patience::{FOR_REFUSALS, FOR_SILENCE, GiveUp, Trouble, Try, WINDOW};

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
        let full_due = self.looked_full.is_none_or(|at| now >= after(at, self.full_look_every()));
        if full_due {
            self.full_look().await?;
        } else if !under_way.is_empty() && now >= after(self.looked_short, self.beat(now).short_look) {
            let missed = observe::short_look(&self.aws, &mut self.fleet, &under_way, self.policy, now).await?;
            self.looked_short = now;
            // A full look tells what became of them, and need not say it again while they are still missed.
            if !missed.is_subset(&self.missed) {
                self.full_look().await?;
            }
            self.missed = missed;
        }
        let now = self.clock.now();
        for ended in self.awaited.ended(&self.fleet, now) {
            observe::record_ended(&mut self.fleet, ended, self.clock.now());
        }
        Ok(())
    }

    async fn full_look(&mut self) -> Result<(), AwsError> {
        let now = self.clock.now();
        observe::full_look(&self.aws, &mut self.fleet, self.policy, now).await?;
        // The first time it was read just before.
        if self.looked_full.is_some() {
            self.read_approval_again().await;
        }
        alarms::look(&self.aws, &mut self.fleet, self.policy, self.clock.now()).await;
        self.looked_full = Some(now);
        self.looked_short = now;
        Ok(())
    }

    fn full_look_every(&self) -> SignedDuration {
        full_look_every(self.fleet.instances.len())
    }

    /// Returns the instances that a short look reads: out of service by us, or with a report awaited.
    fn under_way(&self, now: Timestamp) -> BTreeSet<HostId> {
        let ours = self.worth_a_look(now).map(|(instance, _)| &instance.host);
        ours.chain(self.awaited.hosts()).cloned().collect()
    }

    /// Returns the finer beat while a host bridge has an instance out of service, since it acts within a second.
    fn beat(&self, now: Timestamp) -> Beat {
        let by_bridge = self.worth_a_look(now).any(|(_, transport)| transport == Transport::Bridge);
        if by_bridge { Beat::OF_BRIDGES } else { Beat::OF_SSM }
    }

    /// Returns the instances out of service that ECS may have news about, and the way by which each is reached.
    fn worth_a_look(&self, now: Timestamp) -> impl Iterator<Item = (&Instance, Transport)> {
        let ours = self.out_of_service().map(move |instance| (instance, instance.transport(self.policy.host, now)));
        ours.filter(move |(instance, transport)| !is_left_alone(instance, *transport, now))
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
                "cluster {name}: AWS has been away again and again, for more than half of the last {} minutes (last: \
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

    /// Waits until something is due, or SSM answers what it was asked.
    pub(super) async fn sleep(&mut self, now: Timestamp) {
        let full = self.looked_full.map_or(now, |at| after(at, self.full_look_every()));
        let beat = self.beat(now);
        let report = (!self.awaited.is_empty()).then(|| after(self.looked_short, beat.short_look));
        let ssm = self.acts.ssm_again_at(now);
        let due = [self.plan.wake_at, self.commands.poll_at(), report, Some(full), ssm];
        let until = due.into_iter().flatten().min().unwrap_or(now);
        let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        let wait = wait.max(Duration::from_millis(100)) + beat.from(until.max(now));
        let (stop, finish, begins) = (self.stop.clone(), self.finish.clone(), self.facts.purpose.begins());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = signal(stop) => {}
            () = signal(finish), if begins => {}
            () = self.commands.next_answer() => {}
            () = self.namer.ended() => {}
        }
    }
}
