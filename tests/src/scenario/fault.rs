//! `[[fault]]`: AWS calls that go wrong.

use jiff::SignedDuration;
use serde::Deserialize;

/// `[[fault]]`: an AWS call that goes wrong.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// Such as `ecs:DescribeTasks`; `ecs:*` and `*` are patterns.
    pub operation: String,
    /// Which calls of the operation, counted from 1; all where it is empty.
    #[serde(default)]
    pub nth: OneOrMany,
    /// Only calls that name this host, a container instance of it, or a task on it.
    pub naming: Option<usize>,
    /// Only calls that name this Auto Scaling group.
    pub group: Option<String>,
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

impl FaultSpec {
    /// Whether anything goes wrong by it.
    pub(super) fn has_effect(&self) -> bool {
        self.error.is_some()
            || self.status.is_some()
            || self.delay.is_some()
            || self.reset.is_some()
            || self.fails.is_some()
            || self.malformed
    }
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
    /// This number alone.
    One(u64),
    /// Each of these numbers.
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
