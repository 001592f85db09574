//! What is still to happen, ordered by time and then by the order in which it was scheduled.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::Timestamp;

use super::ids::{CommandNo, MachineNo, RegistrationNo, ServiceNo, TaskNo};

/// A thing that happens by itself at its time. Most carry an epoch: when the thing they speak of has moved on in the
/// meantime, its epoch differs and the event does nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// The host has something to do by itself.
    Host(MachineNo),
    /// The next step of a task's life.
    Task(TaskNo, u32),
    /// A standalone task ends by itself.
    TaskEnds(TaskNo),
    /// A service is looked at.
    Service(ServiceNo),
    /// The zones of a service are looked at.
    Zones(ServiceNo),
    /// The DAEMON services are looked at on one instance.
    Daemons(RegistrationNo),
    /// ECS notices that the agent is away.
    AgentLost(RegistrationNo, u32),
    /// ECS notices that an instance was terminated.
    Deregister(MachineNo),
    /// The next step of an instance that its Auto Scaling group ends.
    Group(MachineNo),
    /// The next step of a Spot instance that EC2 takes back.
    Spot(MachineNo),
    /// An Auto Scaling group has launched an instance in the place of this one.
    Launch(MachineNo),
    /// An instance that a group has launched by itself registers.
    Boots(String),
    /// Managed scaling of a capacity provider measures.
    Metric(String),
    /// A task of a service has waited for an instance for too long.
    WaitEnds(ServiceNo, u64),
    /// The next step of an EC2 instance's life.
    Ec2State(MachineNo, u32),
    /// SSM tries to deliver a command.
    Deliver(CommandNo, MachineNo),
    /// The delivery time-out of a command.
    DeliveryTimeout(CommandNo, MachineNo),
    /// The execution time-out of a command.
    ExecutionTimeout(CommandNo, MachineNo),
    /// The SSM agent's report of a command reaches SSM.
    Reported(CommandNo, MachineNo),
    /// The host starts the container of its bridge again.
    Container(MachineNo, u32),
    /// An event of the scenario.
    Scripted(usize),
    /// The agent's connection breaks for a moment, as it does in normal life.
    Flap(RegistrationNo),
    /// It is there again.
    FlapEnds(RegistrationNo, u32),
}

/// A heap of [`Due`]s.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<(Timestamp, u64, Due)>>,
    scheduled: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Timestamp, due: Due) {
        self.scheduled += 1;
        self.heap.push(Reverse((at, self.scheduled, due)));
    }

    /// When the next thing happens.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes the next thing that is due by `now`.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<(Timestamp, Due)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((at, _, due))| (at, due))
    }
}
