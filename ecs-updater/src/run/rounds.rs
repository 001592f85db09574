//! One round of the loop after the other: look, plan, act, sleep.

use jiff::Timestamp;
use models::claim::Transport;
use models::plan::{End, Phase, PlannedStep, Standing, Step};
use models::reason::HoldReason;
use models::report::ClusterError;

use super::acts::{Aftermath, BREATH};
use super::cluster::Cluster;
use super::watch::Watch;
use crate::aws::{AwsError, ErrorKind};
use crate::execute::{Actor, Author, Progress, goes_to_host};
use crate::patience::Try;
use crate::planner::{self, Purpose, Stop};

impl Cluster<'_> {
    pub(super) async fn rounds(&mut self, watch: &dyn Watch) -> Result<(), ClusterError> {
        loop {
            if self.is_stopped() {
                self.let_go(watch).await;
                return Ok(());
            }
            if self.is_asked_to_finish() && !self.begin_finishing() {
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
            if !self.settle_doubts().await {
                continue;
            }
            self.heed_groups();
            self.heed_alarms();
            self.prepare_way_back().await;
            self.date_releases().await;
            self.name_hosts();
            self.hear_hooks();
            let now = self.clock.now();
            self.plan(watch, now);
            self.keep_summary();
            let asks = self.ask_hooks(now);
            let steps = self.permitted(now);
            if steps.is_empty() {
                if !asks && self.is_done() {
                    return self.end_of_rounds();
                }
                self.note_idleness(now);
                // What comes again after a wait is no sign that it could not be done.
                self.last_steps.clear();
                self.sleep(watch, now).await;
                continue;
            }
            if !self.may_write() && !broken!(FenceIgnored) {
                // The lease ran out: nothing is done before it is renewed, or lost.
                self.breathe(BREATH).await;
                continue;
            }
            if steps.iter().any(|planned| goes_on(&planned.step)) {
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

    /// Tells the person or `on_alarm` that asked for a way back that there was none.
    ///
    /// # Errors
    /// The skip could not be written that it rests on.
    fn end_of_rounds(&self) -> Result<(), ClusterError> {
        self.skip.refused.clone().map_or(Ok(()), Err)
    }

    pub(super) fn plan(&mut self, watch: &dyn Watch, now: Timestamp) {
        planner::follow_scale_in(&mut self.fleet, now);
        planner::follow_health(&mut self.fleet, self.policy, &self.facts, now);
        self.plan = planner::plan(&self.fleet, self.policy, &self.facts, now);
        self.track.follow(&self.fleet, &self.plan, now);
        self.tell(watch, now);
    }

    /// Whether nothing is left that this run could do.
    fn is_done(&self) -> bool {
        self.plan.steps.iter().all(|planned| self.facts.dry_run && writes(&planned.step))
            && self.plan.wake_at.is_none()
            && self.commands.is_empty()
            && self.awaited.is_empty()
            && !self.namer.is_busy()
    }

    /// Returns the steps that may be carried out now: in a dry run the ones that only read, and none that needs SSM before
    /// SSM may be asked again.
    ///
    /// While SSM does not answer, no instance that it is needed for is taken out of service: SSM is asked first whether it
    /// reaches the host.
    fn permitted(&self, now: Timestamp) -> Vec<PlannedStep> {
        let asked_again = self.acts.ssm_again_at(now).is_none();
        let is_silent = self.is_ssm_silent();
        let mut steps = Vec::new();
        for planned in &self.plan.steps {
            let by_ssm = || {
                planned.step == Step::Confirm
                    || self.fleet.instances.get(&planned.host).map(|one| one.transport(self.policy.host, now))
                        == Some(Transport::Ssm)
            };
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
        let is_draining = self.plan.standings.iter().any(|standing| standing.phase == Phase::Draining);
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
    pub(super) async fn carry_out(&mut self, steps: Vec<PlannedStep>) -> Vec<AwsError> {
        let actor = Actor {
            aws: &self.aws,
            policy: self.policy,
            outside_window: self.facts.outside_window,
            selection: &self.facts.selection,
            finish: &self.finish,
            author: Author { run: &self.facts.run, epoch: self.epoch },
            clock: self.clock,
            fleet: &mut self.fleet,
            commands: &mut self.commands,
            awaited: &mut self.awaited,
            progress: Progress::default(),
        };
        actor.carry_out(steps).await
    }

    /// At the first look, an instance in two groups of its cluster is a mistake in the configuration: nothing is begun. Later
    /// only that instance is held. Nothing keeps back a way back.
    fn heed_groups(&mut self) {
        if std::mem::replace(&mut self.knows_groups, true) || self.facts.purpose != Purpose::Update {
            return;
        }
        if let Some(why) = planner::in_two_groups(&self.fleet, self.policy) {
            tracing::error!(cluster = %self.name, %why, "nothing is begun in this cluster");
            self.facts.stop.get_or_insert(Stop::TwoGroups(why));
        }
    }

    /// Records that AWS refuses something that every instance needs.
    pub(super) fn begin_nothing_new(&mut self, error: &AwsError) {
        if self.facts.stopped().is_none() {
            self.facts.stop = Some(Stop::NotPermitted { detail: error.to_string(), advice: error.advice() });
        }
    }

    fn note_idleness(&mut self, now: Timestamp) {
        let idle = self.commands.is_empty()
            && self.awaited.is_empty()
            && !self.plan.standings.iter().any(|standing| standing.phase.is_under_way())
            && !self.plan.standings.iter().any(|standing| is_watched(standing, now));
        self.facts.idle_since = idle.then(|| self.facts.idle_since.unwrap_or(now));
    }
}

/// Whether an instance waits for the end of a bake or a soak: the patience for others' places is not used up by that.
pub(super) fn is_watched(standing: &Standing, now: Timestamp) -> bool {
    standing.hold.as_ref().and_then(HoldReason::watched_until).is_some_and(|until| now < until)
}

/// Whether an update goes on by this step, so that a wait for a place has been worth while. Another look is no progress:
/// one that waits for a place looks at its tasks every minute. Nor is it one to let go what waits: that would be a wait
/// for each.
fn goes_on(step: &Step) -> bool {
    match step {
        Step::Finish(End::Held { .. } | End::Current) => false,
        Step::Finish(
            End::Updated { .. } | End::RolledBack { .. } | End::Failed { .. } | End::Gone | End::ScaledIn { .. },
        ) => true,
        Step::Reach
        | Step::Inspect(_)
        | Step::Confirm
        | Step::LookAtTasks
        | Step::LookAtChecks
        | Step::Leave(_)
        | Step::Stage(_)
        | Step::Drain(_)
        | Step::StopTasks(_)
        | Step::Reboot(_)
        | Step::MarkFailed(_)
        | Step::Revert(_)
        | Step::Cancel(_) => writes(step),
    }
}

/// Whether a step changes something outside this program.
fn writes(step: &Step) -> bool {
    match step {
        Step::Reach | Step::Inspect(_) | Step::Confirm | Step::LookAtTasks | Step::LookAtChecks | Step::Leave(_) => {
            false
        }
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

#[cfg(test)]
mod tests {
    use models::plan::{Drain, Inspect};
    use models::reason::FailReason;
    use semver::Version;

    use super::*;

    /// Whether an update goes on by a step, and whether it writes.
    #[test]
    fn what_ends_the_wait_for_a_place() {
        let (from, to) = (Version::new(1, 26, 1), Version::new(1, 27, 0));
        let why = FailReason::RebootTimedOut;
        let table = [
            (Step::Finish(End::Held { why: HoldReason::OutOfTime }), false, true),
            (Step::Finish(End::Current), false, true),
            (Step::Finish(End::Gone), true, true),
            (Step::Finish(End::Failed { why: why.clone() }), true, true),
            (Step::Finish(End::Updated { from: from.clone(), to: to.clone() }), true, true),
            (Step::Leave(End::Failed { why }), false, false),
            (Step::Drain(Drain { from, to, scale_out: false }), true, true),
            (Step::Inspect(Inspect { refresh: true }), false, false),
            (Step::Reach, false, false),
            (Step::Confirm, false, false),
            (Step::LookAtTasks, false, false),
            (Step::LookAtChecks, false, false),
        ];
        for (step, on, written) in table {
            assert_eq!((goes_on(&step), writes(&step)), (on, written), "{step:?}");
        }
    }
}
