//! Which versions people let be installed: not above a maximum, none that is skipped, none that is too young. A version
//! that a person has named on the command line is past all three. The way back from a release that is skipped goes to
//! any version but one that is skipped too.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use models::claim::Claim;
use models::fleet::{FleetSnapshot, Instance};
use models::host::{HostReport, parse_version};
use models::plan::Drain;
use models::policy::{Policy, Target};
use models::reason::HoldReason;
use models::release::{Release, ReleaseDate};
use models::time::after;
use semver::Version;

use super::alarms;
use super::context::Context;

/// A date that lies further ahead is none: clocks differ by less.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// The names of Bottlerocket's releases have half as many characters.
const LONGEST: usize = 100;
/// How long it stays so that a release's age could not be told, before AWS is asked again.
const ASKED_AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// Returns why a version is not to be installed on a host that reports this, if so.
pub(super) fn objection(report: &HostReport, version: &Version, cx: &Context<'_>) -> Option<HoldReason> {
    forbidden(version, cx.snapshot, cx.policy).or_else(|| too_young(report, version, cx))
}

/// Returns why what a claim goes to is not to be booted on a host that reports this, if so.
pub(super) fn objection_to_claim(report: &HostReport, claim: &Claim, cx: &Context<'_>) -> Option<HoldReason> {
    if is_way_back(claim, cx) {
        skips(&claim.to, cx.snapshot, cx.policy)
    } else {
        soon_skipped(claim, cx).or_else(|| objection(report, &claim.to, cx))
    }
}

/// Returns why what a claim goes to is not to be booted on any host, if so.
pub(super) fn forbidden_claim(claim: &Claim, cx: &Context<'_>) -> Option<HoldReason> {
    let (fleet, policy) = (cx.snapshot, cx.policy);
    if is_way_back(claim, cx) {
        skips(&claim.to, fleet, policy)
    } else {
        soon_skipped(claim, cx).or_else(|| forbidden(&claim.to, fleet, policy))
    }
}

/// Returns the hold of a release that the run takes back and that is being skipped: no host boots it meanwhile.
fn soon_skipped(claim: &Claim, cx: &Context<'_>) -> Option<HoldReason> {
    let is_left = cx.run.purpose.awaited_skip() == Some(&claim.to);
    is_left.then(|| HoldReason::VersionSkipped { version: claim.to.clone() })
}

/// Whether a claim takes an instance back from a release that is skipped. The skip stands before the first such claim.
pub(super) fn is_way_back(claim: &Claim, cx: &Context<'_>) -> bool {
    claim.to < claim.from && skips(&claim.from, cx.snapshot, cx.policy).is_some() && !broken!(ForwardAfterTheWayBack)
}

/// Returns why an instance is not drained for this after all, if so: its version is skipped by now, it was to go back from a
/// release that is skipped no longer, or an alarm fires.
pub(crate) fn drained_in_vain(drain: &Drain, fleet: &FleetSnapshot, policy: &Policy) -> Option<HoldReason> {
    let goes_back = drain.to < drain.from && !policy.allow_downgrade;
    if goes_back && skips(&drain.from, fleet, policy).is_none() && !broken!(SkipNotWritten) {
        return Some(HoldReason::SkipLifted { version: drain.from.clone() });
    }
    let rests_on_alarms = rests_on_alarms(drain, fleet, policy) && !broken!(HealthIgnored);
    let unwell = || alarms::held_by_alarms(fleet, policy).filter(|_| rests_on_alarms);
    skips(&drain.to, fleet, policy).or_else(unwell)
}

/// Whether an alarm keeps an instance from being drained for this. None does on the way back from a release that is skipped.
pub(crate) fn rests_on_alarms(drain: &Drain, fleet: &FleetSnapshot, policy: &Policy) -> bool {
    drain.to >= drain.from || skips(&drain.from, fleet, policy).is_none()
}

/// Returns the hold of a version that is skipped, by the settings or by the cluster's tag as it is now.
pub(super) fn skips(version: &Version, fleet: &FleetSnapshot, policy: &Policy) -> Option<HoldReason> {
    let is_skipped = policy.skip_versions.contains(version) || fleet.skipped.contains(version);
    let is_free = is_named(version, policy) || broken!(LimitsIgnored);
    (is_skipped && !is_free).then(|| HoldReason::VersionSkipped { version: version.clone() })
}

/// Returns why a version is not to be installed on any host, of whatever age it is, if so.
fn forbidden(version: &Version, fleet: &FleetSnapshot, policy: &Policy) -> Option<HoldReason> {
    if is_named(version, policy) || broken!(LimitsIgnored) {
        return None;
    }
    if let Some(why) = skips(version, fleet, policy) {
        return Some(why);
    }
    let max = policy.max_version.filter(|max| !max.allows(version))?;
    Some(HoldReason::AboveMaxVersion { version: version.clone(), max })
}

fn is_named(version: &Version, policy: &Policy) -> bool {
    policy.target_is_named && policy.target == Target::Version(version.clone())
}

/// Unknown is never old enough.
fn too_young(report: &HostReport, version: &Version, cx: &Context<'_>) -> Option<HoldReason> {
    let min_age = cx.policy.min_age.filter(|_| !is_named(version, cx.policy) && !broken!(AgeIgnored))?;
    let unknown = |why: String| Some(HoldReason::ReleaseAgeUnknown { version: version.clone(), why });
    let Some(release) = release(report, version) else {
        return unknown("what the host gives as its variant and architecture is not a name".to_owned());
    };
    match cx.snapshot.releases.get(&release).map(|date| &date.published) {
        None => unknown("AWS has not been asked yet".to_owned()),
        Some(Err(why)) => unknown(why.clone()),
        Some(Ok(published)) if *published > after(cx.now, AHEAD) => {
            unknown(format!("AWS dates it {published}, which is still to come"))
        }
        Some(Ok(published)) => {
            let until = after(*published, min_age);
            (cx.now < until).then(|| HoldReason::TooYoung { version: version.clone(), until })
        }
    }
}

/// Returns the release as AWS is asked for it: nothing of a host's that could spoil a call for many.
pub(super) fn release(report: &HostReport, version: &Version) -> Option<Release> {
    let os = report.os.as_ref()?;
    let is_name = |text: &str| text.chars().all(|char| char.is_ascii_alphanumeric() || "-_".contains(char));
    let release = Release { variant: os.variant.clone(), arch: os.arch.clone(), version: version.clone() };
    let is_plain = !os.variant.is_empty() && is_name(&os.variant) && is_name(&os.arch) && version.build.is_empty();
    (is_plain && release.to_string().len() <= LONGEST).then_some(release)
}

/// Returns of several objections the one that a person is told: what ends by itself, the first to end before the others;
/// else what is in the way of the newest version, which comes first.
pub(super) fn most_telling(objections: Vec<HoldReason>) -> Option<HoldReason> {
    let ends = |why: &HoldReason| if let HoldReason::TooYoung { until, .. } = why { Some(*until) } else { None };
    let soonest = objections.iter().filter_map(ends).min();
    let tells = |why: &HoldReason| soonest.is_none() || ends(why) == soonest;
    objections.into_iter().find(tells)
}

/// Returns the releases whose ages are to be asked for: those that may be wanted on some host, or are on their way to one.
/// What is known is not asked again in a run, and what is not known only after a while.
pub(crate) fn undated(fleet: &FleetSnapshot, policy: &Policy, now: Timestamp) -> Vec<Release> {
    if policy.min_age.is_none() {
        return Vec::new();
    }
    let is_due = |release: &Release| match fleet.releases.get(release) {
        None => true,
        Some(ReleaseDate { published: Ok(_), .. }) => false,
        Some(ReleaseDate { asked_at, .. }) => now >= after(*asked_at, ASKED_AGAIN),
    };
    let of_each = fleet.instances.values().filter(|instance| instance.run.verdict.is_none());
    let releases: BTreeSet<Release> =
        of_each.flat_map(|instance| matters(instance, fleet, policy)).filter(is_due).collect();
    releases.into_iter().collect()
}

/// The releases whose age matters for an instance.
fn matters(instance: &Instance, fleet: &FleetSnapshot, policy: &Policy) -> Vec<Release> {
    let Some(report) = instance.report.as_ref().map(|seen| &seen.report) else { return Vec::new() };
    let Some(running) = report.running() else { return Vec::new() };
    let claimed = instance.out_of_service_claim().map(|claim| claim.to.clone());
    let wanted: Vec<Version> = match &policy.target {
        Target::Version(target) => vec![target.clone()],
        Target::Parameter(_) => Vec::new(),
        Target::Latest => {
            let offered = report.update.iter().flat_map(|update| &update.available);
            let offered = offered.filter_map(|version| parse_version(version)).chain(report.chosen());
            offered.filter(|version| *version > running || policy.allow_downgrade).collect()
        }
    };
    let candidates = wanted.into_iter().chain(claimed);
    let matters = candidates.filter(|version| *version != running && !is_named(version, policy));
    let allowed = matters.filter(|version| forbidden(version, fleet, policy).is_none());
    allowed.filter_map(|version| release(report, &version)).collect()
}
