//! Scenarios: a Region, what runs in it and what happens to it, as a TOML file. `docs/simulator.md` has the format.

mod alarm;
mod bucket;
mod check;
mod document;
mod error;
mod event;
mod fault;
mod function;
mod groups;
mod machines;
mod names;
mod parameter;
mod providers;
mod region;
mod scaling;
mod shape;
mod size;
mod times;
mod when;
mod workload;
mod written;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use toml::{Table, Value};

pub(crate) use machines::{host_spec, merge};

pub use alarm::{AlarmSpec, AlarmState};
pub use bucket::BucketSpec;
pub use document::{DocumentSpec, KnownDocument};
pub use error::ScenarioError;
pub use event::{
    Action, AlarmAction, ClockAction, ClusterAction, EventSpec, EventTime, Forged, HostAction, ParameterAction,
    Published, RepositoryAction, ServiceAction, ServiceName,
};
pub use fault::{FaultSpec, OneOrMany, Reset};
pub use function::{FunctionAnswer, FunctionSpec};
pub use groups::{ActiveWhileTerminating, GroupAction, GroupSpec, LaunchFrom, TargetLifecycle, TerminationPolicy};
pub use machines::{InstanceSpec, MachineSpec};
pub use parameter::{ParameterSpec, ParameterVersion};
pub use providers::{ProviderSpec, ScalingSpec, StrategyItem};
pub use region::RegionSpec;
pub use scaling::{Counted, ScalingBehaviour, Unprotects};
pub use shape::{RebalancedZones, ServiceKind, TaskShape};
pub use size::Mib;
pub(crate) use when::means;
pub use when::{CallWhen, HostWhen, Point, When};
pub use workload::{ServiceSpec, TaskSpec};

use document::default_documents;
use times::absolute_times;
use written::Written;

use crate::dice::Dice;
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
    pub machines: Vec<MachineSpec>,
    /// Auto Scaling groups by name, where they have something special.
    pub groups: BTreeMap<String, GroupSpec>,
    /// Capacity providers by name, where they have something special.
    pub providers: BTreeMap<String, ProviderSpec>,
    /// The default capacity provider strategies of clusters, by the cluster's name.
    pub default_strategy: BTreeMap<String, Vec<StrategyItem>>,
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
    pub parameters: BTreeMap<String, ParameterSpec>,
    /// CloudWatch alarms by name.
    pub alarms: BTreeMap<String, AlarmSpec>,
    /// Buckets of S3 by name.
    pub buckets: BTreeMap<String, BucketSpec>,
    /// Lambda functions.
    pub functions: Vec<FunctionSpec>,
    /// DynamoDB tables: name of the partition key, a text, by name of the table.
    pub tables: BTreeMap<String, String>,
    /// The updater's own configuration, passed through.
    pub updater: Table,
    /// What a test expects, passed through.
    pub expect: Table,
    /// How long the Region lives before the first run: agents have reported by then.
    pub warm_up: SignedDuration,
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
        for function in &mut self.functions {
            later(&mut function.until);
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
        self.tell_bridge_policy();
        self
    }

    /// Tells the updater what the role of the hosts allows, where it reaches any by their bridges and was not told.
    fn tell_bridge_policy(&mut self) {
        let by_bridge = self.machines.iter().any(|machine| machine.instance.bridge);
        if !by_bridge || self.updater.contains_key("parameter") {
            return;
        }
        let defaults = self.updater.entry("defaults").or_insert_with(|| Value::Table(Table::new()));
        if let Some(defaults) = defaults.as_table_mut() {
            let policy = Value::String(self.region.bridge_policy.as_str().to_owned());
            defaults.entry("bridge_policy").or_insert(policy);
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ScenarioError`] where the file is no scenario.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ScenarioError> {
        let path = path.as_ref();
        let text =
            std::fs::read_to_string(path).map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads the text of a scenario.
    ///
    /// # Errors
    /// [`ScenarioError`] where the file is no scenario.
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
            groups: written.groups,
            providers: written.providers,
            default_strategy: written.default_strategy,
            services: written.service,
            tasks: written.task,
            events,
            faults: written.fault,
            documents,
            parameters: written.parameters,
            alarms: written.alarms,
            buckets: written.buckets,
            functions: written.function,
            tables: written.tables,
            updater: written.updater,
            expect: written.expect,
            warm_up: SignedDuration::ZERO,
        };
        scenario.check()?;
        scenario.begin_earlier(written.warm_up);
        scenario.tell_bridge_policy();
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
