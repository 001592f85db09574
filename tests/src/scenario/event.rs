//! `[[event]]`: what people and the course of things do during a run.

use std::fmt;

use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::alarm::AlarmState;
use super::groups::GroupAction;
use super::names::names;
use super::when::When;
use crate::errors::malformed;
use crate::host::Release;

/// Something that happens at a time, after a host has come to a point, or between two calls.
#[derive(Debug, Clone, PartialEq)]
pub struct EventSpec {
    /// When it happens.
    pub due: EventTime,
    /// What happens.
    pub action: Action,
}

/// When an event happens. It does so once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventTime {
    /// So long after the start of the scenario.
    At(SignedDuration),
    /// So long after this.
    After(When, SignedDuration),
}

/// What happens, and to what. Except where it says otherwise a person does it.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// To each of these hosts, by index.
    Hosts(Vec<usize>, HostAction),
    /// To the service of this name, in the cluster of this name or in each that has one.
    Service(ServiceName, ServiceAction),
    /// To the cluster of this name, or to the only one.
    Cluster(Option<String>, ClusterAction),
    /// To the Auto Scaling group of this name.
    Group(String, GroupAction),
    /// To the update repository.
    Repository(RepositoryAction),
    /// To an SSM parameter.
    Parameter(ParameterAction),
    /// To a CloudWatch alarm.
    Alarm(AlarmAction),
    /// The date of the machine that the program under test runs on leaps; a machine that was suspended does that too.
    Clock(ClockAction),
}

/// What is done to a host, or to its container instance or EC2 instance.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HostAction {
    /// The container instance is made DRAINING.
    Drain,
    /// The container instance is made ACTIVE.
    Activate,
    /// The container instance is deregistered by force.
    Deregister,
    /// The EC2 instance is terminated.
    Terminate,
    /// The Auto Scaling group replaces the instance: it is terminated, and one like it comes up in its place.
    Replace,
    /// The Auto Scaling group ends the instance.
    ScaleIn,
    /// The Auto Scaling group has the instance in another state.
    GroupState {
        /// `LifecycleState`.
        state: String,
    },
    /// EC2 gives notice that it takes the Spot instance back.
    SpotInterruption,
    /// The EC2 instance is stopped.
    Stop,
    /// The stopped EC2 instance is started.
    Start,
    /// The host reboots at once, by itself or by a person.
    Reboot,
    /// An EC2 tag is written.
    Tag {
        /// The tag's key.
        key: String,
        /// The tag's value.
        value: String,
    },
    /// An EC2 tag is deleted.
    Untag {
        /// The tag's key.
        key: String,
    },
    /// A custom attribute of the container instance is written.
    PutAttribute {
        name: String,
        /// The attribute's value.
        value: String,
    },
    /// A custom attribute is deleted.
    DeleteAttribute { name: String },
    /// The standalone tasks on the host are stopped.
    StopTasks,
    /// A standalone task is started on the host by `StartTask`.
    StartTask {
        /// Family of the task definition; `by-hand` where it is missing.
        family: Option<String>,
        /// After which it ends by itself.
        #[serde(rename = "for")]
        lasts: Option<SignedDuration>,
    },
    /// The agent's connection breaks.
    Disconnect {
        /// How long.
        #[serde(rename = "for")]
        lasts: SignedDuration,
    },
    /// The process of the host's bridge ends, and the host starts its container again.
    BridgeRestarts {
        /// How long the host waits before that, where it is not as long as usual.
        #[serde(rename = "for")]
        lasts: Option<SignedDuration>,
    },
    /// The host container of the bridge is switched off.
    BridgeStops,
    /// It is switched on again.
    BridgeStarts,
    /// The metadata service does not answer.
    MetadataAway {
        /// How long.
        #[serde(rename = "for")]
        lasts: SignedDuration,
    },
    /// `InstanceMetadataTags` is switched on.
    MetadataTagsOn,
    /// It is switched off.
    MetadataTagsOff,
    /// Somebody with the role of this host reports for another one, as its bridge would.
    Forge {
        /// The host that the report is about.
        of: usize,
        /// What it says.
        says: Forged,
    },
    /// The host changes.
    Set {
        /// The keys of the host that change.
        set: Table,
    },
}

/// What a forged report says of the claim that stands on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forged {
    /// It was carried out: another boot has the new version.
    Done,
    /// Another boot has the old version again.
    FellBack,
    /// It could not be carried out.
    Failed,
    /// It was not begun: the repository could not be read.
    DidNothing,
    /// Another boot has the old version, and the new one is not offered any more.
    Withdrawn,
}

/// Name of a service, and of its cluster where that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName {
    /// Name of the service.
    pub service: String,
    /// Name of the cluster; any that has such a service where it is missing.
    pub cluster: Option<String>,
}

/// What is done to a service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ServiceAction {
    /// Tasks get scale-in protection.
    Protect {
        /// How many; all where it is missing.
        count: Option<u32>,
        /// How long.
        #[serde(rename = "for")]
        lasts: SignedDuration,
    },
    /// It gets another desired count.
    Scale {
        /// How many tasks are desired.
        count: u32,
    },
    /// It is deployed: its tasks are exchanged, as its percentages allow.
    Deploy,
    /// Its newest deployment fails.
    FailDeployment,
    /// It is deleted by force, with its tasks.
    DeleteService,
}

/// What is done to a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ClusterAction {
    /// A tag of the cluster is written.
    ClusterTag { key: String, value: String },
    /// A tag of the cluster is deleted.
    ClusterUntag { key: String },
}

/// What becomes of an SSM parameter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ParameterAction {
    /// It gets another value, and is made where there is none of that name.
    PutParameter { name: String, value: String },
    /// It is deleted.
    DeleteParameter { name: String },
}

/// What becomes of a CloudWatch alarm.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AlarmAction {
    /// Its state changes; it is made where there is none of that name.
    Alarm { alarm: String, state: AlarmState },
    /// It is deleted.
    DeleteAlarm { alarm: String },
}

/// What becomes of the update repository.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RepositoryAction {
    /// A release is published: `release`, or `version` for one without waves.
    Release(Published),
    /// A release is withdrawn.
    Withdraw { version: semver::Version },
    /// `max_version` changes.
    MaxVersion {
        /// The new one.
        version: semver::Version,
    },
    /// Nobody reaches it any more.
    RepositoryDown,
    /// It is there again.
    RepositoryUp,
}

/// What becomes of the date where the program under test runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ClockAction {
    /// It leaps.
    Clock {
        /// How far, forward or back.
        by: SignedDuration,
    },
}

/// A release that is published.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "WrittenRelease")]
pub struct Published(pub Release);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRelease {
    release: Option<Release>,
    version: Option<semver::Version>,
}

impl TryFrom<WrittenRelease> for Published {
    type Error = &'static str;

    fn try_from(written: WrittenRelease) -> Result<Self, &'static str> {
        match written {
            WrittenRelease { release: Some(release), version: None } => Ok(Self(release)),
            WrittenRelease { release: None, version: Some(version) } => Ok(Self(Release::new(version))),
            WrittenRelease { .. } => Err("needs release or version"),
        }
    }
}

/// What stands in a table besides what the action says.
#[derive(Deserialize)]
struct WrittenTime {
    at: Option<SignedDuration>,
    when: Option<When>,
    after: Option<SignedDuration>,
}

impl EventSpec {
    /// Reads an `[[event]]`; says what is wrong with it.
    pub(super) fn read(mut table: Table) -> Result<Self, String> {
        let due = event_time(take(&mut table, &["at", "when", "after"]))?;
        let Some(Value::String(name)) = table.remove("do") else { return Err("needs do".to_owned()) };
        Ok(Self { due, action: action(&name, table).map_err(|reason| format!("{name} {reason}"))? })
    }
}

fn event_time(table: Table) -> Result<EventTime, String> {
    match WrittenTime::deserialize(table).map_err(|error| malformed(&error))? {
        WrittenTime { at: Some(at), when: None, after: None } => Ok(EventTime::At(at)),
        WrittenTime { at: None, when: Some(when), after } => Ok(EventTime::After(when, after.unwrap_or_default())),
        WrittenTime { at: Some(_), when: None, after: Some(_) } => Err("needs when beside after".to_owned()),
        WrittenTime { .. } => Err("needs either at or when".to_owned()),
    }
}

fn action(name: &str, mut table: Table) -> Result<Action, String> {
    let (hosts, services, repository) = (names::<HostAction>(), names::<ServiceAction>(), names::<RepositoryAction>());
    let clusters = names::<ClusterAction>();
    if hosts.contains(&name) {
        let hosts = take_hosts(&mut table)?;
        return Ok(Action::Hosts(hosts, payload(name, table)?));
    }
    if services.contains(&name) {
        let service = take_one(&mut table, "service")?.ok_or("needs service")?;
        let cluster = take_one(&mut table, "cluster")?;
        return Ok(Action::Service(ServiceName { service, cluster }, payload(name, table)?));
    }
    if clusters.contains(&name) {
        let cluster = take_one(&mut table, "cluster")?;
        return Ok(Action::Cluster(cluster, payload(name, table)?));
    }
    let groups = names::<GroupAction>();
    if groups.contains(&name) {
        let group = take_one(&mut table, "group")?.ok_or("needs group")?;
        return Ok(Action::Group(group, payload(name, table)?));
    }
    if repository.contains(&name) {
        return Ok(Action::Repository(payload(name, table)?));
    }
    let parameters = names::<ParameterAction>();
    if parameters.contains(&name) {
        return Ok(Action::Parameter(payload(name, table)?));
    }
    let alarms = names::<AlarmAction>();
    if alarms.contains(&name) {
        return Ok(Action::Alarm(payload(name, table)?));
    }
    let clock = names::<ClockAction>();
    if clock.contains(&name) {
        return Ok(Action::Clock(payload(name, table)?));
    }
    let known: Vec<String> = [hosts, services, clusters, groups, repository, parameters, alarms, clock]
        .concat()
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    Err(format!("is nothing that an event can do: expected one of {}", known.join(", ")))
}

/// Reads what is left of a table as the action of this name.
fn payload<T: DeserializeOwned>(name: &str, table: Table) -> Result<T, String> {
    let takes_nothing = Value::String(name.to_owned()).try_into::<T>().is_ok();
    if let Some(key) = table.keys().next().filter(|_| takes_nothing) {
        return Err(format!("takes no `{key}`"));
    }
    let named = Table::from_iter([(name.to_owned(), Value::Table(table))]);
    Value::Table(named).try_into().map_err(|error| format!("is malformed: {}", malformed(&error)))
}

/// Takes the entries with these keys.
fn take(table: &mut Table, keys: &[&str]) -> Table {
    keys.iter().filter_map(|key| table.remove_entry(*key)).collect()
}

fn take_hosts(table: &mut Table) -> Result<Vec<usize>, String> {
    let one: Option<usize> = take_one(table, "host")?;
    let many: Option<Vec<usize>> = take_one(table, "hosts")?;
    let hosts: Vec<usize> = one.into_iter().chain(many.into_iter().flatten()).collect();
    if hosts.is_empty() { Err("needs host or hosts".to_owned()) } else { Ok(hosts) }
}

fn take_one<T: DeserializeOwned>(table: &mut Table, key: &str) -> Result<Option<T>, String> {
    let value = table.remove(key).map(Value::try_into).transpose();
    value.map_err(|error| format!("has a malformed `{key}`: {}", malformed(&error)))
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts(_, action) => write!(f, "{action:?}"),
            Self::Service(_, action) => write!(f, "{action:?}"),
            Self::Cluster(_, action) => write!(f, "{action:?}"),
            Self::Group(_, action) => write!(f, "{action:?}"),
            Self::Repository(action) => write!(f, "{action:?}"),
            Self::Parameter(action) => write!(f, "{action:?}"),
            Self::Alarm(action) => write!(f, "{action:?}"),
            Self::Clock(action) => write!(f, "{action:?}"),
        }
    }
}
