//! How far a release may go, as the run at work was told: its canaries, how long they are watched, and the time between two
//! drains.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use models::claim::{Claim, FAILED_TAG};
use models::ids::ClusterName;
use models::last::{LAST_TAG, Last};
use models::policy::Policy;
use semver::Version;

use super::Rule;
use crate::query::{Extra, Filter};
use crate::world::{Ec2State, MachineNo, World};

/// Ends are written in whole seconds, and a drain takes a moment to be carried out.
const BLUR: SignedDuration = SignedDuration::from_secs(3);

/// Between the last question to CloudWatch and a drain: a claim is written, and each of the calls may be tried again.
const ASKED_BEFORE: SignedDuration = SignedDuration::from_mins(5);

/// What one run was told of a cluster.
#[derive(Debug, Clone, Default)]
pub struct Pacing {
    canary: Option<usize>,
    /// What an instance has to meet to be a canary, read by the simulator's own parser.
    canary_match: Option<Filter>,
    bake: SignedDuration,
    soak: SignedDuration,
    /// The CloudWatch alarms that hold it.
    alarms: BTreeSet<String>,
    /// What was told of the groups in which a release makes its own way.
    groups: Vec<(Filter, Pacing)>,
}

impl Pacing {
    /// That of a policy, with its `canary_match`.
    pub fn of(policy: &Policy, canary_match: Option<Filter>) -> Self {
        let canary = policy.canary.map(|canary| canary as usize);
        let alarms = policy.alarms.clone();
        Self { canary, canary_match, bake: policy.bake, soak: policy.soak, alarms, groups: Vec::new() }
    }

    /// The same with groups in which a release makes its own way.
    #[must_use]
    pub fn with_groups(self, groups: Vec<(Filter, Self)>) -> Self {
        Self { groups, ..self }
    }

    /// Which of the groups a machine is in.
    fn group_of(&self, world: &World, number: MachineNo) -> Option<usize> {
        let machine = &world.machines()[number];
        let registration = machine.registration?;
        let extra = Extra { tags: &machine.tags, provider: machine.provider() };
        self.groups.iter().position(|(matches, _)| matches.matches_with(&world.subject(registration), &extra))
    }

    /// Whether a machine may be a canary.
    fn can_be_canary(&self, world: &World, number: MachineNo) -> bool {
        let Some(canary_match) = &self.canary_match else { return true };
        let machine = &world.machines()[number];
        let extra = Extra { tags: &machine.tags, provider: machine.provider() };
        machine.registration.is_some_and(|one| canary_match.matches_with(&world.subject(one), &extra))
    }
}

/// What the caller has begun, and what came back.
#[derive(Debug, Clone, Default)]
pub(super) struct Paced {
    told: BTreeMap<ClusterName, Pacing>,
    begun: BTreeMap<MachineNo, Begun>,
    drained_at: BTreeMap<ClusterName, Timestamp>,
}

/// The newest drain of the caller on a machine.
#[derive(Debug, Clone)]
struct Begun {
    claim: Claim,
    has_rebooted: bool,
    /// When it was back on the new version.
    updated_at: Option<Timestamp>,
}

impl Paced {
    pub(super) fn tell(&mut self, cluster: ClusterName, pacing: Pacing) {
        self.told.insert(cluster, pacing);
    }

    /// The caller has set a machine DRAINING. Returns what is wrong with that.
    pub(super) fn drained(&mut self, world: &World, number: MachineNo) -> Vec<(Rule, String)> {
        let (now, mut wrong) = (world.now(), Vec::new());
        let Some(claim) = world.claim(number) else { return wrong };
        if self.begun.get(&number).is_some_and(|begun| is_the_same(&begun.claim, &claim)) {
            return wrong;
        }
        let cluster = ClusterName::from(world.clusters()[world.machines()[number].cluster].name.as_str());
        let told = self.told.get(&cluster).cloned().unwrap_or_default();
        let before = self.drained_at.insert(cluster, now);
        // By a clock that has leapt, times are what it says they are.
        let is_by_our_clock = world.date_is_ahead().is_zero();
        let since = before.map_or(SignedDuration::MAX, |before| now.duration_since(before));
        if is_by_our_clock && since.saturating_add(BLUR) < told.soak {
            wrong.push((Rule::Soak, format!("drained {since:#} after another one")));
        }
        // A way back waits for no canary.
        let goes_on = claim.to > claim.from;
        if goes_on && let Some((alarm, since)) = firing(world, &told) {
            wrong.push((Rule::Alarm, format!("drained for {} while {alarm} fires since {since}", claim.to)));
        }
        let group = told.group_of(world, number);
        let own = group.and_then(|at| told.groups.get(at)).map_or(&told, |(_, own)| own);
        if let Some(canary) = own.canary.filter(|_| is_by_our_clock && goes_on) {
            let group_of = |other: MachineNo| told.group_of(world, other);
            wrong.extend(self.ahead_of_canaries(world, number, &claim, (canary, own, &group_of)));
        }
        self.begun.insert(number, Begun { claim, has_rebooted: false, updated_at: None });
        wrong
    }

    fn ahead_of_canaries(
        &self,
        world: &World,
        number: MachineNo,
        claim: &Claim,
        (most, told, group_of): (usize, &Pacing, &dyn Fn(MachineNo) -> Option<usize>),
    ) -> Option<(Rule, String)> {
        let kind = |number: MachineNo| {
            let machine = &world.machines()[number];
            (machine.cluster, &machine.launched_as.variant, &machine.launched_as.arch, group_of(number))
        };
        // What is terminated counts no longer. What AWS takes away does where it was updated, and what its group has in another
        // state, such as Standby, where it was begun.
        let is_dead =
            |other: MachineNo| matches!(world.machines()[other].state, Ec2State::ShuttingDown | Ec2State::Terminated);
        let is_begun = |other: MachineNo| self.begun.get(&other).is_some_and(|begun| begun.claim.to == claim.to);
        let is_updated = |other: MachineNo| {
            let own = self.begun.get(&other).filter(|begun| begun.claim.to == claim.to);
            own.is_some_and(|begun| begun.updated_at.is_some()) || ended(world, other, &claim.to).is_some()
        };
        let is_left = |other: MachineNo| {
            let is_had = if world.is_ended_by_aws(other) {
                is_updated(other)
            } else {
                world.out_of_group_since(other).is_none() || is_begun(other) || is_updated(other)
            };
            world.registration_of(other).is_some() && !is_dead(other) && is_had
        };
        let is_there = |other: MachineNo| other != number && is_left(other) && kind(other) == kind(number);
        // What an earlier run did is known by what it wrote.
        let is_known = |other: MachineNo, begun: &Begun| {
            begun.claim.run == claim.run || world.claim(other).is_some() || last(world, other, &claim.to)
        };
        let can_be = |other: MachineNo| told.can_be_canary(world, other);
        let begun: Vec<(MachineNo, &Begun)> = self
            .begun
            .iter()
            .map(|(other, begun)| (*other, begun))
            .filter(|(other, begun)| begun.claim.to == claim.to && is_there(*other) && is_known(*other, begun))
            .filter(|(other, _)| can_be(*other))
            .collect();
        // Where ECS sets an instance ACTIVE by itself, what the caller wrote of its end tells of it.
        let back = |(other, begun): &(MachineNo, &Begun)| begun.updated_at.or_else(|| ended(world, *other, &claim.to));
        // What somebody else wrote there, the caller can but believe.
        let believed = world
            .machines()
            .ids()
            .filter(|other| is_there(*other) && !self.begun.contains_key(other) && last(world, *other, &claim.to));
        let believed = believed.filter(|other| can_be(*other)).map(|_| Timestamp::MIN);
        let mut updated: Vec<Timestamp> = begun.iter().filter_map(back).chain(believed).collect();
        updated.sort_unstable();
        // Where fewer can be canaries, there are as many; and one that cannot be waits for all of them.
        let able =
            world.machines().ids().filter(|other| (*other == number || is_there(*other)) && can_be(*other)).count();
        let canary = most.min(if can_be(number) { able } else { begun.len().max(updated.len()).max(1) });
        let is_watched = |at: &Timestamp| at.saturating_add(told.bake).unwrap_or(Timestamp::MAX) <= world.now() + BLUR;
        let is_proved = updated.get(canary - 1).is_some_and(is_watched);
        let is_ahead = begun.len() >= canary || !can_be(number);
        (is_ahead && !is_proved).then(|| {
            let detail = format!(
                "drained for {} although {} were begun before it, and back at {updated:?}, of {canary} canaries",
                claim.to,
                begun.len()
            );
            (Rule::Canary, detail)
        })
    }

    /// The caller has taken its claim away. A machine that never rebooted for it was not begun, whoever set it ACTIVE.
    pub(super) fn let_go(&mut self, number: MachineNo) {
        if self.begun.get(&number).is_some_and(|begun| !begun.has_rebooted && begun.updated_at.is_none()) {
            self.begun.remove(&number);
        }
    }

    /// The caller has set a machine ACTIVE. One that never rebooted was not begun.
    pub(super) fn put_back(&mut self, world: &World, number: MachineNo) {
        let Some(begun) = self.begun.get_mut(&number) else { return };
        if *world.machines()[number].host.running_version() == begun.claim.to {
            begun.updated_at.get_or_insert(world.now());
        } else if !begun.has_rebooted {
            self.begun.remove(&number);
        }
    }

    /// Somebody else has written how the last update of a machine ended, which the caller can but believe.
    pub(super) fn told_otherwise(&mut self, number: MachineNo) {
        if let Some(begun) = self.begun.get_mut(&number) {
            begun.updated_at = Some(Timestamp::MIN);
        }
    }

    /// A machine has rebooted for the caller.
    pub(super) fn rebooted(&mut self, number: MachineNo) {
        if let Some(begun) = self.begun.get_mut(&number) {
            begun.has_rebooted = true;
        }
    }
}

/// Returns an alarm of the caller's that has fired for so long that it must have heard of it.
fn firing(world: &World, told: &Pacing) -> Option<(String, Timestamp)> {
    let is_heard = |since: &Timestamp| world.now().duration_since(*since) > ASKED_BEFORE;
    let mut firing = world.firing().filter(|(name, since)| told.alarms.contains(*name) && is_heard(since));
    firing.next().map(|(name, since)| (name.clone(), since))
}

/// Whether both are about the same drain.
fn is_the_same(one: &Claim, two: &Claim) -> bool {
    (&one.run, &one.to) == (&two.run, &two.to)
}

/// When the machine was updated to the version, as its tag tells.
fn ended(world: &World, number: MachineNo, version: &Version) -> Option<Timestamp> {
    last_of(world, number, version).filter(|last| !last.is_failure()).map(|last| last.at)
}

/// How the last update of the machine ended, where that was one to the version, as its tag tells.
fn last_of(world: &World, number: MachineNo, version: &Version) -> Option<Last> {
    let tag = world.machines()[number].tags.get(LAST_TAG)?;
    tag.parse().ok().filter(|last: &Last| last.to == *version)
}

/// Whether the machine tells that the version was begun on it: that it was updated, or that the version failed there and
/// nobody has taken that back.
fn last(world: &World, number: MachineNo, version: &Version) -> bool {
    let tags = &world.machines()[number].tags;
    let marked = || tags.get(FAILED_TAG).is_some_and(|marks| marks.split(',').any(|mark| mark == version.to_string()));
    last_of(world, number, version).is_some_and(|last| !last.is_failure() || last.never_came_back() || marked())
}
