//! The groups of a cluster's instances, as the run at work was told: their budgets, and their order.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use models::claim::{Claim, ClaimStep};
use models::ids::{ClusterName, GroupName};
use models::policy::MaxUnavailable;

use super::{Invariants, Rule, UNKNOWABLE, left_unknowable};
use crate::query::{Extra, Filter};
use crate::world::{Actor, Ec2State, InstanceStatus, MachineNo, World};

/// For so long after its drain an instance that is DRAINING cannot have been given up, unless something happened to it.
const SURELY_UNDER_WAY: SignedDuration = SignedDuration::from_mins(3);

/// One group.
#[derive(Debug, Clone)]
pub struct Part {
    pub name: GroupName,
    /// Which instances are in it, read by the simulator's own parser.
    pub matches: Filter,
    pub order: i32,
    pub max_unavailable: Option<MaxUnavailable>,
}

/// All groups, and which machine is in which.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    told: BTreeMap<ClusterName, Vec<Part>>,
    /// The groups of a machine, by their places, and since when.
    of: BTreeMap<MachineNo, (Vec<usize>, Timestamp)>,
}

impl Parts {
    pub(super) fn tell(&mut self, cluster: ClusterName, parts: Vec<Part>) {
        self.told.insert(cluster, parts);
    }

    /// A run begins, which looks at all machines first.
    pub(super) fn begin(&mut self, world: &World) {
        self.of.clear();
        for machine in world.machines().ids() {
            self.follow(world, machine, Timestamp::MIN);
        }
    }

    fn of_cluster(&self, world: &World, number: MachineNo) -> &[Part] {
        let name = world.clusters()[world.machines()[number].cluster].name.as_str();
        self.told.get(&ClusterName::from(name)).map(Vec::as_slice).unwrap_or_default()
    }

    fn are_of(&self, world: &World, number: MachineNo) -> Vec<usize> {
        let machine = &world.machines()[number];
        let Some(registration) = machine.registration else { return Vec::new() };
        let extra = Extra { tags: &machine.tags, provider: machine.provider() };
        let parts = self.of_cluster(world, number).iter().enumerate();
        let is_met = |(_, part): &(usize, &Part)| part.matches.matches_with(&world.subject(registration), &extra);
        parts.filter(is_met).map(|(at, _)| at).collect()
    }

    /// Something has happened to a machine.
    pub(super) fn follow(&mut self, world: &World, number: MachineNo, now: Timestamp) {
        if self.told.values().all(Vec::is_empty) {
            return;
        }
        let are = self.are_of(world, number);
        match self.of.get_mut(&number) {
            Some((known, since)) if *known != are => (*known, *since) = (are, now),
            Some(_) => {}
            None => drop(self.of.insert(number, (are, now))),
        }
    }

    /// The groups of a machine, and since when.
    fn known(&self, world: &World, number: MachineNo) -> (Vec<usize>, Timestamp) {
        self.of.get(&number).cloned().unwrap_or_else(|| (self.are_of(world, number), Timestamp::MIN))
    }
}

impl Invariants {
    /// Which groups the instances of a cluster have; none where nothing was said.
    pub fn set_parts(&mut self, cluster: impl Into<ClusterName>, parts: Vec<Part>) {
        self.parts.tell(cluster.into(), parts);
    }

    /// A machine that was drained has a place in the budget of its group, is in one group alone, and none of a group with a
    /// lower order is under way.
    pub(super) fn check_parts(&mut self, world: &World, machine: MachineNo) {
        let halfway = world.claim(machine).is_some_and(|claim| !claim.boots.is_empty());
        let (are, since) = self.parts.known(world, machine);
        let is_old = |since: Timestamp| since == Timestamp::MIN || world.now().duration_since(since) >= UNKNOWABLE;
        if halfway || self.parts.of_cluster(world, machine).is_empty() || !is_old(since) {
            return;
        }
        if are.len() > 1 {
            let detail = "drained although it is in more than one group".to_owned();
            return self.broken(world, Rule::Selected, machine, detail);
        }
        let parts = self.parts.of_cluster(world, machine).to_vec();
        if let Some(at) = are.first() {
            self.check_part(world, machine, (*at, &parts[*at]));
        }
        let order = |are: &[usize]| are.first().map_or(0, |at| parts[*at].order);
        let own = order(&are);
        let Some(claim) = world.claim(machine).filter(|claim| claim.to > claim.from) else { return };
        let earlier = |other: &MachineNo| {
            let (of, since) = self.parts.known(world, *other);
            let is_of_cluster = world.machines()[*other].cluster == world.machines()[machine].cluster;
            is_of_cluster && of.len() < 2 && order(&of) < own && is_settled(world, since)
        };
        let is_under_way = |other: &MachineNo| self.is_under_way(world, *other, &claim);
        let under_way = self.drained.iter().copied().find(|other| earlier(other) && is_under_way(other));
        if let Some(other) = under_way {
            let id = &world.machines()[other].id;
            let detail = format!("drained while {id}, of a group with a lower order, is under way");
            self.broken(world, Rule::Order, machine, detail);
        }
    }

    /// Whether a machine is surely in the middle of an update by the run whose claim this is.
    fn is_under_way(&self, world: &World, other: MachineNo, claim: &Claim) -> bool {
        let registration = world.registration_of(other);
        let is_draining = registration.is_some_and(|one| one.status == InstanceStatus::Draining && !one.foreign_drain);
        let out = world.clusters()[world.machines()[other].cluster].out_of_service.get(&other);
        let is_young = out.is_some_and(|out| world.now().duration_since(out.since) < SURELY_UNDER_WAY);
        let theirs = world.claim(other);
        let is_claimed =
            theirs.is_some_and(|one| one.run == claim.run && matches!(one.step, ClaimStep::Drain | ClaimStep::Reboot));
        is_draining
            && is_young
            && is_claimed
            && world.machines()[other].state == Ec2State::Running
            && world.out_of_group_since(other).is_none()
    }

    fn check_part(&mut self, world: &World, machine: MachineNo, (at, part): (usize, &Part)) {
        let Some(most) = part.max_unavailable else { return };
        let cluster = world.machines()[machine].cluster;
        let size = world.machines().iter().filter(|other| other.cluster == cluster).count();
        let is_old = |at: &Timestamp| world.now().duration_since(*at) >= left_unknowable(size);
        let mut members = 0;
        let here = world.machines().iter_with_ids().filter(|(_, other)| other.cluster == cluster);
        for number in here.map(|(number, _)| number) {
            let (of, since) = self.parts.known(world, number);
            let left = self.left.get(&number);
            let counts = world.counts(number) || left.is_some_and(|at| !is_old(at));
            // One that has come, or gone, a moment ago may be counted yet.
            members += usize::from(counts && (of.contains(&at) || !is_settled(world, since)));
        }
        let out = world.clusters()[cluster].out_of_service.iter().filter(|(number, out)| {
            let (of, since) = self.parts.known(world, **number);
            let is_known = out.by == Actor::Updater || world.now().duration_since(out.since) >= UNKNOWABLE;
            world.counts(**number)
                && of.contains(&at)
                && is_settled(world, since)
                && self.started.get(number).is_none_or(is_old)
                && is_known
        });
        let (out, budget) = (out.count(), most.of(members));
        if out > budget {
            let detail =
                format!("drained as number {out} out of service of group {}, where {budget} may be", part.name);
            self.broken(world, Rule::Budget, machine, detail);
        }
    }
}

/// Whether a caller must have seen by now that a machine has come to its groups, or gone.
fn is_settled(world: &World, since: Timestamp) -> bool {
    let late = left_unknowable(world.machines().iter().count());
    since == Timestamp::MIN || world.now().duration_since(since) >= late
}
