//! Carries out one act on the host. Decides nothing, but looks once more just before a reboot.

use std::time::Duration;

use jiff::Timestamp;
use models::claim::Claim;
use models::host::{ErrorCode, ReportedError, TargetState};
use semver::Version;
use tokio::time::sleep;

use super::act::Act;
use super::driver::Agent;
use super::facts::Tags;
use super::memory::{GROUP, Outcome, error};
use crate::client::{RebootAnswer, excerpt};
use crate::introspection::{IntrospectionError, Task};
use crate::signpost::SignpostError;
use crate::transport::Sent;
use crate::update::{LockAfter, StageRequest, UpdateError, Visit, chain};

/// Why an act has no outcome.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The claim changed under it, or the ECS agent came up at last: there is something else to do.
    Overtaken,
    /// It ended so.
    Error(ReportedError),
}

impl From<UpdateError> for Stopped {
    fn from(error: UpdateError) -> Self {
        Self::Error(error.report())
    }
}

impl From<SignpostError> for Stopped {
    fn from(failure: SignpostError) -> Self {
        let code = if matches!(failure, SignpostError::Unsure { .. }) { ErrorCode::Unsure } else { ErrorCode::Failed };
        Self::Error(error("signpost", code, &chain(&failure)))
    }
}

impl Agent {
    /// Does what is to be done, unless the claim changes meanwhile; `None` then. What the host has begun by then goes on
    /// there, and the next act finds it.
    pub(super) async fn perform(&mut self, act: &Act) -> Option<Outcome> {
        let metadata = std::sync::Arc::clone(&self.environment.metadata);
        let standing = self.standing_claim().cloned();
        let poll = self.poll();
        let watch = async {
            loop {
                sleep(poll).await;
                if let Ok(tags) = metadata.tags().await
                    && !says(&tags, standing.as_ref())
                {
                    return;
                }
            }
        };
        let mut wrote = None;
        let ended = tokio::select! {
            biased;
            ended = self.dispatch(act, &mut wrote) => ended,
            () = watch => Err(Stopped::Overtaken),
        };
        match ended {
            Ok(reboot_asked) => Some(Outcome { wrote, reboot_asked, error: None }),
            Err(Stopped::Error(error)) => Some(Outcome { wrote, reboot_asked: false, error: Some(error) }),
            Err(Stopped::Overtaken) => {
                tracing::info!("overtaken by a change; looking again");
                None
            }
        }
    }

    /// The claim that the act is for; while the metadata service is away, the one that was taken up.
    fn standing_claim(&self) -> Option<&Claim> {
        match &self.facts.tags {
            Tags::Known { .. } => self.facts.tags.claim(),
            Tags::Unknown => self.memory.claim.as_ref().map(|taken| &taken.claim),
        }
    }

    /// Whether a reboot was asked for.
    async fn dispatch(&mut self, act: &Act, wrote: &mut Option<Version>) -> Result<bool, Stopped> {
        match act {
            Act::Wait(_) => {}
            Act::End { error: None } => {}
            Act::End { error: Some(error) } => return Err(Stopped::Error(error.clone())),
            Act::Refresh => {
                let mut visit = self.visit(self.settings.short);
                visit.refresh().await?;
            }
            Act::Stage { to, lock, written_before } => self.stage(to, lock.as_ref(), *written_before, wrote).await?,
            Act::Cancel { lock, .. } => {
                let switched_back = self.cancel_switch().await;
                let mut visit = self.visit(self.settings.short);
                let cancelled = visit.cancel().await;
                // The lock is worth putting back even where the activation cannot be undone now.
                let restored = visit.finish_lock(&after(lock)).await;
                switched_back?;
                cancelled?;
                restored?;
            }
            Act::Reboot { to } => {
                self.stays().await.map_err(Stopped::Error)?;
                let mut visit = self.visit(self.settings.short);
                visit.activate_offered(to).await?;
                self.reboot(act).await?;
                return Ok(true);
            }
            Act::Revert { from, lock, inactive, switched } | Act::FallBack { from, lock, inactive, switched, .. } => {
                if !switched || !self.is_still_switched(from).await {
                    self.stays().await.map_err(Stopped::Error)?;
                    self.switch_back(from, lock, *inactive, wrote).await?;
                    self.memory.switched(act);
                    self.keep().await?;
                }
                self.reboot(act).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn stage(
        &self,
        to: &Version,
        lock: Option<&String>,
        written_before: bool,
        wrote: &mut Option<Version>,
    ) -> Result<(), Stopped> {
        let request = StageRequest {
            version: Some(to.clone()),
            allow_downgrade: true,
            // Which version a host takes is its owner's choice, unless the updater saved the lock before.
            lock: lock.cloned().map_or(LockAfter::Untouched, LockAfter::Set),
            written_before,
        };
        let mut visit = self.visit(self.settings.stage);
        let staged = visit.stage(&request).await;
        *wrote = visit.wrote().cloned();
        match staged {
            Ok(staged) => *wrote = Some(staged.version),
            // It is written; the lock is put back by and by.
            Err(UpdateError::LockNotRestored { .. }) if wrote.as_ref() == Some(to) => {}
            Err(error) => {
                // The host chose again since its status was read (docs/facts/host-api.md#trap-1 and #trap-2): the
                // report should say what.
                if matches!(error, UpdateError::WroteNothing { .. } | UpdateError::WroteOther { .. })
                    && let Err(failure) = visit.refresh().await
                {
                    tracing::warn!("{}", chain(&failure));
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn visit(&self, limit: Duration) -> Visit {
        Visit::within(&self.environment.client, limit)
    }

    /// Makes the old version the next to boot: offline where the other set has it still and the host's root is ours,
    /// else through the update repository.
    async fn switch_back(
        &mut self,
        from: &Version,
        lock: &Option<String>,
        inactive: bool,
        wrote: &mut Option<Version>,
    ) -> Result<(), Stopped> {
        let mut visit = self.visit(self.settings.stage);
        if inactive && self.other_set_is_untouched(&visit).await? && self.switch_offline().await? {
            // What is owed is put back after the boot, if not now.
            if let Err(failure) = visit.finish_lock(&after(lock)).await {
                tracing::warn!("{}", chain(&failure));
            }
            return Ok(());
        }
        let done = visit.roll_back(from, &after(lock)).await;
        *wrote = visit.wrote().cloned();
        if wrote.is_some() {
            self.memory.came_from = None;
        }
        match done {
            Ok(_) | Err(UpdateError::LockNotRestored { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the other set the next to boot by `signpost`. Returns whether it is. If not, no `signpost` runs that could still make
    /// it so while the other set is written.
    async fn switch_offline(&mut self) -> Result<bool, Stopped> {
        let before = self.memory.switched_in.clone();
        self.memory.switched_in.clone_from(&self.facts.boot.id);
        self.keep().await?;
        let machine = &self.environment.machine;
        let Err(failure) = machine.roll_back_to_inactive().await else { return Ok(true) };
        if matches!(failure, SignpostError::Unsure { .. }) {
            // This waits for the end of that one.
            let set = machine.other_set().await?;
            if set.is_next && set.has_booted {
                return Ok(true);
            }
        }
        self.memory.switched_in = before;
        if matches!(failure, SignpostError::Refused { .. }) {
            self.memory.came_from = None;
        }
        tracing::warn!("going back through the update repository: {}", chain(&failure));
        Ok(false)
    }

    /// Whether the other set holds what the host came from, by the host's status and by `signpost`: others may have written there
    /// since the last look, also past the host API.
    async fn other_set_is_untouched(&mut self, visit: &Visit) -> Result<bool, Stopped> {
        let machine = &self.environment.machine;
        if !machine.may_roll_back() {
            return Ok(false);
        }
        match visit.shows_nothing_staged().await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!("the host shows another version on the other set");
                return Ok(false);
            }
            Err(failure) => {
                tracing::warn!("what is on the other set is not known: {}", chain(&failure));
                return Ok(false);
            }
        }
        match machine.other_set().await {
            Ok(set) if !set.has_booted => {
                tracing::warn!("what is on the other set has never booted");
                self.memory.came_from = None;
                Ok(false)
            }
            // Somebody else has made it the next to boot.
            Ok(set) => Ok(!set.is_next || self.memory.is_switched(&self.facts)),
            Err(failure @ SignpostError::Unsure { .. }) => Err(failure.into()),
            Err(failure) => {
                tracing::warn!("what is on the other set is not known: {}", chain(&failure));
                Ok(false)
            }
        }
    }

    /// Whether what `signpost` has switched is as it was left: a reboot may wait long. What was written there since is the old
    /// version where the host shows that.
    async fn is_still_switched(&self, from: &Version) -> bool {
        if !self.memory.is_switched(&self.facts) {
            return true;
        }
        let set = self.environment.machine.other_set().await;
        set.is_ok_and(|set| set.is_next && (set.has_booted || self.facts.shows_staged(from)))
    }

    /// Makes the running set the next to boot again, where `signpost` was to make it the other one, and looks whether it is.
    async fn cancel_switch(&self) -> Result<(), Stopped> {
        if !self.memory.is_switched(&self.facts) {
            return Ok(());
        }
        let machine = &self.environment.machine;
        machine.cancel_roll_back().await?;
        let set = machine.other_set().await?;
        if set.is_next {
            let why = "the next boot still takes the other partition set";
            return Err(Stopped::Error(error("signpost", ErrorCode::Failed, why)));
        }
        Ok(())
    }

    /// The last looks, and the reboot.
    async fn reboot(&mut self, act: &Act) -> Result<(), Stopped> {
        self.still_claimed(act).await?;
        if matches!(act, Act::FallBack { .. })
            && matches!(self.environment.introspection.container_instance().await, Ok(Some(_)))
        {
            // Late, but well.
            return Err(Stopped::Overtaken);
        }
        self.stays().await.map_err(Stopped::Error)?;
        self.no_tasks().await.map_err(Stopped::Error)?;
        // What was asked for before stands also where this is refused.
        let before = self.memory.going_down.clone();
        self.memory.asking(act, &self.facts, self.now());
        let asked = self.ask_for_reboot().await;
        if asked.is_err() {
            self.memory.going_down = before;
        }
        asked
    }

    async fn ask_for_reboot(&mut self) -> Result<(), Stopped> {
        self.keep().await?;
        tracing::info!("rebooting");
        match self.environment.client.reboot().await {
            Ok(RebootAnswer::Accepted) => Ok(()),
            Ok(RebootAnswer::Refused(detail)) => Err(Stopped::Error(error("reboot", ErrorCode::Failed, &detail))),
            // The host may be going down; another boot will tell.
            Err(error) if error.sent() == Sent::Maybe => Ok(()),
            Err(failure) => Err(Stopped::Error(error("reboot", failure.code(), &chain(&failure)))),
        }
    }

    async fn still_claimed(&self, act: &Act) -> Result<(), Stopped> {
        let own = matches!(act, Act::FallBack { .. });
        match self.environment.metadata.tags().await {
            Ok(tags) if says(&tags, self.standing_claim()) => Ok(()),
            Ok(_) => Err(Stopped::Overtaken),
            // The agent goes back also where nobody can be heard.
            Err(_) if own => Ok(()),
            Err(failure) => Err(Stopped::Error(error("metadata", ErrorCode::ApiDown, &chain(&failure)))),
        }
    }

    /// Refuses where AWS takes the host away, as far as the metadata service tells: a group waits for what it ends, and what is
    /// set aside is somebody's. What was detached from its group is its owner's again, and stays so named for good.
    async fn stays(&self) -> Result<(), ReportedError> {
        match self.where_it_is_taken().await {
            None | Some(TargetState::InService | TargetState::Detached) => Ok(()),
            Some(target) => {
                let detail = format!("AWS takes the host away ({target}), so it is not rebooted");
                Err(error(GROUP, ErrorCode::Refused, &detail))
            }
        }
    }

    async fn no_tasks(&self) -> Result<(), ReportedError> {
        let running = match self.environment.introspection.tasks().await {
            Ok(tasks) => tasks.into_iter().filter(Task::runs).count(),
            Err(IntrospectionError::Down { .. }) => 0,
            Err(failure) => {
                let detail = excerpt(&format!("whether tasks run is not known: {}", chain(&failure)));
                return Err(error("reboot", ErrorCode::TasksRunning, &detail));
            }
        };
        match running {
            0 => Ok(()),
            // Without the number: it is reported, and only the last of them makes a difference.
            _ => Err(error("reboot", ErrorCode::TasksRunning, "tasks still run on the host")),
        }
    }

    /// Saves the memory; an error keeps the act from going on.
    async fn keep(&mut self) -> Result<(), Stopped> {
        if self.save().await {
            return Ok(());
        }
        let detail = self.troubles.journal.clone().unwrap_or_default();
        Err(Stopped::Error(error("journal", ErrorCode::Busy, &detail)))
    }

    /// The machine's clock.
    pub(super) fn now(&self) -> Timestamp {
        self.environment.machine.now()
    }
}

/// Whether these tags have that claim, and no other.
fn says(tags: &Tags, claim: Option<&Claim>) -> bool {
    match tags {
        Tags::Unknown => true,
        Tags::Known { claim: standing, .. } => match standing {
            Some(Ok(standing)) => Some(standing) == claim,
            Some(Err(_)) => false,
            None => claim.is_none(),
        },
    }
}

fn after(lock: &Option<String>) -> LockAfter {
    lock.clone().map_or(LockAfter::AsFound, LockAfter::Set)
}
