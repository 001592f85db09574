//! How long ECS need not be asked about instances that wait, where they are so few that each look is for one of them, and SSM
//! tells of their hosts.
//!
//! A look tells of a hundred instances at once. Where many are under way, each beat has news of one of them; of one alone a
//! look each beat tells nothing most of the time. So few are looked at when the like of what they wait for was over before in
//! this run, and until that is known ever more seldom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use models::fleet::{FleetSnapshot, Instance, InstanceStatus};
use models::ids::HostId;
use models::time::after;

/// So many under way are few.
pub(crate) const FEW: usize = 3;
/// Between two looks where news is likely.
const OFTEN: SignedDuration = SignedDuration::from_secs(4);
/// The same until it is known how long a drain takes: a replacement is started and becomes healthy before a task is stopped.
const UNKNOWN: SignedDuration = SignedDuration::from_secs(12);
/// The most between two looks at what takes longer than it ever did.
const SELDOM: SignedDuration = SignedDuration::from_secs(15);
/// The same where another question tells first: SSM of a reboot, ECS's descriptions of tasks that stop.
const TOLD_OTHERWISE: SignedDuration = SignedDuration::from_secs(60);
/// What is as new is not read again.
const JUST_SEEN: SignedDuration = SignedDuration::from_secs(1);
/// So many of the newest count.
const KEPT: usize = 16;

/// What an instance waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Awaits {
    /// That ECS counts none of its tasks any more.
    Tasks,
    /// That its last tasks have stopped, which their descriptions tell.
    Stops,
    /// Its next boot, of which SSM tells.
    Boot,
    /// Anything else: it may come at each beat.
    Other,
}

impl Awaits {
    fn of(instance: &Instance) -> Self {
        let Some(claim) = instance.out_of_service_claim() else { return Self::Other };
        if !claim.boots.is_empty() {
            let is_heard = instance.run.boot.as_ref().is_some_and(|boot| !claim.is_for(&boot.id));
            return if is_heard { Self::Other } else { Self::Boot };
        }
        let is_counted = instance.running_tasks > 0 || instance.pending_tasks > 0;
        match instance.status {
            InstanceStatus::Draining if is_counted => Self::Tasks,
            InstanceStatus::Draining if instance.tasks.as_ref().is_some_and(|seen| !seen.tasks.is_empty()) => {
                Self::Stops
            }
            _ => Self::Other,
        }
    }

    /// Whether a look is worth to wake up for, at its time.
    fn is_timed(self) -> bool {
        self != Self::Other
    }
}

/// What is known of an instance that waits.
#[derive(Debug, Clone, Copy)]
struct Wait {
    awaits: Awaits,
    since: Timestamp,
}

/// How long what a run waits for takes, as it has seen it.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    waits: BTreeMap<HostId, Wait>,
    took: BTreeMap<Awaits, VecDeque<SignedDuration>>,
}

impl Gaps {
    /// Takes in what these instances wait for now. What one of them does not wait for any more took as long as it did.
    pub(super) fn follow(&mut self, fleet: &FleetSnapshot, hosts: &BTreeSet<HostId>, now: Timestamp) {
        self.waits.retain(|host, _| hosts.contains(host));
        for instance in hosts.iter().filter_map(|host| fleet.instances.get(host)) {
            let awaits = Awaits::of(instance);
            let known = self.waits.get(&instance.host).copied();
            if known.is_some_and(|known| known.awaits == awaits) {
                continue;
            }
            if let Some(known) = known {
                self.learn(known.awaits, now.duration_since(known.since));
            }
            self.waits.insert(instance.host.clone(), Wait { awaits, since: now });
        }
    }

    fn learn(&mut self, awaits: Awaits, took: SignedDuration) {
        let known = self.took.entry(awaits).or_default();
        known.push_back(took);
        if known.len() > KEPT {
            known.pop_front();
        }
    }

    /// When the instance is worth a look again, where few are under way: so many.
    pub(super) fn due(&self, instance: &Instance, so_many: usize) -> Timestamp {
        let Some(wait) = self.waits.get(&instance.host) else { return instance.seen_at };
        // What it waited for is over, as the host says.
        if wait.awaits != Awaits::of(instance) {
            return instance.seen_at;
        }
        let known = self.took.get(&wait.awaits);
        let known = known.and_then(|known| Some((*known.iter().min()?, *known.iter().max()?)));
        wait.due(known, instance.seen_at.max(wait.since), so_many)
    }

    /// The same, where the loop is to wake up for that look.
    pub(super) fn wakes_at(&self, instance: &Instance, so_many: usize) -> Option<Timestamp> {
        let wait = self.waits.get(&instance.host)?;
        wait.awaits.is_timed().then(|| self.due(instance, so_many))
    }
}

impl Wait {
    /// The same where the like took from the quickest to the slowest time that are known, and ECS was last asked at `seen_at`.
    fn due(self, known: Option<(SignedDuration, SignedDuration)>, seen_at: Timestamp, so_many: usize) -> Timestamp {
        let Self { awaits, since } = self;
        match awaits {
            // The last look before a write has just been one.
            Awaits::Other => return after(seen_at, JUST_SEEN),
            Awaits::Stops => return after(seen_at, SELDOM),
            Awaits::Boot => return after(seen_at, TOLD_OTHERWISE),
            Awaits::Tasks => {}
        }
        let seen_for = seen_at.duration_since(since);
        match known {
            None => {
                let gap = UNKNOWN / i32::try_from(so_many.max(1)).unwrap_or(i32::MAX);
                let gap = gap.max(seen_for / 8).clamp(OFTEN, SELDOM);
                after(seen_at, gap)
            }
            // The last look before the one that saw the end may just have missed it.
            Some((quickest, _)) if seen_for < quickest - OFTEN => after(since, quickest - OFTEN),
            Some((_, slowest)) => {
                let late = (seen_for - slowest).max(SignedDuration::ZERO);
                after(seen_at, (OFTEN + late / 2).min(SELDOM))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the seconds after which one that waits is looked at, up to the look that sees an end after `took` seconds.
    fn looks(awaits: Awaits, known: Option<(i64, i64)>, took: i64, so_many: usize) -> Vec<i64> {
        let since: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
        let seconds = SignedDuration::from_secs;
        let known = known.map(|(quickest, slowest)| (seconds(quickest), seconds(slowest)));
        let (mut seen_at, mut looks) = (since, Vec::new());
        while seen_at < after(since, seconds(took)) {
            let due = Wait { awaits, since }.due(known, seen_at, so_many);
            assert!(due > seen_at, "never twice at once");
            seen_at = due;
            looks.push(seen_at.duration_since(since).as_secs());
        }
        looks
    }

    #[test]
    fn until_it_is_known_how_long_it_takes() {
        assert_eq!(looks(Awaits::Tasks, None, 47, 1), [12, 24, 36, 48]);
        assert_eq!(looks(Awaits::Tasks, None, 47, 2), [12, 18, 24, 30, 36, 42, 48]);
        assert_eq!(looks(Awaits::Tasks, None, 600, 1).len(), 42, "and ever more seldom");
    }

    #[test]
    fn when_the_like_was_over_before() {
        assert_eq!(looks(Awaits::Tasks, Some((48, 48)), 47, 1), [44, 48]);
        assert_eq!(looks(Awaits::Tasks, Some((44, 60)), 55, 1), [40, 44, 48, 52, 56]);
        assert_eq!(looks(Awaits::Tasks, Some((48, 48)), 3, 1), [44], "never sooner than a beat before the quickest");
        assert_eq!(looks(Awaits::Tasks, Some((20, 20)), 80, 1), [16, 20, 24, 30, 39, 52, 67, 82]);
    }

    #[test]
    fn where_another_question_tells() {
        assert_eq!(looks(Awaits::Boot, None, 100, 1), [60, 120]);
        assert_eq!(looks(Awaits::Stops, None, 30, 1), [15, 30]);
    }

    #[test]
    fn only_the_newest_count() {
        let mut gaps = Gaps::default();
        for seconds in 0..100 {
            gaps.learn(Awaits::Tasks, SignedDuration::from_secs(seconds));
        }
        assert_eq!(gaps.took[&Awaits::Tasks].front(), Some(&SignedDuration::from_secs(84)));
    }
}
