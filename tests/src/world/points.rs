//! Points in the life of a host, as scenarios name them: which events they are.

use models::claim::CLAIM_TAG;

use super::ids::MachineNo;
use super::log::{BootStep, Event, InstanceChange};
use super::registration::InstanceStatus;
use crate::host::{Command, HostEvent};
use crate::scenario::{HostWhen, Point};

/// Whether an event is the point in the life of a host that something waits for.
pub(crate) fn comes_to(when: HostWhen, event: &Event) -> bool {
    let machine = event.machine().map(|MachineNo(machine)| machine);
    point(event) == Some(when.is) && when.host.is_none_or(|host| machine == Some(host))
}

/// The point in the life of a host that an event is.
fn point(event: &Event) -> Option<Point> {
    match event {
        Event::Instance { change, .. } => point_of_instance(change),
        Event::Boot { step: BootStep::Activated { .. }, .. } => Some(Point::Activated),
        Event::Boot { step: BootStep::Begins { .. }, .. } => Some(Point::Rebooting),
        Event::Host { event: HostEvent::Booted { .. }, .. } => Some(Point::Booted),
        Event::Host { event: HostEvent::CommandEnded { command: Command::Prepare, success: true, .. }, .. } => {
            Some(Point::Staged)
        }
        Event::Tag { key, value: Some(_), .. } if key == CLAIM_TAG => Some(Point::Claimed),
        Event::Boot { step: BootStep::Accepted { .. }, .. } | Event::Host { .. } | Event::Tag { .. } => None,
        Event::Task { .. } | Event::AgentActs { .. } | Event::Ec2State { .. } | Event::Command { .. } => None,
        Event::Hooked(_)
        | Event::Service { .. }
        | Event::Group { .. }
        | Event::Stored { .. }
        | Event::Scripted { .. } => None,
    }
}

fn point_of_instance(change: &InstanceChange) -> Option<Point> {
    match change {
        InstanceChange::Status { to: InstanceStatus::Draining, .. } => Some(Point::Draining),
        InstanceChange::Status { to: InstanceStatus::Active, .. } => Some(Point::Active),
        InstanceChange::Drained => Some(Point::Drained),
        InstanceChange::Status { to: InstanceStatus::Inactive, .. }
        | InstanceChange::Connection { .. }
        | InstanceChange::Registered { .. }
        | InstanceChange::Attribute { .. }
        | InstanceChange::InGroup { .. }
        | InstanceChange::Tagged { .. } => None,
    }
}
