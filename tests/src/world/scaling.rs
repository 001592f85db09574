//! Managed scaling: the metric of each minute, its alarms, and what they make of the desired capacity
//! (docs/facts/auto-scaling.md#managed-scaling).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::World;
use super::ids::MachineNo;
use super::machine::{Ec2State, IN_SERVICE};
use super::queue::Due;
use super::registration::{InstanceStatus, Registration};
use super::task::LastStatus;
use crate::scenario::{Counted, ScalingSpec, ServiceKind, TaskShape};

/// Between two values of the metric.
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// So many values below its threshold raise the Low alarm, and so long nothing is scaled in after a scale-out.
const LOW_PERIODS: u32 = 15;
const NO_SCALE_IN: SignedDuration = SignedDuration::from_mins(15);
/// The metric has two decimals.
const HUNDREDTHS: usize = 100;

/// Managed scaling of a capacity provider.
#[derive(Debug, Default)]
pub(super) struct Scaling {
    /// So many values in a row were below the threshold of the Low alarm.
    below: u32,
    /// Of these so many in a row would not have been without the instances that the updater has emptied.
    by_updater: u32,
    scaled_out_at: Option<Timestamp>,
}

/// What the metric of a minute is made of.
#[derive(Debug, Clone, Copy)]
struct Measured {
    running: usize,
    empty: usize,
    /// Of the empty ones those that the updater has emptied.
    emptied: usize,
    needed: usize,
    /// Tasks wait, and none of them can be launched for: the metric stays at the target.
    is_stuck: bool,
}

impl World {
    /// Begins managed scaling for all providers that have it.
    pub(super) fn begin_scaling(&mut self) {
        let scaled: Vec<String> = self.scaled_providers().map(|(name, _)| name.clone()).collect();
        for name in scaled {
            self.begin_group(&name);
            self.scaling.insert(name.clone(), Scaling::default());
            self.schedule(MINUTE, Due::Metric(name));
        }
    }

    pub(super) fn scaled_providers(&self) -> impl Iterator<Item = (&String, &ScalingSpec)> {
        self.providers.iter().filter_map(|(name, provider)| Some((name, provider.managed_scaling.as_ref()?)))
    }

    /// The provider with managed scaling of a group.
    pub(super) fn scaled_by(&self, group: &str) -> Option<&String> {
        self.scaled_providers().map(|(name, _)| name).find(|name| self.group_of_provider(name) == Some(group))
    }

    /// A minute of a capacity provider: protection, metric, alarms, and what its group does.
    pub(super) fn measure(&mut self, name: String) {
        let Some(group) = self.group_of_provider(&name).map(str::to_owned) else { return };
        let Some(spec) = self.providers.get(&name).and_then(|provider| provider.managed_scaling.clone()) else {
            return;
        };
        self.note_emptied(&name);
        if self.providers[&name].termination_protection {
            self.protect_instances(&name);
        }
        let measured = self.measured(&name, &spec);
        self.follow_alarms(&name, &group, &spec, measured);
        self.reconcile(&group);
        self.schedule(MINUTE, Due::Metric(name));
    }

    fn follow_alarms(&mut self, name: &str, group: &str, spec: &ScalingSpec, measured: Measured) {
        let target = usize::try_from(spec.target).unwrap_or(100) * HUNDREDTHS;
        let metric = measured.metric(target);
        let low =
            if spec.target < 100 { target * self.spec.managed_scaling.low_alarm_at as usize / 100 } else { target };
        let is_below = metric < low;
        let kept_full = Measured { empty: measured.empty - measured.emptied, ..measured };
        let is_by_updater = is_below && kept_full.metric(target) >= low;
        let now = self.now;
        let Some(scaling) = self.scaling.get_mut(name) else { return };
        scaling.below = if is_below { scaling.below + 1 } else { 0 };
        scaling.by_updater = if is_by_updater { scaling.by_updater + 1 } else { 0 };
        let is_low = scaling.below >= LOW_PERIODS;
        let by_updater = scaling.by_updater >= LOW_PERIODS;
        let rests = scaling.scaled_out_at.is_some_and(|at| now < at + NO_SCALE_IN);
        let is_warm = self.is_warm(group, spec.warm_up);
        let alarms_act = !self.group(group).suspended.iter().any(|process| process == "AlarmNotification");
        let desired = self.desired(group);
        let from_nothing = if measured.running == 0 && measured.needed > 0 { 2 } else { 0 };
        let wanted = (desired * metric).div_ceil(target).max(from_nothing);
        if !alarms_act || !is_warm {
            return;
        }
        if metric > target && wanted > desired {
            if let Some(scaling) = self.scaling.get_mut(name) {
                scaling.scaled_out_at = Some(now);
            }
            let why = format!("metric {metric}, and waiting tasks need {} instances", measured.needed);
            self.set_desired(group, wanted, &why);
        } else if is_low && !rests && wanted < desired {
            // "greater than one instance and less than 50% each minute".
            let most = (desired.saturating_sub(1) / 2).max(1);
            let by = (desired - wanted).min(most);
            let whose = if by_updater { "by the updater" } else { "by others" };
            self.set_desired(group, desired - by, &format!("metric {metric} for {LOW_PERIODS} minutes, {whose}"));
            self.mark_scale_in(group, by_updater);
        }
    }

    fn measured(&self, name: &str, spec: &ScalingSpec) -> Measured {
        let behaviour = &self.spec.managed_scaling;
        let own: Vec<MachineNo> = self.machines_of(name).collect();
        let counted: Vec<MachineNo> = own.iter().copied().filter(|machine| self.is_counted(*machine)).collect();
        let is_empty = |machine: &&MachineNo| self.is_empty(**machine);
        let launched = if behaviour.counts.contains(&Counted::Unregistered) { self.launching(name) } else { 0 };
        let running = counted.len() + launched;
        let empty = counted.iter().filter(is_empty).count();
        let by_updater = |machine: &&MachineNo| self.machines[**machine].in_group.emptied_by_updater;
        let emptied = counted.iter().filter(is_empty).filter(by_updater).count();
        let needed = self.instances_needed(name, spec);
        let waits = self.services.iter().flat_map(|service| &service.waiting).any(|task| task.provider == name);
        let empty = if needed > 0 && !behaviour.empty_taken_off { 0 } else { empty };
        Measured { running, empty, emptied: emptied.min(empty), needed, is_stuck: waits && needed == 0 }
    }

    /// The running machines of a provider.
    pub(super) fn machines_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = MachineNo> + 'a {
        let is_own = move |(_, machine): &(MachineNo, &super::Machine)| {
            machine.provider() == Some(name) && machine.state == Ec2State::Running
        };
        self.machines.iter_with_ids().filter(is_own).map(|(number, _)| number)
    }

    fn is_counted(&self, number: MachineNo) -> bool {
        let counts = |kind| self.spec.managed_scaling.counts.contains(&kind);
        let machine = &self.machines[number];
        let Some(registration) = self.registration_of(number) else { return false };
        let state = machine.in_group.state.as_str();
        let is_drained = registration.status == InstanceStatus::Draining && self.is_empty(number);
        (state == IN_SERVICE || counts(if state == "Standby" { Counted::Standby } else { Counted::Terminating }))
            && registration.status != InstanceStatus::Inactive
            && (registration.connected || counts(Counted::Disconnected))
            && (!is_drained || counts(Counted::Draining))
    }

    /// Whether it runs no task but those of DAEMON services.
    pub(super) fn is_empty(&self, machine: MachineNo) -> bool {
        self.registration_of(machine).is_none_or(|registration| !self.keeps_instance(registration))
    }

    fn keeps_instance(&self, registration: &Registration) -> bool {
        let keeps = |task: &super::Task| {
            let is_daemon = task.service.is_some_and(|service| self.services[service].kind == ServiceKind::Daemon);
            let counts = task.provider.is_some() || self.spec.managed_scaling.launch_type_keeps;
            task.last != LastStatus::Stopped && !is_daemon && counts
        };
        registration.tasks.iter().any(|task| keeps(&self.tasks[*task]))
    }

    /// The instances that tasks need which wait for the provider. Those that do not fit its smallest instance, or whose
    /// services have constraints that no new instance is known to meet, scale nothing.
    fn instances_needed(&self, name: &str, spec: &ScalingSpec) -> usize {
        let sizes: Vec<(u32, u32)> = self
            .machines
            .iter()
            .filter(|machine| machine.provider() == Some(name))
            .map(|machine| (machine.instance.cpu, machine.instance.memory.0))
            .collect();
        let (Some(smallest), Some(largest)) = (sizes.iter().min(), sizes.iter().max()) else { return 0 };
        let mut waiting: BTreeMap<(u32, u32, bool), usize> = BTreeMap::new();
        for service in self.services.iter().filter(|service| service.member_of.is_none()) {
            let TaskShape { cpu, memory, host_port, .. } = service.shape;
            let alone = service.distinct_instance || host_port.is_some();
            let own = service.waiting.iter().filter(|task| task.provider == name).count();
            *waiting.entry((cpu, memory, alone)).or_default() += own;
        }
        let fits = |cpu: u32, memory: u32| cpu <= smallest.0 && memory <= smallest.1;
        let needed: usize = waiting
            .into_iter()
            .filter(|((cpu, memory, _), count)| *count > 0 && fits(*cpu, *memory))
            .map(|((cpu, memory, alone), count)| {
                let by = |has: u32, takes: u32| has.checked_div(takes).map_or(usize::MAX, |n| n as usize);
                let on_one = if alone { 1 } else { by(largest.0, cpu).min(by(largest.1, memory)).max(1) };
                count.div_ceil(on_one)
            })
            .sum();
        let (least, most) = (spec.minimum_step as usize, spec.maximum_step as usize);
        if needed == 0 { 0 } else { needed.clamp(least, most.max(least)) }
    }

    /// Notes which machines the updater has emptied: until a task is on them again.
    fn note_emptied(&mut self, name: &str) {
        let own: Vec<MachineNo> = self.machines_of(name).collect();
        for number in own {
            let drained_by_updater =
                self.registration_of(number).is_some_and(|one| one.drained_by == Some(super::Actor::Updater));
            let is_empty = self.is_empty(number);
            let known = &mut self.machines[number].in_group;
            known.emptied_by_updater = is_empty && (known.emptied_by_updater || drained_by_updater);
        }
    }
}

impl Measured {
    /// `CapacityProviderReservation`, in hundredths of a percent; at its target where nothing runs and nothing is needed.
    fn metric(self, target: usize) -> usize {
        let needed = self.running - self.empty.min(self.running) + self.needed;
        match self.running {
            _ if self.is_stuck => target,
            0 if self.needed == 0 => target.max(100 * HUNDREDTHS),
            0 => 200 * HUNDREDTHS,
            running => needed * 100 * HUNDREDTHS / running,
        }
    }
}
