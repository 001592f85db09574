//! Which version an instance runs, as far as somebody has said so.

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::fleet::Instance;
use models::host::HostReport;
use models::ids::HostId;
use models::status::{InstanceLine, KnownVersion, VersionCount, VersionSource};
use semver::Version;

/// The versions in the last run's summary.
pub(super) type Summarized<'a> = BTreeMap<&'a HostId, (&'a Version, Timestamp)>;

/// Returns the newest word of its bridge and its tag on what an instance runs; where there is none, what the last run left.
/// What is of the future is a clock that was wrong, and comes last.
pub(super) fn known(instance: &Instance, summarized: &Summarized<'_>, now: Timestamp) -> Option<KnownVersion> {
    let bridge = instance.heard_bridge().and_then(|seen| {
        let version = HostReport::running(&seen.report.report)?;
        Some(KnownVersion { version, source: VersionSource::Bridge, at: seen.report.heartbeat.at })
    });
    let last = instance.tags.last.as_ref().filter(|last| !last.is_failure());
    let last = last.map(|last| KnownVersion { version: last.to.clone(), source: VersionSource::Last, at: last.at });
    let summary = summarized.get(&instance.host).map(|(version, at)| KnownVersion {
        version: (*version).clone(),
        source: VersionSource::Summary,
        at: *at,
    });
    last.into_iter().chain(bridge).max_by_key(|word| (word.at <= now, word.at)).or(summary)
}

/// Returns how many of the instances run which version, the highest first, and the unknown ones last.
pub(super) fn counts(instances: &[InstanceLine]) -> Vec<VersionCount> {
    let mut counts: BTreeMap<Option<&Version>, VersionCount> = BTreeMap::new();
    for instance in instances {
        let known = instance.version.as_ref();
        let version = known.map(|known| &known.version);
        let count = counts.entry(version).or_insert_with(|| VersionCount {
            version: version.cloned(),
            instances: 0,
            oldest_word_at: known.map(|known| known.at),
        });
        count.instances += 1;
        count.oldest_word_at = count.oldest_word_at.into_iter().chain(known.map(|known| known.at)).min();
    }
    counts.into_values().rev().collect()
}
