//! Every setting of a cluster: its name in TOML, in the environment and as a flag, and what it may be.

use jiff::SignedDuration;
use models::claim::TAG_PREFIX;
use models::policy::{Policy, Timeouts};

use crate::render::duration;

/// What the names of our environment variables begin with.
pub const VARIABLE_PREFIX: &str = "ECS_UPDATER_";
/// The clusters' names, separated by commas.
pub const CLUSTERS_VARIABLE: &str = "ECS_UPDATER_CLUSTERS";
/// The path of the configuration file, or [`PARAMETER_PREFIX`] and the name of an SSM parameter.
pub const CONFIG_VARIABLE: &str = "ECS_UPDATER_CONFIG";
/// The DynamoDB table with the leases.
pub const LEASE_TABLE_VARIABLE: &str = "ECS_UPDATER_LEASE_TABLE";
/// What stands before the name of an SSM parameter that holds the configuration.
pub const PARAMETER_PREFIX: &str = "ssm:";
/// What to log; read by [`crate::telemetry`].
pub const LOG_VARIABLE: &str = "ECS_UPDATER_LOG";

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// [`Policy::max_unavailable`].
    MaxUnavailable,
    /// [`Policy::zone`].
    Zone,
    /// [`Policy::target`].
    Target,
    /// [`Policy::standalone_tasks`].
    StandaloneTasks,
    /// [`Policy::stop_after_failures`].
    StopAfterFailures,
    /// [`Policy::max_duration`].
    MaxDuration,
    /// [`Policy::allow_downgrade`].
    AllowDowngrade,
    /// [`Policy::host`].
    Host,
    /// [`Timeouts::inspect`].
    InspectTimeout,
    /// [`Timeouts::stage`].
    StageTimeout,
    /// [`Timeouts::drain`].
    DrainTimeout,
    /// [`Timeouts::reboot`].
    RebootTimeout,
    /// [`Timeouts::verify`].
    VerifyTimeout,
    /// [`Documents::inspect`](models::policy::Documents::inspect).
    InspectDocument,
    /// [`Documents::stage`](models::policy::Documents::stage).
    StageDocument,
    /// [`Documents::reboot`](models::policy::Documents::reboot).
    RebootDocument,
    /// [`Documents::revert`](models::policy::Documents::revert).
    RevertDocument,
}

impl Key {
    /// All, in the order of the documents.
    pub const ALL: [Self; 17] = [
        Self::MaxUnavailable,
        Self::Zone,
        Self::Target,
        Self::StandaloneTasks,
        Self::StopAfterFailures,
        Self::MaxDuration,
        Self::AllowDowngrade,
        Self::Host,
        Self::InspectTimeout,
        Self::StageTimeout,
        Self::DrainTimeout,
        Self::RebootTimeout,
        Self::VerifyTimeout,
        Self::InspectDocument,
        Self::StageDocument,
        Self::RebootDocument,
        Self::RevertDocument,
    ];

    /// As it stands in `[defaults]` and `[[cluster]]`.
    pub fn path(self) -> &'static str {
        match self {
            Self::MaxUnavailable => "max_unavailable",
            Self::Zone => "zone",
            Self::Target => "target",
            Self::StandaloneTasks => "standalone_tasks",
            Self::StopAfterFailures => "stop_after_failures",
            Self::MaxDuration => "max_duration",
            Self::AllowDowngrade => "allow_downgrade",
            Self::Host => "host",
            Self::InspectTimeout => "timeouts.inspect",
            Self::StageTimeout => "timeouts.stage",
            Self::DrainTimeout => "timeouts.drain",
            Self::RebootTimeout => "timeouts.reboot",
            Self::VerifyTimeout => "timeouts.verify",
            Self::InspectDocument => "documents.inspect",
            Self::StageDocument => "documents.stage",
            Self::RebootDocument => "documents.reboot",
            Self::RevertDocument => "documents.revert",
        }
    }

    /// The flag, without its dashes.
    pub fn flag(self) -> &'static str {
        match self {
            Self::MaxUnavailable => "max-unavailable",
            Self::Zone => "zone",
            Self::Target => "target",
            Self::StandaloneTasks => "standalone-tasks",
            Self::StopAfterFailures => "stop-after-failures",
            Self::MaxDuration => "max-duration",
            Self::AllowDowngrade => "allow-downgrade",
            Self::Host => "host",
            Self::InspectTimeout => "inspect-timeout",
            Self::StageTimeout => "stage-timeout",
            Self::DrainTimeout => "drain-timeout",
            Self::RebootTimeout => "reboot-timeout",
            Self::VerifyTimeout => "verify-timeout",
            Self::InspectDocument => "inspect-document",
            Self::StageDocument => "stage-document",
            Self::RebootDocument => "reboot-document",
            Self::RevertDocument => "revert-document",
        }
    }

    /// The environment variable: the flag's name in capitals behind [`VARIABLE_PREFIX`].
    pub fn variable(self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.flag().to_uppercase().replace('-', "_"))
    }

    /// The tag on an ECS cluster: the flag's name behind [`TAG_PREFIX`].
    ///
    /// `None` for documents. They run as root on the hosts, and whoever may tag a cluster should not choose them.
    pub fn tag(self) -> Option<String> {
        match self {
            Self::MaxUnavailable
            | Self::Zone
            | Self::Target
            | Self::StandaloneTasks
            | Self::StopAfterFailures
            | Self::MaxDuration
            | Self::AllowDowngrade
            | Self::Host
            | Self::InspectTimeout
            | Self::StageTimeout
            | Self::DrainTimeout
            | Self::RebootTimeout
            | Self::VerifyTimeout => Some(format!("{TAG_PREFIX}{}", self.flag())),
            Self::InspectDocument | Self::StageDocument | Self::RebootDocument | Self::RevertDocument => None,
        }
    }

    /// As [`Key::allowed`], in the characters that ECS takes in a tag (ECS API reference, `Tag`): no `%`.
    pub(super) fn allowed_in_tag(self) -> String {
        self.allowed().replace('%', " percent")
    }

    /// The shortest and the longest duration of a key that takes one.
    ///
    /// - `inspect` and `stage` are also the deadline of one visit, which the documents take from 30 s to an hour.
    /// - `drain` goes to two weeks, so that `standalone_tasks = "wait"` can outwait a batch job.
    /// - `reboot`: a command may take 3 minutes to be delivered and carried out, and a shutdown 5 more to begin. In less,
    ///   a host would be given up that is about to reboot.
    /// - `verify`: an ECS agent needs tens of seconds to register, and the EC2 status checks run once a minute.
    pub fn range(self) -> Option<(SignedDuration, SignedDuration)> {
        let (secs, mins, hours) = (SignedDuration::from_secs, SignedDuration::from_mins, SignedDuration::from_hours);
        match self {
            Self::InspectTimeout | Self::StageTimeout => Some((secs(30), hours(1))),
            Self::DrainTimeout => Some((secs(30), hours(14 * 24))),
            Self::RebootTimeout => Some((mins(8), hours(2))),
            Self::VerifyTimeout => Some((mins(1), hours(2))),
            Self::MaxDuration => Some((mins(1), hours(14 * 24))),
            Self::MaxUnavailable
            | Self::Zone
            | Self::Target
            | Self::StandaloneTasks
            | Self::StopAfterFailures
            | Self::AllowDowngrade
            | Self::Host
            | Self::InspectDocument
            | Self::StageDocument
            | Self::RebootDocument
            | Self::RevertDocument => None,
        }
    }

    /// What the value may be, to follow "must be".
    pub fn allowed(self) -> String {
        let timeouts = Timeouts::default();
        let between = |example: SignedDuration| {
            let (least, most) = self.range().unwrap_or_default();
            let (least, most) = (duration::short(least), duration::short(most));
            format!("a duration from {least} to {most} with its unit, such as \"{}\"", duration::short(example))
        };
        match self {
            Self::MaxUnavailable => "a count from 1, such as 2, or a percentage from \"1%\" to \"100%\"".into(),
            Self::Zone => "\"spread\" or \"one-at-a-time\"".into(),
            Self::Target => "\"latest\" or a version such as \"1.27.0\"".into(),
            Self::StandaloneTasks => "\"skip\", \"wait\" or \"stop\"".into(),
            Self::StopAfterFailures => "a count from 1, or \"never\"".into(),
            Self::MaxDuration => format!("{}, or \"none\"", between(SignedDuration::from_hours(4))),
            Self::AllowDowngrade => "true or false".into(),
            Self::Host => "\"auto\", \"ssm\" or \"bridge\"".into(),
            Self::InspectTimeout => between(timeouts.inspect),
            Self::StageTimeout => between(timeouts.stage),
            Self::DrainTimeout => between(timeouts.drain),
            Self::RebootTimeout => between(timeouts.reboot),
            Self::VerifyTimeout => between(timeouts.verify),
            Self::InspectDocument | Self::StageDocument | Self::RebootDocument | Self::RevertDocument => {
                "the name or ARN of an SSM document: 3 to 128 letters, digits and the characters _ - . : /".into()
            }
        }
    }

    /// The built-in default, as it would stand in TOML.
    pub fn default_value(self) -> String {
        let policy = Policy::default();
        let quoted = |text: &str| format!("{text:?}");
        let time = |duration: SignedDuration| quoted(&duration::short(duration));
        match self {
            Self::MaxUnavailable => policy.max_unavailable.to_string(),
            Self::Zone => quoted(policy.zone.as_str()),
            Self::Target => quoted(&policy.target.to_string()),
            Self::StandaloneTasks => quoted(policy.standalone_tasks.as_str()),
            Self::StopAfterFailures => match policy.stop_after_failures {
                models::policy::StopAfter::Count(count) => count.to_string(),
                models::policy::StopAfter::Never => quoted("never"),
            },
            Self::MaxDuration => policy.max_duration.map_or(quoted("none"), time),
            Self::AllowDowngrade => policy.allow_downgrade.to_string(),
            Self::Host => quoted(policy.host.as_str()),
            Self::InspectTimeout => time(policy.timeouts.inspect),
            Self::StageTimeout => time(policy.timeouts.stage),
            Self::DrainTimeout => time(policy.timeouts.drain),
            Self::RebootTimeout => time(policy.timeouts.reboot),
            Self::VerifyTimeout => time(policy.timeouts.verify),
            Self::InspectDocument => quoted(&policy.documents.inspect),
            Self::StageDocument => quoted(&policy.documents.stage),
            Self::RebootDocument => quoted(&policy.documents.reboot),
            Self::RevertDocument => quoted(&policy.documents.revert),
        }
    }
}
