//! What an event waits for: a host that comes to a point, or a call.

use serde::Deserialize;

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
