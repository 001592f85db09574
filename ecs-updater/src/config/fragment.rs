//! What one place said: values that are right in themselves, any of them missing.

use jiff::{SignedDuration, Span, SpanRelativeTo};
use models::ids::ClusterName;
use models::policy::{HostWay, MaxUnavailable, Policy, StandaloneTasks, StopAfter, Target, Zones};

use super::error::{Origin, Problem};
use super::key::Key;

/// One file, or another text of the same TOML.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fragment {
    /// The label of the text, for a file its path.
    pub source: String,
    /// `lease_table`; `Some(None)` is the empty text, which stands for none.
    pub lease_table: Option<Option<String>>,
    /// `[defaults]`.
    pub defaults: PolicyFragment,
    /// Each `[[cluster]]`, in order; no name twice.
    pub clusters: Vec<ClusterFragment>,
}

/// What one place said for one cluster: its `[[cluster]]`, or its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFragment {
    /// The cluster.
    pub name: ClusterName,
    /// What differs from lower places.
    pub policy: PolicyFragment,
    /// What is wrong here. It concerns this cluster alone, which is not worked on then.
    pub problems: Vec<Problem>,
}

macro_rules! policy_fragment {
    ($($(#[$doc:meta])* $field:ident : $ty:ty => $($path:ident).+;)+) => {
        /// The settings that one place gave for a cluster.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct PolicyFragment {
            $($(#[$doc])* pub $field: Option<$ty>,)+
        }

        impl PolicyFragment {
            /// These, and where they say nothing, the `lower` ones.
            #[must_use]
            pub fn or(self, lower: Self) -> Self {
                Self { $($field: self.$field.or(lower.$field),)+ }
            }

            /// These, and where they say nothing, what `policy` says.
            #[must_use]
            pub fn over(self, mut policy: Policy) -> Policy {
                $(if let Some(value) = self.$field {
                    policy.$($path).+ = value;
                })+
                policy
            }
        }
    };
}

policy_fragment! {
    /// `max_unavailable`.
    max_unavailable: MaxUnavailable => max_unavailable;
    /// `zone`.
    zone: Zones => zone;
    /// `target`.
    target: Target => target;
    /// `standalone_tasks`.
    standalone_tasks: StandaloneTasks => standalone_tasks;
    /// `stop_after_failures`.
    stop_after_failures: StopAfter => stop_after_failures;
    /// `max_duration`; `Some(None)` is `"none"`, which lifts a limit that a lower place set.
    max_duration: Option<SignedDuration> => max_duration;
    /// `allow_downgrade`.
    allow_downgrade: bool => allow_downgrade;
    /// `host`.
    host: HostWay => host;
    /// `timeouts.inspect`.
    inspect_timeout: SignedDuration => timeouts.inspect;
    /// `timeouts.stage`.
    stage_timeout: SignedDuration => timeouts.stage;
    /// `timeouts.drain`.
    drain_timeout: SignedDuration => timeouts.drain;
    /// `timeouts.reboot`.
    reboot_timeout: SignedDuration => timeouts.reboot;
    /// `timeouts.verify`.
    verify_timeout: SignedDuration => timeouts.verify;
    /// `documents.inspect`.
    inspect_document: String => documents.inspect;
    /// `documents.stage`.
    stage_document: String => documents.stage;
    /// `documents.reboot`.
    reboot_document: String => documents.reboot;
    /// `documents.revert`.
    revert_document: String => documents.revert;
}

/// The value is not what its key allows; [`Key::allowed`] says what is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAllowed;

impl PolicyFragment {
    /// Sets one key from its text. All places are read by the same rule, so `2` and `"2"` are the same in TOML too.
    pub(super) fn set(&mut self, key: Key, text: &str) -> Result<(), NotAllowed> {
        match key {
            Key::MaxUnavailable => self.max_unavailable = Some(text.parse().map_err(|_| NotAllowed)?),
            Key::Zone => self.zone = Some(text.parse().map_err(|_| NotAllowed)?),
            Key::Target => self.target = Some(text.parse().map_err(|_| NotAllowed)?),
            Key::StandaloneTasks => self.standalone_tasks = Some(text.parse().map_err(|_| NotAllowed)?),
            Key::StopAfterFailures => self.stop_after_failures = Some(stop_after(text)?),
            Key::MaxDuration => {
                self.max_duration = Some(if text == "none" { None } else { Some(duration(key, text)?) });
            }
            Key::Host => self.host = Some(text.parse().map_err(|_| NotAllowed)?),
            Key::AllowDowngrade => self.allow_downgrade = Some(text.parse().map_err(|_| NotAllowed)?),
            Key::InspectTimeout => self.inspect_timeout = Some(duration(key, text)?),
            Key::StageTimeout => self.stage_timeout = Some(duration(key, text)?),
            Key::DrainTimeout => self.drain_timeout = Some(duration(key, text)?),
            Key::RebootTimeout => self.reboot_timeout = Some(duration(key, text)?),
            Key::VerifyTimeout => self.verify_timeout = Some(duration(key, text)?),
            Key::InspectDocument => self.inspect_document = Some(document(text)?),
            Key::StageDocument => self.stage_document = Some(document(text)?),
            Key::RebootDocument => self.reboot_document = Some(document(text)?),
            Key::RevertDocument => self.revert_document = Some(document(text)?),
        }
        Ok(())
    }
}

fn stop_after(text: &str) -> Result<StopAfter, NotAllowed> {
    match text.parse() {
        Ok(0) => Err(NotAllowed),
        Ok(count) => Ok(StopAfter::Count(count)),
        Err(_) if text == "never" => Ok(StopAfter::Never),
        Err(_) => Err(NotAllowed),
    }
}

/// Jiff's friendly format ("1h 30m", "20 minutes", "2 days") or ISO 8601 ("PT20M"), within the key's range. A day is
/// 24 hours.
fn duration(key: Key, text: &str) -> Result<SignedDuration, NotAllowed> {
    let span: Span = text.parse().map_err(|_| NotAllowed)?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| NotAllowed)?;
    let (least, most) = key.range().ok_or(NotAllowed)?;
    if (least..=most).contains(&duration) { Ok(duration) } else { Err(NotAllowed) }
}

/// Checks a cluster's name as ECS would.
pub(super) fn cluster_name(name: &str, origin: Origin) -> Result<ClusterName, Box<Problem>> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
    if let Some((_, last)) = name.strip_prefix("arn:").and_then(|arn| arn.rsplit_once('/')) {
        return Err(Box::new(Problem::ClusterArn { arn: name.to_owned(), name: last.to_owned(), origin }));
    }
    if (1..=255).contains(&name.len()) && name.chars().all(allowed) {
        Ok(ClusterName::new(name))
    } else {
        Err(Box::new(Problem::BadClusterName { name: name.to_owned(), origin }))
    }
}

/// What a value of `lease_table` may be, to follow "must be".
pub(super) const LEASE_TABLE_ALLOWED: &str =
    "the name of a DynamoDB table: 3 to 255 letters, digits and the characters _ - . ; or \"\" for none";

/// The pattern of `TableName` in the DynamoDB API; empty for none.
pub(super) fn lease_table(text: &str) -> Result<Option<String>, NotAllowed> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || "_-.".contains(char);
    match text.len() {
        0 => Ok(None),
        3..=255 if text.chars().all(allowed) => Ok(Some(text.to_owned())),
        _ => Err(NotAllowed),
    }
}

/// The pattern of `DocumentName` in the SSM API's `SendCommand`.
fn document(text: &str) -> Result<String, NotAllowed> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || "_-.:/".contains(char);
    if (3..=128).contains(&text.len()) && text.chars().all(allowed) { Ok(text.to_owned()) } else { Err(NotAllowed) }
}
