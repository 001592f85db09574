//! The order of the candidates' turns: the oldest version first, zones in rotation or one at a time; last of all whose
//! last update failed.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use models::ids::ZoneName;
use models::policy::Zones;
use semver::Version;

use super::counted::Counted;
use crate::planner::context::Context;
use crate::planner::draft::Queued;

/// The candidates, which come by host, in the order of their turns. With [`Zones::Spread`] those that are equal
/// otherwise take turns by zone, so that each zone loses as many as the next; with [`Zones::OneAtATime`] a zone is
/// finished before the next.
///
/// One whose last update failed may fail again, and is not to keep the others waiting, whatever its version or zone.
pub(super) fn in_line<'q, 'a>(cx: &Context<'_>, queue: &'q [Queued<'a>], counted: &Counted<'a>) -> Vec<&'q Queued<'a>> {
    fn failed_at(queued: &Queued<'_>) -> Option<Timestamp> {
        let last = queued.candidate.instance.tags.last.as_ref();
        last.filter(|last| last.is_failure()).map(|last| last.at)
    }
    fn version<'q>(queued: &'q Queued<'_>) -> (&'q Version, bool) {
        (&queued.candidate.from, !queued.candidate.staged)
    }
    let zone = |queued: &'q Queued<'a>| queued.candidate.instance.zone.as_ref();
    let mut line: Vec<&Queued<'a>> = Vec::with_capacity(queue.len());
    match cx.policy.zone {
        Zones::OneAtATime => {
            line.extend(queue);
            line.sort_by_key(|queued| (failed_at(queued), zone(queued) != counted.zone, zone(queued), version(queued)));
        }
        Zones::Spread => {
            let mut groups: BTreeMap<Key<'_>, ByZone<'_, &Queued<'a>>> = BTreeMap::new();
            for queued in queue {
                groups
                    .entry((failed_at(queued), version(queued)))
                    .or_default()
                    .entry(zone(queued))
                    .or_default()
                    .push_back(queued);
            }
            let mut out = counted.out_by_zone.clone();
            for mut zones in groups.into_values() {
                while let Some(zone) = zones.keys().copied().min_by_key(|zone| out.get(zone).copied().unwrap_or(0)) {
                    *out.entry(zone).or_default() += 1;
                    match zones.get_mut(&zone).and_then(VecDeque::pop_front) {
                        Some(queued) => line.push(queued),
                        None => drop(zones.remove(&zone)),
                    }
                }
            }
        }
    }
    line
}

/// When its last update failed, its version, and whether it is still to be staged.
type Key<'q> = (Option<Timestamp>, (&'q Version, bool));

/// What there is in each zone, in order.
type ByZone<'z, T> = BTreeMap<Option<&'z ZoneName>, VecDeque<T>>;
