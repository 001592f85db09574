//! The machine itself: power, boot loader, time.

use jiff::Timestamp;
use semver::Version;

use super::http::{NoAnswer, Request, Response};
use super::image::Image;
use super::partitions::{Disk, PartitionSet, SignpostError};
use super::repository::Repository;
use super::rng::Rng;
use super::settings::{Settings, UpdaterConfig};
use super::spec::{HostSpec, spend};
use super::status::{Command, Status};
use super::worker::Worker;

/// Something that happened on a host, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostEvent {
    /// An update command ended.
    CommandEnded {
        at: Timestamp,
        command: Command,
        /// Whether its worker exited 0.
        success: bool,
    },
    /// An update command was killed; nobody is told.
    WorkerKilled { at: Timestamp, command: Command },
    /// Committed settings reached the update tools.
    SettingsApplied { at: Timestamp },
    /// The host went down, to boot again.
    WentDown { at: Timestamp },
    /// A boot failed; the boot loader tries again.
    BootFailed {
        /// When it gave up.
        at: Timestamp,
        /// What it tried to boot.
        version: Version,
    },
    /// The host API answers again.
    Booted {
        at: Timestamp,
        /// What runs now.
        version: Version,
        /// The kernel's id of this boot.
        boot_id: String,
    },
    /// The machine does not come back.
    WentDark {
        /// When it would have been up.
        at: Timestamp,
    },
    /// The SSM agent answers for the first time in this boot.
    SsmAgentUp { at: Timestamp },
    /// The ECS agent answers for the first time in this boot.
    EcsAgentUp { at: Timestamp },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Power {
    Up { shutdown_at: Option<Timestamp> },
    Starting { from: Timestamp, ends_at: Timestamp, set: usize },
    Off,
    Dark,
}

/// When an agent of this boot comes up, and whether that was told.
#[derive(Debug, Clone, Copy)]
struct AgentStart {
    at: Timestamp,
    told: bool,
}

impl AgentStart {
    fn due(&self) -> Option<Timestamp> {
        (!self.told).then_some(self.at)
    }
}

/// One simulated Bottlerocket machine. See the [module](super).
///
/// Time only moves forward: `now` must never be less than in an earlier call.
#[derive(Debug)]
pub struct Host {
    pub(super) spec: HostSpec,
    pub(super) rng: Rng,
    pub(super) disk: Disk,
    pub(super) running: Image,
    pub(super) status: Option<Status>,
    pub(super) worker: Option<Worker>,
    pub(super) settings: Settings,
    pub(super) config: UpdaterConfig,
    pub(super) apply_due: Vec<Timestamp>,
    pub(super) events: Vec<HostEvent>,
    power: Power,
    boot_id: String,
    btime: Timestamp,
    ssm_agent: AgentStart,
    ecs_agent: AgentStart,
}

#[derive(Debug, Clone, Copy)]
enum Due {
    Worker,
    Apply,
    SsmAgent,
    EcsAgent,
    Shutdown,
    Start,
}

impl Host {
    /// A host that has been up for a while at `now`, with its agents running and no update status yet.
    pub fn new(spec: HostSpec, seed: u64, now: Timestamp) -> Self {
        let mut rng = Rng::new(seed);
        let image = |version: &Version| Image {
            arch: spec.arch.clone(),
            version: version.clone(),
            variant: spec.variant.clone(),
        };
        let running = image(&spec.version);
        let disk = Disk::new(running.clone(), spec.previous_version.as_ref().map(image));
        let settings = Settings::new(&spec.version_lock, spec.ignore_waves);
        let config = settings.render_config(spec.update_seed);
        let up_for = jiff::SignedDuration::from_secs(3_600 + i64::try_from(rng.below(86_400)).unwrap_or(0));
        let started = AgentStart { at: now, told: true };
        Self {
            boot_id: rng.uuid(),
            btime: now.checked_sub(up_for).unwrap_or(now),
            rng,
            disk,
            running,
            status: None,
            worker: None,
            settings,
            config,
            apply_due: Vec::new(),
            events: Vec::new(),
            power: Power::Up { shutdown_at: None },
            ssm_agent: started,
            ecs_agent: started,
            spec,
        }
    }

    /// What the scenario said of this host.
    pub fn spec(&self) -> &HostSpec {
        &self.spec
    }

    /// Changes what the scenario said. `version`, `previous_version`, `version_lock` and `ignore_waves` matter at the
    /// beginning only.
    pub fn spec_mut(&mut self) -> &mut HostSpec {
        &mut self.spec
    }

    /// Answers one request to the host API at `now`, after everything that was due until then has happened
    /// ([`Host::advance`]; the events stay for the next call of that).
    ///
    /// # Errors
    /// [`NoAnswer::Refused`] while the host is not up, or its apiserver is down; [`NoAnswer::Silence`] where the spec says
    /// that an answer is lost.
    pub fn handle(&mut self, now: Timestamp, repository: &Repository, request: &Request) -> Result<Response, NoAnswer> {
        self.settle(now, repository);
        if !self.is_up(now) || self.spec.api_down {
            return Err(NoAnswer::Refused);
        }
        if spend(&mut self.spec.api_blocked) {
            return Ok(Response::error(408, ""));
        }
        if request.method == "POST" && request.path() == "/actions/reboot" {
            return self.reboot(now);
        }
        Ok(self.route(now, repository, request))
    }

    /// Does everything that is due until `now`: workers end, settings are applied, shutdowns begin, boots end. Gives
    /// the events since the last call, in order.
    pub fn advance(&mut self, now: Timestamp, repository: &Repository) -> Vec<HostEvent> {
        self.settle(now, repository);
        std::mem::take(&mut self.events)
    }

    /// When something happens next on this host by itself; `None` when nothing will.
    pub fn next_event(&self) -> Option<Timestamp> {
        self.next_due().map(|(at, _)| at)
    }

    fn next_due(&self) -> Option<(Timestamp, Due)> {
        let up = match self.power {
            Power::Up { shutdown_at } => shutdown_at.map(|at| (at, Due::Shutdown)),
            Power::Starting { ends_at, .. } => return Some((ends_at, Due::Start)),
            Power::Off | Power::Dark => return None,
        };
        let candidates = [
            self.worker.as_ref().and_then(|worker| Some((worker.ends_at?, Due::Worker))),
            self.apply_due.iter().min().map(|at| (*at, Due::Apply)),
            self.ssm_agent.due().map(|at| (at, Due::SsmAgent)),
            self.ecs_agent.due().map(|at| (at, Due::EcsAgent)),
            up,
        ];
        candidates.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    pub(crate) fn settle(&mut self, now: Timestamp, repository: &Repository) {
        while let Some((at, due)) = self.next_due().filter(|(at, _)| *at <= now) {
            match due {
                Due::Worker => self.end_worker(repository),
                Due::Apply => self.apply_settings(at),
                Due::SsmAgent => {
                    self.ssm_agent.told = true;
                    if self.ssm_agent_up(at) {
                        self.events.push(HostEvent::SsmAgentUp { at });
                    }
                }
                Due::EcsAgent => {
                    self.ecs_agent.told = true;
                    if self.ecs_agent_up(at) {
                        self.events.push(HostEvent::EcsAgentUp { at });
                    }
                }
                Due::Shutdown => self.go_down(at),
                Due::Start => self.end_start(at),
            }
        }
    }

    fn apply_settings(&mut self, at: Timestamp) {
        self.apply_due.retain(|due| *due > at);
        self.config = self.settings.render_config(self.spec.update_seed);
        self.events.push(HostEvent::SettingsApplied { at });
    }

    /// `shutdown -r` was accepted: the host goes down after the shutdown delay, and answers until then.
    pub(super) fn schedule_shutdown(&mut self, now: Timestamp) {
        let delay = self.rng.stretch(self.spec.durations.shutdown, self.spec.jitter_percent);
        if let Power::Up { shutdown_at: shutdown_at @ None } = &mut self.power {
            *shutdown_at = Some(now + delay);
        }
    }

    fn go_down(&mut self, at: Timestamp) {
        self.forget_boot();
        self.events.push(HostEvent::WentDown { at });
        self.start(at);
    }

    /// The status file and the lock are on tmpfs (docs/facts/host-api.md#endpoints): gone with the boot.
    fn forget_boot(&mut self) {
        self.status = None;
        self.worker = None;
        self.apply_due.clear();
    }

    fn start(&mut self, at: Timestamp) {
        let ends_at = at + self.rng.stretch(self.spec.durations.boot, self.spec.jitter_percent);
        self.power = match self.disk.take_next() {
            Some(set) => Power::Starting { from: at, ends_at, set },
            None => {
                self.events.push(HostEvent::WentDark { at });
                Power::Dark
            }
        };
    }

    fn end_start(&mut self, at: Timestamp) {
        let Power::Starting { from, set, .. } = self.power else { return };
        let Some(image) = self.disk.sets()[set].image.clone() else {
            return self.start(at);
        };
        if self.spec.never_boots_on.contains(&image.version) {
            self.power = Power::Dark;
            self.events.push(HostEvent::WentDark { at });
            return;
        }
        if self.spec.fails_to_boot.contains(&image.version) && !self.disk.sets()[set].successful {
            self.events.push(HostEvent::BootFailed { at, version: image.version });
            return self.start(at);
        }
        self.disk.mark_successful_boot(set);
        self.power = Power::Up { shutdown_at: None };
        self.boot_id = self.rng.uuid();
        self.btime = from;
        self.config = self.settings.render_config(self.spec.update_seed);
        let jitter = self.spec.jitter_percent;
        let ssm = self.rng.stretch(self.spec.ssm_start_delay, jitter);
        let ecs = self.rng.stretch(self.spec.agent_start_delay, jitter);
        self.ssm_agent = AgentStart { at: at + ssm, told: false };
        self.ecs_agent = AgentStart { at: at + ecs, told: false };
        self.events.push(HostEvent::Booted { at, version: image.version.clone(), boot_id: self.boot_id.clone() });
        self.running = image;
    }

    /// Whether the machine runs: booted, and not yet gone down. The host API may still be down by its spec.
    pub fn is_up(&self, now: Timestamp) -> bool {
        matches!(self.power, Power::Up { shutdown_at } if shutdown_at.is_none_or(|at| now < at))
    }

    /// Whether the machine will never come back by itself: switched off, or no boot succeeds.
    pub fn is_dark(&self) -> bool {
        matches!(self.power, Power::Off | Power::Dark)
    }

    /// Whether the SSM agent answers.
    pub fn ssm_agent_up(&self, now: Timestamp) -> bool {
        let away = self.spec.ssm_away || self.spec.ssm_away_on.contains(&self.running.version);
        self.is_up(now) && self.ssm_agent.at <= now && !away
    }

    /// Whether the ECS agent runs and can register.
    pub fn ecs_agent_up(&self, now: Timestamp) -> bool {
        let dead = self.spec.agent_dead_on.contains(&self.running.version);
        self.is_up(now) && self.ecs_agent.at <= now && !dead
    }

    /// The `version-lock` that the update tools go by.
    pub fn version_lock(&self) -> &str {
        &self.config.version_lock
    }

    /// The kernel's random id of this boot; of the last one while the host is down.
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// When the kernel of this boot started, in seconds since the epoch, as `/proc/stat` has it.
    pub fn btime(&self) -> i64 {
        self.btime.as_second()
    }

    /// The running version; the last one while the host is down.
    pub fn running_version(&self) -> &Version {
        &self.running.version
    }

    /// Both partition sets, for display.
    pub fn partitions(&self) -> &[PartitionSet; 2] {
        self.disk.sets()
    }

    /// The disk with both partition sets, and which of them is active and next.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The update status as its file has it, lock or no lock.
    pub fn update_status(&self) -> Option<&Status> {
        self.status.as_ref()
    }

    /// Takes over the status of another host that is like this one, with what it says of the partition sets.
    ///
    /// # Errors
    /// [`SignpostError`] never: what the status calls staged is made valid first.
    pub fn resume(&mut self, status: Status) -> Result<(), SignpostError> {
        if let Some(staging) = &status.staging_partition {
            self.disk.clear_inactive();
            self.disk.mark_inactive_valid(staging.image.clone());
            if staging.next_to_boot {
                self.disk.upgrade_to_inactive()?;
            }
        }
        self.status = Some(status);
        Ok(())
    }

    /// `signpost rollback-to-inactive`, as host root: the other set boots next. The host is not rebooted, and the
    /// update status knows nothing of it.
    ///
    /// # Errors
    /// [`SignpostError::InvalidRollback`] unless the other set has booted before: so always after a prepare, which
    /// cleared it (docs/facts/host-api.md#trap-6).
    pub fn signpost_rollback_to_inactive(&mut self) -> Result<(), SignpostError> {
        self.disk.rollback_to_inactive()
    }

    /// `signpost cancel-upgrade`, as host root: the running set boots next.
    pub fn signpost_cancel_upgrade(&mut self) {
        self.disk.cancel_upgrade();
    }

    /// Cuts the power.
    pub fn power_off(&mut self, now: Timestamp, repository: &Repository) {
        self.settle(now, repository);
        self.forget_boot();
        self.power = Power::Off;
    }

    /// Switches a machine that is off or dark on again.
    pub fn power_on(&mut self, now: Timestamp) {
        if self.is_dark() {
            self.start(now);
        }
    }

    /// Resets the machine at once, as a panic or a crash does: whatever is next to boot boots.
    pub fn spontaneous_reboot(&mut self, now: Timestamp, repository: &Repository) {
        self.settle(now, repository);
        if self.is_up(now) {
            self.go_down(now);
        }
    }
}
