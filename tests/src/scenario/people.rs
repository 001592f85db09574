//! `[[event]]` and `[[fault]]`: what people, the course of things and the network do during a run.

use jiff::SignedDuration;
use serde::Deserialize;

use crate::host::Release;

/// `[[event]]`: something that happens at a time, after a host has come to a point, or between two calls.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSpec {
    /// Since the start of the scenario; not together with `when`.
    pub at: Option<SignedDuration>,
    /// After this, once.
    pub when: Option<When>,
    /// How long after `when`.
    #[serde(default)]
    pub after: SignedDuration,
    /// What happens.
    #[serde(rename = "do")]
    pub action: Action,
    /// On which host, by index.
    pub host: Option<usize>,
    /// On which hosts.
    #[serde(default)]
    pub hosts: Vec<usize>,
    /// `tag`, `untag`: the key.
    pub key: Option<String>,
    /// `tag`: the value.
    pub value: Option<String>,
    /// `protect`, `scale`: the service.
    pub service: Option<String>,
    /// The cluster of the service, where there are several.
    pub cluster: Option<String>,
    /// `protect`: how many tasks; `scale`: how many are desired.
    pub count: Option<u32>,
    /// `start_task`: family of the task definition.
    pub family: Option<String>,
    /// `protect`, `disconnect`, `start_task`, `metadata_away`, `bridge_restarts`: how long.
    #[serde(rename = "for")]
    pub lasts: Option<SignedDuration>,
    /// `withdraw`, `max_version`: the version.
    pub version: Option<semver::Version>,
    /// `release`: what is published.
    pub release: Option<Release>,
    /// `set`: fields of the host that change.
    #[serde(default)]
    pub set: toml::Table,
}

impl EventSpec {
    /// Something that is done on a host once.
    pub fn new(when: When, action: Action, host: usize) -> Self {
        Self {
            at: None,
            when: Some(when),
            after: SignedDuration::ZERO,
            action,
            host: Some(host),
            hosts: Vec::new(),
            key: None,
            value: None,
            service: None,
            cluster: None,
            count: None,
            family: None,
            lasts: None,
            version: None,
            release: None,
            set: toml::Table::new(),
        }
    }
}

/// What an event waits for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenWhen")]
pub enum When {
    /// A host comes to a point in its life.
    Host(HostWhen),
    /// The program under test has made a call.
    Call(CallWhen),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenWhen {
    host: Option<usize>,
    is: Option<Point>,
    call: Option<String>,
    nth: Option<u64>,
}

impl TryFrom<WrittenWhen> for When {
    type Error = &'static str;

    fn try_from(written: WrittenWhen) -> Result<Self, &'static str> {
        match written {
            WrittenWhen { host, is: Some(is), call: None, nth: None } => Ok(Self::Host(HostWhen { host, is })),
            WrittenWhen { host: None, is: None, call: Some(call), nth } => {
                Ok(Self::Call(CallWhen { call, nth: nth.unwrap_or(1) }))
            }
            WrittenWhen { .. } => Err("an event waits for { host, is } or { call, nth }"),
        }
    }
}

/// A point in the life of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostWhen {
    /// Its index; any host where it is missing.
    pub host: Option<usize>,
    /// Which point.
    pub is: Point,
}

/// A call of the program under test: right after it was carried out, before its answer is there. So what happens then
/// is not in that answer, and stands before the next call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallWhen {
    /// Such as `ecs:DescribeTasks`; `ecs:*` and `*` are patterns.
    pub call: String,
    /// Which of these calls, counted from 1 from the start of the scenario; the first where it is missing.
    pub nth: u64,
}

/// Whether a pattern such as `ecs:DescribeTasks`, `ecs:*` or `*` means the operation of this name.
pub(crate) fn means(pattern: &str, name: &str) -> bool {
    let of_service = |service: &str| name.strip_prefix(service).is_some_and(|rest| rest.starts_with(':'));
    pattern == "*" || pattern == name || pattern.strip_suffix(":*").is_some_and(of_service)
}

/// Points in the life of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// It got a claim of the updater, or another one.
    Claimed,
    /// A prepare succeeded.
    Staged,
    /// Its container instance became DRAINING.
    Draining,
    /// Nothing is left on it while it is DRAINING.
    Drained,
    /// An activate succeeded.
    Activated,
    /// It goes down to reboot.
    Rebooting,
    /// Its host API answers again.
    Booted,
    /// Its container instance became ACTIVE again.
    Active,
}

/// What happens. Except where it says otherwise a person does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The container instance is made DRAINING.
    Drain,
    /// The container instance is made ACTIVE.
    Activate,
    /// The container instance is deregistered by force.
    Deregister,
    /// The EC2 instance is terminated.
    Terminate,
    /// The EC2 instance is stopped.
    Stop,
    /// The stopped EC2 instance is started.
    Start,
    /// The host reboots at once, by itself or by a person.
    Reboot,
    /// An EC2 tag is written: `key`, `value`.
    Tag,
    /// An EC2 tag is deleted: `key`.
    Untag,
    /// The standalone tasks on the host are stopped.
    StopTasks,
    /// A standalone task is started on the host by `StartTask`: `family`, and `for`, after which it ends by itself.
    StartTask,
    /// Tasks of `service` get scale-in protection: `count`, `for`.
    Protect,
    /// `service` gets another desired count: `count`.
    Scale,
    /// `service` is deployed: its tasks are exchanged, as its percentages allow.
    Deploy,
    /// The Auto Scaling group replaces the instance: it is terminated, and one like it comes up in its place.
    Replace,
    /// The agent's connection breaks: `for`.
    Disconnect,
    /// The process of the host's bridge ends, and the host starts its container again: `for`.
    BridgeRestarts,
    /// The host container of the bridge is switched off.
    BridgeStops,
    /// It is switched on again.
    BridgeStarts,
    /// The metadata service does not answer: `for`.
    MetadataAway,
    /// `InstanceMetadataTags` is switched on.
    MetadataTagsOn,
    /// It is switched off.
    MetadataTagsOff,
    /// The host changes: `set`.
    Set,
    /// A release is published: `release`, or `version` for one without waves.
    Release,
    /// A release is withdrawn: `version`.
    Withdraw,
    /// `max_version` of the update repository changes: `version`.
    MaxVersion,
    /// Nobody reaches the update repository any more.
    RepositoryDown,
    /// The update repository is there again.
    RepositoryUp,
}

/// `[[fault]]`: an AWS call that goes wrong.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// Such as `ecs:DescribeTasks`; `ecs:*` and `*` are patterns.
    pub operation: String,
    /// Which calls of the operation, counted from 1; all where it is empty.
    #[serde(default)]
    pub nth: OneOrMany,
    /// From when on, since the start.
    pub from: Option<SignedDuration>,
    /// Until when, since the start.
    pub until: Option<SignedDuration>,
    /// How many calls at most go wrong by this fault.
    pub times: Option<u64>,
    /// Of the calls that the keys above choose, so many in a hundred, drawn by the seed; all where it is missing.
    pub percent: Option<u64>,
    /// AWS's error code.
    pub error: Option<String>,
    /// Its message.
    pub message: Option<String>,
    /// HTTP status; 400 with an `error`, or a bare 5xx without one.
    pub status: Option<u16>,
    /// How much longer the call takes.
    pub delay: Option<SignedDuration>,
    /// The connection breaks before the call has an effect, or after.
    pub reset: Option<Reset>,
    /// The call is carried out, and its answer arrives cut in half.
    #[serde(default)]
    pub malformed: bool,
    /// The first so many of the things that the request names are not found or done, but listed under `failures`.
    pub fails: Option<usize>,
    /// The `reason` of these failures; `MISSING` where it is missing.
    pub reason: Option<String>,
}

/// When a connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// The request never arrived.
    Before,
    /// The request took effect and the answer was lost.
    After,
}

/// A number or a list of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// None given.
    #[default]
    #[serde(skip)]
    All,
    /// One.
    One(u64),
    /// Several.
    Many(Vec<u64>),
}

impl OneOrMany {
    /// Whether `n` is among them.
    pub fn contains(&self, n: u64) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => *one == n,
            Self::Many(many) => many.contains(&n),
        }
    }
}
