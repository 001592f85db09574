//! Scenarios: a Region, what runs in it and what happens to it, as a TOML file. `docs/simulator.md` has the format.

mod event;
mod fault;
mod machines;
mod region;
mod size;
mod variants;
mod when;
mod workload;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use toml::{Table, Value};

pub(crate) use machines::{host_spec, merge};

pub use event::{Action, EventSpec, EventTime, HostAction, Published, RepositoryAction, ServiceAction, ServiceName};
pub use fault::{FaultSpec, OneOrMany, Reset};
pub use machines::{InstanceSpec, MachineSpec};
pub use region::RegionSpec;
pub use size::Mib;
pub(crate) use when::means;
pub use when::{CallWhen, HostWhen, Point, When};
pub use workload::{ServiceSpec, TaskSpec};

use crate::dice::Dice;
use crate::errors::malformed;
use crate::host::Repository;

/// A scenario, checked.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it is about, for people.
    pub about: String,
    /// The seed of everything random.
    pub seed: u64,
    /// When it begins.
    pub start: Timestamp,
    /// How AWS behaves.
    pub region: RegionSpec,
    /// The update repository.
    pub repository: Repository,
    /// Names of the clusters.
    pub clusters: Vec<String>,
    /// Tags of clusters, by the cluster's name.
    pub cluster_tags: BTreeMap<String, BTreeMap<String, String>>,
    /// The machines.
    pub machines: Vec<MachineSpec>,
    /// The services.
    pub services: Vec<ServiceSpec>,
    /// The standalone tasks.
    pub tasks: Vec<TaskSpec>,
    /// What happens.
    pub events: Vec<EventSpec>,
    /// AWS calls that go wrong.
    pub faults: Vec<FaultSpec>,
    /// SSM documents by name.
    pub documents: BTreeMap<String, DocumentSpec>,
    /// SSM parameters by name.
    pub parameters: BTreeMap<String, String>,
    /// DynamoDB tables: name of the partition key, a text, by name of the table.
    pub tables: BTreeMap<String, String>,
    /// The updater's own configuration, passed through.
    pub updater: Table,
    /// What a test expects, passed through.
    pub expect: Table,
    /// How long the Region lives before the first run: agents have reported by then.
    pub warm_up: SignedDuration,
}

/// What an SSM document does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a document is inspect, stage, reboot, revert, shell, or a list of lines")]
pub enum DocumentSpec {
    /// One of the known ones.
    Known(KnownDocument),
    /// Lines of a shell script.
    Lines(Vec<String>),
}

/// The documents that the simulator has stand-ins for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownDocument {
    /// `EcsUpdater-Inspect`.
    Inspect,
    /// `EcsUpdater-Stage`.
    Stage,
    /// `EcsUpdater-Reboot`.
    Reboot,
    /// `EcsUpdater-Revert`.
    Revert,
    /// `AWS-RunShellScript`: the lines are in the parameter `commands`.
    Shell,
}

/// Why a file is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// It cannot be read.
    #[error("failed to read scenario {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no TOML, or has a key that is not known.
    #[error("the scenario is malformed: {}", malformed(.0))]
    Malformed(#[from] toml::de::Error),
    /// A time of the form `"+2h"` is no time.
    #[error("{text:?} is no time since the start, such as \"+2h\"")]
    Time {
        /// As it was written.
        text: String,
        /// Why.
        source: jiff::Error,
    },
    /// `[[host]]` without `index`.
    #[error("a [[host]] needs an index: the place of the machine among all [[instances]], from 0")]
    HostWithoutIndex,
    /// There is no such machine.
    #[error("there is no host {index}: the scenario has {count}")]
    NoSuchHost {
        /// The index.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// A machine's fields are wrong.
    #[error("host {index} is malformed: {}", malformed(.source))]
    Host {
        /// Its index.
        index: usize,
        /// Why.
        source: toml::de::Error,
    },
    /// `count` is no number.
    #[error("count of [[instances]] is no number of machines")]
    Count,
    /// `zones` is no list.
    #[error("zones of [[instances]] is no list of zones")]
    Zones(#[source] toml::de::Error),
    /// A cluster that is not there.
    #[error("{what} names cluster {name:?}, which the scenario does not have")]
    NoSuchCluster {
        /// Who names it.
        what: String,
        /// Its name.
        name: String,
    },
    /// A cluster must be named because there are several.
    #[error("{what} must name its cluster: the scenario has several")]
    WhichCluster {
        /// Who must.
        what: String,
    },
    /// A tag that ECS would refuse.
    #[error(
        "tag of cluster {cluster}: {text:?} has a character other than letters, digits, spaces and + - = . _ : / @"
    )]
    ClusterTag {
        /// The cluster.
        cluster: String,
        /// The key or value.
        text: String,
    },
    /// A service that is not there.
    #[error("event {index} names service {name:?}, which the scenario does not have")]
    NoSuchService {
        /// Its place among the events.
        index: usize,
        /// The service.
        name: String,
    },
    /// A placement constraint is no expression.
    #[error("member_of of service {name}: {reason}")]
    MemberOf {
        /// The service.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// An event has too little or too much.
    #[error("event {index}: {reason}")]
    Event {
        /// Its place among the events.
        index: usize,
        /// What is wrong.
        reason: String,
    },
    /// Something waits for, or strikes, calls that there are not.
    #[error("{what} is for {pattern:?}, which is no operation that is modelled (docs/simulator.md lists them)")]
    NoSuchOperation {
        /// What it is.
        what: String,
        /// As it was written.
        pattern: String,
    },
    /// A fault without an effect.
    #[error("fault {index}: {reason}")]
    Fault {
        /// Its place among the faults.
        index: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    about: String,
    #[serde(default)]
    seed: u64,
    start: Option<String>,
    #[serde(default)]
    warm_up: SignedDuration,
    #[serde(default)]
    region: RegionSpec,
    #[serde(default)]
    repository: Table,
    #[serde(default)]
    clusters: Vec<String>,
    #[serde(default)]
    cluster_tags: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    instances: Vec<Table>,
    #[serde(default)]
    host: Vec<Table>,
    #[serde(default)]
    service: Vec<ServiceSpec>,
    #[serde(default)]
    task: Vec<TaskSpec>,
    #[serde(default)]
    event: Vec<Table>,
    #[serde(default)]
    fault: Vec<FaultSpec>,
    #[serde(default)]
    documents: BTreeMap<String, DocumentSpec>,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    #[serde(default)]
    tables: BTreeMap<String, String>,
    #[serde(default)]
    updater: Table,
    #[serde(default)]
    expect: Table,
}

/// Every agent of a fleet that starts at once has reported by then, also where ECS throttled them: 1,000 reports at 40
/// a second (docs/facts/ecs.md#rates), with waits that double from 10 s.
const BRIDGES_KNOWN: SignedDuration = SignedDuration::from_mins(5);

const DEFAULT_START: &str = "2026-11-23T03:00:00Z";
const DEFAULT_CLUSTER: &str = "main";

impl Scenario {
    /// Lets the Region live so much longer before the first run. What counts from the start is as late as before for
    /// the run.
    fn begin_earlier(&mut self, by: SignedDuration) {
        self.warm_up += by;
        self.start -= by;
        let later = |time: &mut Option<SignedDuration>| *time = time.map(|time| time + by);
        for event in &mut self.events {
            if let EventTime::At(at) = &mut event.due {
                *at += by;
            }
        }
        for fault in &mut self.faults {
            later(&mut fault.from);
            later(&mut fault.until);
        }
        for task in &mut self.tasks {
            later(&mut task.ends_at);
        }
        for service in &mut self.services {
            later(&mut service.protected_for);
        }
    }

    /// The same with the agent of `host-bridge` on every Bottlerocket host, which has run for a while, and an updater
    /// that reaches the hosts by it alone.
    #[must_use]
    pub fn by_bridge(mut self) -> Self {
        for machine in &mut self.machines {
            machine.instance.bridge = true;
        }
        self.begin_earlier(BRIDGES_KNOWN.saturating_sub(self.warm_up).max(SignedDuration::ZERO));
        let defaults = self.updater.entry("defaults").or_insert_with(|| Value::Table(Table::new()));
        if let Some(defaults) = defaults.as_table_mut() {
            defaults.insert("host".to_owned(), Value::String("bridge".to_owned()));
        }
        self
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ScenarioError`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ScenarioError> {
        let path = path.as_ref();
        let text =
            std::fs::read_to_string(path).map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads the text of a scenario.
    ///
    /// # Errors
    /// [`ScenarioError`].
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let written: Written = toml::from_str(text)?;
        let start_text = written.start.as_deref().unwrap_or(DEFAULT_START);
        let start: Timestamp =
            start_text.parse().map_err(|source| ScenarioError::Time { text: start_text.to_owned(), source })?;
        let dice = Dice::new(written.seed);
        let absolute = |table| absolute_times(table, start);
        let groups = written.instances.into_iter().map(absolute).collect::<Result<Vec<_>, _>>()?;
        let special = written.host.into_iter().map(absolute).collect::<Result<Vec<_>, _>>()?;
        let default_cluster = written.clusters.first().map_or(DEFAULT_CLUSTER, String::as_str);
        let machines = machines::machines(groups, special, default_cluster, &written.region.name, dice)?;
        let clusters = clusters(written.clusters, &machines)?;
        let events = written
            .event
            .into_iter()
            .enumerate()
            .map(|(index, event)| {
                EventSpec::read(absolute_times(event, start)?).map_err(|reason| ScenarioError::Event { index, reason })
            })
            .collect::<Result<Vec<_>, ScenarioError>>()?;
        let mut documents = default_documents();
        documents.extend(written.documents);
        let mut scenario = Self {
            about: written.about,
            seed: written.seed,
            start,
            region: written.region,
            repository: repository(absolute_times(written.repository, start)?)?,
            clusters,
            cluster_tags: written.cluster_tags,
            machines,
            services: written.service,
            tasks: written.task,
            events,
            faults: written.fault,
            documents,
            parameters: written.parameters,
            tables: written.tables,
            updater: written.updater,
            expect: written.expect,
            warm_up: SignedDuration::ZERO,
        };
        scenario.check()?;
        scenario.begin_earlier(written.warm_up);
        Ok(scenario)
    }

    /// The place among [`Scenario::clusters`] of the cluster that `what` names.
    pub(crate) fn cluster_of(&self, what: &str, name: Option<&str>) -> Result<usize, ScenarioError> {
        match name {
            Some(name) => self
                .clusters
                .iter()
                .position(|known| known == name)
                .ok_or_else(|| ScenarioError::NoSuchCluster { what: what.to_owned(), name: name.to_owned() }),
            None if self.clusters.len() == 1 => Ok(0),
            None => Err(ScenarioError::WhichCluster { what: what.to_owned() }),
        }
    }

    fn check(&self) -> Result<(), ScenarioError> {
        for (cluster, tags) in &self.cluster_tags {
            self.cluster_of("cluster_tags", Some(cluster))?;
            let mut texts = tags.iter().flat_map(|(key, value)| [key, value]);
            if let Some(text) = texts.find(|text| !text.chars().all(in_ecs_tags)) {
                return Err(ScenarioError::ClusterTag { cluster: cluster.clone(), text: text.clone() });
            }
        }
        for service in &self.services {
            let what = format!("service {}", service.name);
            self.cluster_of(&what, service.cluster.as_deref())?;
            if let Some(text) = &service.member_of {
                crate::query::Filter::parse(text).map_err(|reason| ScenarioError::MemberOf {
                    name: service.name.clone(),
                    reason: reason.to_string(),
                })?;
            }
        }
        let count = self.machines.len();
        for task in &self.tasks {
            if task.host >= count {
                return Err(ScenarioError::NoSuchHost { index: task.host, count });
            }
        }
        for (index, event) in self.events.iter().enumerate() {
            self.check_event(index, event)?;
        }
        for (index, fault) in self.faults.iter().enumerate() {
            is_modelled(&fault.operation, || format!("fault {index}"))?;
            let harmless = fault.error.is_none()
                && fault.status.is_none()
                && fault.delay.is_none()
                && fault.reset.is_none()
                && fault.fails.is_none()
                && !fault.malformed;
            if harmless {
                let reason = "needs error, status, delay, reset, malformed or fails";
                return Err(ScenarioError::Fault { index, reason });
            }
        }
        Ok(())
    }

    fn check_event(&self, index: usize, event: &EventSpec) -> Result<(), ScenarioError> {
        match &event.due {
            EventTime::At(_) => {}
            EventTime::After(When::Host(when), _) => self.check_hosts(when.host.as_slice())?,
            EventTime::After(When::Call(when), _) if when.nth == 0 => {
                return Err(ScenarioError::Event { index, reason: "counts calls from 1".to_owned() });
            }
            EventTime::After(When::Call(when), _) => is_modelled(&when.call, || format!("event {index}"))?,
        }
        match &event.action {
            Action::Hosts(hosts, action) => {
                self.check_hosts(hosts)?;
                self.check_host_action(index, hosts, action)
            }
            Action::Service(named, _) if !self.services.iter().any(|service| service.name == named.service) => {
                Err(ScenarioError::NoSuchService { index, name: named.service.clone() })
            }
            Action::Service(..) | Action::Repository(_) => Ok(()),
        }
    }

    fn check_hosts(&self, hosts: &[usize]) -> Result<(), ScenarioError> {
        let count = self.machines.len();
        match hosts.iter().find(|host| **host >= count) {
            Some(index) => Err(ScenarioError::NoSuchHost { index: *index, count }),
            None => Ok(()),
        }
    }

    fn check_host_action(&self, index: usize, hosts: &[usize], action: &HostAction) -> Result<(), ScenarioError> {
        let HostAction::Set { set } = action else { return Ok(()) };
        if set.is_empty() {
            return Err(ScenarioError::Event { index, reason: "set needs a key of the host".to_owned() });
        }
        for host in hosts {
            let mut table = self.machines[*host].host_table.clone();
            merge(&mut table, set.clone());
            host_spec(&table).map_err(|source| ScenarioError::Host { index: *host, source })?;
        }
        Ok(())
    }
}

/// Whether a pattern means some operation.
fn is_modelled(pattern: &str, what: impl Fn() -> String) -> Result<(), ScenarioError> {
    if crate::wire::service::OPERATIONS.iter().any(|operation| means(pattern, operation)) {
        Ok(())
    } else {
        Err(ScenarioError::NoSuchOperation { what: what(), pattern: pattern.to_owned() })
    }
}

/// The characters that ECS takes in a tag's key and value (ECS API reference, `Tag`).
fn in_ecs_tags(char: char) -> bool {
    char.is_alphanumeric() || "+-=._:/@ ".contains(char)
}

fn clusters(named: Vec<String>, machines: &[MachineSpec]) -> Result<Vec<String>, ScenarioError> {
    let used: BTreeSet<&str> = machines.iter().map(|machine| machine.instance.cluster.as_str()).collect();
    if named.is_empty() {
        let used: Vec<String> = used.into_iter().map(str::to_owned).collect();
        return Ok(if used.is_empty() { vec![DEFAULT_CLUSTER.to_owned()] } else { used });
    }
    match used.into_iter().find(|name| !named.iter().any(|known| known == name)) {
        Some(name) => Err(ScenarioError::NoSuchCluster { what: "a machine".to_owned(), name: name.to_owned() }),
        None => Ok(named),
    }
}

/// `versions = ["1.26.1", "1.27.0"]` is short for releases that are open to everybody.
fn repository(mut table: Table) -> Result<Repository, ScenarioError> {
    let versions = table.remove("versions").map(Value::try_into::<Vec<semver::Version>>).transpose()?;
    let mut repository = Repository::deserialize(table)?;
    for version in versions.into_iter().flatten() {
        if !repository.releases.iter().any(|release| release.version == version) {
            repository.releases.push(crate::host::Release::new(version));
        }
    }
    Ok(repository)
}

/// Replaces `"+2h"` by the time two hours after the start, and TOML's own times by text.
fn absolute_times(table: Table, start: Timestamp) -> Result<Table, ScenarioError> {
    table.into_iter().map(|(key, value)| Ok((key, absolute_value(value, start)?))).collect()
}

fn absolute_value(value: Value, start: Timestamp) -> Result<Value, ScenarioError> {
    Ok(match value {
        Value::String(text) if text.starts_with('+') => {
            let fail = |source| ScenarioError::Time { text: text.clone(), source };
            let since: SignedDuration = text[1..].parse().map_err(fail)?;
            Value::String(start.checked_add(since).map_err(fail)?.to_string())
        }
        Value::Datetime(time) => Value::String(time.to_string()),
        Value::Array(values) => {
            Value::Array(values.into_iter().map(|value| absolute_value(value, start)).collect::<Result<_, _>>()?)
        }
        Value::Table(table) => Value::Table(absolute_times(table, start)?),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => value,
    })
}

fn default_documents() -> BTreeMap<String, DocumentSpec> {
    [
        ("EcsUpdater-Inspect", KnownDocument::Inspect),
        ("EcsUpdater-Stage", KnownDocument::Stage),
        ("EcsUpdater-Reboot", KnownDocument::Reboot),
        ("EcsUpdater-Revert", KnownDocument::Revert),
        ("AWS-RunShellScript", KnownDocument::Shell),
    ]
    .into_iter()
    .map(|(name, document)| (name.to_owned(), DocumentSpec::Known(document)))
    .collect()
}
