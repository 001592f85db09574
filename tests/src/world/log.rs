//! What happened in the world, in order. The invariants read it, tests may.

use std::fmt;

use jiff::Timestamp;

use super::ids::MachineNo;
use super::machine::Ec2State;
use super::registration::InstanceStatus;
use super::tables::Item;
use super::task::LastStatus;
use crate::documents::Script;
use crate::host::HostEvent;

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// The program under test: everything that comes over the wire.
    Updater,
    /// A person, or another program of theirs: the scenario's events.
    Person,
    /// AWS, or the course of things.
    World,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A container instance changed its status.
    Status {
        /// The machine below it.
        machine: MachineNo,
        /// From.
        from: InstanceStatus,
        /// To.
        to: InstanceStatus,
        /// By whom.
        by: Actor,
    },
    /// `agentConnected` changed.
    Connection {
        /// The machine.
        machine: MachineNo,
        /// To.
        connected: bool,
    },
    /// A container instance registered under a new ARN.
    Registered {
        /// The machine.
        machine: MachineNo,
        /// The new ARN.
        arn: String,
    },
    /// A task moved on.
    Task {
        /// Its ARN.
        arn: String,
        /// Where.
        machine: MachineNo,
        /// Its group.
        group: String,
        /// To.
        to: LastStatus,
    },
    /// A running task died with its host's reboot.
    TaskKilledByReboot {
        /// Its ARN.
        arn: String,
        /// Where.
        machine: MachineNo,
        /// Its group.
        group: String,
    },
    /// No task that is not STOPPED is on a DRAINING instance any more.
    Drained {
        /// Where.
        machine: MachineNo,
    },
    /// A service wrote an event.
    Service {
        /// Its name.
        service: String,
        /// ECS's words.
        message: String,
    },
    /// Something happened on a host.
    Host {
        /// Which.
        machine: MachineNo,
        /// What.
        event: HostEvent,
    },
    /// A host accepted a request to reboot.
    RebootAccepted {
        /// Which.
        machine: MachineNo,
        /// By whose doing.
        by: Actor,
    },
    /// A host goes down.
    RebootBegins {
        /// Which.
        machine: MachineNo,
        /// By whose doing.
        by: Actor,
    },
    /// The agent of `host-bridge` wrote on its host.
    AgentActs {
        /// The machine.
        machine: MachineNo,
        /// The path of the host API, or the program.
        action: String,
    },
    /// A host made a written version the next to boot.
    Activated {
        /// Which.
        machine: MachineNo,
        /// What is on the set that boots next.
        version: semver::Version,
    },
    /// An EC2 instance changed its state.
    Ec2State {
        /// Which.
        machine: MachineNo,
        /// To.
        to: Ec2State,
    },
    /// A tag was written or deleted.
    Tag {
        /// Which instance.
        machine: MachineNo,
        /// The key.
        key: String,
        /// The new value; `None` when it was deleted.
        value: Option<String>,
        /// By whom.
        by: Actor,
    },
    /// An item of a DynamoDB table was written.
    Stored {
        /// The table.
        table: String,
        /// The value of its key.
        key: String,
        /// The item as it is now.
        item: Item,
        /// By which process.
        caller: u32,
    },
    /// SSM accepted a command for a host.
    CommandSent {
        /// Which.
        machine: MachineNo,
        /// Its id.
        command: String,
        /// What runs.
        script: Script,
        /// By whom.
        by: Actor,
    },
    /// SSM knows how a command ended.
    CommandEnded {
        /// Where.
        machine: MachineNo,
        /// Its id.
        command: String,
        /// `StatusDetails`.
        status: &'static str,
    },
    /// An event of the scenario happened.
    Scripted {
        /// Its place in the scenario.
        index: usize,
        /// In words.
        what: String,
    },
}

impl Event {
    /// The machine that it speaks of.
    pub fn machine(&self) -> Option<MachineNo> {
        match self {
            Self::Status { machine, .. }
            | Self::Connection { machine, .. }
            | Self::Registered { machine, .. }
            | Self::Task { machine, .. }
            | Self::TaskKilledByReboot { machine, .. }
            | Self::Drained { machine }
            | Self::Host { machine, .. }
            | Self::RebootAccepted { machine, .. }
            | Self::RebootBegins { machine, .. }
            | Self::AgentActs { machine, .. }
            | Self::Activated { machine, .. }
            | Self::Ec2State { machine, .. }
            | Self::Tag { machine, .. }
            | Self::CommandSent { machine, .. }
            | Self::CommandEnded { machine, .. } => Some(*machine),
            Self::Service { .. } | Self::Stored { .. } | Self::Scripted { .. } => None,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ", self.at)?;
        if let Some(MachineNo(machine)) = self.event.machine() {
            write!(f, "host {machine} ")?;
        }
        match &self.event {
            Event::Status { from, to, by, .. } => write!(f, "{} -> {} by {by:?}", from.name(), to.name()),
            Event::Connection { connected, .. } => write!(f, "agentConnected {connected}"),
            Event::Registered { arn, .. } => write!(f, "registered as {arn}"),
            Event::Task { arn, group, to, .. } => write!(f, "task {arn} ({group}) {}", to.name()),
            Event::TaskKilledByReboot { arn, group, .. } => write!(f, "TaskKilledByReboot {arn} ({group})"),
            Event::Drained { .. } => f.write_str("drained"),
            Event::Service { message, .. } => f.write_str(message),
            Event::Host { event, .. } => write!(f, "{event:?}"),
            Event::RebootAccepted { by, .. } => write!(f, "accepted a reboot by {by:?}"),
            Event::RebootBegins { by, .. } => write!(f, "goes down by {by:?}"),
            Event::AgentActs { action, .. } => write!(f, "the host bridge did {action}"),
            Event::Activated { version, .. } => write!(f, "activated {version}"),
            Event::Ec2State { to, .. } => write!(f, "is {}", to.name()),
            Event::Tag { key, value: Some(value), by, .. } => write!(f, "tag {key}={value} by {by:?}"),
            Event::Tag { key, value: None, by, .. } => write!(f, "tag {key} deleted by {by:?}"),
            Event::Stored { table, item, caller, .. } => write!(f, "table {table}: {item:?} by process {caller}"),
            Event::CommandSent { command, script, .. } => write!(f, "command {command} {script:?}"),
            Event::CommandEnded { command, status, .. } => write!(f, "command {command} {status}"),
            Event::Scripted { what, .. } => f.write_str(what),
        }
    }
}
