//! When to ask about a command: by how long its like took before in this run.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use models::plan::HostCommand;
use models::time::after;

/// Commands that take about the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Refresh,
    Visit,
    Stage,
    Reboot,
    Revert,
}

impl Kind {
    pub(super) fn of(command: &HostCommand) -> Self {
        match command {
            HostCommand::Inspect { refresh: true } => Self::Refresh,
            HostCommand::Inspect { refresh: false } => Self::Visit,
            HostCommand::Stage { .. } => Self::Stage,
            HostCommand::Reboot { .. } => Self::Reboot,
            HostCommand::Revert { .. } => Self::Revert,
        }
    }

    /// Seconds to the first question while nothing was learned yet, between two questions while an end is likely,
    /// and at most between two. They are a second less than a beat of the run's grid, which they would else just miss.
    fn pace_s(self) -> (i64, i64, i64) {
        match self {
            Self::Refresh => (8, 4, 14),
            Self::Visit => (4, 4, 14),
            Self::Stage => (19, 9, 29),
            // A refusal comes soon; a reboot that works says nothing more.
            Self::Reboot => (9, 59, 59),
            Self::Revert => (19, 9, 29),
        }
    }
}

/// How long commands took in this run, the newest last: the next ones are asked about when they can have ended.
#[derive(Debug, Default)]
pub(super) struct Durations(BTreeMap<Kind, VecDeque<SignedDuration>>);

impl Durations {
    /// So many of the newest count: a fleet's hosts differ, and so do hours of the day.
    const KEPT: usize = 64;

    pub(super) fn learn(&mut self, kind: Kind, took: SignedDuration) {
        let known = self.0.entry(kind).or_default();
        known.push_back(took);
        if known.len() > Self::KEPT {
            known.pop_front();
        }
    }

    /// When to ask next: not before the quickest one can have ended, often until the slowest has, and then ever less.
    pub(super) fn next_poll(&self, kind: Kind, sent_at: Timestamp, now: Timestamp) -> Timestamp {
        let (first, often, at_most) = kind.pace_s();
        let seconds = SignedDuration::from_secs;
        let known = self.0.get(&kind).filter(|_| kind != Kind::Reboot);
        let (quickest, slowest) = match known {
            Some(known) => (known.iter().min().copied(), known.iter().max().copied()),
            None => (None, None),
        };
        let since = now.duration_since(sent_at);
        if since.is_zero() {
            // A poll earlier than the quickest, since that was seen a poll after its end.
            return after(
                sent_at,
                quickest.map_or(seconds(first), |quickest| (quickest - seconds(often)).max(seconds(first))),
            );
        }
        let late = since - slowest.unwrap_or(seconds(5 * often));
        after(now, (seconds(often) + late.max(SignedDuration::ZERO) / 2).min(seconds(at_most)))
    }
}
