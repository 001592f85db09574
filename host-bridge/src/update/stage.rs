//! Writing a version to the inactive partition set, and going back to an older one.

use models::host::{UpdateState, UpdateStatus, parse_version};
use semver::Version;
use tokio::time::timeout_at;
use tracing::info;

use super::commands::Switched;
use super::error::UpdateError;
use super::lock::LockAfter;
use super::status::{chosen_version, offers, proven, staged_version, wrote_version};
use super::visit::Visit;
use crate::client::Action;

/// What to write to the inactive partition set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageRequest {
    /// The version, or what the host has chosen by itself.
    pub version: Option<Version>,
    /// Whether it may be older than the running one.
    pub allow_downgrade: bool,
    /// What `version-lock` is to be afterwards.
    pub lock: LockAfter,
    /// The caller wrote the version to the inactive set in this boot: where the host shows it there, it is not written
    /// again.
    pub written_before: bool,
}

/// What is on the inactive partition set after a successful stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    pub version: Version,
    /// Whether this visit wrote it. Then the version that was on that set before is gone
    /// (docs/facts/host-api.md#trap-6).
    pub written: bool,
}

impl Visit {
    /// Refreshes, and writes a version to the inactive partition set. Nothing is activated.
    ///
    /// From the moment that prepare starts, the version that was on the inactive set is gone, and with it the way
    /// back to it without the update repository (docs/facts/host-api.md#trap-6). An activated update is deactivated
    /// first. Where the host has chosen another version, the wanted one is pinned meanwhile.
    ///
    /// The status naming the version as staged is no proof (docs/facts/host-api.md#trap-1, #trap-2 and #trap-6). It is
    /// not written again only where the last command of the host is the very prepare that wrote it, or where the caller
    /// knows. A version that is offered no more, since its release was withdrawn, is refused also where it is on the
    /// inactive set.
    ///
    /// # Errors
    /// [`UpdateError`]. `version-lock` is put as asked also after a failure; where only that fails, the error is
    /// [`UpdateError::LockNotRestored`] and [`Visit::wrote`] tells that the version is there.
    pub async fn stage(&mut self, request: &StageRequest) -> Result<Staged, UpdateError> {
        let staged = self.write(request).await;
        self.finish(&request.lock, staged).await
    }

    /// Goes back to an older version through the update repository: pins it, writes it, activates it. The reboot is
    /// the caller's. The version must be offered: in the manifest, its wave open, same variant.
    ///
    /// With [`LockAfter::Pinned`] the host stays on the version, and one under API lockdown refuses beforehand; otherwise its next refresh offers again what it came
    /// from.
    ///
    /// # Errors
    /// [`UpdateError`], as of [`Visit::stage`] and [`Visit::activate`].
    pub async fn roll_back(&mut self, to: &Version, lock: &LockAfter) -> Result<Staged, UpdateError> {
        let request = StageRequest {
            version: Some(to.clone()),
            allow_downgrade: true,
            lock: LockAfter::Pinned,
            written_before: false,
        };
        if *lock == LockAfter::Pinned {
            self.read_lock().await?;
        }
        let done = self.write_and_activate(&request, *lock == LockAfter::Pinned).await;
        self.finish(lock, done).await
    }

    async fn write_and_activate(&mut self, request: &StageRequest, hold: bool) -> Result<Staged, UpdateError> {
        let staged = self.write(request).await?;
        if hold && self.saved_lock.is_none() {
            self.pin(&staged.version).await?;
        }
        let _: Switched = self.activate(Some(&staged.version)).await?;
        Ok(staged)
    }

    /// The operation's own failure is worth more than that of putting the lock back. A failed operation never leaves
    /// its pin behind.
    async fn finish(&mut self, lock: &LockAfter, done: Result<Staged, UpdateError>) -> Result<Staged, UpdateError> {
        match done {
            Ok(staged) => self.finish_lock(lock).await.map(|()| staged),
            Err(error) => {
                let lock = if *lock == LockAfter::Pinned { &LockAfter::AsFound } else { lock };
                if let Err(lock_error) = self.finish_lock(lock).await {
                    tracing::warn!("{lock_error}");
                }
                Err(error)
            }
        }
    }

    async fn write(&mut self, request: &StageRequest) -> Result<Staged, UpdateError> {
        let running = self.running(Action::Refresh).await?;
        let before = self.settled(Action::Refresh).await?;
        let mut status = self.refresh().await?;
        let wanted = match &request.version {
            Some(version) => version.clone(),
            None => chosen_version(&status).or_else(|| staged_version(&status)).ok_or(UpdateError::NoUpdate)?,
        };
        if wanted == running {
            return Err(UpdateError::AlreadyRunning { running });
        }
        if wanted.cmp_precedence(&running).is_lt() && !request.allow_downgrade {
            return Err(UpdateError::Downgrade { wanted, running });
        }
        if !offers(&status, &wanted) {
            return Err(UpdateError::NotOffered { wanted, available: status.available_updates });
        }
        let known = request.written_before && staged_version(&status).as_ref() == Some(&wanted);
        if known || before.as_ref().and_then(proven).as_ref() == Some(&wanted) {
            return Ok(Staged { version: wanted, written: false });
        }
        let chosen = chosen_version(&status);
        let is_chosen = chosen.as_ref() == Some(&wanted);
        // What is refused is refused before an activation is undone: also by a host under API lockdown.
        if !is_chosen && request.lock == LockAfter::Untouched {
            return Err(UpdateError::ChoseOther { wanted, chosen });
        }
        if !is_chosen {
            self.read_lock().await?;
        }
        if status.update_state == UpdateState::Ready {
            self.cancel().await?;
        }
        if !is_chosen {
            status = self.pin(&wanted).await?;
        }
        self.prepare(&wanted, &status).await
    }

    async fn prepare(&mut self, wanted: &Version, status: &UpdateStatus) -> Result<Staged, UpdateError> {
        if let Some(lost) = staged_version(status) {
            info!("the staged {lost} is overwritten");
        }
        let ended = self.issue(Action::Prepare).await?;
        let wrote = wrote_version(ended.command.stderr.as_deref().unwrap_or_default());
        self.wrote.clone_from(&wrote);
        match wrote {
            None => Err(UpdateError::WroteNothing { wanted: wanted.clone() }),
            Some(wrote) if wrote != *wanted => Err(UpdateError::WroteOther { wanted: wanted.clone(), wrote }),
            Some(_) => Ok(Staged { version: wanted.clone(), written: true }),
        }
    }

    async fn running(&self, at: Action) -> Result<Version, UpdateError> {
        let os = timeout_at(self.deadline, self.client.os()).await.map_err(|_| UpdateError::Busy { at })?;
        let os = os.map_err(|source| UpdateError::Api { at, source })?;
        parse_version(&os.version_id).ok_or_else(|| {
            UpdateError::refused(at, format!("the host runs {:?}, which is not a version", os.version_id))
        })
    }
}
