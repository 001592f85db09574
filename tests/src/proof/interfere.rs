//! Somebody acts between two calls of a run: what the run has just read is not so any more when it writes.

use std::fmt;
use std::str::FromStr;

use crate::scenario::{Action, CallWhen, EventSpec, EventTime, HostAction, Scenario, When};
use jiff::SignedDuration;
use models::claim::{EXCLUDE_TAG, FAILED_TAG};

/// What people, their other programs and the course of things do to an instance at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// It is drained.
    Drain,
    /// It is made ACTIVE.
    Activate,
    /// It is excluded.
    Exclude,
    /// A standalone task is started on it, which ends by itself after some minutes.
    StartTask,
    /// It reboots.
    Reboot,
    /// The EC2 instance is terminated.
    Terminate,
    /// The agent's connection breaks for a while.
    Disconnect,
    /// A person forgets the versions that failed on it.
    Forget,
    /// The EC2 instance is stopped.
    Stop,
    /// The container instance is deregistered by force.
    Deregister,
    /// It is selected no longer: its attribute `role` is deleted.
    Unselect,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Drain,
        Self::Activate,
        Self::Exclude,
        Self::StartTask,
        Self::Reboot,
        Self::Terminate,
        Self::Disconnect,
        Self::Forget,
        Self::Stop,
        Self::Deregister,
        Self::Unselect,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Activate => "activate",
            Self::Exclude => "exclude",
            Self::StartTask => "start_task",
            Self::Reboot => "reboot",
            Self::Terminate => "terminate",
            Self::Disconnect => "disconnect",
            Self::Forget => "forget",
            Self::Stop => "stop",
            Self::Deregister => "deregister",
            Self::Unselect => "unselect",
        }
    }
}

/// A deed right after a call of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interference {
    /// What is done.
    pub deed: Deed,
    /// On which host, by index.
    pub host: usize,
    /// After which call, counted from 1 from the start of the scenario.
    pub call: u64,
}

impl Interference {
    /// The scenario with it.
    #[must_use]
    pub fn on(&self, scenario: &Scenario) -> Scenario {
        let mut scenario = scenario.clone();
        scenario.events.push(self.event());
        scenario
    }

    fn event(&self) -> EventSpec {
        let when = When::Call(CallWhen { call: "*".to_owned(), nth: self.call });
        let action = match self.deed {
            Deed::Drain => HostAction::Drain,
            Deed::Activate => HostAction::Activate,
            Deed::Reboot => HostAction::Reboot,
            Deed::Terminate => HostAction::Terminate,
            Deed::Exclude => HostAction::Tag { key: EXCLUDE_TAG.to_owned(), value: "a person's wish".to_owned() },
            Deed::Forget => HostAction::Untag { key: FAILED_TAG.to_owned() },
            Deed::Stop => HostAction::Stop,
            Deed::Deregister => HostAction::Deregister,
            Deed::Unselect => HostAction::DeleteAttribute { name: "role".to_owned() },
            Deed::StartTask => HostAction::StartTask { family: None, lasts: Some(SignedDuration::from_mins(5)) },
            Deed::Disconnect => HostAction::Disconnect { lasts: SignedDuration::from_secs(90) },
        };
        EventSpec { due: EventTime::After(when, SignedDuration::ZERO), action: Action::Hosts(vec![self.host], action) }
    }
}

impl fmt::Display for Interference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.deed.name(), self.host, self.call)
    }
}

impl FromStr for Interference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no deed, host and call such as \"drain:2:17\"");
        let mut parts = text.split(':');
        let mut part = || parts.next().ok_or_else(bad);
        let name = part()?;
        let deed = Deed::ALL.into_iter().find(|deed| deed.name() == name).ok_or_else(bad)?;
        let host = part()?.parse().map_err(|_| bad())?;
        let call = part()?.parse().map_err(|_| bad())?;
        Ok(Self { deed, host, call })
    }
}
