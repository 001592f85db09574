//! What an update status says of versions. Pure.

use models::host::{CommandStatus, CommandType, UpdateState, UpdateStatus, parse_version};
use semver::Version;

/// The version on the staging partition set. Right after a prepare it is what the worker says that it wrote; later it
/// is what the status names, which is no proof (docs/facts/host-api.md#trap-1 and #trap-2).
pub fn staged_version(status: &UpdateStatus) -> Option<Version> {
    match status.update_state {
        UpdateState::Staged | UpdateState::Ready => match &status.most_recent_command {
            Some(last) if last.cmd_type == CommandType::Prepare && last.cmd_status == CommandStatus::Success => {
                wrote_version(last.stderr.as_deref().unwrap_or_default())
            }
            _ => shown_version(status),
        },
        UpdateState::Idle | UpdateState::Available | UpdateState::Unknown(_) | UpdateState::Missing => None,
    }
}

/// The version that the status calls staged, which is what the last refresh before the prepare had chosen.
pub(super) fn shown_version(status: &UpdateStatus) -> Option<Version> {
    status.staging_partition.as_ref().and_then(|set| parse_version(&set.image.version))
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

/// The version in the worker's line `Starting update to V`: the only word on what prepare really wrote. `None` where
/// there is no such line, as in `No update required`.
pub fn wrote_version(stderr: &str) -> Option<Version> {
    stderr
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Starting update to "))
        .filter_map(parse_version)
        .next_back()
}

pub(super) fn offers(status: &UpdateStatus, wanted: &Version) -> bool {
    status.available_updates.iter().any(|offered| parse_version(offered).as_ref() == Some(wanted))
        || chosen_version(status).as_ref() == Some(wanted)
}

/// The version that is on the inactive set for certain: the host's last command is the prepare that wrote it, and the
/// status calls no other one staged.
pub(super) fn proven(status: &UpdateStatus) -> Option<Version> {
    let last = status.most_recent_command.as_ref()?;
    let prepared = status.update_state == UpdateState::Staged
        && last.cmd_type == CommandType::Prepare
        && last.cmd_status == CommandStatus::Success;
    let wrote = prepared.then(|| wrote_version(last.stderr.as_deref().unwrap_or_default())).flatten();
    wrote.filter(|wrote| shown_version(status).as_ref() == Some(wrote))
}
