//! Back from a release: which one it is, and where each instance that runs it goes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::fleet::{FleetSnapshot, Instance};
use models::host::HostReport;
use models::last::Last;
use models::policy::Policy;
use models::reason::HoldReason;
use models::time::after;
use semver::Version;

use super::context::Context;
use super::limits::skips;
use super::purpose::WayBack;
use super::times::MAX_AHEAD;
use super::wanted::{Wanted, as_offered, locked_otherwise};

/// Returns the version that an instance goes back to which runs `running`. One that does not run the release is as it should
/// be. A dry run is planned as if the skip stood, which a run writes first.
pub(super) fn wanted(
    instance: &Instance,
    report: &HostReport,
    (running, back): (&Version, &WayBack),
    cx: &Context<'_>,
) -> Wanted {
    // It was asked to finish before it was known which release it is.
    if back.release.is_none() {
        return Wanted::Held(HoldReason::Finishing);
    }
    if back.release.as_ref() != Some(running) {
        return Wanted::Nothing;
    }
    let stands = skips(running, cx.snapshot, cx.policy).is_some() || cx.run.dry_run || broken!(SkipNotWritten);
    if !stands {
        return Wanted::Held(HoldReason::SkipLifted { version: running.clone() });
    }
    let to = match version_before(instance, running, back) {
        Ok(to) => to,
        Err(why) => return Wanted::Held(HoldReason::NoVersionBefore { version: running.clone(), why }),
    };
    let why = skips(&to, cx.snapshot, cx.policy).or_else(|| locked_otherwise(instance, report, &to, cx));
    why.map_or_else(|| as_offered(instance, report, &to), Wanted::Held)
}

/// Returns what an instance ran before the release, by its tag; else what a person has named.
fn version_before(instance: &Instance, running: &Version, back: &WayBack) -> Result<Version, String> {
    let last = instance.tags.last.as_ref();
    let from = last.filter(|last| last.to == *running && last.from < *running).map(|last| last.from.clone());
    let named = back.to.clone().filter(|to| to < running);
    from.or(named).ok_or_else(|| match (last, &back.to) {
        (_, Some(to)) => format!("its tag ecs-updater:last does not say it, and --to {to} is not below {running}"),
        (Some(last), None) => format!("its tag ecs-updater:last is {last}"),
        (None, None) => "it has no tag ecs-updater:last, as one that was launched with it".to_owned(),
    })
}

/// Returns the release that the newest update in the cluster went to, and when that ended, by the tags of the instances.
/// Where it was a way back, that goes on: it is the release which it came from, as long as that is skipped. A tag that is dated
/// ahead of `now` is not believed.
///
/// # Errors
/// Why that is not known, in words.
pub(crate) fn newest_release(
    fleet: &FleetSnapshot,
    is_skipped: impl Fn(&Version) -> bool,
    now: Timestamp,
) -> Result<(Version, Timestamp), String> {
    let updates = fleet.instances.values().filter_map(|instance| instance.tags.last.as_ref());
    let updates = updates.filter(|last| !last.is_failure() && last.from != last.to);
    let updates = updates.filter(|last| last.at <= after(now, MAX_AHEAD));
    let Some(newest) = updates.max_by_key(|last| (last.at, &last.to)) else {
        return Err("no instance has a tag ecs-updater:last that tells of an update".to_owned());
    };
    let Last { from, to, at, .. } = newest;
    if from < to {
        Ok((to.clone(), *at))
    } else if is_skipped(from) {
        Ok((from.clone(), *at))
    } else {
        Err(format!("the newest update in the cluster went back itself, from {from} to {to} at {at}"))
    }
}

/// Returns how many instances run a version that is skipped, by the word of their hosts or else by their tags.
pub(crate) fn runs_skipped(fleet: &FleetSnapshot, policy: &Policy) -> BTreeMap<Version, usize> {
    let mut runs = BTreeMap::new();
    for instance in fleet.registered() {
        let said = instance.report.as_ref().and_then(|seen| HostReport::running(&seen.report));
        let last = instance.tags.last.as_ref().filter(|last| !last.is_failure());
        let running = said.or_else(|| last.map(|last| last.to.clone()));
        if let Some(running) = running.filter(|running| skips(running, fleet, policy).is_some()) {
            *runs.entry(running).or_default() += 1;
        }
    }
    runs
}
