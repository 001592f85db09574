//! No step is taken that a function of the user's has not allowed, where the run at work was told of one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use models::claim::{Claim, ClaimStep};
use models::ids::ClusterName;
use models::policy::{Hooks, OnHookError};

use crate::world::{Hooked, MachineNo, World};

/// What a function has allowed is done so soon: its word is good for five minutes, and a call takes its time.
const ALLOWED_FOR: SignedDuration = SignedDuration::from_mins(6);
/// The same where calls were refused or not answered a moment ago, which are tried again: those of one act, a few minutes at most.
const ALLOWED_FOR_TRIES: SignedDuration = SignedDuration::from_mins(12);

/// What functions have allowed, and what was begun by it.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    told: BTreeMap<ClusterName, Hooks>,
    /// What was allowed, by the machine and the step.
    allowed: BTreeMap<(MachineNo, String), Allowed>,
    /// Where a reboot was claimed without a word for it.
    unasked: BTreeSet<MachineNo>,
    /// The runs that were allowed to begin in a cluster.
    begun: BTreeSet<(String, String)>,
    /// When a call of the caller's was last refused, or not answered at once.
    troubled: Option<Timestamp>,
    /// The claim of the newest drain of the caller on a machine.
    drained: BTreeMap<MachineNo, Claim>,
}

/// A function's ok.
#[derive(Debug, Clone)]
struct Allowed {
    at: Timestamp,
    /// What it was asked about: cluster, instance, versions and step.
    key: String,
}

impl Asked {
    pub(super) fn tell(&mut self, cluster: ClusterName, hooks: Hooks) {
        self.told.insert(cluster, hooks);
    }

    /// A call of the caller's was refused, or not answered at once.
    pub(super) fn troubled(&mut self, now: Timestamp) {
        self.troubled = Some(now);
    }

    /// A function has answered.
    pub(super) fn answered(&mut self, now: Timestamp, hooked: &Hooked) {
        let told = self.told.get(&ClusterName::from(hooked.cluster.as_str()));
        let is_forgiven = told.is_some_and(|hooks| hooks.on_error == OnHookError::Continue);
        let is_allowed = hooked.ok || (hooked.error && is_forgiven);
        match hooked.machine {
            Some(machine) if is_allowed => {
                self.allowed.insert((machine, hooked.step.clone()), Allowed { at: now, key: hooked.key.clone() });
            }
            Some(machine) => {
                self.allowed.remove(&(machine, hooked.step.clone()));
            }
            None if is_allowed && hooked.step == "before_run" => {
                self.begun.insert((hooked.cluster.clone(), hooked.run.clone()));
            }
            None => {}
        }
    }

    fn hooks(&self, world: &World, machine: MachineNo) -> Option<&Hooks> {
        self.told.get(&ClusterName::from(world.clusters()[world.machines()[machine].cluster].name.as_str()))
    }

    /// Whether the step of this update was allowed a short time ago; it was not where no function was to be asked.
    fn is_allowed(&self, world: &World, machine: MachineNo, claim: &Claim, step: &str) -> bool {
        let Some(allowed) = self.allowed.get(&(machine, step.to_owned())) else { return false };
        let cluster = &world.clusters()[world.machines()[machine].cluster].name;
        let (host, Claim { from, to, .. }) = (&world.machines()[machine].id, claim);
        let lasts = |since: Timestamp| world.now().duration_since(since);
        let is_tried_again =
            self.troubled.is_some_and(|troubled| troubled >= allowed.at && lasts(troubled) <= ALLOWED_FOR);
        let allowed_for = if is_tried_again { ALLOWED_FOR_TRIES } else { ALLOWED_FOR };
        lasts(allowed.at) <= allowed_for && allowed.key == format!("{cluster}/{host}/{from}/{to}/{step}")
    }

    /// The caller has an image written to a machine. Returns what is wrong with that.
    pub(super) fn stages(&self, world: &World, machine: MachineNo) -> Option<String> {
        let claim = world.claim(machine).filter(|claim| claim.step == ClaimStep::Stage)?;
        let is_asked = self.hooks(world, machine)?.before_run.is_some();
        let cluster = &world.clusters()[world.machines()[machine].cluster].name;
        let was_allowed = self.begun.contains(&(cluster.clone(), claim.run.to_string()));
        (is_asked && !was_allowed)
            .then(|| "staged although the function of before_run has not allowed the run".to_owned())
    }

    /// The caller has set a machine DRAINING. Returns what is wrong with that.
    pub(super) fn drained(&mut self, world: &World, machine: MachineNo) -> Option<String> {
        let claim = world.claim(machine).filter(|claim| claim.step == ClaimStep::Drain)?;
        let before = self.drained.insert(machine, claim.clone());
        if before.is_some_and(|before| (&before.run, &before.to) == (&claim.run, &claim.to)) {
            return None;
        }
        let hooks = self.hooks(world, machine)?;
        let cluster = &world.clusters()[world.machines()[machine].cluster].name;
        let run = (cluster.clone(), claim.run.to_string());
        let wrong = if hooks.before_run.is_some() && !self.begun.contains(&run) {
            Some("drained although the function of before_run has not allowed the run".to_owned())
        } else if hooks.before_drain.is_some() && !self.is_allowed(world, machine, &claim, "before_drain") {
            Some("drained although the function of before_drain has not allowed it".to_owned())
        } else {
            None
        };
        for step in ["before_drain", "before_reboot", "before_active"] {
            self.allowed.remove(&(machine, step.to_owned()));
        }
        self.unasked.remove(&machine);
        wrong
    }

    /// The caller claims a reboot: the first of a drain, which the word has to be fresh for. A host may have to be asked for it more
    /// than once.
    pub(super) fn claims_reboot(&mut self, world: &World, machine: MachineNo, claim: &Claim) {
        let is_asked = self.hooks(world, machine).is_some_and(|hooks| hooks.before_reboot.is_some());
        if is_asked && !self.is_allowed(world, machine, claim, "before_reboot") {
            self.unasked.insert(machine);
        } else {
            self.unasked.remove(&machine);
        }
    }

    /// A host has accepted a reboot that the caller has claimed. Returns what is wrong with that. The way back to the old version
    /// asks nobody.
    pub(super) fn reboots(&self, world: &World, machine: MachineNo) -> Option<String> {
        world.claim(machine).filter(|claim| claim.step == ClaimStep::Reboot && self.unasked.contains(&machine))?;
        Some("rebooted although the function of before_reboot has not allowed it".to_owned())
    }

    /// A machine goes down for the caller: what was said of it before says nothing of the new boot.
    pub(super) fn goes_down(&mut self, machine: MachineNo) {
        self.allowed.remove(&(machine, "before_active".to_owned()));
    }

    /// The caller has set a machine ACTIVE. Returns what is wrong with that.
    pub(super) fn put_back(&mut self, world: &World, machine: MachineNo) -> Option<String> {
        let drained = self.drained.remove(&machine);
        let claim = world.claim(machine).or(drained)?;
        let is_asked = self.hooks(world, machine)?.before_active.is_some();
        let is_updated = *world.machines()[machine].host.running_version() == claim.to && claim.to != claim.from;
        let was_allowed = self.is_allowed(world, machine, &claim, "before_active");
        (is_asked && is_updated && !was_allowed)
            .then(|| format!("set ACTIVE on {} although the function of before_active has not allowed it", claim.to))
    }
}
