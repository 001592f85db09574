//! The update commands: `thar-be-updates` (lock, state machine, status file) and the `updog` below it.

use jiff::{SignedDuration, Timestamp};
use semver::Version;

use super::http::Response;
use super::image::Image;
use super::machine::{Host, HostEvent};
use super::partitions::SignpostError;
use super::repository::{Asking, Repository};
use super::spec::spend;
use super::status::{Command, CommandResult, SetStatus, Status, UpdateState};
use super::worker::{Work, Worker};

const NOT_ALLOWED: &str = "Update action not allowed according to update state";

impl Host {
    /// `POST /actions/…`: answers as soon as the work has started.
    pub(super) fn update_action(&mut self, now: Timestamp, repository: &Repository, command: Command) -> Response {
        if !self.spec.in_place_updates {
            return Response::error(
                500,
                "Unable to start the update dispatcher: No such file or directory (os error 2) ",
            );
        }
        if spend(&mut self.spec.dispatcher_fails) {
            return Response::error(500, "Update dispatcher failed");
        }
        if self.worker.is_some() {
            return Response::error(423, "Update lock held");
        }
        // A refused command leaves an initialized status file too (`thar-be-updates/src/main.rs`, `run`).
        let initial = Status::initial(&self.running, &self.disk);
        let status = self.status.get_or_insert(initial);
        let chosen = status.chosen_update.clone();
        let allowed = match (command, status.update_state) {
            (Command::Refresh, _) => Ok(()),
            (Command::Prepare, UpdateState::Available | UpdateState::Staged) if chosen.is_none() => {
                Err((404, "Previously chosen Update no longer exists"))
            }
            (Command::Prepare, UpdateState::Available | UpdateState::Staged) => Ok(()),
            (Command::Activate, UpdateState::Staged) | (Command::Deactivate, UpdateState::Ready)
                if status.staging_partition.is_none() =>
            {
                Err((404, "No update image applied to staging partition"))
            }
            (Command::Activate, UpdateState::Staged) | (Command::Deactivate, UpdateState::Ready) => Ok(()),
            (Command::Prepare, UpdateState::Idle | UpdateState::Ready)
            | (Command::Activate, UpdateState::Idle | UpdateState::Available | UpdateState::Ready)
            | (Command::Deactivate, UpdateState::Idle | UpdateState::Available | UpdateState::Staged) => {
                Err((409, NOT_ALLOWED))
            }
        };
        if let Err((code, reason)) = allowed {
            return Response::error(code, reason);
        }
        self.fork(now, repository, command, chosen);
        Response::no_content()
    }

    /// `updog update -i` by somebody in the host's root: a version is written and activated past the host API, whose status does not
    /// show it.
    ///
    /// # Errors
    /// [`SignpostError`] never: what was written is valid.
    pub fn updog_update(&mut self, version: Version) -> Result<(), SignpostError> {
        let image = Image { version, ..self.running.clone() };
        self.disk.clear_inactive();
        self.disk.mark_inactive_valid(image);
        self.disk.upgrade_to_inactive()
    }

    fn fork(&mut self, now: Timestamp, repository: &Repository, command: Command, chosen: Option<Image>) {
        let durations = self.spec.durations;
        let takes = match command {
            Command::Refresh => durations.refresh,
            Command::Prepare => durations.prepare,
            Command::Activate | Command::Deactivate => durations.activate,
        };
        let killed = spend(&mut self.spec.workers_killed);
        let hangs = spend(&mut self.spec.workers_hang);
        let takes = self.rng.stretch(takes, self.spec.jitter_percent) / if killed { 2 } else { 1 };
        // No two results carry one timestamp: clients wait for it to change. Some have fewer digits.
        let nanos = i64::try_from(1 + self.rng.below(999_999)).unwrap_or(1);
        let step = match nanos % 8 {
            0 => 1_000_000,
            1 => 1_000,
            _ => 1,
        };
        let work = self.plan_work(now, repository, command, chosen);
        if let Work::Write { .. } = work {
            // Written to the partition table before the download (`updog`, `update_image`;
            // docs/facts/host-api.md#trap-6).
            self.disk.clear_inactive();
        }
        let ends_at = (!hangs).then(|| up_to(now + takes + SignedDuration::from_nanos(nanos), step));
        self.worker = Some(Worker { ends_at, command, killed, work });
    }

    fn plan_work(&mut self, now: Timestamp, repository: &Repository, command: Command, chosen: Option<Image>) -> Work {
        // Every command of updog loads the repository first (docs/facts/host-api.md#trap-3).
        let away = !repository.reachable || self.spec.repo_unreachable(now);
        let fails = match command {
            Command::Refresh => spend(&mut self.spec.refresh_fails),
            Command::Activate | Command::Deactivate => spend(&mut self.spec.activate_fails),
            Command::Prepare => false,
        };
        if away || fails {
            return Work::Fail { stderr: self.no_network() };
        }
        match (command, chosen) {
            (Command::Refresh, _) => Work::Refresh { available: repository.offered(&self.asking(), now) },
            // The version is chosen again here (docs/facts/host-api.md#trap-2); what the status then calls staged is
            // what the last refresh chose.
            (Command::Prepare, Some(believed)) => match repository.choose(&self.asking(), now) {
                None => Work::WriteNothing { believed },
                Some(version) => match repository.migrations(&self.running.version, &version) {
                    Err(line) => Work::Fail { stderr: format!("Starting update to {version}\n{line}\n") },
                    Ok(()) => {
                        let breaks = spend(&mut self.spec.prepare_fails);
                        Work::Write { image: self.image(version), believed, breaks }
                    }
                },
            },
            (Command::Prepare, None) | (Command::Activate | Command::Deactivate, _) => Work::SetFlags,
        }
    }

    fn asking(&self) -> Asking<'_> {
        Asking {
            running: &self.running.version,
            variant: &self.running.variant,
            arch: &self.running.arch,
            seed: self.config.seed,
            version_lock: &self.config.version_lock,
            ignore_waves: self.config.ignore_waves,
        }
    }

    fn image(&self, version: Version) -> Image {
        Image { arch: self.running.arch.clone(), version, variant: self.running.variant.clone() }
    }

    /// The worker's end, at the moment it was due.
    pub(super) fn end_worker(&mut self, repository: &Repository) {
        let Some(Worker { ends_at: Some(at), command, killed, work }) = self.worker.take() else { return };
        let Some(mut status) = self.status.take() else { return };
        if killed {
            // The lock goes with the process, and nobody writes the status.
            self.status = Some(status);
            self.events.push(HostEvent::WorkerKilled { at, command });
            return;
        }
        let away = !repository.reachable || self.spec.repo_unreachable(at);
        let chosen = match &work {
            Work::Refresh { available } => repository.choose_among(available.clone(), &self.asking(), at),
            Work::Write { .. } | Work::WriteNothing { .. } | Work::SetFlags | Work::Fail { .. } => None,
        };
        let chosen = chosen.map(|version| self.image(version));
        let ended = self.do_work(&mut status, command, work, Seen { chosen, away });
        let success = ended.is_ok();
        let (exit_status, stderr) = match ended {
            Ok(stderr) => (0, stderr),
            Err(stderr) => (1, stderr),
        };
        status.most_recent_command = Some(CommandResult::new(command, at, exit_status, stderr));
        self.status = Some(status);
        self.events.push(HostEvent::CommandEnded { at, command, success });
    }

    /// Does the work and moves the state machine; gives the worker's stderr, in `Err` where it exits 1.
    fn do_work(&mut self, status: &mut Status, command: Command, work: Work, seen: Seen) -> Result<String, String> {
        let Seen { chosen, away } = seen;
        match work {
            Work::Refresh { available } => {
                if matches!(status.update_state, UpdateState::Idle | UpdateState::Available) {
                    status.update_state = if chosen.is_some() { UpdateState::Available } else { UpdateState::Idle };
                }
                status.available_updates = available;
                status.chosen_update = chosen;
                Ok(String::new())
            }
            Work::Write { image, believed, breaks } => {
                let started = format!("Starting update to {}\n", image.version);
                if breaks || away {
                    return Err(format!(
                        "{started}Failed writing update data to disk: request or response body error\n"
                    ));
                }
                self.disk.mark_inactive_valid(image);
                stage(status, believed);
                Ok(started)
            }
            // Success all the same (docs/facts/host-api.md#trap-1).
            Work::WriteNothing { believed } => {
                stage(status, believed);
                Ok("No update required\n".to_owned())
            }
            Work::SetFlags if command == Command::Activate => {
                self.disk
                    .upgrade_to_inactive()
                    .map_err(|error| format!("Could not mark inactive partition for boot: {error}\n"))?;
                status.set_staging_next(true);
                status.update_state = UpdateState::Ready;
                Ok(String::new())
            }
            Work::SetFlags => {
                self.disk.cancel_upgrade();
                status.set_staging_next(false);
                status.update_state = UpdateState::Staged;
                Ok(String::new())
            }
            // A failed refresh turns Available into Idle and leaves `chosen_update`
            // (docs/facts/host-api.md#state-machine).
            Work::Fail { stderr } => {
                if command == Command::Refresh && status.update_state == UpdateState::Available {
                    status.update_state = UpdateState::Idle;
                }
                Err(stderr)
            }
        }
    }

    /// What updog writes when it cannot load the repository: long, on several lines (docs/facts/host-api.md#trap-3).
    /// The wording is ours, in the manner of `tough`'s.
    fn no_network(&self) -> String {
        let Image { arch, variant, .. } = &self.running;
        let url = format!("https://updates.bottlerocket.aws/2020-07-07/{variant}/{arch}/");
        let mut text =
            format!("Metadata error: Failed to fetch '{url}2.root.json': error sending request\n\nCaused by:\n");
        for attempt in 1..=10 {
            text.push_str(&format!(
                "  {attempt}: error trying to connect to {url}2.root.json: tcp connect error: deadline has elapsed; \
                 dns error: failed to lookup address information: Temporary failure in name resolution\n"
            ));
        }
        text
    }
}

/// The next time that is a multiple of so many nanoseconds.
fn up_to(time: Timestamp, step: i32) -> Timestamp {
    let beyond = time.subsec_nanosecond() % step;
    if beyond == 0 { time } else { time + SignedDuration::from_nanos(i64::from(step - beyond)) }
}

/// What a worker finds of the repository at its end.
struct Seen {
    /// What a refresh chooses.
    chosen: Option<Image>,
    /// Whether the repository cannot be reached.
    away: bool,
}

fn stage(status: &mut Status, believed: Image) {
    status.staging_partition = Some(SetStatus { image: believed, next_to_boot: false });
    status.update_state = UpdateState::Staged;
}
