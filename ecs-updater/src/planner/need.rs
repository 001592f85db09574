//! What one instance can need next, and what several of its rules ask about it.

use jiff::Timestamp;
use models::fleet::{Instance, VisitEnd};
use models::hook::Ask;
use models::plan::{Phase, PlannedStep, Step};
use models::reason::HoldReason;
use semver::Version;

/// What one instance needs next.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// This, now.
    Do(Phase, Step),
    /// Nothing before then, unless something happens.
    Wait(Phase, Timestamp),
    /// To ask a function of the user's first.
    Ask(Phase, Box<Ask>),
    /// To look at these others first: what it comes to depends on whether they have the same trouble.
    LookAtOthers(Phase, Vec<PlannedStep>),
    /// Nothing, on a dry run: an earlier run is in the middle of it.
    Standing(Phase),
    /// Nothing, for this reason.
    Hold(HoldReason),
    /// To be updated when its turn comes.
    Candidate(Candidate<'a>),
    /// It runs what it should.
    Current,
    /// This run is done with it.
    Settled,
}

/// An instance in service that is to be updated.
#[derive(Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) from: Version,
    pub(crate) to: Version,
    /// The update is written to the inactive set already.
    pub(crate) staged: bool,
    /// `version-lock` to restore, where staging has to pin the version.
    pub(crate) lock: Option<String>,
}

impl Candidate<'_> {
    /// The phase that it is in while it waits for its turn.
    pub(crate) fn waits_as(&self) -> Phase {
        if self.staged { Phase::Staged } else { Phase::Outdated }
    }
}

/// How a visit failed, in words.
pub(crate) fn trouble(end: &VisitEnd) -> Option<String> {
    match end {
        VisitEnd::Done => None,
        VisitEnd::Error(error) if error.detail.is_empty() => Some(format!("{} at {}", error.code, error.at)),
        VisitEnd::Error(error) => Some(format!("{} at {}: {}", error.code, error.at, error.detail)),
        VisitEnd::NotDelivered { detail } => Some(format!("no command reaches it: {detail}")),
        VisitEnd::Unsure { detail } => Some(format!("a command got no answer: {detail}")),
        VisitEnd::Malformed { detail } => Some(detail.clone()),
    }
}
