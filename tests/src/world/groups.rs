//! Auto Scaling groups: the life that they give their instances, and ECS's managed instance draining
//! (docs/facts/auto-scaling.md).

use jiff::SignedDuration;

use super::World;
use super::actor::Actor;
use super::ids::MachineNo;
use super::log::{Event, InstanceChange};
use super::machine::{DETACHED, Ec2State, IN_SERVICE};
use super::queue::Due;
use super::registration::{InstanceStatus, Registration};
use super::task::LastStatus;
use crate::scenario::{ActiveWhileTerminating, GroupAction, GroupSpec, ServiceKind};

/// From `Terminating:Wait` to DRAINING: some seconds, by an event.
const HOOK: SignedDuration = SignedDuration::from_secs(5);
/// Between two looks of the hook at the tasks.
const HOOK_LOOKS: SignedDuration = SignedDuration::from_secs(10);
/// From `Terminating` to the end of an instance without a hook.
const END: SignedDuration = SignedDuration::from_secs(5);

const WAITING: &str = "Terminating:Wait";

impl World {
    /// The set-up of a group by its name.
    pub(crate) fn group(&self, name: &str) -> GroupSpec {
        self.groups.get(name).cloned().unwrap_or_default()
    }

    /// The Auto Scaling group of a capacity provider: as its table says, or that of its machines.
    pub(crate) fn group_of_provider(&self, name: &str) -> Option<&str> {
        let named = self.providers.get(name).and_then(|provider| provider.group.as_deref());
        let mut of_machines = self.machines.iter().filter(|machine| machine.provider() == Some(name));
        named.or_else(|| of_machines.find_map(|machine| machine.instance.asg.as_deref()))
    }

    /// The group of a machine, as EC2 Auto Scaling tells of it: as long as it has the instance.
    pub(crate) fn told_group(&self, machine: MachineNo) -> Option<&str> {
        let known = &self.machines[machine];
        let is_had = known.state != Ec2State::Terminated && known.in_group.state != DETACHED;
        known.instance.asg.as_deref().filter(|_| is_had)
    }

    /// Whether its group has the machine in any other state than `InService`, and since when.
    pub(crate) fn out_of_group_since(&self, machine: MachineNo) -> Option<jiff::Timestamp> {
        let known = &self.machines[machine];
        let is_out = known.instance.asg.is_some() && ![IN_SERVICE, DETACHED].contains(&known.in_group.state.as_str());
        is_out.then_some(known.in_group.since)
    }

    pub(super) fn set_group_state(&mut self, machine: MachineNo, state: &str) {
        let now = self.now;
        let known = &mut self.machines[machine];
        if known.instance.asg.is_none() || known.in_group.state == state {
            return;
        }
        state.clone_into(&mut known.in_group.state);
        known.in_group.since = now;
        if state == DETACHED {
            known.tags.remove("aws:autoscaling:groupName");
        }
        self.record(Event::Instance { machine, change: InstanceChange::InGroup { state: state.to_owned() } });
    }

    /// Somebody scales a group in, and it ends this instance.
    pub(super) fn scale_in(&mut self, machine: MachineNo) {
        let group = self.machines[machine].instance.asg.clone();
        if let Some(group) = group.filter(|group| self.size_of(group).is_some()) {
            let desired = self.desired(&group);
            self.set_desired(&group, desired.saturating_sub(1), "an event");
        }
        self.end_in_group(machine);
    }

    /// The group ends an instance: a scale-in, or any other reason that it has.
    pub(super) fn end_in_group(&mut self, machine: MachineNo) {
        let known = &self.machines[machine];
        let Some(group) = known.instance.asg.clone() else { return };
        if known.state != Ec2State::Running || known.in_group.state.starts_with("Terminating") {
            return;
        }
        if self.group(&group).managed_draining {
            self.set_group_state(machine, WAITING);
            self.schedule(HOOK, Due::Group(machine));
        } else {
            self.set_group_state(machine, "Terminating");
            self.schedule(END, Due::Group(machine));
        }
    }

    /// Somebody changes a group.
    pub(super) fn act_on_group(&mut self, name: &str, action: GroupAction) {
        match action {
            GroupAction::DesiredCapacity { desired } => {
                self.set_desired(name, desired, "a person");
                self.mark_scale_in(name, false);
            }
            GroupAction::MinSize { min_size } => {
                // To set what it is already is no change, and no run can tell.
                if self.bounds_of(name).0 != min_size {
                    self.written.entry(name.to_owned()).or_default().held_from = None;
                }
                self.change_min_size(name, min_size);
            }
            GroupAction::InstanceRefresh { status } => {
                self.groups.entry(name.to_owned()).or_default().refresh = Some(status);
            }
        }
        self.reconcile(name);
    }

    /// The next step of an instance that its group ends.
    pub(super) fn step_group(&mut self, machine: MachineNo) {
        if self.machines[machine].in_group.state != WAITING {
            return self.end_by_group(machine);
        }
        let Some(number) = self.machines[machine].registration else { return self.end_by_group(machine) };
        let was_drained = std::mem::replace(&mut self.machines[machine].in_group.hook_has_drained, true);
        let registration = &self.registrations[number];
        let is_empty = self.has_only_daemons(registration);
        let by_switch = was_drained && registration.status == InstanceStatus::Active;
        let drains = match self.spec.active_while_terminating {
            _ if !was_drained => true,
            ActiveWhileTerminating::Completes if by_switch => return self.end_by_group(machine),
            ActiveWhileTerminating::DrainsAgain => by_switch,
            ActiveWhileTerminating::Waits | ActiveWhileTerminating::Completes => false,
        };
        if drains && registration.status == InstanceStatus::Active {
            self.set_status(number, InstanceStatus::Draining, Actor::World);
        } else if is_empty {
            return self.end_by_group(machine);
        }
        self.schedule(HOOK_LOOKS, Due::Group(machine));
    }

    fn end_by_group(&mut self, machine: MachineNo) {
        if self.machines[machine].in_group.state.starts_with("Terminating") {
            self.set_group_state(machine, "Terminating:Proceed");
            self.terminate(machine);
        }
    }

    fn has_only_daemons(&self, registration: &Registration) -> bool {
        let is_daemon = |service| self.services[service].kind == ServiceKind::Daemon;
        registration
            .tasks
            .iter()
            .map(|task| &self.tasks[*task])
            .all(|task| task.last == LastStatus::Stopped || task.service.is_some_and(is_daemon))
    }
}
