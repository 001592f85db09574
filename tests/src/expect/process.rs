//! `[[expect.process]]`: one of several processes, and what must come of it.

use jiff::SignedDuration;
use models::report::ClusterErrorKind;
use serde::Deserialize;

use super::command::CommandSpec;
use super::ends::Exit;
use crate::moment::Moment;

/// One process, and what must come of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessSpec {
    /// When it starts, since the beginning of all.
    pub at: SignedDuration,
    /// How far its clock is ahead; negative: behind.
    pub skew: SignedDuration,
    /// So long after its start it stands still.
    pub pause: Option<Pause>,
    /// What it is asked for instead of `run`; whatever is to be agreed to, is.
    pub command: Option<CommandSpec>,
    /// It starts at this moment, instead of `at`.
    pub when: Option<Moment>,
    /// So long after its start it gets SIGTERM.
    pub interrupt: Option<SignedDuration>,
    /// So long after its start it gets SIGINT on a terminal.
    pub sigint: Option<SignedDuration>,
    /// So long after its start it dies without a word.
    pub kill: Option<SignedDuration>,
    /// Its exit status.
    pub exit: Option<Exit>,
    /// The kind of its cluster's error.
    pub error: Option<ClusterErrorKind>,
    /// How many instances it updated; not checked where it is missing.
    pub updated: Option<usize>,
}

/// A time in which a process stands still: it runs no code, and what it had sent goes on without it.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pause {
    /// When, since its start.
    pub at: SignedDuration,
    /// How long.
    #[serde(rename = "for")]
    pub lasts: SignedDuration,
}
