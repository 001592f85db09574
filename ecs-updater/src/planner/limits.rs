//! Which versions people let be installed: not above a maximum, none that is skipped, none that is too young. A version
//! that a person has named on the command line is past all three.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use models::fleet::{FleetSnapshot, Instance};
use models::host::{HostReport, parse_version};
use models::policy::{Policy, Target};
use models::reason::HoldReason;
use models::release::{Release, ReleaseDate};
use models::time::after;
use semver::Version;

use super::context::Context;

/// A date that lies further ahead is none: clocks differ by less.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// The names of Bottlerocket's releases have half as many characters.
const LONGEST: usize = 100;
/// How long it stays so that a release's age could not be told, before AWS is asked again.
const ASKED_AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// Returns why a version is not to be installed on a host that reports this, if so.
pub(super) fn objection(report: &HostReport, version: &Version, cx: &Context<'_>) -> Option<HoldReason> {
    forbidden(version, cx.policy).or_else(|| too_young(report, version, cx))
}

/// Returns why a version is not to be installed on any host, of whatever age it is, if so.
pub(super) fn forbidden(version: &Version, policy: &Policy) -> Option<HoldReason> {
    if is_named(version, policy) || broken!(LimitsIgnored) {
        return None;
    }
    if policy.skip_versions.contains(version) {
        return Some(HoldReason::VersionSkipped { version: version.clone() });
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
        return unknown("what the host says of its variant and architecture is no name".to_owned());
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
fn release(report: &HostReport, version: &Version) -> Option<Release> {
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
    let releases: BTreeSet<Release> = of_each.flat_map(|instance| matters(instance, policy)).filter(is_due).collect();
    releases.into_iter().collect()
}

/// The releases whose age matters for an instance.
fn matters(instance: &Instance, policy: &Policy) -> Vec<Release> {
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
    let allowed = matters.filter(|version| forbidden(version, policy).is_none());
    allowed.filter_map(|version| release(report, &version)).collect()
}
