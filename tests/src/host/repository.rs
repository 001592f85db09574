//! The update repository that hosts read: releases, their waves, and what is wrong with it.
//!
//! The choice of an update is that of `updog/src/main.rs` (`applicable_updates`, `update_required`), the waves are
//! those of `update_metadata` (`Update::update_ready`).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use semver::Version;
use serde::Deserialize;

/// Seeds of hosts go from 0 to this, without it.
pub const MAX_SEED: u32 = 2048;

/// One wave of a release, as the manifest has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// Hosts with a greater seed belong to this wave, or to a later one.
    pub bound: u32,
    /// When the wave begins.
    pub opens_at: Timestamp,
}

/// A release in the repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The OS version.
    pub version: Version,
    /// For one variant only; for all where `None`.
    #[serde(default)]
    pub variant: Option<String>,
    /// For one architecture only; for all where `None`.
    #[serde(default)]
    pub arch: Option<String>,
    /// Not in the manifest before this moment; always there where `None`.
    #[serde(default)]
    pub published_at: Option<Timestamp>,
    /// Its waves; offered to all at once where there are none.
    #[serde(default)]
    pub waves: Vec<Wave>,
    /// What AWS shows of its images.
    #[serde(default)]
    pub image: ImageSpec,
}

/// What AWS shows of the images of a release in this Region. Nothing of it is certain: an image can come days after the
/// release, or never, and a date can be wrong (docs/facts/ec2.md#images).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageSpec {
    /// `CreationDate`; when the release was published where `None`, or long ago.
    pub created_at: Option<Timestamp>,
    /// Whether there is an image.
    pub is_there: bool,
    /// `LastModifiedDate` of the public parameter; as the image where `None`.
    pub parameter_at: Option<Timestamp>,
    /// Whether there is a public parameter.
    pub has_parameter: bool,
    /// The date of an image of the same name that somebody else has made public.
    pub copied_at: Option<Timestamp>,
}

impl Default for ImageSpec {
    fn default() -> Self {
        Self { created_at: None, is_there: true, parameter_at: None, has_parameter: true, copied_at: None }
    }
}

impl ImageSpec {
    /// When releases without a date were published.
    pub const LONG_AGO: Timestamp = Timestamp::constant(1_767_225_600, 0);

    /// When the image was created.
    pub fn created(&self) -> Timestamp {
        self.created_at.unwrap_or(Self::LONG_AGO)
    }

    /// When the parameter was last modified.
    pub fn modified(&self) -> Timestamp {
        self.parameter_at.unwrap_or(self.created())
    }
}

impl Release {
    /// A release for every host, without waves.
    pub fn new(version: Version) -> Self {
        Self { version, variant: None, arch: None, published_at: None, waves: Vec::new(), image: ImageSpec::default() }
    }

    /// Whether the wave of `seed` is open (docs/facts/host-api.md#trap-8). Within a wave that has an end, hosts follow
    /// one another by seed; the arithmetic, with its whole seed instead of the seed's place in the wave, is that of
    /// `update_metadata`, and the end of the wave repairs it.
    pub fn is_open(&self, seed: u32, now: Timestamp) -> bool {
        let waves: BTreeMap<u32, Timestamp> = self.waves.iter().map(|wave| (wave.bound, wave.opens_at)).collect();
        let start = waves.range(..seed).next_back();
        let end = waves.range(seed..=MAX_SEED).next();
        match (start, end) {
            (None, _) => true,
            (Some((_, opens)), None) => *opens <= now,
            (Some((first, opens)), Some((last, closes))) => {
                if *closes <= now {
                    return true;
                }
                let seeds = i32::try_from(last - first).unwrap_or(i32::MAX).max(1);
                let place = i32::try_from(seed).unwrap_or(i32::MAX);
                *opens <= now && now >= *opens + closes.duration_since(*opens) / seeds * place
            }
        }
    }
}

/// The update repository. It changes over time: the world publishes and withdraws releases.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Repository {
    /// All releases, in no order.
    pub releases: Vec<Release>,
    /// The manifest's `max_version`; the highest published release where `None`. Lowering it withdraws the releases
    /// above it (docs/facts/host-api.md#trap-4).
    pub max_version: Option<Version>,
    /// Pairs of versions without a migration path, in either direction (docs/facts/host-api.md#trap-5).
    pub missing_migrations: BTreeSet<(Version, Version)>,
    /// Whether anybody can reach it.
    pub reachable: bool,
}

impl Default for Repository {
    fn default() -> Self {
        Self { releases: Vec::new(), max_version: None, missing_migrations: BTreeSet::new(), reachable: true }
    }
}

impl Repository {
    /// A repository of `versions`, all open to every host.
    pub fn of(versions: &[Version]) -> Self {
        Self { releases: versions.iter().cloned().map(Release::new).collect(), ..Self::default() }
    }

    /// Adds a release, or replaces the one of the same version, variant and architecture.
    pub fn publish(&mut self, release: Release) {
        self.releases.retain(|old| {
            (&old.version, &old.variant, &old.arch) != (&release.version, &release.variant, &release.arch)
        });
        self.releases.push(release);
    }

    /// Takes a version out, and lowers `max_version` below it if it was set.
    pub fn withdraw(&mut self, version: &Version) {
        self.releases.retain(|release| release.version != *version);
        if self.max_version.as_ref().is_some_and(|most| most >= version) {
            self.max_version = None;
        }
    }

    /// The versions offered to a host, newest first (`updog whats --all`).
    pub fn offered(&self, host: &Asking<'_>, now: Timestamp) -> Vec<Version> {
        let most = self.max_version_for(host, now);
        let mut versions: Vec<Version> = self
            .published(host, now)
            .filter(|release| most.as_ref().is_none_or(|most| release.version <= *most))
            .filter(|release| host.ignore_waves || release.is_open(host.seed, now))
            .map(|release| release.version.clone())
            .collect();
        versions.sort_by(|a, b| b.cmp(a));
        versions.dedup();
        versions
    }

    /// The version that a host is to update to, `None` where it has nothing to do (`update_required`). A running
    /// version above `max_version` gets a *downgrade* (docs/facts/host-api.md#trap-4).
    pub fn choose(&self, host: &Asking<'_>, now: Timestamp) -> Option<Version> {
        self.choose_among(self.offered(host, now), host, now)
    }

    /// As [`Repository::choose`], among versions that were read before.
    pub fn choose_among(&self, offered: Vec<Version>, host: &Asking<'_>, now: Timestamp) -> Option<Version> {
        if host.version_lock == "latest" {
            let withdrawn = self.max_version_for(host, now).is_some_and(|most| *host.running > most);
            return offered.into_iter().find(|version| host.running < version || withdrawn);
        }
        let lock = host.version_lock.strip_prefix('v').unwrap_or(host.version_lock);
        let locked = Version::parse(lock).ok().filter(|locked| locked != host.running)?;
        offered.into_iter().find(|version| *version == locked)
    }

    /// Checks that migrations lead from `running` to `target`, in either direction: they are walked as a chain, so that a gap
    /// also blocks what lies around it (docs/facts/host-api.md#trap-13).
    ///
    /// # Errors
    /// The line that `updog` writes when there is no path (docs/facts/host-api.md#trap-5).
    pub fn migrations(&self, running: &Version, target: &Version) -> Result<(), String> {
        let (low, high) = if running <= target { (running, target) } else { (target, running) };
        let gaps = self.missing_migrations.iter().map(|(a, b)| if a <= b { (a, b) } else { (b, a) });
        let in_the_way = gaps.filter(|(from, to)| low <= *from && *to <= high);
        match in_the_way.map(|(from, _)| from).min() {
            Some(end) => Err(format!("Reached end of migration chain at {end} but target is {high}")),
            None => Ok(()),
        }
    }

    fn published<'a>(&'a self, host: &Asking<'a>, now: Timestamp) -> impl Iterator<Item = &'a Release> {
        let (variant, arch) = (host.variant, host.arch);
        self.releases.iter().filter(move |release| {
            release.published_at.is_none_or(|at| at <= now)
                && release.variant.as_deref().is_none_or(|only| only == variant)
                && release.arch.as_deref().is_none_or(|only| only == arch)
        })
    }

    fn max_version_for(&self, host: &Asking<'_>, now: Timestamp) -> Option<Version> {
        self.max_version.clone().or_else(|| self.published(host, now).map(|release| release.version.clone()).max())
    }
}

/// What a host tells the repository about itself when it chooses.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// The running version.
    pub running: &'a Version,
    pub variant: &'a str,
    /// Its architecture.
    pub arch: &'a str,
    /// Its place in the waves, 0 to 2047.
    pub seed: u32,
    /// `latest` or a version.
    pub version_lock: &'a str,
    /// Whether waves do not count.
    pub ignore_waves: bool,
}
