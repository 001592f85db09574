//! The sizes of Auto Scaling groups with managed scaling: what they launch, what they end, and what is protected from that
//! (docs/facts/auto-scaling.md#managed-scaling).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::World;
use super::ids::MachineNo;
use super::log::Event;
use super::machine::{Ec2State, IN_SERVICE};
use super::queue::Due;
use super::registration::InstanceStatus;
use crate::scenario::{TerminationPolicy, Unprotects};

/// The size of a group.
#[derive(Debug, Clone, Default)]
pub(crate) struct GroupSize {
    /// `DesiredCapacity`.
    pub(crate) desired: usize,
    /// Launched, and not yet registered.
    launching: usize,
    /// When instances that were launched registered.
    registered: Vec<Timestamp>,
    /// How many were launched and how many were scaled in since the start.
    pub(crate) launched: usize,
    pub(crate) scaled_in: usize,
    /// Whether the updater caused the newest scale-in.
    by_updater: bool,
}

impl World {
    /// Begins to keep the size of a provider's group. All its instances are protected from scale-in at first, where that is on.
    pub(super) fn begin_group(&mut self, provider: &str) {
        let Some(group) = self.group_of_provider(provider).map(str::to_owned) else { return };
        let protects = self.providers.get(provider).is_some_and(|provider| provider.termination_protection);
        let members: Vec<MachineNo> = self.members(&group).collect();
        for member in &members {
            self.machines[*member].in_group.protected = protects;
        }
        self.sizes.insert(group, GroupSize { desired: members.len(), ..GroupSize::default() });
    }

    /// The size of a group, where its capacity provider has managed scaling.
    pub(crate) fn size_of(&self, group: &str) -> Option<&GroupSize> {
        self.sizes.get(group)
    }

    /// `MinSize` and `MaxSize` of a group: nothing, and twice its machines at the start, where they are not said.
    pub(crate) fn bounds_of(&self, group: &str) -> (usize, usize) {
        let spec = self.group(group);
        let of_scenario = |machine: &&super::Machine| {
            machine.instance.asg.as_deref() == Some(group) && machine.launched_at <= self.start
        };
        let had = self.machines.iter().filter(of_scenario).count();
        (spec.min_size.unwrap_or(0), spec.max_size.unwrap_or(2 * had.max(1)))
    }

    /// The machines that count in the desired capacity.
    fn members<'a>(&'a self, group: &'a str) -> impl Iterator<Item = MachineNo> + 'a {
        let is_member = move |(_, machine): &(MachineNo, &super::Machine)| {
            let state = machine.in_group.state.as_str();
            machine.instance.asg.as_deref() == Some(group)
                && machine.state == Ec2State::Running
                && !state.starts_with("Terminating")
                && !state.starts_with("Warmed:")
                && !state.starts_with("Detach")
        };
        self.machines.iter_with_ids().filter(is_member).map(|(number, _)| number)
    }

    pub(super) fn desired(&self, group: &str) -> usize {
        self.sizes.get(group).map_or(0, |size| size.desired)
    }

    pub(super) fn launching(&self, provider: &str) -> usize {
        let group = self.group_of_provider(provider);
        group.and_then(|group| self.sizes.get(group)).map_or(0, |size| size.launching)
    }

    /// Whether every instance that was launched lately is older than the warm-up period.
    pub(super) fn is_warm(&self, group: &str, warm_up: SignedDuration) -> bool {
        let Some(size) = self.sizes.get(group) else { return true };
        size.launching == 0 && size.registered.iter().all(|at| self.now >= *at + warm_up)
    }

    /// Sets the desired capacity, within the bounds of the group.
    pub(super) fn set_desired(&mut self, group: &str, wanted: usize, why: &str) {
        let (least, most) = self.bounds_of(group);
        let Some(size) = self.sizes.get_mut(group) else { return };
        let wanted = wanted.clamp(least.min(most), most);
        let from = std::mem::replace(&mut size.desired, wanted);
        if from != wanted {
            let what = format!("desired {from} -> {wanted}: {why}");
            self.record(Event::Group { group: group.to_owned(), what });
        }
    }

    /// Whether the updater caused the scale-in that ends instances of the group now.
    pub(super) fn mark_scale_in(&mut self, group: &str, by_updater: bool) {
        if let Some(size) = self.sizes.get_mut(group) {
            size.by_updater = by_updater;
        }
    }

    /// A group has as many instances as it desires: it launches some, or ends some.
    pub(super) fn reconcile(&mut self, group: &str) {
        let Some(size) = self.sizes.get(group) else { return };
        let (desired, launching, by_updater) = (size.desired, size.launching, size.by_updater);
        let suspended = self.group(group).suspended;
        let is_suspended = |name: &str| suspended.iter().any(|process| process == name);
        let has = self.members(group).count() + launching;
        if has < desired && !is_suspended("Launch") {
            self.launch_for(group, desired - has);
        }
        for _ in desired..has {
            let chosen = self.choose(group).filter(|_| !is_suspended("Terminate"));
            let Some(chosen) = chosen else { return };
            self.machines[chosen].in_group.ended_by_updater = by_updater;
            if let Some(size) = self.sizes.get_mut(group) {
                size.scaled_in += 1;
            }
            self.end_in_group(chosen);
        }
    }

    fn launch_for(&mut self, group: &str, count: usize) {
        let boot = self.spec.managed_scaling.boot;
        for _ in 0..count {
            self.schedule(boot, Due::Boots(group.to_owned()));
        }
        if let Some(size) = self.sizes.get_mut(group) {
            size.launching += count;
            size.launched += count;
        }
        self.record(Event::Group { group: group.to_owned(), what: format!("launches {count}") });
    }

    /// An instance that a group has launched registers: in the zone of the group that has the fewest.
    pub(super) fn boots(&mut self, group: String) {
        let own: Vec<&super::Machine> =
            self.machines.iter().filter(|machine| machine.instance.asg.as_ref() == Some(&group)).collect();
        let mut by_zone: BTreeMap<String, usize> = own.iter().map(|machine| (machine.zone.clone(), 0)).collect();
        for member in self.members(&group) {
            *by_zone.entry(self.machines[member].zone.clone()).or_default() += 1;
        }
        let zone = by_zone.into_iter().min_by_key(|(_, count)| *count).map(|(zone, _)| zone);
        let of_provider = |machine: &(MachineNo, &super::Machine)| {
            machine.1.instance.asg.as_ref() == Some(&group) && machine.1.instance.provider.is_some()
        };
        let template = self.machines.iter_with_ids().find(of_provider).map(|(number, _)| number);
        let now = self.now;
        if let Some(size) = self.sizes.get_mut(&group) {
            size.launching = size.launching.saturating_sub(1);
            size.registered.push(now);
        }
        if let Some(template) = template {
            let new = self.launch_in(template, zone);
            let protects = self.providers.values().any(|provider| provider.termination_protection)
                && self.scaled_by(&group).is_some_and(|name| self.providers[name].termination_protection);
            self.machines[new].in_group.protected = protects;
        }
    }

    /// The instance that a scale-in ends: of the zone with the most, one that is not protected, by the group's policy.
    fn choose(&self, group: &str) -> Option<MachineNo> {
        let members: Vec<MachineNo> = self.members(group).collect();
        let mut by_zone: BTreeMap<&str, Vec<MachineNo>> = BTreeMap::new();
        for member in members {
            by_zone.entry(self.machines[member].zone.as_str()).or_default().push(member);
        }
        let is_free = |member: &&MachineNo| {
            let known = &self.machines[**member].in_group;
            !known.protected && known.state == IN_SERVICE
        };
        let mut zones: Vec<(usize, Vec<MachineNo>)> =
            by_zone.into_values().map(|zone| (zone.len(), zone.iter().filter(is_free).copied().collect())).collect();
        zones.retain(|(_, free)| !free.is_empty());
        let (_, free) = zones.into_iter().max_by_key(|(count, _)| *count)?;
        let launched = |member: &MachineNo| self.machines[*member].launched_at;
        match self.group(group).termination_policy {
            TerminationPolicy::OldestInstance => free.into_iter().min_by_key(launched),
            TerminationPolicy::NewestInstance => free.into_iter().max_by_key(launched),
            TerminationPolicy::Default => {
                let image = |member: &MachineNo| self.machines[*member].launched_as.version.clone();
                let n = u64::try_from(self.now.as_second()).unwrap_or(0);
                let by_dice = |member: &MachineNo| self.dice.bits("termination", n ^ (member.0 as u64) << 32);
                free.into_iter().min_by_key(|member| (image(member), by_dice(member)))
            }
        }
    }

    /// Managed termination protection: what runs a task is protected, what is empty is not.
    pub(super) fn protect_instances(&mut self, provider: &str) {
        let behaviour = self.spec.managed_scaling.clone();
        let own: Vec<MachineNo> = self.machines_of(provider).collect();
        for number in own {
            let is_empty = self.is_empty(number);
            let is_draining = self.registration_of(number).is_some_and(|one| one.status == InstanceStatus::Draining);
            let now = self.now;
            let known = &mut self.machines[number].in_group;
            known.empty_since = is_empty.then(|| known.empty_since.unwrap_or(now));
            let rule = if is_draining { behaviour.unprotects_draining } else { Unprotects::Cycle };
            known.protected = match (known.empty_since, rule) {
                (None, _) => true,
                (Some(_), Unprotects::AtOnce) => false,
                (Some(since), Unprotects::Cycle) => known.protected && now < since + behaviour.protection_cycle,
                (Some(_), Unprotects::Never) => known.protected,
            };
        }
    }
}
