//! One look at a host, as a [`HostReport`].

use std::path::Path;

use models::host::{HostReport, OsInfo, ReportedCommand, ReportedOs, ReportedSettings, ReportedUpdate, UpdateStatus};
use models::ids::BootId;

use crate::client::{Client, ClientError, SettingsAnswer, StatusAnswer};
use crate::introspection::Introspection;

/// Which boot of the host this is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Boot {
    /// `/proc/sys/kernel/random/boot_id`, which is the host kernel's in every container.
    pub id: Option<BootId>,
    /// `btime` of `/proc/stat`, in seconds since the epoch.
    pub at: Option<i64>,
}

impl Boot {
    /// Reads it below `proc`, in life `/proc`. What cannot be read is `None`.
    pub fn read(proc: &Path) -> Self {
        let id = std::fs::read_to_string(proc.join("sys/kernel/random/boot_id")).ok();
        let stat = std::fs::read_to_string(proc.join("stat")).unwrap_or_default();
        Self {
            id: id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).map(BootId::from),
            at: stat.lines().find_map(|line| line.strip_prefix("btime ")).and_then(|at| at.trim().parse().ok()),
        }
    }
}

/// What one look showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// What the host said.
    pub report: HostReport,
    /// Whether an update command ran (423), or the API was blocked (408); then the report has no update status.
    pub busy: bool,
    /// Whether it was the API that was blocked: whether a command ran is not known then.
    pub blocked: bool,
    /// Whether the next boot takes the other partition set; `None` where nobody can say. The status knows only what the
    /// update commands did.
    pub other_set_next: Option<bool>,
}

/// Reads what the host says of itself, without changing anything. `step` is what the report is about.
///
/// Only `/os` must answer: there is no status before the first refresh of a boot or while a command runs, and hosts
/// under API lockdown do not tell their settings (docs/facts/host-api.md#trap-11).
///
/// # Errors
/// [`ClientError`] of `GET /os`.
pub async fn inspect(
    client: &Client,
    agent: Option<&Introspection>,
    boot: &Boot,
    step: &str,
) -> Result<Seen, ClientError> {
    let os = client.os().await?;
    let (mut busy, mut blocked) = (false, false);
    let status = match client.update_status().await {
        Ok(StatusAnswer::Known(status)) => Some(status),
        Ok(StatusAnswer::Uninitialized | StatusAnswer::ServerError(_)) => None,
        Ok(StatusAnswer::Locked) => {
            busy = true;
            None
        }
        Err(ClientError::Blocked { .. }) => {
            (busy, blocked) = (true, true);
            None
        }
        Err(error) => {
            tracing::debug!("no update status: {error}");
            None
        }
    };
    let mut locked_down = false;
    let settings = match client.update_settings().await {
        Ok(SettingsAnswer::Known(settings)) => {
            Some(ReportedSettings { version_lock: settings.version_lock, ignore_waves: settings.ignore_waves })
        }
        Ok(SettingsAnswer::LockedDown(_)) => {
            locked_down = true;
            None
        }
        Ok(SettingsAnswer::ServerError(_)) => None,
        Err(error) => {
            tracing::debug!("no settings: {error}");
            None
        }
    };
    let report = HostReport {
        v: 1,
        step: step.to_owned(),
        boot_id: boot.id.clone(),
        booted_at: boot.at,
        os: Some(reported_os(os)),
        update: status.as_deref().map(reported_update),
        settings,
        locked_down,
        target_state: None,
        inactive: None,
        agent: match agent {
            Some(agent) => Some(agent.report().await),
            None => None,
        },
        wrote: None,
        error: None,
    };
    let active = status.as_deref().and_then(|status| status.active_partition.as_ref());
    let other_set_next = active.and_then(|active| (!active.next_to_boot).then_some(true));
    Ok(Seen { report, busy, blocked, other_set_next })
}

fn reported_os(os: OsInfo) -> ReportedOs {
    ReportedOs { version: os.version_id.into(), variant: os.variant_id.into(), arch: os.arch.into() }
}

/// The parts of a status that a report carries.
pub fn reported_update(status: &UpdateStatus) -> ReportedUpdate {
    ReportedUpdate {
        state: status.update_state.clone(),
        chosen: status.chosen_update.as_ref().map(|image| image.version.as_str().into()),
        staged: status.staging_partition.as_ref().map(|set| set.image.version.as_str().into()),
        available: status.available_updates.iter().take(HostReport::MAX_AVAILABLE).map(Into::into).collect(),
        last: status
            .most_recent_command
            .as_ref()
            .map(|command| ReportedCommand { r#type: command.cmd_type.clone(), status: command.cmd_status.clone() }),
    }
}
