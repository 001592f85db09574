//! What happened in the world, in order. The invariants read it, tests may.

use std::fmt;

use jiff::Timestamp;

use super::actor::Actor;
use super::hooked::Hooked;
use super::ids::MachineNo;
use super::machine::Ec2State;
use super::registration::InstanceStatus;
use super::table::Item;
use super::task::LastStatus;
use crate::documents::Script;
use crate::host::HostEvent;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it happened.
    pub at: Timestamp,
    /// What it was.
    pub event: Event,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Something became of a machine's container instance.
    Instance {
        /// The machine below it.
        machine: MachineNo,
        /// What is different.
        change: InstanceChange,
    },
    /// Something became of a task.
    Task {
        arn: String,
        /// The machine it is on.
        machine: MachineNo,
        group: String,
        /// What is different.
        change: TaskChange,
    },
    /// Something happened on a host.
    Host {
        /// The machine it runs on.
        machine: MachineNo,
        /// As the host tells it.
        event: HostEvent,
    },
    /// A host came closer to its next boot.
    Boot {
        /// The machine it runs on.
        machine: MachineNo,
        /// How far it is.
        step: BootStep,
    },
    /// The agent of `host-bridge` wrote on its host.
    AgentActs {
        /// The machine it runs on.
        machine: MachineNo,
        /// The path of the host API, or the program.
        action: String,
    },
    /// An EC2 instance changed its state.
    Ec2State {
        /// The machine that it is.
        machine: MachineNo,
        /// The new state.
        to: Ec2State,
    },
    /// A tag was written or deleted.
    Tag {
        /// The instance that has it.
        machine: MachineNo,
        key: String,
        /// The new value; `None` when it was deleted.
        value: Option<String>,
        /// By whom.
        by: Actor,
    },
    /// SSM knows more of a command for one host.
    Command {
        /// The host's machine.
        machine: MachineNo,
        /// The command's id.
        command: String,
        /// What is known now.
        step: CommandStep,
    },
    /// A service wrote an event.
    Service {
        /// Its name.
        service: String,
        /// ECS's words.
        message: String,
    },
    /// An Auto Scaling group changes its size by itself.
    Group {
        group: String,
        /// In words.
        what: String,
    },
    /// An item of a DynamoDB table was written.
    Stored {
        table: String,
        /// The value of its key.
        key: String,
        /// The item as it is now.
        item: Item,
        /// By which process.
        caller: u32,
    },
    /// A function of the user's has answered.
    Hooked(Hooked),
    /// An event of the scenario happened.
    Scripted {
        /// Its place in the scenario.
        index: usize,
        /// In words.
        what: String,
    },
}

/// What became of a container instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceChange {
    /// Its status is another.
    Status {
        /// The status before.
        from: InstanceStatus,
        /// The status now.
        to: InstanceStatus,
        /// By whom.
        by: Actor,
    },
    /// `agentConnected` is another.
    Connection {
        /// What it is now.
        connected: bool,
    },
    /// It registered under a new ARN.
    Registered {
        /// The new ARN.
        arn: String,
    },
    /// A tag was written on it.
    Tagged {
        key: String,
        /// The new value.
        value: String,
        /// By whom.
        by: Actor,
    },
    /// A person wrote or deleted a custom attribute.
    Attribute { name: String },
    /// Its Auto Scaling group has it in another state.
    InGroup {
        /// `LifecycleState`.
        state: String,
    },
    /// It is DRAINING, and no task that is not STOPPED is on it any more.
    Drained,
}

/// What became of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskChange {
    /// It moved on to this.
    Status(LastStatus),
    /// It ran, and died with its host's reboot.
    KilledByReboot,
}

/// How far a host is on its way to another boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootStep {
    /// It made a written version the next to boot.
    Activated {
        /// What is on the set that boots next.
        version: semver::Version,
    },
    /// It accepted a request to reboot.
    Accepted {
        /// By whose doing.
        by: Actor,
    },
    /// It goes down.
    Begins {
        /// By whose doing.
        by: Actor,
    },
}

/// What SSM knows of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandStep {
    /// It was accepted.
    Sent {
        /// What runs.
        script: Script,
        /// By whom.
        by: Actor,
    },
    /// It ended.
    Ended {
        /// How it ended, as in `StatusDetails`.
        status: &'static str,
    },
}

impl Event {
    /// Returns the machine that it speaks of.
    pub fn machine(&self) -> Option<MachineNo> {
        match self {
            Self::Instance { machine, .. }
            | Self::Task { machine, .. }
            | Self::Host { machine, .. }
            | Self::Boot { machine, .. }
            | Self::AgentActs { machine, .. }
            | Self::Ec2State { machine, .. }
            | Self::Tag { machine, .. }
            | Self::Command { machine, .. } => Some(*machine),
            Self::Hooked(hooked) => hooked.machine,
            Self::Service { .. } | Self::Group { .. } | Self::Stored { .. } | Self::Scripted { .. } => None,
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
            Event::Instance { change, .. } => write!(f, "{change}"),
            Event::Task { arn, group, change: TaskChange::Status(to), .. } => {
                write!(f, "task {arn} ({group}) {}", to.name())
            }
            Event::Task { arn, group, change: TaskChange::KilledByReboot, .. } => {
                write!(f, "TaskKilledByReboot {arn} ({group})")
            }
            Event::Host { event, .. } => write!(f, "{event:?}"),
            Event::Boot { step, .. } => write!(f, "{step}"),
            Event::AgentActs { action, .. } => write!(f, "the host bridge did {action}"),
            Event::Ec2State { to, .. } => write!(f, "is {}", to.name()),
            Event::Tag { key, value: Some(value), by, .. } => write!(f, "tag {key}={value} by {by:?}"),
            Event::Tag { key, value: None, by, .. } => write!(f, "tag {key} deleted by {by:?}"),
            Event::Command { command, step: CommandStep::Sent { script, .. }, .. } => {
                write!(f, "command {command} {script:?}")
            }
            Event::Command { command, step: CommandStep::Ended { status }, .. } => {
                write!(f, "command {command} {status}")
            }
            Event::Service { message, .. } => f.write_str(message),
            Event::Group { group, what } => write!(f, "group {group}: {what}"),
            Event::Stored { table, item, caller, .. } => write!(f, "table {table}: {item:?} by process {caller}"),
            Event::Hooked(Hooked { step, key, ok, error, .. }) => {
                let said = if *ok {
                    "ok"
                } else if *error {
                    "an error"
                } else {
                    "no ok"
                };
                write!(f, "function of {step} said {said} to {key}")
            }
            Event::Scripted { what, .. } => f.write_str(what),
        }
    }
}

impl fmt::Display for InstanceChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { from, to, by } => write!(f, "{} -> {} by {by:?}", from.name(), to.name()),
            Self::Connection { connected } => write!(f, "agentConnected {connected}"),
            Self::Registered { arn } => write!(f, "registered as {arn}"),
            Self::Tagged { key, value, by } => write!(f, "container instance tagged {key}={value} by {by:?}"),
            Self::Attribute { name } => write!(f, "attribute {name} changed"),
            Self::InGroup { state } => write!(f, "is {state} in its group"),
            Self::Drained => f.write_str("drained"),
        }
    }
}

impl fmt::Display for BootStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Activated { version } => write!(f, "activated {version}"),
            Self::Accepted { by } => write!(f, "accepted a reboot by {by:?}"),
            Self::Begins { by } => write!(f, "goes down by {by:?}"),
        }
    }
}
