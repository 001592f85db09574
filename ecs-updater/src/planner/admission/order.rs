//! The order of the candidates' turns: the oldest version first, zones in rotation or one at a time; last of all whose
//! last update failed. On the way back from a release those come first that were updated last.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use models::fleet::Instance;
use models::ids::ZoneName;
use models::policy::Zones;
use semver::Version;

use super::counted::Counted;
use crate::planner::context::Context;
use crate::planner::draft::Queued;

/// What the order rests on.
pub(super) struct Known<'k, 'a> {
    pub(super) counted: &'k Counted<'a>,
    /// The canaries that earlier runs updated, by zone.
    pub(super) canaries: &'k BTreeMap<Option<&'a ZoneName>, usize>,
    /// The order of an instance's group.
    pub(super) order: &'k dyn Fn(&Instance) -> i32,
}

/// The candidates, which come by host, in the order of their turns: one order of groups after the other. With [`Zones::Spread`] those that are equal
/// otherwise take turns by zone, so that each zone loses as many as the next, and among zones that lose as many the one with
/// the fewest turns in this run comes first; with [`Zones::OneAtATime`] a zone is finished before the next. `places` are
/// those that this run can fill at once: a place comes free before the turn after that.
///
/// One whose last update failed may fail again, and is not to keep the others waiting, whatever its version or zone.
pub(super) fn in_line<'q, 'a>(
    cx: &Context<'_>,
    queue: &'q [Queued<'a>],
    known: &Known<'_, 'a>,
    places: usize,
) -> Vec<&'q Queued<'a>> {
    let counted = known.counted;
    let order = |queued: &Queued<'_>| (known.order)(queued.candidate.instance);
    fn failed_at(queued: &Queued<'_>) -> Option<Timestamp> {
        let last = queued.candidate.instance.tags.last.as_ref();
        last.filter(|last| last.is_failure()).map(|last| last.at)
    }
    fn version<'q>(queued: &'q Queued<'_>) -> (&'q Version, bool) {
        (&queued.candidate.from, !queued.candidate.staged)
    }
    let zone = |queued: &'q Queued<'a>| queued.candidate.instance.zone.as_ref();
    let goes_back = cx.run.purpose.way_back().is_some();
    let newest = |queued: &Queued<'_>| {
        let last = queued.candidate.instance.tags.last.as_ref().filter(|_| goes_back);
        Reverse(last.map(|last| last.at))
    };
    let mut line: Vec<&Queued<'a>> = Vec::with_capacity(queue.len());
    match cx.policy.zone {
        Zones::OneAtATime => {
            line.extend(queue);
            line.sort_by_key(|queued| {
                let of_zone = (zone(queued) != counted.zone, zone(queued));
                (order(queued), failed_at(queued), of_zone, newest(queued), version(queued))
            });
        }
        Zones::Spread => {
            let mut groups: BTreeMap<Key<'_>, ByZone<'_, &Queued<'a>>> = BTreeMap::new();
            for queued in queue {
                groups
                    .entry((order(queued), failed_at(queued), newest(queued), version(queued)))
                    .or_default()
                    .entry(zone(queued))
                    .or_default()
                    .push_back(queued);
            }
            let mut rotation = Rotation::new(known, places);
            for mut zones in groups.into_values() {
                while let Some(zone) = rotation.next(zones.keys().copied()) {
                    match zones.get_mut(&zone).and_then(VecDeque::pop_front) {
                        Some(queued) => {
                            rotation.take(zone);
                            line.push(queued);
                        }
                        None => drop(zones.remove(&zone)),
                    }
                }
            }
        }
    }
    line
}

/// Whose turn it is among the zones, as if each that has its turn were back before the places run out.
struct Rotation<'z> {
    out: BTreeMap<Option<&'z ZoneName>, usize>,
    /// Out of service, or back from there in this run.
    turns: BTreeMap<Option<&'z ZoneName>, usize>,
    /// The zones of those that had their turn here and are still out.
    taken: VecDeque<Option<&'z ZoneName>>,
    places: usize,
}

impl<'z> Rotation<'z> {
    fn new(Known { counted, canaries, .. }: &Known<'_, 'z>, places: usize) -> Self {
        let mut turns = counted.out_by_zone.clone();
        for (zone, ended) in counted.ended_by_zone.iter().chain(*canaries) {
            *turns.entry(*zone).or_default() += ended;
        }
        Self { out: counted.out_by_zone.clone(), turns, taken: VecDeque::new(), places: places.max(1) }
    }

    fn next(&mut self, zones: impl Iterator<Item = Option<&'z ZoneName>>) -> Option<Option<&'z ZoneName>> {
        if self.taken.len() == self.places
            && let Some(out) = self.taken.pop_front().and_then(|back| self.out.get_mut(&back))
        {
            *out = out.saturating_sub(1);
        }
        zones.min_by_key(|zone| {
            let count = |counts: &BTreeMap<Option<&'z ZoneName>, usize>| counts.get(zone).copied().unwrap_or(0);
            (count(&self.out), count(&self.turns))
        })
    }

    fn take(&mut self, zone: Option<&'z ZoneName>) {
        self.taken.push_back(zone);
        *self.out.entry(zone).or_default() += 1;
        *self.turns.entry(zone).or_default() += 1;
    }
}

/// The order of its group; when its last update failed; on the way back, when that ended; its version, and whether it is still to be staged.
type Key<'q> = (i32, Option<Timestamp>, Reverse<Option<Timestamp>>, (&'q Version, bool));

/// What there is in each zone, in order.
type ByZone<'z, T> = BTreeMap<Option<&'z ZoneName>, VecDeque<T>>;
