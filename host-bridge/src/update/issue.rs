//! "Issue, then wait for a new timestamp": the one way a command is given.

use std::time::Duration;

use models::host::{CommandResult, CommandStatus, UpdateStatus};
use models::pace::Pace;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info};

use super::error::{Unsure, UpdateError};
use super::visit::Visit;
use crate::client::{Action, ActionAnswer, ClientError, StatusAnswer, excerpt};
use crate::transport::Sent;

/// A command whose lock nobody holds and whose result does not come is taken for killed after this time. In the
/// recorded exchanges (`tests/tests/suite/host_api/`) the lock is held before the POST is answered and the result is written
/// before it is freed, so one look would do; 15 s forgives a host that is short of CPU.
pub const GONE_AFTER: Duration = Duration::from_secs(15);

/// The first pause between two looks, then half as much more each time up to [`SLOWEST`]: a refresh takes a second,
/// a prepare minutes.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const SLOWEST: Duration = Duration::from_secs(2);

/// A command that ended with Success.
pub(super) struct Ended {
    pub(super) status: UpdateStatus,
    pub(super) command: CommandResult,
}

/// The pauses between looks at the status of a command that runs.
pub(super) struct PollInterval(Pace);

impl PollInterval {
    pub(super) fn new() -> Self {
        Self(Pace::new(FIRST_PAUSE, 1.5, SLOWEST, 0.0))
    }

    /// Sleeps until the next look; false when the deadline came first.
    pub(super) async fn pause(&mut self, deadline: Instant) -> bool {
        let next = Instant::now() + self.0.next_wait();
        if next >= deadline {
            sleep(deadline.saturating_duration_since(Instant::now())).await;
            return false;
        }
        sleep(next - Instant::now()).await;
        true
    }
}

impl Visit {
    /// Issues a command and waits for its end.
    pub(super) async fn issue(&mut self, action: Action) -> Result<Ended, UpdateError> {
        let before = self.start(action).await?;
        let ended = self.wait_for(action, before).await?;
        let said = ended.command.stderr.as_deref().map(excerpt).unwrap_or_default();
        debug!("{action} ended: {} {said}", ended.command.cmd_status);
        match &ended.command.cmd_status {
            CommandStatus::Success => Ok(ended),
            CommandStatus::Failed => Err(UpdateError::Failed { at: action, detail: said }),
            // The host says `Unknown` of a worker that it lost sight of.
            CommandStatus::Unknown(_) | CommandStatus::Missing => {
                Err(UpdateError::Unsure { at: action, why: Unsure::HostUnsure(said) })
            }
        }
    }

    /// Waits until no command runs; `None` where there is no status in this boot yet.
    pub(super) async fn settled(&self, at: Action) -> Result<Option<UpdateStatus>, UpdateError> {
        let mut interval = PollInterval::new();
        loop {
            match self.look().await {
                None => return Err(UpdateError::Busy { at }),
                Some(Ok(StatusAnswer::Known(status))) => return Ok(Some(*status)),
                Some(Ok(StatusAnswer::Uninitialized)) => return Ok(None),
                Some(Ok(StatusAnswer::Locked) | Err(ClientError::Blocked { .. })) => {}
                Some(Ok(StatusAnswer::ServerError(detail))) => {
                    return Err(server_error(at, &detail));
                }
                Some(Err(source)) => return Err(UpdateError::Api { at, source }),
            }
            debug!("another update command runs on the host, or its API is blocked; waiting");
            if !interval.pause(self.deadline).await {
                return Err(UpdateError::Busy { at });
            }
        }
    }

    /// POSTs the command, after others that hold the lock. Returns the timestamp from before it.
    async fn start(&self, action: Action) -> Result<Option<String>, UpdateError> {
        let mut interval = PollInterval::new();
        loop {
            let before = self.settled(action).await?.and_then(|status| timestamp(&status));
            let answer = timeout_at(self.deadline, self.client.update_action(action)).await;
            match answer {
                Err(_) => return Err(UpdateError::Unsure { at: action, why: Unsure::Deadline }),
                Ok(Ok(ActionAnswer::Started)) => {
                    info!("{action} started");
                    return Ok(before);
                }
                Ok(Ok(ActionAnswer::Locked) | Err(ClientError::Blocked { .. })) => {}
                Ok(Ok(ActionAnswer::NotAllowed)) => {
                    return Err(UpdateError::refused(action, "the update state does not allow it (409)".to_owned()));
                }
                Ok(Ok(ActionAnswer::NothingThere(detail))) => {
                    return Err(UpdateError::refused(action, excerpt(&detail)));
                }
                Ok(Ok(ActionAnswer::ServerError(detail))) => return Err(server_error(action, &detail)),
                Ok(Err(error)) if error.sent() == Sent::Maybe => {
                    info!("{action} may have started: {error}");
                    return Ok(before);
                }
                Ok(Err(source)) => return Err(UpdateError::Api { at: action, source }),
            }
            if !interval.pause(self.deadline).await {
                return Err(UpdateError::Busy { at: action });
            }
        }
    }

    async fn wait_for(&self, action: Action, before: Option<String>) -> Result<Ended, UpdateError> {
        let unsure = |why| Err(UpdateError::Unsure { at: action, why });
        let mut interval = PollInterval::new();
        let mut unlocked_since: Option<Instant> = None;
        loop {
            let status = match self.look().await {
                None => return unsure(Unsure::Deadline),
                Some(Ok(StatusAnswer::Known(status))) => Some(*status),
                Some(Ok(StatusAnswer::Uninitialized)) => None,
                // At work; or a server that restarts, whose worker does not.
                Some(Ok(StatusAnswer::Locked | StatusAnswer::ServerError(_)) | Err(_)) => {
                    unlocked_since = None;
                    if interval.pause(self.deadline).await {
                        continue;
                    }
                    return unsure(Unsure::Deadline);
                }
            };
            let now = status.as_ref().and_then(timestamp);
            let overtaken = now.is_some() && now != before;
            if let Some(status) = status
                && let Some(command) = status.most_recent_command.clone()
                && overtaken
            {
                if command.cmd_type == action.command() {
                    return Ok(Ended { status, command });
                }
                debug!("another client's {} ended meanwhile", command.cmd_type);
            }
            if unlocked_since.get_or_insert_with(Instant::now).elapsed() >= GONE_AFTER {
                return unsure(if overtaken { Unsure::Overtaken } else { Unsure::WorkerGone });
            }
            if !interval.pause(self.deadline).await {
                return unsure(Unsure::Deadline);
            }
        }
    }

    /// One look at the status; `None` when the deadline came first.
    async fn look(&self) -> Option<Result<StatusAnswer, ClientError>> {
        timeout_at(self.deadline, self.client.update_status()).await.ok()
    }
}

fn timestamp(status: &UpdateStatus) -> Option<String> {
    status.most_recent_command.as_ref().map(|command| command.timestamp.clone())
}

/// Tells the answers 500 apart (docs/facts/host-api.md#trap-10).
fn server_error(at: Action, detail: &str) -> UpdateError {
    let no_dispatcher = detail.contains("Unable to start the update dispatcher");
    if no_dispatcher && detail.contains("No such file or directory") {
        UpdateError::NoInPlaceUpdates { at }
    } else if no_dispatcher || detail.contains("Update dispatcher failed") {
        UpdateError::DispatcherFailed { at, detail: excerpt(detail) }
    } else {
        UpdateError::Failed { at, detail: excerpt(detail) }
    }
}
