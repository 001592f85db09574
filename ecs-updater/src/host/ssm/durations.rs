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
    /// A visit that waits for a host to boot.
    Boot,
    Stage,
    Reboot,
    Revert,
}

impl Kind {
    /// `awaits_boot`: the host is to boot before it answers.
    pub(super) fn of(command: &HostCommand, awaits_boot: bool) -> Self {
        match command {
            HostCommand::Inspect { refresh: true } => Self::Refresh,
            HostCommand::Inspect { refresh: false } if awaits_boot => Self::Boot,
            HostCommand::Inspect { refresh: false } => Self::Visit,
            HostCommand::Stage { .. } => Self::Stage,
            HostCommand::Reboot { .. } => Self::Reboot,
            HostCommand::Revert { .. } => Self::Revert,
        }
    }

    /// Its pace while nothing was learned yet.
    fn pace(self) -> Pace {
        let pace = |first, slowest, often, at_most| Pace { first, slowest, often, at_most };
        match self {
            Self::Refresh => pace(6, 40, 4, 14),
            Self::Visit => pace(4, 40, 4, 14),
            Self::Boot => pace(49, 120, 4, 14),
            Self::Stage => pace(49, 120, 6, 29),
            // A refusal comes soon; a reboot that works says nothing more.
            Self::Reboot => pace(9, 0, 59, 59),
            Self::Revert => pace(19, 90, 9, 29),
        }
    }
}

/// When a command is asked about, in seconds. What lies between two questions is a second less than a beat of the run's grid,
/// which it would else just miss.
struct Pace {
    /// From the command to the first question.
    first: i64,
    /// From the command until when its end is likely.
    slowest: i64,
    /// Between two questions until then.
    often: i64,
    /// Between two questions at most.
    at_most: i64,
}

/// How long commands took in this run, the newest last: the next ones are asked about when they can have ended.
#[derive(Debug, Default)]
pub(super) struct Durations(BTreeMap<Kind, VecDeque<SignedDuration>>);

impl Durations {
    /// So many of the newest count: a fleet's hosts differ, and so do hours of the day.
    const KEPT: usize = 64;

    /// `said` is what SSM says that it took, `seen` when its end was seen: no later than that it ended, whatever the clock
    /// says that dated it.
    pub(super) fn learn(&mut self, kind: Kind, said: Option<SignedDuration>, seen: SignedDuration) {
        let took = said.filter(|said| said.is_positive()).map_or(seen, |said| said.min(seen));
        let known = self.0.entry(kind).or_default();
        known.push_back(took);
        if known.len() > Self::KEPT {
            known.pop_front();
        }
    }

    /// The next one takes about as long as the quickest: a question that comes a moment too early costs another.
    const MARGIN: SignedDuration = SignedDuration::from_secs(1);

    /// When to ask next: not before the quickest one can have ended, often until the slowest has, and then ever less.
    pub(super) fn next_poll(&self, kind: Kind, sent_at: Timestamp, now: Timestamp) -> Timestamp {
        let Pace { first, slowest: usual, often, at_most } = kind.pace();
        let seconds = SignedDuration::from_secs;
        let known = self.0.get(&kind).filter(|_| kind != Kind::Reboot);
        let (quickest, slowest) = match known {
            Some(known) => (known.iter().min().copied(), known.iter().max().copied()),
            None => (None, None),
        };
        let since = now.duration_since(sent_at);
        if since.is_zero() {
            return after(sent_at, quickest.map_or(seconds(first), |quickest| quickest + Self::MARGIN));
        }
        let late = since - slowest.unwrap_or(seconds(usual));
        after(now, (seconds(often) + late.max(SignedDuration::ZERO) / 2).min(seconds(at_most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    /// The seconds after a command was sent at which it is asked about, as long as it does not end.
    fn asked(durations: &Durations, kind: Kind, times: usize) -> Vec<i64> {
        let sent_at: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
        let again = |now: &Timestamp| Some(durations.next_poll(kind, sent_at, *now));
        let polls = std::iter::successors(Some(sent_at), again).skip(1);
        polls.take(times).map(|at| at.duration_since(sent_at).as_secs()).collect()
    }

    #[test]
    fn a_command_is_asked_about_when_its_like_have_ended() {
        let mut durations = Durations::default();
        assert_eq!(asked(&durations, Kind::Visit, 4), [4, 8, 12, 16]);
        assert_eq!(asked(&durations, Kind::Boot, 4), [49, 53, 57, 61]);
        for took in [62, 71, 80] {
            durations.learn(Kind::Boot, Some(seconds(took)), seconds(90));
        }
        assert_eq!(asked(&durations, Kind::Boot, 5), [63, 67, 71, 75, 79], "ever less once the slowest would have");
        assert_eq!(asked(&durations, Kind::Visit, 1), [4], "nothing is learned of another kind");
    }

    #[test]
    fn no_command_took_longer_than_until_its_end_was_seen() {
        let learned = |said: Option<i64>| {
            let mut durations = Durations::default();
            durations.learn(Kind::Stage, said.map(seconds), seconds(70));
            asked(&durations, Kind::Stage, 1)
        };
        assert_eq!(learned(Some(64)), [65]);
        for nonsense in [None, Some(0), Some(-30), Some(3_600)] {
            assert_eq!(learned(nonsense), [71], "{nonsense:?}");
        }
    }
}
