//! Drives the update state machine of one host.
//!
//! # The protocol
//! An update command is a POST that is answered as soon as its work has *started*; the work goes on in a process of
//! its own that holds the update lock, and its result replaces `most_recent_command` in the status. So a command is
//! *issued, then waited for*:
//!
//! 1. Read the status and remember `most_recent_command.timestamp`. 404 means none (always so after a boot, the
//!    status lives on a tmpfs); 423 means that somebody's command runs: wait.
//! 2. POST. 423: somebody was faster, begin again. 409 and 404: refused, nothing happens. 500: failed, nothing happens.
//! 3. Poll the status. 423 is our command at work. It has ended when the timestamp is a new one *and* `cmd_type` is
//!    ours; then `cmd_status` decides.
//!
//! ```text
//!           refresh                 prepare            activate
//!   Idle ─────────────▶ Available ───────────▶ Staged ───────────▶ Ready ──reboot──▶ (new boot, no status)
//!     ▲  failed refresh     │                   │  ▲  deactivate     │
//!     └─────────────────────┘            prepare└──┘◀────────────────┘
//! ```
//!
//! # What stays ambiguous
//! - A killed worker frees the lock and leaves the old status, exactly as one that has not begun. After
//!   [`GONE_AFTER`] without the lock held we stop waiting: [`Unsure`], not failed.
//! - The deadline can pass while the worker runs; it is not stopped by that and may still succeed: [`Unsure`].
//! - The answer to the POST can get lost. Then we wait as if it had started.
//! - Another client can run its command between the end of ours and our next look, and its result replaces ours.
//!   A refresh is then done again; for activate and deactivate the state tells what holds; for prepare, nothing
//!   does, because only the worker's output names the version that was written.
//! - Only `/os` after the next boot proves a version (docs/facts/host-api.md#trap-2).
//!
//! # Dropping a future
//! Every operation may be dropped at any point: what the host has begun goes on there, nothing is left in this
//! process, and the same operation done again picks up where the host is. A dropped [`Visit::stage`] or
//! [`Visit::roll_back`] may leave `version-lock` pinned; [`Visit::restore_lock`] puts it back.
//!
//! This module decides nothing about *whether* an update is wanted, and does not reboot.

mod error;
mod issue;
mod lock;
mod stage;

use std::time::Duration;

use models::host::{CommandStatus, CommandType, OsInfo, UpdateState, UpdateStatus, parse_version};
use semver::Version;
use tokio::time::Instant;

use crate::client::{Action, Client, StatusAnswer};

pub use error::{Unsure, UpdateError, chain};
pub use issue::GONE_AFTER;
pub use lock::{LATEST, LockAfter};
pub use stage::{StageRequest, Staged, wrote_version};

/// One visit to a host: operations one after the other, with one deadline for them all.
#[derive(Debug)]
pub struct Visit {
    client: Client,
    deadline: Instant,
    /// What this visit wrote to the inactive set.
    wrote: Option<Version>,
    /// What `version-lock` was before this visit changed it, while it is not put back.
    saved_lock: Option<String>,
}

/// How an activation or its undoing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    /// This visit did it.
    Now,
    /// It was so before.
    Already,
}

impl Visit {
    /// A visit that ends at `deadline` at the latest; what runs then is [`UpdateError::Unsure`].
    pub fn new(client: &Client, deadline: Instant) -> Self {
        Self { client: client.clone(), deadline, wrote: None, saved_lock: None }
    }

    /// A visit that ends after `limit`.
    pub fn within(client: &Client, limit: Duration) -> Self {
        Self::new(client, Instant::now() + limit)
    }

    /// The version that this visit wrote to the inactive set, also where an operation failed afterwards.
    pub fn wrote(&self) -> Option<&Version> {
        self.wrote.as_ref()
    }

    /// What `version-lock` was before this visit changed it, while it is not put back.
    pub fn saved_lock(&self) -> Option<&str> {
        self.saved_lock.as_deref()
    }

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
    /// With `expected`, only if that version is the staged one. The host loads its update repository first, so
    /// without network this fails (docs/facts/host-api.md#trap-3).
    ///
    /// # Errors
    /// [`UpdateError`]; [`UpdateError::Refused`] where nothing is staged.
    pub async fn activate(&mut self, expected: Option<&Version>) -> Result<Switched, UpdateError> {
        let at = Action::Activate;
        let status = self.settled(at).await?;
        let staged = status.as_ref().and_then(staged_version);
        match status.as_ref().map(|status| &status.update_state) {
            Some(UpdateState::Ready | UpdateState::Staged) => {}
            Some(other) => return Err(UpdateError::refused(at, format!("nothing is staged (state {other})"))),
            None => return Err(UpdateError::refused(at, "nothing is staged since this boot".to_owned())),
        }
        if let Some(expected) = expected
            && staged.as_ref() != Some(expected)
        {
            let staged = staged.map_or_else(|| "nothing".to_owned(), |version| version.to_string());
            return Err(UpdateError::refused(at, format!("{staged} is staged, not {expected}")));
        }
        if status.is_some_and(|status| status.update_state == UpdateState::Ready) {
            return Ok(Switched::Already);
        }
        self.switch(at, UpdateState::Ready).await
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

    /// Issues activate or deactivate; where its result is in doubt, the state tells.
    async fn switch(&mut self, action: Action, goal: UpdateState) -> Result<Switched, UpdateError> {
        match self.issue(action).await {
            Ok(ended) if ended.status.update_state == goal => Ok(Switched::Now),
            Ok(ended) => Err(UpdateError::Unsure { at: action, why: Unsure::State(ended.status.update_state) }),
            Err(UpdateError::Unsure { at, why }) => match self.client.update_status().await {
                Ok(StatusAnswer::Known(status)) if status.update_state == goal => Ok(Switched::Now),
                _ => Err(UpdateError::Unsure { at, why }),
            },
            Err(error) => Err(error),
        }
    }

    async fn os(&self, at: Action) -> Result<(OsInfo, Version), UpdateError> {
        let os = self.client.os().await.map_err(|source| UpdateError::Api { at, source })?;
        let running = parse_version(&os.version_id).ok_or_else(|| {
            UpdateError::refused(at, format!("the host runs {:?}, which is no version", os.version_id))
        })?;
        Ok((os, running))
    }
}

/// The version on the staging partition set. Right after a prepare it is what the worker says that it wrote; later it
/// is what the status names, which is no proof (docs/facts/host-api.md#trap-1 and #trap-2).
pub fn staged_version(status: &UpdateStatus) -> Option<Version> {
    match status.update_state {
        UpdateState::Staged | UpdateState::Ready => match &status.most_recent_command {
            Some(last) if last.cmd_type == CommandType::Prepare && last.cmd_status == CommandStatus::Success => {
                wrote_version(last.stderr.as_deref().unwrap_or_default())
            }
            _ => status.staging_partition.as_ref().and_then(|set| parse_version(&set.image.version)),
        },
        UpdateState::Idle | UpdateState::Available | UpdateState::Unknown(_) | UpdateState::Missing => None,
    }
}

/// The version that the host would write next.
pub fn chosen_version(status: &UpdateStatus) -> Option<Version> {
    match status.update_state {
        // A failed refresh leaves a stale choice behind in Idle.
        UpdateState::Idle => None,
        UpdateState::Available
        | UpdateState::Staged
        | UpdateState::Ready
        | UpdateState::Unknown(_)
        | UpdateState::Missing => status.chosen_update.as_ref().and_then(|image| parse_version(&image.version)),
    }
}
