//! The four documents, step by step as `docs/documents.md` has them.

use std::collections::BTreeMap;

use models::host::ErrorCode;

use super::client::{ACTIVATE, DEACTIVATE, PREPARE, REFRESH, Visit, failed};
use super::report::{FIRST_OF_TWO, Lock, Parameters, Step, line, stop};
use super::{Machine, Output};
use crate::host::Request;

/// `EcsUpdater-Inspect`. A failed refresh does not keep it from reading the rest.
pub(super) async fn inspect(machine: &dyn Machine, parameters: &BTreeMap<String, String>) -> Output {
    let mut visit = Visit::new(machine, "inspect");
    let result = inspect_steps(&mut visit, &Parameters(parameters)).await;
    visit.end(result)
}

async fn inspect_steps(visit: &mut Visit<'_>, parameters: &Parameters<'_>) -> Step<()> {
    visit.deadline = parameters.deadline(visit.machine.now())?;
    let (refresh, wait) = (parameters.refresh()?, parameters.wait()?);
    visit.wait_for_agent(wait).await;
    visit.os().await?;
    if refresh {
        let refreshed = visit.command(REFRESH).await.map(drop);
        visit.note(refreshed);
    }
    visit.look().await
}

/// `EcsUpdater-Stage`.
pub(super) async fn stage(machine: &dyn Machine, parameters: &BTreeMap<String, String>) -> Output {
    let mut visit = Visit::new(machine, "stage");
    let result = stage_steps(&mut visit, &Parameters(parameters)).await;
    visit.end(result)
}

async fn stage_steps(visit: &mut Visit<'_>, parameters: &Parameters<'_>) -> Step<()> {
    visit.deadline = parameters.deadline(visit.machine.now())?;
    let (version, lock) = (parameters.version()?, parameters.lock()?);
    not_running_yet(visit, &version).await?;
    let written = write(visit, &version).await;
    way_out(visit, written, &lock).await
}

/// `EcsUpdater-Revert`.
pub(super) async fn revert(machine: &dyn Machine, parameters: &BTreeMap<String, String>) -> Output {
    let mut visit = Visit::new(machine, "revert");
    let result = revert_steps(&mut visit, &Parameters(parameters)).await;
    visit.end(result)
}

async fn revert_steps(visit: &mut Visit<'_>, parameters: &Parameters<'_>) -> Step<()> {
    visit.deadline = parameters.deadline(visit.machine.now())?;
    let (version, lock) = (parameters.version_or_none()?, parameters.lock()?);
    parameters.this_boot(visit.machine)?;
    let undone = match version {
        None => {
            visit.os().await?;
            deactivate_if_ready(visit).await
        }
        Some(version) => {
            not_running_yet(visit, &version).await?;
            write_and_activate(visit, &version).await
        }
    };
    way_out(visit, undone, &lock).await
}

async fn write_and_activate(visit: &mut Visit<'_>, version: &str) -> Step<()> {
    write(visit, version).await?;
    activate(visit).await
}

/// `EcsUpdater-Reboot`. Two lines where the reboot is refused, or not answered: the last one counts.
pub(super) async fn reboot(machine: &dyn Machine, parameters: &BTreeMap<String, String>) -> Output {
    let mut visit = Visit::new(machine, "reboot");
    let ready = reboot_steps(&mut visit, &Parameters(parameters)).await;
    if ready.is_err() {
        return visit.end(ready);
    }
    let first = line(&visit.report, FIRST_OF_TWO);
    visit.room = visit.room.saturating_sub(first.len());
    let accepted = visit
        .request("reboot", &Request::post("/actions/reboot"))
        .await
        .and_then(|answer| if answer.is_success() { Ok(()) } else { Err(failed("reboot", &answer)) });
    match accepted {
        Ok(()) => Output { exit_code: 0, stdout: first, stderr: String::new() },
        refused => {
            let second = visit.end(refused);
            Output { stdout: first + &second.stdout, ..second }
        }
    }
}

/// All before the request to reboot.
async fn reboot_steps(visit: &mut Visit<'_>, parameters: &Parameters<'_>) -> Step<()> {
    visit.deadline = parameters.deadline(visit.machine.now())?;
    let version = parameters.version()?;
    parameters.this_boot(visit.machine)?;
    not_running_yet(visit, &version).await?;
    visit.agent();
    let tasks = visit.report.agent.as_ref().and_then(|agent| agent.tasks).unwrap_or(0);
    let activated = if tasks > 0 {
        Err(stop("tasks", ErrorCode::TasksRunning, format!("{tasks} tasks have not stopped")))
    } else {
        activate_staged(visit, &version).await
    };
    let looked = visit.look().await;
    activated.and(looked)
}

async fn activate_staged(visit: &mut Visit<'_>, version: &str) -> Step<()> {
    let seen = visit.status().await?;
    let prepared = seen.as_ref().and_then(|seen| seen.prepared.clone());
    let is_active = seen.as_ref().is_some_and(|seen| seen.state != "Staged");
    let staged = seen.and_then(|seen| seen.staged);
    if staged.as_deref() != Some(version) {
        let staged = staged.unwrap_or_else(|| "nothing".to_owned());
        return Err(stop("staged", ErrorCode::Refused, format!("{staged} is staged, not {version}")));
    }
    // The status names what a refresh chose, and the worker what it wrote.
    if let Some(stderr) = prepared
        && written(&stderr) != Some(version)
    {
        let wrote = written(&stderr).unwrap_or("nothing");
        let detail = format!("the last prepare wrote {wrote}, not {version}");
        return Err(stop("staged", ErrorCode::Refused, detail));
    }
    if !is_active {
        // A release that was withdrawn since must not spread. The way back is activated already.
        visit.command(REFRESH).await?;
        let available = visit.status().await?.map(|seen| seen.available).unwrap_or_default();
        offered(&available, version)?;
    }
    activate(visit).await
}

fn offered(available: &[String], version: &str) -> Step<()> {
    if available.iter().any(|available| available == version) {
        return Ok(());
    }
    Err(stop("refresh", ErrorCode::NotOffered, format!("{version} is not offered to this host")))
}

/// Activates what is staged; nothing to do in `Ready`.
async fn activate(visit: &mut Visit<'_>) -> Step<()> {
    let state = |seen: Option<super::client::Seen>| seen.map(|seen| seen.state).unwrap_or_default();
    if state(visit.status().await?) == "Staged" {
        visit.command(ACTIVATE).await?;
    }
    match state(visit.status().await?) {
        ready if ready == "Ready" => Ok(()),
        other => Err(stop("activate", ErrorCode::Refused, format!("the update state is {other:?}, not Ready"))),
    }
}

async fn deactivate_if_ready(visit: &Visit<'_>) -> Step<()> {
    if visit.status().await?.is_some_and(|seen| seen.state == "Ready") {
        visit.command(DEACTIVATE).await?;
    }
    Ok(())
}

/// Reads the OS; a host that already runs `version` has nothing to do with this command.
async fn not_running_yet(visit: &mut Visit<'_>, version: &str) -> Step<()> {
    if visit.os().await? == version {
        return Err(stop("os", ErrorCode::OtherBoot, format!("{version} already runs")));
    }
    Ok(())
}

/// Writes `version` to the inactive partition set, pinning it where another is chosen. Also where the status calls it
/// staged already: that may not be true (docs/facts/host-api.md#trap-1 and #trap-2).
async fn write(visit: &mut Visit<'_>, version: &str) -> Step<()> {
    visit.command(REFRESH).await?;
    let Some(seen) = visit.status().await? else {
        return Err(stop("refresh", ErrorCode::Failed, "the host has no update status after a refresh"));
    };
    // What is refused is refused before anything is changed: a version that is not offered, and then a pin where the host is
    // under API lockdown.
    offered(&seen.available, version)?;
    if seen.chosen.as_deref() != Some(version) {
        visit.lock("pin").await?;
    }
    if seen.state == "Ready" {
        visit.command(DEACTIVATE).await?;
    }
    if seen.chosen.as_deref() != Some(version) {
        visit.pin(version).await?;
    }
    let stderr = visit.command(PREPARE).await?;
    let wrote = written(&stderr);
    visit.report.wrote = wrote.map(str::to_owned);
    match wrote {
        Some(wrote) if wrote == version => Ok(()),
        Some(wrote) => Err(stop("prepare", ErrorCode::WroteOther, format!("wrote {wrote}, not {version}"))),
        None => Err(stop("prepare", ErrorCode::WroteNothing, &stderr)),
    }
}

/// The version that a prepare wrote, by the worker's own word: its last line says so.
fn written(stderr: &str) -> Option<&str> {
    stderr.lines().filter_map(|line| line.strip_prefix("Starting update to ")).map(str::trim).next_back()
}

/// Puts the lock right whatever happened, then reads what the host looks like now. The first error counts.
async fn way_out(visit: &mut Visit<'_>, done: Step<()>, lock: &Lock) -> Step<()> {
    let left = visit.leave_lock(lock).await;
    let looked = visit.look().await;
    done.and(left).and(looked)
}
