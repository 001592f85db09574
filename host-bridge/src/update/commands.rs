//! Refresh, activate and cancel: one command each, and what its end means.

use models::host::{UpdateState, UpdateStatus};
use semver::Version;
use tokio::time::{Duration, Instant, timeout_at};

use super::error::{Unsure, UpdateError};
use super::status::{offers, shown_version, staged_version};
use super::visit::Visit;
use crate::client::{Action, StatusAnswer};

/// How an activation or its undoing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    /// This visit did it.
    Now,
    /// It was so before.
    Already,
}

impl Visit {
    /// Has the host read its update repository, and returns what it then says.
    ///
    /// # Errors
    /// [`UpdateError`]. After [`UpdateError::Failed`] the state is Idle, which does not mean up to date.
    pub async fn refresh(&mut self) -> Result<UpdateStatus, UpdateError> {
        const TRIES: u32 = 3;
        let mut tries = 1;
        loop {
            match self.issue(Action::Refresh).await {
                // Harmless to do again; the deadline still holds.
                Err(UpdateError::Unsure { why, .. }) if why != Unsure::Deadline && tries < TRIES => tries += 1,
                other => return other.map(|ended| ended.status),
            }
        }
    }

    /// Makes the staged version the next to boot.
    ///
    /// With `expected`, only if that version is the staged one; without, only if the last prepare, where it can be
    /// asked still, wrote what the status calls staged (docs/facts/host-api.md#trap-1 and #trap-2). The host loads its update repository first, so
    /// without network this fails (docs/facts/host-api.md#trap-3).
    ///
    /// # Errors
    /// [`UpdateError`]; [`UpdateError::Refused`] where nothing is staged, or something else.
    pub async fn activate(&mut self, expected: Option<&Version>) -> Result<Switched, UpdateError> {
        let at = Action::Activate;
        let status = self.settled(at).await?;
        let staged = status.as_ref().and_then(staged_version);
        match status.as_ref().map(|status| &status.update_state) {
            Some(UpdateState::Ready | UpdateState::Staged) => {}
            Some(other) => return Err(UpdateError::refused(at, format!("nothing is staged (state {other})"))),
            None => return Err(UpdateError::refused(at, "nothing is staged since this boot".to_owned())),
        }
        let shown = status.as_ref().and_then(shown_version);
        if let Some(expected) = expected {
            expect_staged(staged.as_ref(), expected)?;
        } else if staged != shown {
            let (wrote, shown) = (or_nothing(staged.as_ref()), or_nothing(shown.as_ref()));
            let detail = format!("the host calls {shown} staged, but its last prepare wrote {wrote}");
            return Err(UpdateError::refused(at, detail));
        }
        if status.is_some_and(|status| status.update_state == UpdateState::Ready) {
            return Ok(Switched::Already);
        }
        self.switch(at, UpdateState::Ready).await
    }

    /// As [`Visit::activate`] of this version, if it is still among those that the host is offered after it has read its
    /// repository: nothing else keeps a release that was withdrawn from being booted (docs/facts/host-api.md#trap-15).
    ///
    /// # Errors
    /// [`UpdateError`]; [`UpdateError::NotOffered`] where it is offered no longer.
    pub async fn activate_offered(&mut self, version: &Version) -> Result<Switched, UpdateError> {
        let status = self.settled(Action::Activate).await?;
        // What the last prepare wrote cannot be asked any more once the host has refreshed.
        expect_staged(status.as_ref().and_then(staged_version).as_ref(), version)?;
        let status = self.refresh().await?;
        if !offers(&status, version) {
            return Err(UpdateError::NotOffered { wanted: version.clone(), available: status.available_updates });
        }
        self.activate(Some(version)).await
    }

    /// Undoes an activation that was not booted yet. The image stays on the inactive set.
    ///
    /// # Errors
    /// [`UpdateError`].
    pub async fn cancel(&mut self) -> Result<Switched, UpdateError> {
        let status = self.settled(Action::Deactivate).await?;
        match status.map(|status| status.update_state) {
            Some(UpdateState::Ready) => self.switch(Action::Deactivate, UpdateState::Staged).await,
            Some(UpdateState::Unknown(state)) => {
                Err(UpdateError::refused(Action::Deactivate, format!("the host is in an unknown state, {state}")))
            }
            Some(UpdateState::Idle | UpdateState::Available | UpdateState::Staged | UpdateState::Missing) | None => {
                Ok(Switched::Already)
            }
        }
    }

    /// Whether the host shows nothing on its inactive set, once no command runs there.
    ///
    /// # Errors
    /// [`UpdateError`].
    pub async fn shows_nothing_staged(&self) -> Result<bool, UpdateError> {
        let status = self.settled(Action::Activate).await?;
        Ok(match status.map(|status| status.update_state) {
            Some(UpdateState::Idle | UpdateState::Available) | None => true,
            Some(UpdateState::Staged | UpdateState::Ready | UpdateState::Unknown(_) | UpdateState::Missing) => false,
        })
    }

    /// Issues activate or deactivate; where its result is in doubt, the state tells.
    async fn switch(&mut self, action: Action, goal: UpdateState) -> Result<Switched, UpdateError> {
        match self.issue(action).await {
            Ok(ended) if ended.status.update_state == goal => Ok(Switched::Now),
            Ok(ended) => Err(UpdateError::Unsure { at: action, why: Unsure::State(ended.status.update_state) }),
            Err(UpdateError::Unsure { at, why }) => match self.last_look().await {
                Some(StatusAnswer::Known(status)) if status.update_state == goal => Ok(Switched::Now),
                _ => Err(UpdateError::Unsure { at, why }),
            },
            Err(error) => Err(error),
        }
    }

    async fn last_look(&self) -> Option<StatusAnswer> {
        let until = self.deadline.max(Instant::now() + LAST_LOOK);
        timeout_at(until, self.client.update_status()).await.ok()?.ok()
    }
}

/// How long the look may last that tells what an unsure command came to, where the deadline has passed.
const LAST_LOOK: Duration = Duration::from_secs(2);

fn expect_staged(staged: Option<&Version>, expected: &Version) -> Result<(), UpdateError> {
    if staged == Some(expected) {
        return Ok(());
    }
    let detail = format!("{} is staged, not {expected}", or_nothing(staged));
    Err(UpdateError::refused(Action::Activate, detail))
}

fn or_nothing(version: Option<&Version>) -> String {
    version.map_or_else(|| "nothing".to_owned(), Version::to_string)
}
