//! Which versions people let be installed, as the run at work was told.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use models::claim::ClaimStep;
use models::policy::{Policy, Target};
use models::release::MaxVersion;
use semver::Version;

use crate::world::{MachineNo, World};

/// For so long a reboot may still come that an earlier run has asked for: a command may be delivered for 3 minutes, and a
/// shutdown take 5 to begin.
const MAY_COME: SignedDuration = SignedDuration::from_mins(10);

/// What one run was told of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    min_age: Option<SignedDuration>,
    max_version: Option<MaxVersion>,
    skip_versions: BTreeSet<Version>,
    /// The version that was named on the command line, which is past all of them.
    named: Option<Version>,
    allow_downgrade: bool,
}

impl Limits {
    /// Those of a policy.
    pub fn of(policy: &Policy) -> Self {
        let named = match &policy.target {
            Target::Version(version) if policy.target_is_named => Some(version.clone()),
            Target::Version(_) | Target::Latest | Target::Parameter(_) => None,
        };
        Self {
            min_age: policy.min_age,
            max_version: policy.max_version,
            skip_versions: policy.skip_versions.clone(),
            named,
            allow_downgrade: policy.allow_downgrade,
        }
    }

    /// Whether the settings of the run, or the tag of the machine's cluster, say to skip a version; the tag for longer than
    /// that.
    fn skips(&self, world: &World, machine: MachineNo, version: &Version, longer: SignedDuration) -> bool {
        let cluster = &world.clusters()[world.machines()[machine].cluster];
        let by_tag = cluster.skips.get(version).is_some_and(|since| world.now().duration_since(*since) >= longer);
        self.named.as_ref() != Some(version) && (self.skip_versions.contains(version) || by_tag)
    }

    /// Whether a version was skipped a moment ago, so that what was begun by that may go on.
    fn was_skipped(&self, world: &World, machine: MachineNo, version: &Version) -> bool {
        let cluster = &world.clusters()[world.machines()[machine].cluster];
        let lifted = cluster.skips_lifted.get(version);
        lifted.is_some_and(|at| world.now().duration_since(*at) < MAY_COME)
            || self.skips(world, machine, version, SignedDuration::ZERO)
    }

    /// Why a version is not to be booted on a machine; `None` where it may be.
    fn objection(&self, world: &World, machine: MachineNo, version: &Version) -> Option<String> {
        if self.named.as_ref() == Some(version) {
            return None;
        }
        if self.skips(world, machine, version, MAY_COME) {
            return Some("is to be skipped".to_owned());
        }
        if let Some(max) = self.max_version.filter(|max| !max.allows(version)) {
            return Some(format!("is above {max}"));
        }
        let min_age = self.min_age?;
        let dates = world.published(&world.machines()[machine].launched_as, version);
        // A caller goes by the date where it runs.
        let now = world.now() + world.date_is_ahead();
        let is_old = |date: &Timestamp| now.duration_since(*date) >= min_age;
        (!dates.iter().any(is_old)).then(|| format!("is younger than {min_age:#}, or of unknown age: {dates:?}"))
    }
}

/// The limits of a cluster, and since when.
#[derive(Debug, Clone)]
pub(super) struct Known {
    limits: Limits,
    since: Timestamp,
}

impl Known {
    /// Keeps the time of the same limits.
    pub(super) fn next(before: Option<&Self>, limits: Limits, now: Timestamp) -> Self {
        let since = before.filter(|known| known.limits == limits).map_or(now, |known| known.since);
        Self { limits, since }
    }

    /// Why the caller must not have a machine boot this version, if so. The way back of an update is free, and so is for a
    /// while what was claimed before the limits were these. From a release that is skipped a host goes to any version but a
    /// skipped one, and not forward to it again.
    pub(super) fn objection(&self, world: &World, machine: MachineNo, version: &Version) -> Option<String> {
        let claim = world.claim(machine);
        if let Some(claim) = claim.as_ref().filter(|claim| claim.to < claim.from) {
            if *version == claim.from && self.limits.skips(world, machine, &claim.from, MAY_COME) {
                return Some("is to be skipped, and the host was on its way back from it".to_owned());
            }
            if *version == claim.to && self.limits.was_skipped(world, machine, &claim.from) {
                let is_skipped = self.limits.skips(world, machine, version, MAY_COME);
                return is_skipped.then(|| "is to be skipped".to_owned());
            }
        }
        let goes_back = claim.as_ref().is_some_and(|claim| claim.step == ClaimStep::Revert);
        let is_earlier = claim.as_ref().is_some_and(|claim| claim.since <= self.since);
        if goes_back || (is_earlier && world.now().duration_since(self.since) < MAY_COME) {
            return None;
        }
        self.limits.objection(world, machine, version)
    }

    /// Why the caller must not have drained a machine for its claim, if so: an instance goes back only from a release that is
    /// skipped, and to one that is skipped nothing goes. The tag was read just before.
    pub(super) fn drained_in_vain(&self, world: &World, machine: MachineNo) -> Option<String> {
        const READ: SignedDuration = SignedDuration::from_secs(10);
        let claim = world.claim(machine).filter(|claim| claim.boots.is_empty())?;
        let Limits { allow_downgrade, .. } = self.limits;
        if claim.to < claim.from && !allow_downgrade && !self.limits.was_skipped(world, machine, &claim.from) {
            return Some(format!("drained to go back from {}, which is not skipped", claim.from));
        }
        let is_skipped = self.limits.skips(world, machine, &claim.to, READ);
        (is_skipped && claim.since > self.since).then(|| format!("drained for {}, which is to be skipped", claim.to))
    }
}
