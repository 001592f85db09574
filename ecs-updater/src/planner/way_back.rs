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
use super::wanted::{Wanted, as_offered, available, is_not_offered, locked_otherwise};

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
    let to = match version_before(instance, report, (running, back), cx) {
        Ok(to) => to,
        Err(why) => return Wanted::Held(HoldReason::NoVersionBefore { version: running.clone(), why }),
    };
    let why = skips(&to, cx.snapshot, cx.policy).or_else(|| locked_otherwise(instance, report, &to, cx));
    match why {
        Some(why) => Wanted::Held(why),
        None if report.goes_back_alone(&to) => Wanted::Version(to),
        None => as_offered(instance, report, &to),
    }
}

/// Returns what an instance ran before the release, by its tag; else what a person has named. Who may tag an instance can name
/// any version there: it is believed where others tell the same.
fn version_before(
    instance: &Instance,
    report: &HostReport,
    (running, back): (&Version, &WayBack),
    cx: &Context<'_>,
) -> Result<Version, String> {
    let last = instance.tags.last.as_ref();
    let from = last.filter(|last| last.to == *running && last.from < *running).map(|last| last.from.clone());
    let named = back.to.clone().filter(|to| to < running);
    if let Some(from) = from.as_ref().filter(|from| named.is_none() && !is_believed(instance, report, from, cx)) {
        return Err(format!(
            "its tag ecs-updater:last says {from}, which no other instance runs or ran, and which is not the highest below \
             {running} that its host is offered"
        ));
    }
    from.filter(|from| named.is_none() || is_believed(instance, report, from, cx)).or(named).ok_or_else(|| {
        match (last, &back.to) {
            (_, Some(to)) => format!("its tag ecs-updater:last does not say it, and --to {to} is not below {running}"),
            (Some(last), None) => format!("its tag ecs-updater:last is {last}"),
            (None, None) => "it has no tag ecs-updater:last, as one that was launched with it".to_owned(),
        }
    })
}

/// Whether something besides its own tag says that an instance may have run this before.
fn is_believed(instance: &Instance, report: &HostReport, from: &Version, cx: &Context<'_>) -> bool {
    let running = report.running();
    let below = available(report).filter(|version| running.as_ref().is_none_or(|running| version < running));
    let own = instance.run.verdict.as_ref().and_then(|verdict| verdict.from.as_ref());
    // What is not offered is held for that.
    let is_held = is_not_offered(instance, report, from);
    // Its agent has seen it come from there.
    is_held
        || report.goes_back_alone(from)
        || own == Some(from)
        || below.max().as_ref() == Some(from)
        || others_tell(instance, from, cx)
}

/// Whether another instance runs the version, or ran it before its last update.
fn others_tell(instance: &Instance, version: &Version, cx: &Context<'_>) -> bool {
    let others = cx.snapshot.registered().filter(|other| other.host != instance.host);
    others.into_iter().any(|other| {
        let running = other.report.as_ref().and_then(|seen| HostReport::running(&seen.report));
        running.as_ref() == Some(version) || other.tags.last.as_ref().is_some_and(|last| last.from == *version)
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
