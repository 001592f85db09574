//! What a scenario says of a host: how it begins, how long things take on it, and how it misbehaves.

use jiff::{SignedDuration, Timestamp};
use semver::Version;
use serde::Deserialize;

/// A host as a scenario describes it. The world may change it while the host lives
/// ([`Host::spec_mut`](super::Host::spec_mut)): the misbehaviours are read whenever they matter, the counts of failures
/// go down as they happen.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostSpec {
    /// The running version at the beginning.
    pub version: Version,
    /// A version that ran before and is still on the other partition set.
    pub previous_version: Option<Version>,
    /// Such as `aws-ecs-2`.
    pub variant: String,
    /// `x86_64` or `aarch64`.
    pub arch: String,
    /// What `/os` says under `build_id`.
    pub build_id: String,
    /// The place in update waves, 0 to 2047.
    pub update_seed: u32,
    /// `settings.updates.version-lock` at the beginning.
    pub version_lock: String,
    /// `settings.updates.ignore-waves` at the beginning.
    pub ignore_waves: bool,
    /// Whether the image was built with in-place updates; otherwise every update action is a 500
    /// (docs/facts/host-api.md#trap-10).
    pub in_place_updates: bool,
    /// How many update commands end in the dispatcher, before anything was begun (docs/facts/host-api.md#trap-10).
    pub dispatcher_fails: u32,
    /// API lockdown: settings answer 500, `/os` works (docs/facts/host-api.md#trap-11).
    pub lockdown: bool,
    /// How many requests are answered 408, since the server's one worker is blocked (docs/facts/host-api.md#trap-12).
    pub api_blocked: u32,
    /// The apiserver does not run.
    pub api_down: bool,
    /// How long things take.
    pub durations: Durations,
    /// How much longer than said things may take, in percent; drawn again each time.
    pub jitter_percent: u32,
    /// From `docker` and the ECS agent starting to the agent being registered, after a boot.
    pub agent_start_delay: SignedDuration,
    /// From a boot to the SSM agent answering.
    pub ssm_start_delay: SignedDuration,

    /// Versions whose boot fails: the one try is used up and the boot loader falls back by itself.
    pub fails_to_boot: Vec<Version>,
    /// Versions on which the machine goes dark for good.
    pub never_boots_on: Vec<Version>,
    /// Versions on which the ECS agent never comes up: it can fail for good (docs/facts/ecs.md#container-instances).
    pub agent_dead_on: Vec<Version>,
    /// Versions on which the SSM agent never comes up.
    pub ssm_away_on: Vec<Version>,
    /// The SSM agent does not answer.
    pub ssm_away: bool,
    /// How many reboot requests are refused by an inhibitor.
    pub reboot_inhibited: u32,
    /// How many reboot requests are taken and never answered: the host goes down all the same, after the shutdown's time
    /// (docs/facts/host-api.md#trap-17).
    pub reboot_unsure: u32,
    /// How many reboot requests are neither taken nor answered.
    pub reboot_lost: u32,
    /// How many refreshes fail as they do without a network.
    pub refresh_fails: u32,
    /// How many prepares fail while writing, after the inactive set was cleared.
    pub prepare_fails: u32,
    /// How many activates and deactivates fail as they do without a network (docs/facts/host-api.md#trap-3).
    pub activate_fails: u32,
    /// How many update commands are killed half-way: the lock is free again, the old status stays
    /// (docs/facts/host-api.md#issue-then-wait).
    pub workers_killed: u32,
    /// How many workers never end: they hold the lock until the next boot.
    pub workers_hang: u32,
    /// Whether `DELETE /tx` drops what everybody has pending, as v3.1.1 does; otherwise the named transaction alone
    /// (docs/facts/host-api.md#trap-16).
    pub delete_takes_all: bool,
    /// From when on this host cannot reach the update repository.
    pub repo_unreachable_from: Option<Timestamp>,
    /// Until when this host cannot reach the update repository.
    pub repo_unreachable_until: Option<Timestamp>,
}

impl Default for HostSpec {
    fn default() -> Self {
        Self {
            version: Version::new(1, 26, 1),
            previous_version: None,
            variant: "aws-ecs-2".to_owned(),
            arch: "x86_64".to_owned(),
            build_id: "1a2b3c4d0".to_owned(),
            update_seed: 1024,
            version_lock: "latest".to_owned(),
            ignore_waves: false,
            in_place_updates: true,
            dispatcher_fails: 0,
            lockdown: false,
            api_blocked: 0,
            api_down: false,
            durations: Durations::default(),
            jitter_percent: 20,
            agent_start_delay: SignedDuration::from_secs(15),
            ssm_start_delay: SignedDuration::from_secs(10),
            fails_to_boot: Vec::new(),
            never_boots_on: Vec::new(),
            agent_dead_on: Vec::new(),
            ssm_away_on: Vec::new(),
            ssm_away: false,
            reboot_inhibited: 0,
            reboot_unsure: 0,
            reboot_lost: 0,
            refresh_fails: 0,
            prepare_fails: 0,
            activate_fails: 0,
            workers_killed: 0,
            workers_hang: 0,
            delete_takes_all: true,
            repo_unreachable_from: None,
            repo_unreachable_until: None,
        }
    }
}

impl HostSpec {
    /// Whether this host cannot reach the repository at `now`, even where others can.
    pub fn repo_unreachable(&self, now: Timestamp) -> bool {
        match (self.repo_unreachable_from, self.repo_unreachable_until) {
            (None, None) => false,
            (from, until) => from.is_none_or(|from| from <= now) && until.is_none_or(|until| now < until),
        }
    }
}

/// How long things take on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Durations {
    pub refresh: SignedDuration,
    /// A prepare: download and write.
    pub prepare: SignedDuration,
    /// An activate or deactivate.
    pub activate: SignedDuration,
    /// From `commit_and_apply` to the update tools seeing the new settings (docs/facts/host-api.md#trap-7).
    pub settings_apply: SignedDuration,
    /// From a reboot request to the host going down; up to 300 s in life.
    pub shutdown: SignedDuration,
    /// From the kernel's start to the host API answering; a failed try takes as long.
    pub boot: SignedDuration,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            refresh: SignedDuration::from_secs(3),
            prepare: SignedDuration::from_secs(45),
            activate: SignedDuration::from_secs(1),
            settings_apply: SignedDuration::from_secs(2),
            shutdown: SignedDuration::from_secs(10),
            boot: SignedDuration::from_secs(60),
        }
    }
}

/// Uses one up of a count of misbehaviours.
pub(super) fn spend(count: &mut u32) -> bool {
    let any = *count > 0;
    *count = count.saturating_sub(1);
    any
}
