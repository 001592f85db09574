//! The rules that an updater must keep, checked after everything that happens.
//!
//! A rule is broken by the caller, never by the world: what people do counts as given.

mod groups;
mod hooks;
mod leases;
mod limits;
mod named;
mod pacing;
mod parts;
mod rule;
mod selected;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use models::claim::{CLAIM_TAG, Claim, ClaimStep, FAILED_TAG, FailedVersions, Transport, is_exclusion};
use models::ids::{ClusterName, HostId};
use models::last::{LAST_TAG, Last};
use models::policy::{Hooks, MaxUnavailable};
use models::selection::Named;
use semver::Version;

pub(crate) use groups::kept_min_sizes;
use leases::Leases;
pub use limits::Limits;
use pacing::Paced;
pub use pacing::Pacing;
pub use parts::Part;
use parts::Parts;
pub use rule::{Rule, Violation};
use selected::Selected;

use crate::documents::Script;
use crate::host::HostEvent;
use crate::query::Filter;
use crate::world::{
    Actor, BootStep, CommandStep, Ec2State, Entry, Event, InstanceChange, InstanceStatus, LastStatus, MachineNo, Task,
    TaskNo, World,
};

/// What somebody else took out of service so short a time ago could not be known to a caller.
const UNKNOWABLE: SignedDuration = SignedDuration::from_secs(10);

/// How long a caller may take a machine for registered that has left a cluster of this size. It may list the cluster every
/// 30 s, or six for each hundred instances (docs/design.md#the-loop).
fn left_unknowable(size: usize) -> SignedDuration {
    let hundreds = i32::try_from(size.div_ceil(100)).unwrap_or(i32::MAX);
    UNKNOWABLE + SignedDuration::from_secs(30).max(SignedDuration::from_secs(6).saturating_mul(hundreds))
}

/// The checker.
#[derive(Debug, Clone, Default)]
pub struct Invariants {
    budgets: BTreeMap<ClusterName, MaxUnavailable>,
    limits: BTreeMap<ClusterName, limits::Known>,
    /// Counts no more, since when: it has no container instance any more, or its machine does not run.
    left: BTreeMap<MachineNo, Timestamp>,
    /// Switched on again, and when.
    started: BTreeMap<MachineNo, Timestamp>,
    violations: Vec<Violation>,
    drained: BTreeSet<MachineNo>,
    rebooted_with_tasks: BTreeSet<MachineNo>,
    failed_boots: BTreeMap<MachineNo, BTreeSet<Version>>,
    /// Taken back into service by somebody else after the caller's drain, and since when: what is placed there from then
    /// on the caller cannot know at once.
    taken_back: BTreeMap<MachineNo, Timestamp>,
    /// Rebooted by the caller, and no agent was heard of since.
    unproved: BTreeSet<MachineNo>,
    /// In service because the caller put it there, or left it there.
    put_back: BTreeSet<MachineNo>,
    /// The claims that stood, each with the time at which it went.
    claims_before: BTreeMap<MachineNo, Vec<(Timestamp, Claim)>>,
    /// Whose claim, if there is one, is of the caller's making.
    written: BTreeSet<MachineNo>,
    /// The claim as it is.
    claims: BTreeMap<MachineNo, Option<Claim>>,
    leases: Leases,
    /// When a reboot was claimed on it last.
    reboot_claimed: BTreeMap<MachineNo, Timestamp>,
    /// When the host accepted the caller's newest request to reboot.
    accepted: BTreeMap<MachineNo, Timestamp>,
    /// Since when somebody excludes it; those that were excluded from the start are missing.
    excluded: BTreeMap<MachineNo, Timestamp>,
    /// What ran on a machine when its group chose it for a scale-in that the caller caused.
    chosen: BTreeMap<MachineNo, Vec<TaskNo>>,
    selected: Selected,
    paced: Paced,
    parts: Parts,
    hooks: hooks::Asked,
}

/// A look at the whole cluster may be this old when an instance is staged.
const STAGED_BY_AN_OLD_LOOK: SignedDuration = SignedDuration::from_mins(2);

impl Invariants {
    /// How many machines of a cluster may be out of service at once; 1 where nothing was said. A percentage is one of the
    /// machines that are registered at the time.
    pub fn set_budget(&mut self, cluster: impl Into<ClusterName>, most: MaxUnavailable) {
        self.budgets.insert(cluster.into(), most);
    }

    /// A call of the caller's was refused, or not answered at once.
    pub(crate) fn see_trouble(&mut self, call: &str, now: Timestamp) {
        self.hooks.troubled(now);
        self.parts.troubled(call, now);
    }

    /// Which instances of a cluster may be begun; all where nothing was said.
    pub fn set_select(&mut self, cluster: impl Into<ClusterName>, select: Option<Filter>) {
        self.selected.set_select(cluster.into(), select);
    }

    /// How far a release may go in a cluster; as far as it likes where nothing was said.
    pub fn set_pacing(&mut self, cluster: impl Into<ClusterName>, pacing: Pacing) {
        self.paced.tell(cluster.into(), pacing);
    }

    /// Which functions have to allow which steps in a cluster; none where nothing was said.
    pub fn set_hooks(&mut self, cluster: impl Into<ClusterName>, hooks: Hooks) {
        self.hooks.tell(cluster.into(), hooks);
    }

    /// The instances that are named for the run that begins now.
    pub(crate) fn set_named(&mut self, world: &World, named: Named) {
        self.selected.set_named(world, named);
        self.parts.begin(world);
    }

    /// Which versions may be installed in a cluster from now on; any where nothing was said.
    pub fn set_limits(&mut self, cluster: impl Into<ClusterName>, limits: Limits, now: Timestamp) {
        let cluster = cluster.into();
        let known = limits::Known::next(self.limits.get(&cluster), limits, now);
        self.limits.insert(cluster, known);
    }

    /// What was broken so far.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Looks at something that has just happened.
    pub(crate) fn seen(&mut self, world: &World, entry: &Entry) {
        self.violations.extend(self.leases.see(world, &entry.event));
        self.follow_status(world, &entry.event);
        if let Some(machine) = entry.event.machine() {
            self.selected.follow(world, machine, entry.at);
            self.parts.follow(world, machine, entry.at);
        }
        match &entry.event {
            Event::Instance { machine, change: InstanceChange::Status { to, by, .. } } => {
                self.see_status(world, *machine, (*to, *by));
            }
            Event::Instance { machine, change: InstanceChange::InGroup { state } } => {
                self.see_scale_in(world, *machine, state);
            }
            Event::Instance { machine, change: InstanceChange::Tagged { key, value, by: Actor::Updater } } => {
                if let Some(what) = named::wrong(world, *machine, key, value) {
                    self.broken(world, Rule::Claim, *machine, what);
                }
            }
            Event::Boot { machine, step } => self.see_boot(world, *machine, step),
            Event::Host { machine, event } => self.see_host(*machine, event),
            Event::AgentActs { machine, action } => self.check_agent(world, *machine, action),
            Event::Tag { machine, key, value, by } => self.see_tag(world, *machine, (key, value.as_deref(), *by)),
            Event::Command {
                machine,
                step:
                    CommandStep::Sent {
                        script: script @ (Script::Stage | Script::Reboot | Script::Revert),
                        by: Actor::Updater,
                    },
                ..
            } => {
                self.check_claim(world, *machine, &format!("{script:?}"));
                if *script == Script::Stage
                    && let Some(detail) = self.hooks.stages(world, *machine)
                {
                    self.broken(world, Rule::Hook, *machine, detail);
                }
            }
            Event::Ec2State { machine, to: Ec2State::Stopping | Ec2State::ShuttingDown } => {
                self.left.insert(*machine, world.now());
            }
            Event::Ec2State { machine, to: Ec2State::Running } => {
                self.started.insert(*machine, world.now());
            }
            Event::Hooked(hooked) => self.hooks.answered(world.now(), hooked),
            Event::Instance { .. } | Event::Task { .. } | Event::Ec2State { .. } | Event::Command { .. } => {}
            Event::Service { .. } | Event::Group { .. } | Event::Stored { .. } | Event::Scripted { .. } => {}
        }
    }

    fn see_status(&mut self, world: &World, machine: MachineNo, (to, by): (InstanceStatus, Actor)) {
        match (to, by) {
            (InstanceStatus::Inactive, _) => {
                self.left.insert(machine, world.now());
            }
            (InstanceStatus::Draining, Actor::Updater) => {
                self.drained.insert(machine);
                self.taken_back.remove(&machine);
                self.check_draining_claim(world, machine);
                self.check_budget(world, machine);
                self.check_parts(world, machine);
                self.check_order(world, machine, "drained", UNKNOWABLE);
                self.check_excluded(world, machine);
                self.check_paused(world, machine);
                self.check_drained_for(world, machine);
                self.check_traps(world, machine);
                self.check_selected(world, machine, "drained", UNKNOWABLE);
                self.check_group(world, machine, "drained", world.now());
                if let Some(detail) = self.hooks.drained(world, machine) {
                    self.broken(world, Rule::Hook, machine, detail);
                }
                for (rule, detail) in self.paced.drained(world, machine) {
                    self.broken(world, rule, machine, detail);
                }
            }
            (InstanceStatus::Active, Actor::Person | Actor::World) => {
                self.taken_back.insert(machine, world.now());
            }
            (InstanceStatus::Active, Actor::Updater) => {
                self.check_group(world, machine, "set ACTIVE", world.now());
                self.paced.put_back(world, machine);
                if let Some(detail) = self.hooks.put_back(world, machine) {
                    self.broken(world, Rule::Hook, machine, detail);
                }
                if world.registration_of(machine).is_some_and(|registration| registration.foreign_drain) {
                    self.broken(world, Rule::ForeignDrain, machine, "set ACTIVE although a person drained it".into());
                }
                if self.unproved.remove(&machine) {
                    let detail = "set ACTIVE after its reboot although its agent has not come up".to_owned();
                    self.broken(world, Rule::Unverified, machine, detail);
                }
            }
            (InstanceStatus::Draining, Actor::Person | Actor::World) => {}
        }
    }

    fn see_boot(&mut self, world: &World, machine: MachineNo, step: &BootStep) {
        match step {
            BootStep::Accepted { by: Actor::Updater } => {
                self.check_claim(world, machine, "reboot");
                self.check_next(world, machine);
                let asked = self.reboot_claimed.get(&machine).copied().unwrap_or(world.now());
                self.check_group(world, machine, "rebooted", asked);
                self.check_target(world, machine);
                self.accepted.insert(machine, world.now());
                if let Some(detail) = self.hooks.reboots(world, machine).filter(|_| self.written.contains(&machine)) {
                    self.broken(world, Rule::Hook, machine, detail);
                }
                self.check_tasks(world, machine, UNKNOWABLE);
                self.check_not_put_back(world, machine);
            }
            BootStep::Begins { by: Actor::Updater } => {
                self.unproved.insert(machine);
                self.paced.rebooted(machine);
                self.hooks.goes_down(machine);
                self.check_not_put_back(world, machine);
                if !self.rebooted_with_tasks.contains(&machine) {
                    self.check_tasks(world, machine, SignedDuration::MAX);
                }
            }
            BootStep::Activated { version } => {
                self.check_version(world, machine, version);
                self.check_limits(world, machine, version);
            }
            BootStep::Accepted { by: Actor::Person | Actor::World }
            | BootStep::Begins { by: Actor::Person | Actor::World } => {}
        }
    }

    fn see_host(&mut self, machine: MachineNo, event: &HostEvent) {
        match event {
            HostEvent::BootFailed { version, .. } => {
                self.failed_boots.entry(machine).or_default().insert(version.clone());
            }
            HostEvent::Booted { .. } => {
                self.rebooted_with_tasks.remove(&machine);
            }
            HostEvent::EcsAgentUp { .. } => {
                self.unproved.remove(&machine);
            }
            HostEvent::CommandEnded { .. }
            | HostEvent::WorkerKilled { .. }
            | HostEvent::SettingsApplied { .. }
            | HostEvent::WentDown { .. }
            | HostEvent::WentDark { .. }
            | HostEvent::SsmAgentUp { .. } => {}
        }
    }

    fn see_tag(&mut self, world: &World, machine: MachineNo, (key, value, by): (&str, Option<&str>, Actor)) {
        match key {
            CLAIM_TAG => {
                if by == Actor::Updater {
                    self.written.insert(machine);
                } else {
                    self.written.remove(&machine);
                }
                let claim: Option<Claim> = value.and_then(|value| value.parse().ok());
                if let Some(claim) = claim.as_ref().filter(|one| by == Actor::Updater && one.step == ClaimStep::Stage) {
                    self.check_selected(world, machine, "claimed to be staged", STAGED_BY_AN_OLD_LOOK);
                    let before = self.claims.get(&machine).and_then(Option::as_ref);
                    let is_new = before.is_none_or(|before| {
                        (&before.run, &before.to, before.step) != (&claim.run, &claim.to, claim.step)
                    });
                    if is_new {
                        self.check_order(world, machine, "claimed to be staged", STAGED_BY_AN_OLD_LOOK);
                    }
                }
                if claim.as_ref().is_some_and(|claim| claim.step.needs_boot()) {
                    self.reboot_claimed.insert(machine, world.now());
                }
                if let Some(claim) = claim.as_ref().filter(|one| by == Actor::Updater && one.step == ClaimStep::Reboot)
                {
                    let before = self.claims.get(&machine).and_then(Option::as_ref);
                    if before.is_none_or(|before| before.step != ClaimStep::Reboot) {
                        self.hooks.claims_reboot(world, machine, claim);
                    }
                }
                if by == Actor::Updater && claim.is_none() {
                    self.paced.let_go(machine);
                }
                if let Some(before) = self.claims.insert(machine, claim).flatten() {
                    self.claims_before.entry(machine).or_default().push((world.now(), before));
                }
            }
            LAST_TAG if by == Actor::Person => self.paced.told_otherwise(machine),
            LAST_TAG => {
                let last = value.and_then(|value| value.parse::<Last>().ok());
                if last.is_some_and(|last| last.is_failure()) {
                    self.parts.given_up(machine, world.now());
                }
            }
            FAILED_TAG if by == Actor::Person => {
                let kept = FailedVersions::parse(value.unwrap_or_default());
                if let Some(failed) = self.failed_boots.get_mut(&machine) {
                    failed.retain(|version| kept.contains(version));
                }
            }
            key if is_exclusion(key) => {
                if exclusion(world, machine).is_some() {
                    self.excluded.entry(machine).or_insert(world.now());
                } else {
                    self.excluded.remove(&machine);
                }
            }
            _ => {}
        }
    }

    /// The rules of the end of a run. `named` are the hosts that the report gives another outcome than updated or
    /// current.
    pub(crate) fn finish(&mut self, world: &World, named: &BTreeSet<HostId>) {
        for machine in self.drained.clone() {
            let id = HostId::from(world.machines()[machine].id.as_str());
            let registration = world.registration_of(machine);
            let status = registration.map_or(InstanceStatus::Inactive, |registration| registration.status);
            let foreign = registration.is_some_and(|registration| registration.foreign_drain);
            let left = match status {
                InstanceStatus::Active => false,
                InstanceStatus::Draining => !foreign,
                InstanceStatus::Inactive => true,
            };
            if left && !named.contains(&id) {
                let detail = format!("was drained, is {} and is not named in the report", status.name());
                self.broken(world, Rule::LeftBehind, machine, detail);
            }
        }
        for (number, machine) in world.machines().iter_with_ids() {
            let claim = machine.tags.get(CLAIM_TAG).filter(|claim| !self.is_of_others(world, number, claim));
            let is_kept = world.out_of_group_since(number).is_some();
            if let Some(claim) = claim.filter(|_| world.is_in_service(number) && !is_kept) {
                self.broken(world, Rule::ClaimLeft, number, format!("is in service with the claim {claim}"));
            }
        }
    }

    /// Whether the claim cannot be of a caller's making, in this run or an earlier one: somebody else wrote it, and it is
    /// malformed or has an epoch that no lease has had. It is not the caller's to remove.
    fn is_of_others(&self, world: &World, machine: MachineNo, claim: &str) -> bool {
        let cluster = &world.clusters()[world.machines()[machine].cluster].name;
        let is_believable = claim.parse::<Claim>().is_ok_and(|claim| {
            let highest = self.leases.epoch(cluster);
            claim.epoch.zip(highest).is_none_or(|(epoch, highest)| i128::from(epoch.number()) <= highest)
        });
        !is_believable && !self.written.contains(&machine)
    }

    /// What is dead, and what others have stopped, takes no place: the caller can read both from EC2.
    fn check_budget(&mut self, world: &World, machine: MachineNo) {
        let cluster = &world.clusters()[world.machines()[machine].cluster];
        let most = self.budgets.get(&ClusterName::from(cluster.name.as_str())).copied();
        let budget = most.unwrap_or(MaxUnavailable::Count(1)).of(self.known_size(world, machine));
        let size = world.machines().iter().filter(|other| other.cluster == world.machines()[machine].cluster).count();
        let is_old = |at: &Timestamp| world.now().duration_since(*at) >= left_unknowable(size);
        let knowable = cluster
            .out_of_service
            .iter()
            .filter(|(number, _)| world.counts(**number) && self.started.get(number).is_none_or(is_old))
            .filter(|(_, out)| out.by == Actor::Updater || world.now().duration_since(out.since) >= UNKNOWABLE)
            .count();
        if knowable > budget {
            let name = &cluster.name;
            let detail = format!("drained as number {knowable} out of service in {name}, where {budget} may be");
            self.broken(world, Rule::Budget, machine, detail);
        }
    }

    /// The machines in this one's cluster that a percentage counts, as far as a caller can know.
    fn known_size(&self, world: &World, machine: MachineNo) -> usize {
        let cluster = world.machines()[machine].cluster;
        let machines = world.machines().iter().filter(|other| other.cluster == cluster).count();
        let late = left_unknowable(machines);
        let is_known = |number: MachineNo| {
            let left = self.left.get(&number);
            world.counts(number) || left.is_some_and(|at| world.now().duration_since(*at) < late)
        };
        let here = world.machines().iter_with_ids().filter(|(_, other)| other.cluster == cluster);
        here.filter(|(number, _)| is_known(*number)).count()
    }

    fn check_draining_claim(&mut self, world: &World, machine: MachineNo) {
        match parsed_claim(world, machine) {
            Ok(claim) if claim.step.takes_out_of_service() => {}
            Ok(claim) => self.broken(world, Rule::Claim, machine, format!("drained with the claim {claim}")),
            Err(why) => self.broken(world, Rule::Claim, machine, format!("drained: {why}")),
        }
    }

    /// What the caller has left in service: it set it ACTIVE, or took its claim off one that somebody else had. Its drain
    /// is over then; what becomes of the machine later is another matter.
    fn follow_status(&mut self, world: &World, event: &Event) {
        if let Event::Tag { machine, key, value: None, by: Actor::Updater } = event
            && key == CLAIM_TAG
            && world.registration_of(*machine).is_some_and(|known| known.status == InstanceStatus::Active)
        {
            self.put_back.insert(*machine);
            self.drained.remove(machine);
        }
        if let Event::Instance { machine, change: InstanceChange::Status { to, by, .. } } = event {
            match (to, by) {
                (InstanceStatus::Active, Actor::Updater) => {
                    self.drained.remove(machine);
                    self.put_back.insert(*machine)
                }
                (InstanceStatus::Active | InstanceStatus::Draining | InstanceStatus::Inactive, _) => {
                    self.put_back.remove(machine)
                }
            };
        }
    }

    fn check_not_put_back(&mut self, world: &World, machine: MachineNo) {
        if self.put_back.contains(&machine) {
            let detail = "rebooted although it was put back, or left, in service".to_owned();
            self.broken(world, Rule::RebootInService, machine, detail);
        }
    }

    /// What the agent on a host does, it does for a claim that is told by its way; and it reboots for one that asks for
    /// it, or, back to the old version, for one that has had its reboot. It cannot know of a change that its metadata
    /// service does not show yet.
    fn check_agent(&mut self, world: &World, machine: MachineNo, action: &str) {
        let host = &world.machines()[machine].host;
        let fits = |claim: &Claim| {
            let in_its_boot = claim.is_for(&host.boot_id().into());
            claim.transport == Transport::Bridge
                && match claim.step {
                    ClaimStep::Reboot => in_its_boot || *host.running_version() == claim.to,
                    ClaimStep::Revert => in_its_boot,
                    ClaimStep::Stage | ClaimStep::Drain | ClaimStep::Cancel => action != "/actions/reboot",
                }
        };
        let known = UNKNOWABLE.max(world.spec.metadata_lag);
        let recent = |(until, _): &&(Timestamp, Claim)| world.now().duration_since(*until) <= known;
        let mut stood = self.claims_before.get(&machine).into_iter().flatten().filter(recent);
        let standing = world.claim(machine);
        if !standing.as_ref().is_some_and(fits) && !stood.any(|(_, claim)| fits(claim)) {
            let standing = standing.map_or("none".to_owned(), |claim| claim.to_string());
            self.broken(world, Rule::Claim, machine, format!("the host bridge did {action}; the claim is {standing}"));
        }
    }

    /// Somebody's wish keeps an instance in service; one that is on its way back to the old version is drained all the
    /// same.
    fn check_excluded(&mut self, world: &World, machine: MachineNo) {
        let tag = exclusion(world, machine);
        let known = |since: &Timestamp| world.now().duration_since(*since) >= UNKNOWABLE;
        let halfway = world.claim(machine).is_some_and(|claim| !claim.boots.is_empty());
        if let Some(note) = tag.filter(|_| !halfway && self.excluded.get(&machine).is_none_or(known)) {
            self.broken(world, Rule::Excluded, machine, format!("drained although it is excluded: {note}"));
        }
    }

    /// The same for the cluster.
    fn check_paused(&mut self, world: &World, machine: MachineNo) {
        let cluster = &world.clusters()[world.machines()[machine].cluster];
        let known = cluster.paused_since.is_some_and(|since| world.now().duration_since(since) >= UNKNOWABLE);
        let halfway = world.claim(machine).is_some_and(|claim| !claim.boots.is_empty());
        if known && !halfway {
            self.broken(world, Rule::Paused, machine, "drained although the cluster is paused".to_owned());
        }
    }

    /// Nothing that runs here may come to a machine that does not run, and that ECS takes for connected still.
    fn check_traps(&mut self, world: &World, machine: MachineNo) {
        let cluster = world.machines()[machine].cluster;
        let late = left_unknowable(world.machines().iter().filter(|other| other.cluster == cluster).count());
        let is_known = |trap: &MachineNo| self.left.get(trap).is_some_and(|at| world.now().duration_since(*at) >= late);
        let dead = world.machines().iter_with_ids().filter(|(number, other)| {
            other.cluster == cluster && other.state != Ec2State::Running && !world.ec2_hides(*number)
        });
        let halfway = world.claim(machine).is_some_and(|claim| !claim.boots.is_empty());
        let mut traps = dead.map(|(number, _)| number).filter(|number| is_known(number) && !halfway);
        if let Some(trap) = traps.find(|trap| world.could_move(machine, *trap)) {
            let id = &world.machines()[trap].id;
            let detail = format!("drained while ECS would place its tasks on {id}, which does not run");
            self.broken(world, Rule::PlacedOnDead, machine, detail);
        }
    }

    /// Nothing is begun on what a person has not selected.
    fn check_selected(&mut self, world: &World, machine: MachineNo, what: &str, unknowable: SignedDuration) {
        let Some(since) = self.selected.unselected_since(machine) else { return };
        let halfway = world.claim(machine).is_some_and(|claim| !claim.boots.is_empty());
        let is_known = since == Timestamp::MIN || world.now().duration_since(since) >= unknowable;
        if is_known && !halfway {
            self.broken(world, Rule::Selected, machine, format!("{what} although it is not selected"));
        }
    }

    fn check_claim(&mut self, world: &World, machine: MachineNo, what: &str) {
        if let Err(why) = parsed_claim(world, machine) {
            self.broken(world, Rule::Claim, machine, format!("{what}: {why}"));
        }
    }

    /// What was placed since somebody else took the instance back is no task that the caller should have known of, where
    /// that was less than `unknowable` ago; once a reboot is accepted nobody can call it off. The same with what somebody
    /// started there by its name. What the host's agent has not heard of is not on the host.
    fn check_tasks(&mut self, world: &World, machine: MachineNo, unknowable: SignedDuration) {
        let taken_back = self.taken_back.get(&machine).copied();
        let excused = taken_back.filter(|since| world.now().duration_since(*since) < unknowable);
        let accepted = self.accepted.get(&machine).copied().unwrap_or(world.now());
        let by_hand = |task: &Task| task.service.is_none() && accepted.duration_since(task.created_at) < UNKNOWABLE;
        let left: Vec<String> = world.machines()[machine]
            .registrations
            .iter()
            .flat_map(|number| &world.registrations[*number].tasks)
            .map(|task| &world.tasks()[*task])
            .filter(|task| task.last != LastStatus::Stopped && task.heard_of && !by_hand(task))
            .filter(|task| excused.is_none_or(|since| task.created_at < since))
            .map(|task| format!("{} of {} is {}", task.arn, task.group, task.last.name()))
            .collect();
        if !left.is_empty() {
            self.rebooted_with_tasks.insert(machine);
            self.broken(world, Rule::TasksOnReboot, machine, left.join("; "));
        }
    }

    fn check_version(&mut self, world: &World, machine: MachineNo, version: &Version) {
        let tag = world.machines()[machine].tags.get(FAILED_TAG);
        let marked = tag.is_some_and(|tag| FailedVersions::parse(tag).contains(version));
        let failed = self.failed_boots.get(&machine).is_some_and(|failed| failed.contains(version));
        if marked || failed {
            let why = if marked { "is marked as failed here" } else { "has failed to boot here" };
            self.broken(world, Rule::FailedVersion, machine, format!("activated {version}, which {why}"));
        }
    }

    /// What is activated when a reboot is accepted.
    fn check_next(&mut self, world: &World, machine: MachineNo) {
        let host = &world.machines()[machine].host;
        let next = host.disk().next().and_then(|set| host.disk().sets()[set].image.as_ref());
        if let Some(version) = next.map(|image| image.version.clone()).filter(|next| next != host.running_version()) {
            self.check_limits(world, machine, &version);
        }
    }

    fn check_limits(&mut self, world: &World, machine: MachineNo, version: &Version) {
        let cluster = &world.clusters()[world.machines()[machine].cluster];
        let known = self.limits.get(&ClusterName::from(cluster.name.as_str()));
        if let Some(why) = known.and_then(|known| known.objection(world, machine, version)) {
            self.broken(world, Rule::Unwanted, machine, format!("{version} is the next to boot, which {why}"));
        }
    }

    /// Nothing goes back before the release is skipped, and nothing forward to a release that is.
    fn check_drained_for(&mut self, world: &World, machine: MachineNo) {
        let cluster = &world.clusters()[world.machines()[machine].cluster];
        let known = self.limits.get(&ClusterName::from(cluster.name.as_str()));
        if let Some(why) = known.and_then(|known| known.drained_in_vain(world, machine)) {
            self.broken(world, Rule::Unwanted, machine, why);
        }
    }

    fn broken(&mut self, world: &World, rule: Rule, machine: MachineNo, detail: String) {
        let instance = HostId::from(world.machines()[machine].id.as_str());
        tracing::warn!(%instance, ?rule, detail, "an invariant was broken");
        self.violations.push(Violation { at: world.now(), rule, instance, detail });
    }
}

/// Returns the value of a tag that excludes the machine: any but `false` (`docs/operations.md`).
fn exclusion(world: &World, machine: MachineNo) -> Option<&String> {
    let mut tags = world.machines()[machine].tags.iter();
    let (_, note) = tags.find(|(key, note)| is_exclusion(key) && !note.eq_ignore_ascii_case("false"))?;
    Some(note)
}

fn parsed_claim(world: &World, machine: MachineNo) -> Result<Claim, String> {
    let tag = world.machines()[machine].tags.get(CLAIM_TAG).ok_or("there is no claim on it")?;
    tag.parse().map_err(|error| format!("the claim {tag:?} is malformed: {error}"))
}
