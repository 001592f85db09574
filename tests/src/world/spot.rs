//! Spot interruptions: two minutes' notice, and what drains the instance for it (docs/facts/ec2.md#spot-instances).

use jiff::{SignedDuration, Timestamp};

use super::World;
use super::actor::Actor;
use super::ids::MachineNo;
use super::machine::{Ec2State, IN_SERVICE};
use super::queue::Due;
use super::registration::InstanceStatus;

/// From the notice to the end.
const NOTICE: SignedDuration = SignedDuration::from_mins(2);
/// From the notice to DRAINING, where anything drains for it: the agent asks every 5 s, ECS is told by an event.
const DRAINS: SignedDuration = SignedDuration::from_secs(5);
/// The states of an instance that its group ends.
const TERMINATING: [&str; 3] = ["Terminating", "Terminating:Wait", "Terminating:Proceed"];

impl World {
    /// EC2 gives notice that it takes a Spot instance back.
    pub(super) fn interrupt_spot(&mut self, machine: MachineNo) {
        let now = self.now;
        let known = &mut self.machines[machine];
        let is_spot = known.lifecycle.as_deref() == Some("spot") && known.state == Ec2State::Running;
        if is_spot && known.spot_notice.is_none() {
            known.spot_notice = Some(now);
            self.schedule(DRAINS, Due::Spot(machine));
            self.schedule(NOTICE, Due::Spot(machine));
        }
    }

    /// What comes of the notice: a drain by managed instance draining or by the agent where that is switched on, and the end.
    pub(super) fn step_spot(&mut self, machine: MachineNo) {
        let known = &self.machines[machine];
        let Some(notice) = known.spot_notice else { return };
        if self.now >= notice + NOTICE {
            self.set_group_state(machine, "Terminating");
            return self.terminate(machine);
        }
        let Some(number) = known.registration else { return };
        let by_ecs = known.instance.asg.as_ref().is_some_and(|group| self.group(group).managed_draining);
        let by_agent = known.instance.spot_draining && self.registrations[number].connected;
        if (by_ecs || by_agent) && self.registrations[number].status == InstanceStatus::Active {
            self.set_status(number, InstanceStatus::Draining, Actor::World);
        }
    }

    /// When EC2 gave notice that it takes the Spot instance back.
    pub(crate) fn spot_notice(&self, machine: MachineNo) -> Option<Timestamp> {
        self.machines[machine].spot_notice
    }

    /// Whether its group or EC2 has begun to end the machine.
    pub(crate) fn is_ended_by_aws(&self, machine: MachineNo) -> bool {
        let state = &self.machines[machine].in_group.state;
        let by_group = self.out_of_group_since(machine).is_some() && TERMINATING.contains(&state.as_str());
        by_group || self.spot_notice(machine).is_some()
    }

    /// Since when the metadata service tells a host that AWS takes it elsewhere.
    pub(crate) fn told_to_go_since(&self, machine: MachineNo) -> Option<Timestamp> {
        let by_group = self.target_state(machine).filter(|state| *state != IN_SERVICE);
        by_group.and_then(|_| self.out_of_group_since(machine)).or(self.spot_notice(machine))
    }
}
