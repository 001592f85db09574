//! The groups of a cluster's instances, as the run at work was told: their budgets, and their order.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use models::claim::Claim;
use models::ids::{ClusterName, GroupName};
use models::policy::MaxUnavailable;

use super::{Invariants, Rule, UNKNOWABLE, left_unknowable};
use crate::query::{Extra, Filter};
use crate::world::{Actor, Ec2State, InstanceStatus, MachineNo, World};

/// For so long after its drain an instance that is DRAINING cannot have been given up.
const NOT_GIVEN_UP: SignedDuration = SignedDuration::from_mins(3);
/// The call by which a run says that it has given an instance up.
const SAYS_SO: &str = "ec2:CreateTags";

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
    /// When a run last said that an update of a machine failed.
    given_up: BTreeMap<MachineNo, Timestamp>,
    /// When it could not say so, or may not have been able to.
    unsaid: Option<Timestamp>,
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

    /// A call of the caller's was refused, or not answered at once.
    pub(super) fn troubled(&mut self, call: &str, now: Timestamp) {
        if call == SAYS_SO {
            self.unsaid = Some(now);
        }
    }

    /// The caller has said that an update of the machine failed.
    pub(super) fn given_up(&mut self, machine: MachineNo, now: Timestamp) {
        self.given_up.insert(machine, now);
    }

    /// Whether a machine that is out of service since then may have been given up.
    fn may_be_given_up(&self, machine: MachineNo, since: Timestamp, now: Timestamp) -> bool {
        let is_said = self.given_up.get(&machine).is_some_and(|at| *at >= since);
        let is_unsaid = self.unsaid.is_some_and(|at| at >= since) && now.duration_since(since) >= NOT_GIVEN_UP;
        is_said || is_unsaid
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

    /// A machine that was drained has a place in the budget of its group, and is in one group alone.
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
    }

    /// Nothing is begun on a machine while one of a group with a lower order is under way. What has come to its groups less than
    /// `unknowable` ago nobody could know. A way back has no order.
    pub(super) fn check_order(&mut self, world: &World, machine: MachineNo, what: &str, unknowable: SignedDuration) {
        let parts = self.parts.of_cluster(world, machine);
        let (are, since) = self.parts.known(world, machine);
        let is_known = since == Timestamp::MIN || world.now().duration_since(since) >= unknowable;
        let claim = world.claim(machine).filter(|claim| claim.to > claim.from && claim.boots.is_empty());
        let Some(claim) = claim.filter(|_| !parts.is_empty() && is_known && are.len() < 2) else { return };
        let order = |are: &[usize]| are.first().map_or(0, |at| parts[*at].order);
        let own = order(&are);
        let is_earlier = |other: MachineNo| {
            let (of, since) = self.parts.known(world, other);
            let is_of_cluster = world.machines()[other].cluster == world.machines()[machine].cluster;
            is_of_cluster && of.len() < 2 && order(&of) < own && is_settled(world, since)
        };
        let mut others = self.drained.iter().copied();
        let Some(other) = others.find(|other| is_earlier(*other) && self.is_under_way(world, *other, &claim)) else {
            return;
        };
        let id = &world.machines()[other].id;
        let detail = format!("{what} while {id}, of a group with a lower order, is under way");
        self.broken(world, Rule::Order, machine, detail);
    }

    /// Whether a machine is surely in the middle of an update, and the run knows of it whose claim this is: it is DRAINING with a
    /// claim of the caller's, and no run has given it up and left it so. Of what another run has drained, it knows from its looks.
    fn is_under_way(&self, world: &World, other: MachineNo, claim: &Claim) -> bool {
        let registration = world.registration_of(other);
        let is_draining = registration.is_some_and(|one| one.status == InstanceStatus::Draining && !one.foreign_drain);
        let out = world.clusters()[world.machines()[other].cluster].out_of_service.get(&other);
        let (Some(out), Some(theirs)) = (out.filter(|_| is_draining), world.claim(other)) else { return false };
        let is_known = theirs.run == claim.run || is_settled(world, out.since);
        is_known
            && self.written.contains(&other)
            && theirs.step.takes_out_of_service()
            && !self.parts.may_be_given_up(other, out.since, world.now())
            && world.machines()[other].state == Ec2State::Running
            && !world.ec2_hides(other)
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
