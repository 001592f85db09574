//! The loop: look, remember, decide, report, act.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use jiff::SignedDuration;
use models::claim::Claim;
use models::host::{AgentState, TargetState};
use models::pace::Pace;
use models::time::after;
use tokio::time::{Instant, sleep};

use super::act::Act;
use super::decide::decide;
use super::environment::Environment;
use super::facts::{Facts, Tags};
use super::imds::ImdsError;
use super::memory::{Memory, Target};
use super::report::{Troubles, essence, report};
use super::settings::Settings;
use crate::inspect::inspect;
use crate::update::chain;

/// Between two acts, so that nothing can make it spin.
const BREATH: Duration = Duration::from_secs(1);
/// Looks at the host that fail before it is reported: `apiserver` restarts now and then.
const SILENT_LOOKS: u32 = 3;

/// One host's agent.
pub struct Agent {
    pub(super) environment: Environment,
    pub(super) settings: Settings,
    pub(super) memory: Memory,
    pub(super) facts: Facts,
    pub(super) troubles: Troubles,
    saved: Option<Memory>,
    look_at: Option<Instant>,
    silent_looks: u32,
    tags_pace: Pace,
    report_pace: Pace,
    report_at: Option<Instant>,
    /// When the last claim was seen gone.
    released_at: Option<Instant>,
    sent: Option<(BTreeMap<&'static str, String>, Instant)>,
}

impl Agent {
    /// An agent that has not looked at anything yet.
    pub fn new(environment: Environment, settings: Settings) -> Self {
        let seconds = Duration::from_secs;
        let jitter = settings.jitter;
        Self {
            environment,
            memory: Memory::default(),
            facts: Facts::default(),
            troubles: Troubles::default(),
            saved: None,
            look_at: None,
            silent_looks: 0,
            tags_pace: Pace::new(settings.poll, 1.5, settings.poll.max(seconds(60)), jitter),
            // After an outage of ECS, 10,000 agents come back over 10 minutes and more: half the bucket's rate.
            report_pace: Pace::new(seconds(10), 2.0, seconds(600), jitter),
            report_at: None,
            released_at: None,
            sent: None,
            settings,
        }
    }

    /// Runs for as long as it is polled. It may be dropped at any point, and another one goes on from its journal.
    pub async fn run(mut self) -> Infallible {
        self.remember().await;
        loop {
            let pause = self.turn().await;
            sleep(pause).await;
        }
    }

    async fn remember(&mut self) {
        match self.environment.journal.load().await {
            Ok(Some(memory)) => {
                self.saved = Some(memory.clone());
                self.memory = memory;
            }
            Ok(None) => {}
            // With nothing remembered, a claim of this boot is carried out again, which finds what is done; one of
            // another boot is only reported; and nothing is on trial.
            Err(error) => {
                let detail = chain(&error);
                tracing::error!("{detail}");
                self.memory.lost = Some(detail);
            }
        }
    }

    /// One look, and at most one act. Returns how long there is nothing to do.
    async fn turn(&mut self) -> Duration {
        let boot = self.environment.machine.boot();
        if boot != self.facts.boot {
            self.facts = Facts { boot, tags: std::mem::take(&mut self.facts.tags), ..Facts::default() };
            self.look_at = None;
        }
        let pause = self.look_at_tags().await;
        self.look_at_host().await;
        self.memory.observe(&self.facts);
        let kept = self.save().await;
        let now = self.now();
        if !kept {
            // What is not remembered is not begun.
            return pause;
        }
        let act = decide(&self.facts, &self.memory, &self.settings.limits, now);
        tracing::debug!(?act, "decided");
        self.report().await;
        if matches!(act, Act::Wait(_)) {
            return pause;
        }
        self.carry_out(&act).await;
        BREATH
    }

    async fn carry_out(&mut self, act: &Act) {
        if *act != Act::Refresh {
            tracing::info!(?act, claim = self.memory.claim.as_ref().map(|taken| taken.claim.to_string()), "begins");
        }
        self.memory.begin(act, &self.facts);
        if !self.save().await {
            return;
        }
        // Nothing of what was seen holds any more.
        self.look_at = None;
        let Some(outcome) = self.perform(act).await else { return };
        let now = self.now();
        if *act == Act::Refresh {
            self.facts.refreshed_at = Some(now);
            self.troubles.refreshed(outcome.error.clone());
        } else if outcome.error.is_none() && act.reads_repository() {
            self.troubles.refreshed(None);
        }
        if let Some(error) = &outcome.error {
            tracing::warn!("{} at {}: {}", error.code, error.at, error.detail);
        }
        self.memory.end(act, &outcome, &self.facts, now);
        self.save().await;
    }

    /// Whether the memory is on record.
    pub(super) async fn save(&mut self) -> bool {
        if self.saved.as_ref() == Some(&self.memory) || (self.saved.is_none() && self.memory == Memory::default()) {
            return true;
        }
        match self.environment.journal.save(&self.memory).await {
            Ok(()) => {
                self.saved = Some(self.memory.clone());
                self.troubles.journal = None;
                true
            }
            Err(error) => {
                let detail = chain(&error);
                tracing::error!("{detail}");
                self.troubles.journal = Some(detail);
                false
            }
        }
    }

    /// Returns when to look again.
    async fn look_at_tags(&mut self) -> Duration {
        match self.environment.metadata.tags().await {
            Ok(tags) => {
                if tags.claim() != self.facts.tags.claim() {
                    tracing::info!(claim = tags.claim().map(Claim::to_string), "the claim changed");
                    self.look_at = None;
                    self.released_at = tags.claim().is_none().then(Instant::now);
                }
                self.facts.tags = tags;
                self.troubles.tags = None;
                self.tags_pace.reset();
                self.poll()
            }
            Err(error) => {
                self.facts.tags = Tags::Unknown;
                let detail = chain(&error);
                tracing::debug!("{detail}");
                if matches!(error, ImdsError::NoTags) && self.troubles.tags.is_none() {
                    tracing::warn!("{detail}");
                    self.troubles.tags = Some(detail);
                }
                self.tags_pace.next_wait()
            }
        }
    }

    async fn look_at_host(&mut self) {
        if self.look_at.is_some_and(|due| Instant::now() < due) {
            return;
        }
        let Environment { client, introspection, .. } = &self.environment;
        match inspect(client, Some(introspection), &self.facts.boot, "inspect").await {
            Ok(mut seen) => {
                if !seen.busy {
                    self.troubles.forget_refresh(&seen.report);
                } else if let Some(before) = self.facts.host.take() {
                    // The status cannot be read while a command runs.
                    seen.report.update = before.report.update;
                }
                self.facts.host = Some(seen);
                self.facts.host_answers = true;
                self.silent_looks = 0;
                self.troubles.host = None;
            }
            Err(error) => {
                self.facts.host_answers = false;
                self.silent_looks += 1;
                if self.silent_looks >= SILENT_LOOKS {
                    self.troubles.host = Some(chain(&error));
                }
            }
        }
        self.facts.target_state = match self.facts.tags {
            Tags::Known { .. } => self.where_it_is_taken().await,
            Tags::Unknown => None,
        };
        self.facts.may_roll_back = self.environment.machine.may_roll_back();
        self.find_target().await;
        self.look_at = Some(Instant::now() + self.look_again());
    }

    /// Asks where AWS takes the host. What is not told is not known, and keeps it from nothing.
    pub(super) async fn where_it_is_taken(&self) -> Option<TargetState> {
        let metadata = &self.environment.metadata;
        let by_group = known(metadata.target_state().await).flatten();
        if by_group.is_some() && by_group != Some(TargetState::InService) {
            return by_group;
        }
        let is_taken_back = known(metadata.is_taken_back().await).unwrap_or(false);
        if is_taken_back { Some(TargetState::Spot) } else { by_group }
    }

    /// Between two readings of the tags.
    pub(super) fn poll(&self) -> Duration {
        if self.facts.tags.claim().is_some_and(|claim| claim.step.takes_out_of_service()) {
            self.settings.poll_out_of_service
        } else {
            self.settings.poll
        }
    }

    /// Between two looks at the host.
    fn look_again(&self) -> Duration {
        let claim = self.facts.tags.claim();
        let is_its_boot = claim.is_some_and(|claim| !claim.boots.is_empty() && !self.facts.is_meant_by(claim));
        let is_young = self.facts.booted_at().is_some_and(|at| self.now() < after(at, self.settings.limits.confirm));
        let is_registered = self.facts.agent_state() == Some(&AgentState::Registered);
        let watched = self.memory.claim.is_some() || self.memory.trial.is_some() || claim.is_some();
        if is_its_boot && is_young && !is_registered && self.facts.host_answers {
            self.settings.look_booted
        } else if watched || !self.facts.host_answers {
            self.settings.look_busy
        } else {
            self.settings.look_idle
        }
    }

    /// Follows the container instance: after a rollback it can come back as another one.
    async fn find_target(&mut self) {
        let agent = self.facts.report().and_then(|report| report.agent.as_ref());
        let Some(arn) = agent.and_then(|agent| agent.container_instance.as_ref()) else { return };
        if self.memory.target.as_ref().is_some_and(|target| target.container_instance == *arn) {
            return;
        }
        if let Ok(Some(found)) = self.environment.introspection.registration().await {
            tracing::info!(cluster = %found.cluster, container_instance = %found.container_instance, "reporting");
            let target = Target { cluster: found.cluster, container_instance: found.container_instance };
            self.memory.target = Some(target);
            self.sent = None;
            self.report_at = None;
            self.report_pace.reset();
        }
    }

    /// Sends a report if something changed, or for the heartbeat.
    async fn report(&mut self) {
        let Some(target) = &self.memory.target else { return };
        if self.report_at.is_some_and(|due| Instant::now() < due) || !self.knows_enough() {
            return;
        }
        let heartbeat = SignedDuration::try_from(self.settings.heartbeat).unwrap_or(SignedDuration::MAX);
        let now = self.now();
        let whole = report(&self.facts, &self.memory, &self.troubles, heartbeat, now);
        let essence = essence(&whole);
        let due = match &self.sent {
            Some((sent, at)) => *sent != essence || at.elapsed() >= self.settings.heartbeat,
            None => true,
        };
        if !due || self.is_just_released() {
            return;
        }
        match self.environment.sink.put(target, &whole.encode(), now).await {
            Ok(()) => {
                tracing::debug!("reported");
                self.sent = Some((essence, Instant::now()));
                self.report_at = None;
                self.report_pace.reset();
            }
            Err(error) => {
                let wait = self.report_pace.next_wait();
                tracing::warn!("not reported, trying again in {} s: {}", wait.as_secs(), chain(&error));
                self.report_at = Some(Instant::now() + wait);
                if error.is_gone() {
                    // Asked of the ECS agent again at the next look.
                    self.memory.target = None;
                }
            }
        }
    }

    /// Whether the claim has just gone, and nobody waits for what the agent says next.
    fn is_just_released(&self) -> bool {
        let is_free = matches!(self.facts.tags, Tags::Known { claim: None, .. }) && self.memory.claim.is_none();
        is_free && self.released_at.is_some_and(|at| at.elapsed() < self.settings.idle_report_delay)
    }

    /// A first report waits for a first look at the host, unless there is none to be had.
    fn knows_enough(&self) -> bool {
        self.facts.host.is_some() || self.silent_looks >= SILENT_LOOKS
    }
}

fn known<T>(told: Result<T, ImdsError>) -> Option<T> {
    told.inspect_err(|error| tracing::debug!("{}", chain(error))).ok()
}
