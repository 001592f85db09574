//! How long ECS need not be asked about instances that wait, where they are so few that each look is for one of them.
//!
//! A look tells of a hundred instances at once. Where many are under way, each beat has news of one of them; of one alone a
//! look each beat tells nothing most of the time. So few are looked at when the like of what they wait for was over before in
//! this run, and until that is known ever more seldom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use models::claim::Transport;
use models::fleet::{FleetSnapshot, Instance, InstanceStatus};
use models::ids::HostId;
use models::time::after;

/// So many under way are few.
pub(crate) const FEW: usize = 3;
/// Between two looks where news is likely.
const OFTEN: SignedDuration = SignedDuration::from_secs(4);
/// The most between two looks at what takes longer than it ever did.
const SELDOM: SignedDuration = SignedDuration::from_secs(15);
/// The same where another question tells first: SSM of a reboot, ECS's descriptions of tasks that stop.
const TOLD_OTHERWISE: SignedDuration = SignedDuration::from_secs(60);
/// So many of the newest count.
const KEPT: usize = 16;

/// What an instance waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Awaits {
    /// Its bridge's word that the image is written.
    Image,
    /// That ECS counts none of its tasks any more.
    Tasks,
    /// That its last tasks have stopped, which their descriptions tell.
    Stops,
    /// Its next boot.
    Boot(By),
    /// Anything else: it may come at each beat.
    Other,
}

/// Who tells of a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    Ssm,
    Bridge,
}

impl Awaits {
    fn of(instance: &Instance, transport: Transport) -> Self {
        let Some(claim) = instance.out_of_service_claim() else {
            return if transport == Transport::Bridge && instance.claim().is_some() { Self::Image } else { Self::Other };
        };
        if !claim.boots.is_empty() {
            let is_heard = instance.run.boot.as_ref().is_some_and(|boot| !claim.is_for(&boot.id));
            return match transport {
                _ if is_heard => Self::Other,
                Transport::Ssm => Self::Boot(By::Ssm),
                Transport::Bridge => Self::Boot(By::Bridge),
            };
        }
        let is_counted = instance.running_tasks > 0 || instance.pending_tasks > 0;
        match instance.status {
            InstanceStatus::Draining if is_counted => Self::Tasks,
            InstanceStatus::Draining if instance.tasks.as_ref().is_some_and(|seen| !seen.tasks.is_empty()) => Self::Stops,
            _ => Self::Other,
        }
    }

    /// How long nothing of the kind was ever over, and the time between two looks until it is known how long it takes.
    fn unknown(self) -> (SignedDuration, SignedDuration) {
        let seconds = SignedDuration::from_secs;
        match self {
            // An image of some hundred MB is downloaded and written.
            Self::Image => (seconds(30), seconds(8)),
            // A replacement is started and becomes healthy before a task is stopped.
            Self::Tasks => (seconds(12), seconds(12)),
            // A shutdown, a start, and two agents.
            Self::Boot(_) => (seconds(50), seconds(9)),
            Self::Stops | Self::Other => (SignedDuration::ZERO, OFTEN),
        }
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
    pub(super) fn follow(
        &mut self,
        fleet: &FleetSnapshot,
        hosts: &BTreeSet<HostId>,
        transport: impl Fn(&Instance) -> Transport,
        now: Timestamp,
    ) {
        self.waits.retain(|host, _| hosts.contains(host));
        if hosts.len() > FEW {
            self.waits.clear();
            return;
        }
        for instance in hosts.iter().filter_map(|host| fleet.instances.get(host)) {
            let awaits = Awaits::of(instance, transport(instance));
            // A dead run may have asked for the reboot long ago.
            let claim = instance.claim().filter(|_| matches!(awaits, Awaits::Boot(_)));
            let since = claim.map_or(now, |claim| instance.began(claim).min(now));
            let known = self.waits.get(&instance.host).copied();
            if known.is_some_and(|known| known.awaits == awaits) {
                continue;
            }
            if let Some(known) = known {
                self.learn(known.awaits, now.duration_since(known.since));
            }
            self.waits.insert(instance.host.clone(), Wait { awaits, since });
        }
    }

    fn learn(&mut self, awaits: Awaits, took: SignedDuration) {
        let known = self.took.entry(awaits).or_default();
        known.push_back(took);
        if known.len() > KEPT {
            known.pop_front();
        }
    }

    /// When the instance is worth a look again, where few are under way: so many. [`Timestamp::MIN`] where news of it may come
    /// at any time.
    pub(super) fn due(&self, instance: &Instance, so_many: usize) -> Timestamp {
        let Some(Wait { awaits, since }) = self.waits.get(&instance.host).copied() else { return Timestamp::MIN };
        let seen_at = instance.seen_at.max(since);
        match awaits {
            Awaits::Other => return Timestamp::MIN,
            Awaits::Stops => return after(seen_at, SELDOM),
            Awaits::Boot(By::Ssm) => return after(seen_at, TOLD_OTHERWISE),
            Awaits::Image | Awaits::Tasks | Awaits::Boot(By::Bridge) => {}
        }
        let known = self.took.get(&awaits);
        let bounds = known.and_then(|known| Some((*known.iter().min()?, *known.iter().max()?)));
        let seen_for = seen_at.duration_since(since);
        match bounds {
            None => {
                let (first, gap) = awaits.unknown();
                let gap = gap / i32::try_from(so_many.max(1)).unwrap_or(i32::MAX);
                let gap = gap.max(seen_for / 8).clamp(OFTEN, SELDOM);
                after(seen_at, gap).max(after(since, first))
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
