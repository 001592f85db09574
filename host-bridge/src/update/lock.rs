//! `settings.updates.version-lock`: pinning a version, and putting the setting back.
//!
//! Settings are applied after the answer (docs/facts/host-api.md#trap-7), and a prepare whose lock changed since the
//! refresh may write nothing (docs/facts/host-api.md#trap-1): a pin counts only when a refresh has chosen the wanted
//! version.

use std::time::Duration;

use models::host::UpdateStatus;
use semver::Version;
use serde_json::json;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info};

use super::error::UpdateError;
use super::issue::PollInterval;
use super::status::{chosen_version, offers};
use super::visit::Visit;
use crate::client::{Action, ChangeError, SettingsAnswer, excerpt};
use crate::transport::Sent;

/// The value of `version-lock` that pins nothing.
pub const LATEST: &str = "latest";

/// A pinned version that a refresh does not choose within this time will not be chosen: applying a setting takes
/// a second, a refresh a few.
const SETTLE: Duration = Duration::from_secs(90);

/// To put the lock back, also when the deadline of the visit has passed: three local requests.
const RESTORE: Duration = Duration::from_secs(20);

/// What `version-lock` is to be when an operation has ended, well or badly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LockAfter {
    /// As it was found.
    #[default]
    AsFound,
    /// As the operation left it: pinned, where it had to pin.
    Pinned,
    /// This value: `latest` or a version.
    Set(String),
    /// It is not changed at all: where the host chooses another version, nothing is written.
    Untouched,
}

impl Visit {
    /// Sets `version-lock` to a version and refreshes until the host has chosen it.
    ///
    /// The lock stays; [`Visit::restore_lock`] puts back what it was before the first pin of this visit.
    ///
    /// # Errors
    /// [`UpdateError::NotOffered`] where the version is not among the offered ones: the lock is left as it was found.
    /// [`UpdateError::NotChosen`] where the host does not choose it all the same.
    pub async fn pin(&mut self, version: &Version) -> Result<UpdateStatus, UpdateError> {
        self.set_lock(&version.to_string()).await?;
        let settled = self.deadline.min(Instant::now() + SETTLE);
        let mut interval = PollInterval::new();
        let mut last = None;
        loop {
            // A refresh can fail just while its settings are rewritten; the last failure counts.
            let problem = match timeout_at(settled, self.refresh()).await {
                Ok(Ok(status)) if chosen_version(&status).as_ref() == Some(version) => return Ok(status),
                // What is offered does not depend on the lock.
                Ok(Ok(status)) if !offers(&status, version) => {
                    self.restore_lock().await?;
                    return Err(UpdateError::NotOffered {
                        wanted: version.clone(),
                        available: status.available_updates,
                    });
                }
                Ok(Ok(status)) => UpdateError::NotChosen { wanted: version.clone(), chosen: chosen_version(&status) },
                Ok(Err(error @ UpdateError::Failed { .. })) => error,
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    return Err(last.unwrap_or(UpdateError::NotChosen { wanted: version.clone(), chosen: None }));
                }
            };
            debug!("pinned, but not chosen yet: {problem}");
            if !interval.pause(settled).await {
                return Err(problem);
            }
            last = Some(problem);
        }
    }

    /// Sets `version-lock` to `latest` and refreshes, so that the host offers what it would without us.
    ///
    /// # Errors
    /// [`UpdateError`].
    pub async fn unpin(&mut self) -> Result<UpdateStatus, UpdateError> {
        self.set_lock(LATEST).await?;
        self.saved_lock = None;
        self.refresh().await
    }

    /// Puts back what `version-lock` was before this visit changed it; nothing to do where it did not. Takes at most
    /// 20 s, whatever the deadline.
    ///
    /// # Errors
    /// [`UpdateError::LockNotRestored`].
    pub async fn restore_lock(&mut self) -> Result<(), UpdateError> {
        match self.saved_lock.clone() {
            Some(lock) => self.put_lock(lock).await,
            None => Ok(()),
        }
    }

    /// Sets the lock as `after` wants it, at the end of an operation. Takes at most 20 s, whatever the deadline.
    ///
    /// # Errors
    /// [`UpdateError::LockNotRestored`].
    pub async fn finish_lock(&mut self, after: &LockAfter) -> Result<(), UpdateError> {
        match after {
            LockAfter::AsFound => self.restore_lock().await,
            LockAfter::Pinned => {
                self.saved_lock = None;
                Ok(())
            }
            LockAfter::Untouched => Ok(()),
            LockAfter::Set(lock) => self.put_lock(lock.clone()).await,
        }
    }

    async fn put_lock(&mut self, lock: String) -> Result<(), UpdateError> {
        let change = timeout(RESTORE, async {
            if let Ok(SettingsAnswer::Known(settings)) = self.client.update_settings().await
                && settings.version_lock.as_deref() == Some(&lock)
            {
                return Ok(());
            }
            self.write_lock(&lock).await
        });
        match change.await {
            Ok(Ok(())) => {
                self.saved_lock = None;
                Ok(())
            }
            Ok(Err(source)) => Err(UpdateError::LockNotRestored { lock, source }),
            Err(_) => Err(UpdateError::LockNotRestored { lock, source: ChangeError::TooLong { limit: RESTORE } }),
        }
    }

    async fn set_lock(&mut self, lock: &str) -> Result<(), UpdateError> {
        let found = self.read_lock().await?;
        if found == lock {
            return Ok(());
        }
        info!("version-lock: {found} -> {lock}");
        // Remembered before the change, so that a visit dropped in the middle can be tidied up.
        self.saved_lock.get_or_insert(found);
        let left = self.deadline.saturating_duration_since(Instant::now());
        let written = timeout(left, self.write_lock(lock)).await;
        written.unwrap_or(Err(ChangeError::TooLong { limit: left })).map_err(|source| match source {
            ChangeError::LockedDown { reason } => UpdateError::HostLockedDown { detail: reason },
            source => UpdateError::Lock { lock: lock.to_owned(), source },
        })
    }

    /// Reads `version-lock`, so that what needs it set can be refused before anything is changed.
    pub(super) async fn read_lock(&self) -> Result<String, UpdateError> {
        let answer = timeout_at(self.deadline, self.client.update_settings()).await;
        match answer.map_err(|_| UpdateError::Busy { at: Action::Refresh })? {
            Ok(SettingsAnswer::Known(settings)) => Ok(settings.version_lock.unwrap_or_else(|| LATEST.to_owned())),
            Ok(SettingsAnswer::LockedDown(detail)) => Err(UpdateError::HostLockedDown { detail: excerpt(&detail) }),
            Ok(SettingsAnswer::ServerError(detail)) => {
                Err(UpdateError::SettingsUnavailable { detail: excerpt(&detail) })
            }
            Err(source) => Err(UpdateError::Api { at: Action::Refresh, source }),
        }
    }

    /// Changes the setting. Where the answer to the commit got lost, the setting itself tells.
    async fn write_lock(&self, lock: &str) -> Result<(), ChangeError> {
        let change = json!({ "updates": { "version-lock": lock } });
        let error = match self.client.change_settings(&change).await {
            Ok(_) => return Ok(()),
            Err(ChangeError::Client(error)) if error.sent() == Sent::Maybe => error,
            Err(error) => return Err(error),
        };
        match self.client.update_settings().await {
            Ok(SettingsAnswer::Known(settings)) if settings.version_lock.as_deref() == Some(lock) => Ok(()),
            _ => Err(ChangeError::Client(error)),
        }
    }
}
