//! The order of the candidates' turns: the oldest version first, zones in rotation or one at a time.

use std::collections::{BTreeMap, VecDeque};

use models::ids::ZoneName;
use models::policy::Zones;
use semver::Version;

use super::counted::Counted;
use crate::planner::context::Context;
use crate::planner::draft::Queued;

/// The candidates, which come by host, in the order of their turns. With [`Zones::Spread`] those that are equal
/// otherwise take turns by zone, so that each zone loses as many as the next; with [`Zones::OneAtATime`] a zone is
/// finished before the next.
pub(super) fn in_line<'q, 'a>(cx: &Context<'_>, queue: &'q [Queued<'a>], counted: &Counted<'a>) -> Vec<&'q Queued<'a>> {
    fn version<'q>(queued: &'q Queued<'_>) -> (&'q Version, bool) {
        (&queued.candidate.from, !queued.candidate.staged)
    }
    let zone = |queued: &'q Queued<'a>| queued.candidate.instance.zone.as_ref();
    let mut line: Vec<&Queued<'a>> = Vec::with_capacity(queue.len());
    match cx.policy.zone {
        Zones::OneAtATime => {
            line.extend(queue);
            line.sort_by_key(|queued| (zone(queued) != counted.zone, zone(queued), version(queued)));
        }
        Zones::Spread => {
            let mut groups: BTreeMap<(&Version, bool), ByZone<'_, &Queued<'a>>> = BTreeMap::new();
            for queued in queue {
                groups.entry(version(queued)).or_default().entry(zone(queued)).or_default().push_back(queued);
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

/// What there is in each zone, in order.
type ByZone<'z, T> = BTreeMap<Option<&'z ZoneName>, VecDeque<T>>;
