//! No run stands still: within the longest time that its settings give to one instance, some instance comes into another
//! phase or to its outcome.

use std::cell::RefCell;
use std::collections::BTreeMap;

use ecs_updater::render::duration;
use ecs_updater::run::{View, Watch};
use jiff::{SignedDuration, Timestamp};
use models::fleet::FleetSnapshot;
use models::hook::HookStep;
use models::ids::{ClusterName, HostId};
use models::plan::{Phase, Plan};
use models::policy::{Capacity, Policy, ServiceHealth, Timeouts};
use models::report::Outcome;

use crate::meter;

/// How long AWS may give no usable answer before a cluster is given up (docs/design.md, "The loop"), and so how much longer
/// than its time-outs say a run may wait for one.
const SILENCE: SignedDuration = SignedDuration::from_mins(15);
/// How long a run waits for a lease that it could not renew, in which it writes nothing (docs/design.md, "The lease").
const LEASE: SignedDuration = SignedDuration::from_mins(15);

/// How long a run waits for a host whose trouble hosts without its new version have too (docs/design.md, "The life of one
/// instance").
const SHARED_TROUBLE: SignedDuration = SignedDuration::from_hours(1);

/// How long a host's first report is waited for once its container instance is tagged (docs/host-bridge.md, "Installing it").
const FIRST_REPORT: SignedDuration = SignedDuration::from_mins(11);

/// What a run may have to wait for besides its instances.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waits {
    /// It holds a lease on its clusters.
    pub lease: bool,
    /// It is suspended for so long.
    pub pause: SignedDuration,
}

/// The longest time in which no instance of a cluster need change its phase or its outcome: one instance's whole way with
/// these settings, a second try of its image and the way back included, and what the run itself may have to wait for.
/// A new wait of the updater's has its place here.
pub fn longest_wait(policy: &Policy, waits: Waits) -> SignedDuration {
    let Timeouts { inspect, stage, steady, .. } = policy.timeouts;
    // A group may be given longer than its cluster.
    let all = || std::iter::once(policy).chain(policy.groups.iter().map(|group| &*group.policy));
    let longest = |of: fn(&Timeouts) -> SignedDuration| all().map(|one| of(&one.timeouts)).max().unwrap_or_default();
    let (drain, reboot, verify) = (longest(|one| one.drain), longest(|one| one.reboot), longest(|one| one.verify));
    let there = inspect + stage * 2 + drain + reboot + verify;
    // With the longest warm-up that a scenario has.
    let launch = match policy.capacity {
        Capacity::Room => SignedDuration::ZERO,
        Capacity::ScaleOut => SignedDuration::from_mins(20),
    };
    let back = stage + reboot + launch;
    let lease = if waits.lease { LEASE } else { SignedDuration::ZERO };
    let first_report = if policy.names_hosts() { FIRST_REPORT } else { SignedDuration::ZERO };
    let bound = all().any(|one| !one.windows.is_empty() || !one.freeze.is_empty());
    let opening = if bound { policy.window_wait } else { SignedDuration::ZERO };
    let services = match policy.services {
        ServiceHealth::Steady => steady,
        ServiceHealth::Ignore => SignedDuration::ZERO,
    };
    // Each step may be asked about to the end of its time, and once more.
    let steps = HookStep::ALL.into_iter().filter(|step| policy.hooks.of(*step).is_some());
    let hooks = steps.fold(SignedDuration::ZERO, |all, _| all + policy.hooks.timeout + SignedDuration::from_mins(1));
    there + back + services + hooks + SHARED_TROUBLE + SILENCE + lease + first_report + opening + waits.pause
}

/// Sees whether the clusters of a run move, and hands on what it sees.
pub(crate) struct Liveness<'a> {
    next: &'a dyn Watch,
    waits: Waits,
    /// That of the cluster that may take longest.
    longest_wait: SignedDuration,
    began: Timestamp,
    clusters: RefCell<BTreeMap<ClusterName, Moves>>,
}

/// What was seen of a cluster.
#[derive(Debug)]
struct Moves {
    longest_wait: SignedDuration,
    instances: BTreeMap<HostId, (Phase, Option<Outcome>)>,
    changed_at: Timestamp,
    seen_at: Timestamp,
    stalls: Vec<String>,
}

impl<'a> Liveness<'a> {
    pub(crate) fn new<'p>(
        next: &'a dyn Watch,
        waits: Waits,
        policies: impl Iterator<Item = &'p Policy>,
        began: Timestamp,
    ) -> Self {
        let longest = policies.map(|policy| longest_wait(policy, waits)).max();
        Self { next, waits, longest_wait: longest.unwrap_or(SILENCE), began, clusters: RefCell::default() }
    }

    /// The times in which nothing moved for too long, a line each, once the run has ended.
    pub(crate) fn stalls(self, now: Timestamp) -> Vec<String> {
        let mut clusters = self.clusters.into_inner();
        let alone = clusters.len() == 1;
        let mut stalls = Vec::new();
        let mut changed_at = self.began;
        for (cluster, moves) in &mut clusters {
            // A cluster's loop may end long before the run does.
            moves.note_wait(cluster, if alone { now } else { moves.seen_at });
            stalls.append(&mut moves.stalls);
            changed_at = changed_at.max(moves.changed_at);
        }
        if !alone && now.duration_since(changed_at) > self.longest_wait {
            stalls.push(format!("no cluster moved {}", span(changed_at, now, self.longest_wait)));
        }
        stalls
    }

    fn follow(&self, fleet: &FleetSnapshot, plan: &Plan, policy: &Policy, now: Timestamp) {
        let mut clusters = self.clusters.borrow_mut();
        let moves = clusters.entry(fleet.cluster.clone()).or_insert_with(|| Moves {
            longest_wait: longest_wait(policy, self.waits),
            instances: BTreeMap::new(),
            changed_at: self.began,
            seen_at: self.began,
            stalls: Vec::new(),
        });
        moves.follow(fleet, plan, now);
    }
}

impl Moves {
    fn follow(&mut self, fleet: &FleetSnapshot, plan: &Plan, now: Timestamp) {
        let mut changed = Vec::new();
        for (instance, standing) in fleet.instances.values().zip(&plan.standings) {
            let is = (standing.phase, instance.run.verdict.as_ref().map(|verdict| verdict.outcome));
            if self.instances.get(&instance.host) != Some(&is) {
                changed.push((instance.host.clone(), is));
            }
        }
        if !changed.is_empty() {
            self.note_wait(&fleet.cluster, now);
            self.changed_at = now;
            self.instances.extend(changed);
        }
        self.seen_at = now;
    }

    fn note_wait(&mut self, cluster: &ClusterName, now: Timestamp) {
        if now.duration_since(self.changed_at) > self.longest_wait {
            let under_way =
                self.instances.iter().filter(|(_, (phase, outcome))| phase.is_under_way() && outcome.is_none());
            let named: Vec<String> =
                under_way.map(|(host, (phase, _))| format!("{host} {}", phase.as_str())).take(3).collect();
            let named = if named.is_empty() { "nothing under way".to_owned() } else { named.join(", ") };
            self.stalls.push(format!(
                "cluster {cluster}: no instance changed its phase or outcome {} ({named})",
                span(self.changed_at, now, self.longest_wait)
            ));
        }
    }
}

fn span(from: Timestamp, to: Timestamp, most: SignedDuration) -> String {
    let took = duration::short(to.duration_since(from));
    format!("for {took} from {from:.0}, {} at most", duration::short(most))
}

impl Watch for Liveness<'_> {
    fn see(&self, view: View<'_>) {
        meter::simulator(|| self.follow(view.fleet, view.plan, view.policy, view.now));
        self.next.see(view);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Waits = Waits { lease: false, pause: SignedDuration::ZERO };

    #[test]
    fn the_longest_wait_is_one_instances_whole_way() {
        let policy = Policy::default();
        assert_eq!(
            longest_wait(&policy, NONE),
            SignedDuration::from_mins(3 + 2 * 15 + 20 + 15 + 10 + (15 + 15) + 60 + 15)
        );
        let patient = Timeouts { drain: SignedDuration::from_hours(3), ..policy.timeouts };
        let longer = longest_wait(&Policy { timeouts: patient, ..policy.clone() }, NONE) - longest_wait(&policy, NONE);
        assert_eq!(longer, SignedDuration::from_mins(160));
        let night = Policy { windows: vec!["Mon 02:00-05:00 UTC".parse().unwrap()], ..policy.clone() };
        assert_eq!(longest_wait(&night, NONE) - longest_wait(&policy, NONE), policy.window_wait);
        let waits = Waits { lease: true, pause: SignedDuration::from_mins(14) };
        assert_eq!(longest_wait(&policy, waits) - longest_wait(&policy, NONE), SignedDuration::from_mins(15 + 14));
    }

    #[test]
    fn a_run_that_never_looks_stands_still() {
        let began: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
        let policy = Policy::default();
        let stalls = |mins| {
            let liveness = Liveness::new(&(), NONE, [&policy].into_iter(), began);
            liveness.stalls(began + SignedDuration::from_mins(mins))
        };
        assert_eq!(stalls(183), Vec::<String>::new());
        assert_eq!(stalls(184), ["no cluster moved for 3h 4m from 2026-11-23T03:00:00Z, 3h 3m at most"]);
    }

    #[test]
    fn a_change_that_came_too_late_is_told_with_what_was_waited_for() {
        let changed_at: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
        let instances = [
            ("i-1", Phase::Current, None),
            ("i-2", Phase::Rebooting, None),
            ("i-3", Phase::Draining, Some(Outcome::Failed)),
        ];
        let instances = instances.into_iter().map(|(host, phase, outcome)| (HostId::from(host), (phase, outcome)));
        let longest_wait = SignedDuration::from_hours(1);
        let mut moves =
            Moves { longest_wait, instances: instances.collect(), changed_at, seen_at: changed_at, stalls: Vec::new() };
        let cluster = ClusterName::from("web");
        moves.note_wait(&cluster, changed_at + longest_wait);
        assert_eq!(moves.stalls, Vec::<String>::new());
        moves.note_wait(&cluster, changed_at + longest_wait * 2);
        let told = "cluster web: no instance changed its phase or outcome for 2h from 2026-11-23T03:00:00Z, 1h at most \
                    (i-2 rebooting)";
        assert_eq!(moves.stalls, [told]);
    }
}
