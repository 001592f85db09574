//! The run dies at a call: never sent, or carried out with nobody there for the answer. The next one finishes.

use std::fmt;
use std::str::FromStr;

use models::claim::Transport;
use toml::{Table, Value};

use crate::CrashPoint;
use crate::scenario::Scenario;

/// Where the runs of a scenario die: the first at the first point, the second at the second. The one after them ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crashes(pub Vec<CrashPoint>);

/// Runs that die, on hosts that are reached by this way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// How the hosts are reached.
    pub transport: Transport,
    /// Where the runs die.
    pub crashes: Crashes,
}

/// What passes until the next run begins: somebody starts it by hand, a schedule of some hours, the nightly one
/// (`cron(0 3 * * ? *)` in the stack).
const PAUSES: [&str; 4] = ["1m", "25m", "6h", "24h"];
/// The same where each host has an agent, which a long pause costs its readings, every 5 s: shorter ones, and the long one
/// seldom.
const PAUSES_BY_BRIDGE: [&str; 16] =
    ["1m", "25m", "1m", "1m", "1m", "25m", "1m", "2h", "1m", "25m", "1m", "1m", "1m", "25m", "1m", "7h"];

impl Case {
    /// The scenario with these runs.
    pub fn on(&self, scenario: &Scenario) -> Scenario {
        let pauses: &[&str] = match self.transport {
            Transport::Ssm => &PAUSES,
            Transport::Bridge => &PAUSES_BY_BRIDGE,
        };
        let mut runs = Vec::new();
        let mut pause = "0s";
        for point in &self.crashes.0 {
            let (key, call) = match point {
                CrashPoint::Before(call) => ("before_call", *call),
                CrashPoint::After(call) => ("after_call", *call),
            };
            let kill = Table::from_iter([(key.to_owned(), Value::Integer(i64::try_from(call).unwrap_or(i64::MAX)))]);
            runs.push(run(pause, Some(kill)));
            pause = pauses[usize::try_from(call).unwrap_or(0) % pauses.len()];
        }
        runs.push(run(pause, None));
        let mut expect = scenario.expect.clone();
        expect.insert("run".to_owned(), Value::Array(runs));
        Scenario { expect, ..scenario.clone() }
    }
}

fn run(after: &str, kill: Option<Table>) -> Value {
    let mut run = Table::from_iter([("after".to_owned(), Value::String(after.to_owned()))]);
    if let Some(kill) = kill {
        run.insert("kill".to_owned(), Value::Table(kill));
    }
    Value::Table(run)
}

impl fmt::Display for Crashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, point) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match point {
                CrashPoint::Before(call) => write!(f, "{comma}before:{call}")?,
                CrashPoint::After(call) => write!(f, "{comma}after:{call}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Crashes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no list of calls such as \"before:17,after:40\"");
        let point = |part: &str| {
            let (side, call) = part.trim().split_once(':')?;
            let call = call.parse().ok()?;
            match side {
                "before" => Some(CrashPoint::Before(call)),
                "after" => Some(CrashPoint::After(call)),
                _ => None,
            }
        };
        text.split(',').map(point).collect::<Option<Vec<_>>>().map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transport {
            Transport::Ssm => write!(f, "{}", self.crashes),
            Transport::Bridge => write!(f, "bridge/{}", self.crashes),
        }
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (transport, crashes) = match text.strip_prefix("bridge/") {
            Some(crashes) => (Transport::Bridge, crashes),
            None => (Transport::Ssm, text),
        };
        Ok(Self { transport, crashes: crashes.parse()? })
    }
}
