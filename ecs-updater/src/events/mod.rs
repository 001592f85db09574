//! What happens in a run: one value for whatever happened to an instance, a cluster, or the run.
//!
//! `journal` finds it out from one plan after the other. The log, the live view, the plain lines of a terminal without one
//! and the report's timeline are readers, and so is whatever else is to hear of a run.

mod journal;
mod log;
mod message;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use models::fleet::Instance;
use models::ids::{ClusterName, GroupName, HostId, RunId, ZoneName};
use models::location::Location;
use models::plan::{HostCommand, Phase, Standing};
use models::reason::HoldReason;
use models::report::{ClusterError, Outcome};
use semver::Version;

pub use journal::{Journal, Seen, tally};
pub use log::log;
pub use message::{Kind, Message, SOURCE, gathered, message};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub at: Timestamp,
    pub run: RunId,
    pub cluster: ClusterName,
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The run begins to work on the cluster, and has looked at nothing yet.
    Begins { location: Location, dry_run: bool },
    /// An instance came into another state.
    Moves(Box<Transition>),
    /// From now on nothing is begun in the cluster.
    Closes(Reason),
    /// Updates may be begun again.
    Opens,
    /// The run sets out to take a release back, without being asked.
    TakesBack { release: Version, why: Reason },
    /// Nothing has happened: how far the cluster is.
    Stands(Box<Tally>),
    /// The run is done with the cluster.
    Ends(Box<Ending>),
}

/// The way of one instance from one state into another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    pub host: HostId,
    pub zone: Option<ZoneName>,
    /// The group of the cluster that it is in; `None` where it is in none, or in two.
    pub group: Option<GroupName>,
    /// The state before; `None` for one that is seen for the first time.
    pub was: Option<State>,
    /// How long it was in that state.
    pub lasted: Option<SignedDuration>,
    pub is: State,
    /// The version it comes from.
    pub from: Option<Version>,
    /// The version it goes to.
    pub to: Option<Version>,
    /// Why, where it is held or its update did not end well.
    pub why: Option<Reason>,
    pub progress: Progress,
}

/// A reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// For programs.
    pub code: String,
    /// For people.
    pub sentence: String,
}

impl From<&HoldReason> for Reason {
    fn from(hold: &HoldReason) -> Self {
        Self { code: hold.code().to_owned(), sentence: hold.to_string() }
    }
}

/// How many of a cluster's instances are settled. Displayed as `12/24`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub settled: usize,
    pub total: usize,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.settled, self.total)
    }
}

/// How a cluster stands at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub progress: Progress,
    /// How many are settled, by how.
    pub settled: BTreeMap<Outcome, usize>,
    /// How many are not, by what is being done or was done last.
    pub under_way: BTreeMap<State, usize>,
    /// Instances out of service, no matter who took them out.
    pub out_of_service: usize,
    /// How many may be.
    pub budget: usize,
}

impl Tally {
    /// Returns what is counted, for people: `12 updated, 2 held · 3 of 3 out of service · 1 draining, 2 rebooting`.
    pub fn sentence(&self) -> String {
        let settled = Outcome::ALL.into_iter().filter_map(|outcome| {
            let count = self.settled.get(&outcome).copied().filter(|count| *count > 0)?;
            Some(format!("{count} {}", State::Settled(outcome).word()))
        });
        let under_way = self.under_way.iter().map(|(state, count)| format!("{count} {}", state.word()));
        let parts = [
            settled.collect::<Vec<_>>().join(", "),
            format!("{} of {} out of service", self.out_of_service, self.budget),
            under_way.collect::<Vec<_>>().join(", "),
        ];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
    }
}

/// How the run ended with a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Why it could not be worked on to the end, where that is so.
    pub error: Option<ClusterError>,
    /// How many instances ended how.
    pub outcomes: BTreeMap<Outcome, usize>,
    pub took: SignedDuration,
}

/// The states of an instance in a run, as people are told of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// A phase of the planner that is no end.
    Phase(Phase),
    /// Its host is being asked how it stands.
    Inspecting,
    /// Nothing more is done with it in this run, unless a hold passes.
    Settled(Outcome),
}

impl State {
    /// Returns the state of an instance where the last plan saw it.
    pub fn of(instance: &Instance, standing: &Standing) -> Self {
        if let Some(verdict) = &instance.run.verdict {
            return Self::Settled(verdict.outcome);
        }
        let command = instance.command.as_ref().map(|sent| &sent.command);
        match (standing.phase, &standing.hold, command) {
            (Phase::Current, ..) => Self::Settled(Outcome::Current),
            (Phase::Held, Some(_), _) => Self::Settled(Outcome::Held),
            (Phase::Unseen, _, Some(HostCommand::Inspect { .. })) => Self::Inspecting,
            (phase, ..) => Self::Phase(phase),
        }
    }

    /// Returns the name for programs: the name of a phase or of an outcome, as reports have them, or `inspecting`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Phase(phase) => phase.as_str(),
            Self::Inspecting => "inspecting",
            Self::Settled(outcome) => outcome.as_str(),
        }
    }

    /// Returns one or two words for a table or a count.
    pub fn word(self) -> &'static str {
        match self {
            Self::Phase(phase) => phase.as_str(),
            Self::Inspecting => "inspecting",
            Self::Settled(outcome) => match outcome {
                Outcome::Updated => "updated",
                Outcome::Current => "current",
                Outcome::Held => "held",
                Outcome::RolledBack => "rolled back",
                Outcome::Failed => "failed",
                Outcome::ScaledIn => "scaled in",
                Outcome::Gone => "gone",
                Outcome::InProgress => "in progress",
                Outcome::WouldUpdate => "to update",
            },
        }
    }

    /// Returns what people are told when an instance comes into this state.
    pub fn words(self) -> &'static str {
        match self {
            Self::Phase(phase) => words_of(phase),
            Self::Settled(Outcome::Updated) => "back in service, updated",
            Self::Inspecting | Self::Settled(_) => self.word(),
        }
    }

    /// Returns whether nothing more is done with the instance, unless a hold passes.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Settled(_))
    }

    /// Returns whether the update of the instance failed.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Settled(outcome) if outcome.is_failure())
    }
}

fn words_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Outdated => "to be updated",
        Phase::Staged => "staged",
        Phase::Drained => "drained, no task left",
        Phase::Reverting => "going back to its old version",
        Phase::Unseen
        | Phase::Current
        | Phase::Staging
        | Phase::Draining
        | Phase::Rebooting
        | Phase::Verifying
        | Phase::Confirming
        | Phase::Held
        | Phase::Settled => phase.as_str(),
    }
}
