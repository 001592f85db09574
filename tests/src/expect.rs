//! `[expect]` of a scenario: how the updater is run on it, and what must come of it. What is not known is refused here, so
//! that nothing stands in a scenario and is never held against anything.

mod command;
mod ends;
mod process;

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use models::report::Outcome;
use models::selection::{InstanceName, Named};
use semver::Version;
use serde::Deserialize;

pub use command::CommandSpec;
pub use ends::{Exit, HostEnd, HostIndex, MetricEnd};
pub use process::{Pause, ProcessSpec};

use crate::errors::malformed;
use crate::invariants::Rule;
use crate::moment::Moment;
use crate::scenario::{Action, HostAction, HostWhen, Scenario};

/// What a test expects of a scenario: `[expect]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// The runs, one after the other; one plain run where there is none.
    pub run: Vec<RunSpec>,
    /// Processes that run side by side, instead of `run`.
    pub process: Vec<ProcessSpec>,
    /// Exit status of the last run.
    pub exit: Option<Exit>,
    /// How many instances have which outcome in the last report.
    pub outcomes: BTreeMap<Outcome, usize>,
    /// Outcome and reason of single hosts in the last report.
    pub hosts: BTreeMap<HostIndex, HostEnd>,
    /// The running version of single hosts at the end.
    pub versions: BTreeMap<HostIndex, Version>,
    /// The last line of the last report, on what kept it from updating anything; empty: it has none.
    pub nothing_updated: Option<String>,
    /// Metrics of the last run, by their names.
    pub metrics: BTreeMap<String, MetricEnd>,
    /// How many deployments their circuit breakers have taken back by the end.
    pub taken_back: Option<u32>,
    /// How many events were put on event buses by the end, by their detail-type; others are none.
    pub posted: Option<BTreeMap<String, usize>>,
    /// How many objects lie in the buckets by the end.
    pub kept: Option<usize>,
    /// The most AWS calls of the last run.
    pub max_calls: Option<u64>,
    /// The most minutes that the last run may take.
    pub max_minutes: Option<i64>,
    /// Times and calls are not recorded: the SDK's own quota of retries, which no seed governs, decides them.
    pub times_vary: bool,
    /// What differs where the hosts are reached by their host bridge, with the reason in a comment beside it. Where it
    /// says more than `max_calls`, the report is not compared with the one by SSM.
    pub bridge: Option<BridgeExpect>,
    /// Clusters or documents have other names than those that the policies under `cloudformation/` are tried with.
    pub other_names: bool,
    /// What disturbs does not end: for [`crate::proof`], the last run must end and name everything, and no more.
    pub disturbed: bool,
    /// Rules that the scenario itself makes impossible to keep, with the reason in a comment beside it.
    pub broken_rules: BTreeSet<Rule>,
}

/// `[expect.bridge]`: what stands there takes the place of the same in `[expect]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BridgeExpect {
    /// As in [`Expect::exit`].
    pub exit: Option<Exit>,
    /// As in [`Expect::outcomes`].
    pub outcomes: Option<BTreeMap<Outcome, usize>>,
    /// As in [`Expect::hosts`].
    pub hosts: Option<BTreeMap<HostIndex, HostEnd>>,
    /// As in [`Expect::versions`].
    pub versions: Option<BTreeMap<HostIndex, Version>>,
    /// As in [`Expect::max_calls`].
    pub max_calls: Option<u64>,
}

/// One run of the updater on the scenario.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunSpec {
    /// What is asked for instead of `run`; whatever is to be agreed to, is.
    pub command: Option<CommandSpec>,
    /// Only plan.
    pub dry_run: bool,
    /// Begin updates outside of the windows too.
    pub outside_window: bool,
    /// Fail if nothing is updated although something is outdated, and nobody asked for that.
    pub fail_on_held: bool,
    /// Write metrics, for which it asks how old the oldest release is.
    pub metrics: bool,
    /// Begin only these: indices of hosts, or what a person may write.
    pub instance: Vec<NamedHost>,
    /// Begin all but these.
    pub skip: Vec<NamedHost>,
    /// Flags of this run, by their names without dashes.
    pub flags: BTreeMap<String, String>,
    /// What `[updater.defaults]` says otherwise in this run, as after a deployment.
    pub defaults: toml::Table,
    /// Die without a word at this moment.
    pub kill: Option<Moment>,
    /// Get SIGTERM at this moment.
    pub interrupt: Option<Moment>,
    /// Get SIGINT on a terminal at this moment.
    pub sigint: Option<Moment>,
    /// And once more so long after it.
    pub sigint_again: Option<SignedDuration>,
    /// Time that passes before the run.
    pub after: Option<SignedDuration>,
    /// It does not begin earlier than so long after the scenario's start.
    pub not_before: Option<SignedDuration>,
}

/// An instance that a run is told of.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum NamedHost {
    /// The host of this index, by the id of its machine.
    Index(usize),
    /// As it is written.
    Text(String),
}

impl RunSpec {
    /// What the run is told of instances, with the ids of machines by their indices.
    pub(crate) fn named(&self, id: impl Fn(usize) -> Option<String>) -> Named {
        let name = |host: &NamedHost| match host {
            NamedHost::Index(index) => id(*index)?.parse().ok(),
            NamedHost::Text(text) => text.parse().ok(),
        };
        Named {
            only: self.instance.iter().filter_map(name).collect(),
            skip: self.skip.iter().filter_map(name).collect(),
        }
    }
}

/// Why a table is no `[expect]`.
#[derive(Debug, thiserror::Error)]
pub enum ExpectError {
    /// A key, a name or a value is not known.
    #[error("{}", malformed(.0))]
    Malformed(#[from] toml::de::Error),
    /// A host that is not there.
    #[error("{what} names host {index}, and the scenario has {count}")]
    NoSuchHost {
        /// Where it is named.
        what: String,
        index: usize,
        /// How many hosts there are.
        count: usize,
    },
    /// A name of an instance that the command line would refuse.
    #[error("run {number} names {text:?}: {why}")]
    NoInstance { number: usize, text: String, why: String },
    /// Both would be run.
    #[error("run and process exclude each other")]
    RunAndProcess,
    /// A run ends once.
    #[error("run {number} has more than one of kill, interrupt and sigint")]
    KillAndInterrupt {
        /// Which run, from 1.
        number: usize,
    },
}

impl Expect {
    /// Reads the table of a scenario.
    ///
    /// # Errors
    /// What is not known, or cannot be.
    pub fn read(scenario: &Scenario) -> Result<Self, ExpectError> {
        let expect = Self::deserialize(scenario.expect.clone())?;
        if !expect.run.is_empty() && !expect.process.is_empty() {
            return Err(ExpectError::RunAndProcess);
        }
        for (number, run) in (1..).zip(&expect.run) {
            let ends = [&run.kill, &run.interrupt, &run.sigint].into_iter().flatten().count();
            if ends > 1 {
                return Err(ExpectError::KillAndInterrupt { number });
            }
        }
        expect.check_hosts(scenario)?;
        Ok(expect)
    }

    fn check_hosts(&self, scenario: &Scenario) -> Result<(), ExpectError> {
        let count = scenario.machines.len();
        // What is launched in the place of another one comes behind those of the beginning.
        let launched: usize = scenario
            .events
            .iter()
            .map(|event| match &event.action {
                Action::Hosts(hosts, HostAction::Replace) => hosts.len(),
                Action::Hosts(..)
                | Action::Service(..)
                | Action::Cluster(..)
                | Action::Group(..)
                | Action::Repository(_)
                | Action::Parameter(_)
                | Action::Alarm(_)
                | Action::Clock(_) => 0,
            })
            .sum();
        let bridge = self.bridge.iter();
        let hosts =
            bridge.clone().filter_map(|other| other.hosts.as_ref()).chain([&self.hosts]).flat_map(BTreeMap::keys);
        let versions = bridge.filter_map(|other| other.versions.as_ref()).chain([&self.versions]);
        let named =
            hosts.map(|host| ("hosts", host)).chain(versions.flat_map(BTreeMap::keys).map(|host| ("versions", host)));
        for (what, HostIndex(index)) in named {
            if *index >= count + launched {
                return Err(ExpectError::NoSuchHost { what: what.to_owned(), index: *index, count });
            }
        }
        for (number, run) in (1..).zip(&self.run) {
            for host in run.instance.iter().chain(&run.skip) {
                match host {
                    NamedHost::Index(index) if *index >= count + launched => {
                        return Err(ExpectError::NoSuchHost { what: format!("run {number}"), index: *index, count });
                    }
                    NamedHost::Index(_) => {}
                    NamedHost::Text(text) => {
                        let read = text.parse::<InstanceName>();
                        read.map_err(|why| ExpectError::NoInstance { number, text: text.clone(), why })?;
                    }
                }
            }
            let command = run.command.as_ref().and_then(CommandSpec::host).filter(|index| *index >= count + launched);
            if let Some(index) = command {
                return Err(ExpectError::NoSuchHost { what: format!("run {number}"), index, count });
            }
            for moment in run.kill.iter().chain(&run.interrupt).chain(&run.sigint) {
                if let Moment::Host(HostWhen { host: Some(index), .. }) = moment
                    && *index >= count + launched
                {
                    return Err(ExpectError::NoSuchHost { what: format!("run {number}"), index: *index, count });
                }
            }
        }
        Ok(())
    }

    /// The runs: a plain one where nothing is said.
    pub fn runs(&self) -> Vec<RunSpec> {
        if self.run.is_empty() { vec![RunSpec::default()] } else { self.run.clone() }
    }

    /// Whether something is expected of the last report.
    pub fn names_a_report(&self) -> bool {
        self.exit.is_some()
            || !self.outcomes.is_empty()
            || !self.hosts.is_empty()
            || self.nothing_updated.is_some()
            || !self.metrics.is_empty()
            || self.max_calls.is_some()
            || self.max_minutes.is_some()
    }

    /// What is expected of a rollout by host bridges. Calls and times are not held to those by SSM.
    #[must_use]
    pub fn by_bridge(mut self) -> Self {
        self.max_calls = self.bridge.as_ref().and_then(|other| other.max_calls);
        self.max_minutes = None;
        if let Some(other) = self.bridge.clone() {
            self.exit = other.exit.or(self.exit);
            self.outcomes = other.outcomes.unwrap_or(self.outcomes);
            self.hosts = other.hosts.unwrap_or(self.hosts);
            self.versions = other.versions.unwrap_or(self.versions);
        }
        self
    }
}

impl BridgeExpect {
    /// Whether another report is expected than by SSM.
    pub fn differs(&self) -> bool {
        self.exit.is_some() || self.outcomes.is_some() || self.hosts.is_some() || self.versions.is_some()
    }
}

#[cfg(test)]
mod tests {
    use ecs_updater::exit::ExitStatus;

    use super::*;

    fn read(text: &str) -> Result<Expect, ExpectError> {
        Expect::read(&Scenario::parse(&format!("[[instances]]\ncount = 2\n{text}")).unwrap())
    }

    #[test]
    fn what_is_expected_is_read() {
        let expect = read(
            r#"
            [expect]
            run = [{ kill = { host = 1, is = "activated" } }, { interrupt = { before_call = 9 } }]
            exit = "notreached"
            outcomes = { held = 1, rolled_back = 1 }
            hosts = { 0 = "held: no_room", 1 = "rolled_back: unhealthy" }
            versions = { 1 = "1.26.1" }
            broken_rules = ["ClaimLeft"]
            "#,
        )
        .unwrap();
        assert_eq!(expect.exit, Some(Exit(ExitStatus::NotReached)));
        assert_eq!(expect.outcomes[&Outcome::RolledBack], 1);
        assert_eq!(expect.hosts[&HostIndex(0)].to_string(), "held: no_room");
        assert_eq!(expect.runs().len(), 2);
        assert!(expect.broken_rules.contains(&Rule::ClaimLeft));
        let process = read("[[expect.process]]\nexit = \"interrupted\"\nerror = \"lease_lost\"").unwrap();
        assert_eq!(process.process[0].exit, Some(Exit(ExitStatus::Interrupted)));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (text, words) in [
            ("odd = 1", "unknown field `odd`, expected one of `run`, `process`"),
            ("run = [{ kill = { host = 0, is = \"asleep\" } }]", "unknown variant `asleep`, expected one of `claimed`"),
            ("run = [{ kill = { host = 0 } }]", "a moment is one of { at }, { host, is }"),
            ("run = [{ kill = { host = 2, is = \"booted\" } }]", "run 1 names host 2, and the scenario has 2"),
            (
                "run = [{}, { kill = { at = \"1m\" }, interrupt = { at = \"2m\" } }]",
                "run 2 has more than one of kill, interrupt and sigint",
            ),
            ("run = [{}]\nprocess = [{}]", "run and process exclude each other"),
            (
                "run = [{ command = \"releas 0\" }]",
                "\"releas 0\" is no command, which is one of finish, rollback [from VERSION]",
            ),
            ("run = [{ command = \"release 7\" }]", "run 1 names host 7, and the scenario has 2"),
            ("exit = \"failed\"", "\"failed\" is no exit status, which is one of success, failures, usage, notreached"),
            ("process = [{ exit = \"failed\" }]", "\"failed\" is no exit status"),
            ("process = [{ error = \"lost\" }]", "unknown variant `lost`, expected one of `cluster_not_found`"),
            ("outcomes = { uptated = 1 }", "unknown variant `uptated`, expected one of `updated`"),
            ("hosts = { 0 = \"uptated\" }", "\"uptated\" is no outcome, which is one of updated, would_update"),
            ("hosts = { 0 = \"held: bored\" }", "\"bored\" is no reason, which is one of excluded, not_bottlerocket"),
            ("hosts = { 2 = \"updated\" }", "hosts names host 2"),
            ("hosts = { first = \"updated\" }", "\"first\" is no index of a host"),
            ("versions = { 2 = \"1.27.0\" }", "versions names host 2"),
            ("versions = { 0 = \"newest\" }", "unexpected character 'n'"),
            ("bridge = { hosts = { 2 = \"updated\" } }", "hosts names host 2"),
            ("bridge = { outcomes = { uptated = 1 } }", "unknown variant `uptated`"),
            ("broken_rules = [\"Budgets\"]", "unknown variant `Budgets`, expected one of `Budget`, `Claim`"),
        ] {
            let error = read(&format!("[expect]\n{text}")).expect_err(text).to_string();
            assert!(error.contains(words), "{text:?} gave {error:?}");
        }
    }

    #[test]
    fn a_machine_that_is_launched_in_the_place_of_another_one_can_be_named() {
        let replaced = "[[event]]\nat = \"1m\"\ndo = \"replace\"\nhost = 0\n[expect]\nhosts = { 2 = \"current\" }";
        assert!(read(replaced).is_ok());
    }
}
