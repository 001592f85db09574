//! The table of all settings of a cluster.
//!
//! A row is all that a key needs beside its field in [`Policy`], which has the same path and holds the default. The names
//! of flag, variable and tag, the help and the row of `docs/configuration.md` follow from it; a test prints the latter.

use jiff::SignedDuration;
use models::policy::{
    AlarmMissing, BridgePolicy, Capacity, OnAlarm, OnHookError, OwnerLock, Policy, ServiceHealth, Shelf,
    StandaloneTasks, TransportPolicy, Zones,
};
use models::release::MaxVersion;

use super::alarms::AlarmList;
use super::hooks::Function;
use super::rollout::{Count, Shares};
use super::schedule::{Freezes, Windows};
use super::select::Expression;
use super::syntax::{
    AUTO, Between, BusName, CountOrNever, DocumentName, KeyList, NONE, NotAllowed, OrNone, Parsed, Switch, Syntax,
    Words,
};
use super::tag_rule::Tag;
use super::value::Value;
use super::versions::VersionList;

/// What is known of a key.
pub(super) struct Row {
    /// As it stands in `[defaults]` and `[[cluster]]`, and in [`Policy`].
    pub(super) path: &'static str,
    pub(super) tag: Tag,
    /// Whether a `[[cluster.group]]` may set it.
    pub(super) in_group: bool,
    pub(super) setting: &'static dyn Setting,
    /// The sentence in the help, without the default.
    pub(super) help: &'static str,
}

/// A field of [`Policy`] with the syntax of its values.
pub(super) trait Setting: Sync {
    /// Sets the field from what was written.
    fn set(&self, policy: &mut Policy, value: &Value) -> Result<(), NotAllowed>;
    /// Says what is wrong with a value that is not allowed, where its kind can tell.
    fn fault(&self, value: &Value) -> Option<String>;
    /// Sets the field of one policy to that of another.
    fn copy(&self, from: &Policy, to: &mut Policy);
    /// Writes the field as it would stand in TOML.
    fn write(&self, policy: &Policy) -> String;
    fn allowed(&self) -> String;
    fn placeholder(&self) -> String;
    fn bare(&self) -> Option<&'static str>;
}

struct Field<T, S> {
    get: fn(&Policy) -> &T,
    get_mut: fn(&mut Policy) -> &mut T,
    syntax: S,
}

impl<T: Clone, S: Syntax<T>> Setting for Field<T, S> {
    fn set(&self, policy: &mut Policy, value: &Value) -> Result<(), NotAllowed> {
        *(self.get_mut)(policy) = self.syntax.read(value)?;
        Ok(())
    }

    fn fault(&self, value: &Value) -> Option<String> {
        self.syntax.fault(value)
    }

    fn copy(&self, from: &Policy, to: &mut Policy) {
        (self.get_mut)(to).clone_from((self.get)(from));
    }

    fn write(&self, policy: &Policy) -> String {
        self.syntax.write((self.get)(policy))
    }

    fn allowed(&self) -> String {
        self.syntax.allowed((self.get)(&Policy::default()))
    }

    fn placeholder(&self) -> String {
        self.syntax.placeholder()
    }

    fn bare(&self) -> Option<&'static str> {
        self.syntax.bare()
    }
}

macro_rules! row {
    (in group: $($row:tt)+) => {
        row!(@true, $($row)+)
    };
    (@$in_group:literal, $first:ident $(.$rest:ident)*, $tag:expr, $syntax:expr, $help:expr) => {
        Row {
            path: concat!(stringify!($first) $(, ".", stringify!($rest))*),
            tag: $tag,
            in_group: $in_group,
            setting: &Field {
                get: |policy| &policy.$first $(.$rest)*,
                get_mut: |policy| &mut policy.$first $(.$rest)*,
                syntax: $syntax,
            },
            help: $help,
        }
    };
    ($($row:tt)+) => {
        row!(@false, $($row)+)
    };
}

/// All keys, in the order of the documents.
///
/// The ranges of the timeouts:
///
/// - `inspect` and `stage` are also the deadline of one visit, which the documents take from 30 s to an hour.
/// - `drain` goes to two weeks, so that `standalone_tasks = "wait"` can outwait a batch job.
/// - `reboot`: a command may take 3 minutes to be delivered and carried out, and a shutdown 5 more to begin. In less, a
///   host would be given up that is about to reboot.
/// - `verify`: an ECS agent needs tens of seconds to register, and the EC2 status checks run once a minute.
/// - `steady`: a task may take minutes to pull its image and to pass its health checks.
pub(super) const ROWS: &[Row] = &[
    row!(
        in group: max_unavailable,
        Tag::Stricter(|one, two| one.max_unavailable.compare(two.max_unavailable)),
        Parsed {
            allowed: "a count from 1, such as 2, or a percentage from \"1%\" to \"100%\"",
            placeholder: "COUNT|PERCENT",
        },
        "Instances out of service at once, no matter who took them out: a count or a percentage"
    ),
    row!(
        zone,
        Tag::Any,
        Words { all: &[Zones::Spread, Zones::OneAtATime], word: Zones::as_str },
        "Rotate through the zones, or finish one zone before the next"
    ),
    row!(
        target,
        Tag::Never,
        Parsed {
            allowed: "\"latest\", a version such as \"1.27.0\", or \"ssm:\" and the name of an SSM parameter that holds one",
            placeholder: "VERSION|ssm:NAME",
        },
        "What to update to: \"latest\", which is what each host chooses, a version, or an SSM parameter that holds one"
    ),
    row!(
        min_age,
        Tag::Stricter(|one, two| Some(two.min_age.cmp(&one.min_age))),
        OrNone { some: Between(hours(1), hours(365 * 24)), example: hours(7 * 24), none: NONE },
        "Install a release only once it is this old, such as \"7d\"; older ones are taken meanwhile"
    ),
    row!(
        max_version,
        Tag::Stricter(|one, two| Some(highest(one.max_version).cmp(&highest(two.max_version)))),
        OrNone {
            some: Parsed {
                allowed: "a version such as \"1.27.0\", or \"1.27.x\" for all of a minor one",
                placeholder: "VERSION",
            },
            example: MaxVersion::of_minor(1, 27),
            none: NONE
        },
        "Install no version above this one, such as \"1.27.x\""
    ),
    row!(
        skip_versions,
        Tag::Adds(|standing, tag| tag.skip_versions.extend(standing.skip_versions.iter().cloned())),
        VersionList,
        "Never install these versions, separated by commas; the next lower one is taken instead"
    ),
    row!(
        in group: owner_lock,
        Tag::Stricter(|one, two| Some(one.owner_lock.cmp(&two.owner_lock))),
        Words { all: &[OwnerLock::Respect, OwnerLock::Override], word: OwnerLock::as_str },
        "Hosts whose own updates.version-lock names another version than the target: respect it, or override it"
    ),
    row!(
        select,
        Tag::Never,
        Expression,
        "Begin updates only on instances that meet this, such as \"attribute:role == web\", by attributes, tags and providers"
    ),
    row!(
        in group: standalone_tasks,
        Tag::Stricter(|one, two| Some(one.standalone_tasks.cmp(&two.standalone_tasks))),
        Words {
            all: &[StandaloneTasks::Skip, StandaloneTasks::Wait, StandaloneTasks::Stop],
            word: StandaloneTasks::as_str,
        },
        "Instances with tasks of no service: skip, wait for the tasks' end, or stop them"
    ),
    row!(
        capacity,
        Tag::Stricter(|one, two| Some(one.capacity.cmp(&two.capacity))),
        Words { all: &[Capacity::Room, Capacity::ScaleOut], word: Capacity::as_str },
        "Where tasks find room: only on instances in service, or also on those that managed scaling launches"
    ),
    row!(
        hold_min_size,
        Tag::Never,
        Switch,
        "Hold MinSize of Auto Scaling groups at their size during a run, so that managed scaling ends no instance"
    ),
    row!(
        in group: canary,
        Tag::Never,
        OrNone { some: Count, example: 1, none: NONE },
        "Update this many instances of each variant and architecture first, and wait as long as bake says"
    ),
    row!(
        in group: canary_match,
        Tag::Never,
        Expression,
        "Take canaries only among instances that meet this, such as \"tag:stage == canary\""
    ),
    row!(
        in group: checkpoints,
        Tag::Never,
        Shares,
        "Wait as long as bake says once this share of a variant and architecture is updated, such as \"10%,50%\""
    ),
    row!(
        in group: bake,
        Tag::Stricter(|one, two| Some(two.bake.cmp(&one.bake))),
        Between(mins(1), hours(14 * 24)),
        "Wait this long after the canaries, and after each checkpoint, before more is begun"
    ),
    row!(
        soak,
        Tag::Stricter(|one, two| Some(two.soak.cmp(&one.soak))),
        Between(secs(0), hours(1)),
        "Drain nothing for this long after a drain, and after an instance came back"
    ),
    row!(
        alarms,
        Tag::Never,
        AlarmList,
        "Begin nothing while one of these CloudWatch alarms fires; separated by commas"
    ),
    row!(
        alarm_missing,
        Tag::Stricter(|one, two| Some(one.alarm_missing.cmp(&two.alarm_missing))),
        Words { all: &[AlarmMissing::Hold, AlarmMissing::Ignore], word: AlarmMissing::as_str },
        "If an alarm does not exist or has no data: begin nothing, or treat it as one that does not fire"
    ),
    row!(
        on_alarm,
        Tag::Never,
        Words { all: &[OnAlarm::Hold, OnAlarm::RollBack], word: OnAlarm::as_str },
        "If an alarm fires while a release is watched: begin nothing more, or take the release back as well"
    ),
    row!(
        services,
        Tag::Stricter(|one, two| Some(one.services.cmp(&two.services))),
        Words { all: &[ServiceHealth::Steady, ServiceHealth::Ignore], word: ServiceHealth::as_str },
        "Drain nothing more until services whose tasks were moved run as many as they should, or ignore them"
    ),
    row!(hooks.before_run, Tag::Never, Function, "ARN of a Lambda function that is asked before anything is begun"),
    row!(hooks.before_drain, Tag::Never, Function, "The same before an instance is drained"),
    row!(hooks.before_reboot, Tag::Never, Function, "The same once an instance is drained, before its reboot"),
    row!(hooks.before_active, Tag::Never, Function, "The same once an instance is healthy, before it takes tasks"),
    row!(hooks.after_instance, Tag::Never, Function, "The same with how the update of an instance has ended"),
    row!(hooks.after_run, Tag::Never, Function, "The same at the end of a run that has begun something"),
    row!(hooks.timeout, Tag::Any, Between(secs(30), hours(24)), "How long a function may take for one step altogether"),
    row!(
        hooks.on_error,
        Tag::Stricter(|one, two| Some(one.hooks.on_error.cmp(&two.hooks.on_error))),
        Words { all: &[OnHookError::Hold, OnHookError::Continue], word: OnHookError::as_str },
        "If a function itself fails, or gives no valid answer: do not go on, or go on as if it had said ok"
    ),
    row!(
        stop_after_failures,
        Tag::Stricter(|one, two| Some(one.stop_after_failures.cmp(&two.stop_after_failures))),
        CountOrNever,
        "Begin no further instance after this many failed or were rolled back, or \"never\""
    ),
    row!(
        max_duration,
        Tag::Stricter(|one, two| Some(longest(one.max_duration).cmp(&longest(two.max_duration)))),
        OrNone { some: Between(mins(1), hours(14 * 24)), example: hours(4), none: NONE },
        "Begin no further instance after this long, such as \"4h\"; \"none\" for no limit"
    ),
    row!(
        in group: windows,
        Tag::Never,
        Windows,
        "Begin updates only while one of these is open, such as \"Sat-Sun 02:00-05:00 UTC\""
    ),
    row!(
        in group: window_cutoff,
        Tag::Never,
        OrNone { some: Between(secs(0), hours(24)), example: mins(20), none: AUTO },
        "Begin no update this close to the end of the windows, or auto: as long as one is expected to take"
    ),
    row!(
        window_wait,
        Tag::Never,
        Between(secs(0), hours(24)),
        "Wait for a window that opens within this time, rather than end"
    ),
    row!(in group: freeze, Tag::Never, Freezes, "Begin no update on these days, such as \"2026-12-20..2027-01-04: holidays\""),
    row!(
        allow_downgrade,
        Tag::Never,
        Switch,
        "Let a host go to a lower version: a lower --target, or a withdrawn release"
    ),
    row!(
        host,
        Tag::Never,
        Words {
            all: &[TransportPolicy::Auto, TransportPolicy::Ssm, TransportPolicy::Bridge],
            word: TransportPolicy::as_str
        },
        "How hosts are reached: by their host bridge, by SSM documents, or auto: by the bridge if one is live"
    ),
    row!(
        bridge_policy,
        Tag::Never,
        Words { all: &[BridgePolicy::OwnHost, BridgePolicy::Cluster], word: BridgePolicy::as_str },
        "What the hosts' role lets a host bridge report on: own-host (its own instance) or cluster (every instance)"
    ),
    row!(
        events,
        Tag::Never,
        OrNone { some: BusName, example: String::new(), none: NONE },
        "EventBridge event bus that gets runs, failures and holds as events, by its name or ARN, or none"
    ),
    row!(
        reports,
        Tag::Never,
        OrNone {
            some: Parsed { allowed: "an S3 bucket such as \"s3://bucket/prefix\"", placeholder: "s3://BUCKET/PREFIX" },
            example: Shelf { bucket: String::new(), prefix: String::new() },
            none: NONE
        },
        "S3 bucket that keeps the report of each run, as JSON and as a page, such as \"s3://bucket/prefix\""
    ),
    row!(
        timeouts.inspect,
        Tag::Any,
        Between(secs(30), hours(1)),
        "From the first look at a host to calling it unreachable"
    ),
    row!(timeouts.stage, Tag::Any, Between(secs(30), hours(1)), "One download and write of an image"),
    row!(
        in group: timeouts.drain,
        Tag::Any,
        Between(secs(30), hours(14 * 24)),
        "From DRAINING to the last task's end; then the instance is set ACTIVE again"
    ),
    row!(
        in group: timeouts.reboot,
        Tag::Any,
        Between(mins(8), hours(2)),
        "From the reboot command to the first report from the new boot"
    ),
    row!(
        in group: timeouts.verify,
        Tag::Any,
        Between(mins(1), hours(2)),
        "From the new boot to a connected ECS agent and passing status checks; then a rollback"
    ),
    row!(
        timeouts.steady,
        Tag::Any,
        Between(secs(30), hours(2)),
        "How long a service may take to become steady after a task left (services); then nothing more is begun"
    ),
    row!(documents.inspect, Tag::Never, DocumentName, "SSM document that inspects a host"),
    row!(documents.stage, Tag::Never, DocumentName, "SSM document that writes the update"),
    row!(documents.reboot, Tag::Never, DocumentName, "SSM document that activates and reboots"),
    row!(documents.revert, Tag::Never, DocumentName, "SSM document that undoes an update"),
    row!(tags, Tag::Never, KeyList, "Keys that tags of the ECS clusters may also loosen; separated by commas"),
];

/// No limit is the longest.
fn longest(limit: Option<SignedDuration>) -> SignedDuration {
    limit.unwrap_or(SignedDuration::MAX)
}

/// No limit is the highest.
fn highest(max: Option<MaxVersion>) -> (u64, u64, u64) {
    max.map_or((u64::MAX, u64::MAX, u64::MAX), MaxVersion::highest)
}

const fn secs(count: i64) -> SignedDuration {
    SignedDuration::from_secs(count)
}

const fn mins(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

const fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}
