//! Somebody acts between two calls of a run: what the run has just read is not so any more when it writes.

use std::fmt;
use std::str::FromStr;

use crate::scenario::{Action, CallWhen, ClusterAction, EventSpec, EventTime, HostAction, Scenario, When};
use jiff::SignedDuration;
use models::claim::{EXCLUDE_TAG, FAILED_TAG};
use models::schedule::PAUSE_TAG;
use toml::{Table, Value};

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
    /// The cluster is paused, whichever host is named.
    Pause,
    /// The run is asked to begin nothing more, and another one follows.
    Finish,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 13] = [
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
        Self::Pause,
        Self::Finish,
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
            Self::Pause => "pause",
            Self::Finish => "finish",
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
        match self.action() {
            Some(action) => scenario.events.push(self.event(action)),
            None => drop(scenario.expect.insert("run".to_owned(), self.runs())),
        }
        scenario
    }

    /// A run that is asked to finish at the call, and another one.
    fn runs(&self) -> Value {
        let call = Value::Integer(i64::try_from(self.call).unwrap_or(i64::MAX));
        let moment = Table::from_iter([("after_call".to_owned(), call)]);
        let asked = Table::from_iter([("sigint".to_owned(), Value::Table(moment))]);
        let next = Table::from_iter([("after".to_owned(), Value::String("1m".to_owned()))]);
        Value::Array(vec![Value::Table(asked), Value::Table(next)])
    }

    fn event(&self, action: Action) -> EventSpec {
        let when = When::Call(CallWhen { call: "*".to_owned(), nth: self.call });
        EventSpec { due: EventTime::After(when, SignedDuration::ZERO), action }
    }

    /// What happens to the host or the cluster; `None` where it happens to the run.
    fn action(&self) -> Option<Action> {
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
            Deed::Pause => {
                let (key, value) = (PAUSE_TAG.to_owned(), "a wish".to_owned());
                return Some(Action::Cluster(None, ClusterAction::ClusterTag { key, value }));
            }
            Deed::Finish => return None,
        };
        Some(Action::Hosts(vec![self.host], action))
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
