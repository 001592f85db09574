//! What of a run others are told, as messages for an event bus: its begin and its end, each update that failed or was rolled
//! back, and each hold that needs somebody. Many alike become one. `docs/events.md` promises their shape.

use std::collections::BTreeMap;

use jiff::Timestamp;
use models::clean;
use models::count::plural;
use models::ids::{ClusterName, HostId, RunId};
use models::location::Location;
use models::reason::{Bearing, HoldCode};
use models::report::Outcome;
use semver::Version;
use serde::Serialize;

use super::{Ending, Event, State, Transition, What};

/// The `source` of all of them.
pub const SOURCE: &str = "ecs-updater";
/// More of one kind are told together.
const ALIKE: usize = 5;
/// So many instances are named in one.
const NAMED: usize = 20;
/// Characters of a sentence. An entry of EventBridge may have 256 KB.
const LONGEST: usize = 2_000;

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    RunBegan,
    UpdateFailed,
    RolledBack,
    Held,
    RunEnded,
}

impl Kind {
    /// Returns the `detail-type`, by which rules select.
    pub fn detail_type(self) -> &'static str {
        match self {
            Self::RunBegan => "Run Began",
            Self::UpdateFailed => "Update Failed",
            Self::RolledBack => "Update Rolled Back",
            Self::Held => "Instance Held",
            Self::RunEnded => "Run Ended",
        }
    }
}

/// A message: the `detail` of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The version of this shape.
    pub version: u32,
    /// The same for every delivery of the message; nothing else has it.
    pub id: String,
    pub kind: Kind,
    #[serde(skip)]
    pub at: Timestamp,
    pub run: RunId,
    pub cluster: ClusterName,
    #[serde(flatten)]
    pub location: Location,
    /// For people, in one sentence.
    pub sentence: String,
    /// The reason's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many instances it is about.
    pub count: usize,
    /// The first of them.
    pub instances: Vec<HostId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Version>,
    /// At the end of a run: how many instances ended how.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub outcomes: BTreeMap<Outcome, usize>,
    /// At the end of a run that could not be brought to its end: why, as in reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
}

/// Returns the message of an event; `None` for one that nobody else is told of.
pub fn message(event: &Event, location: &Location) -> Option<Message> {
    match &event.what {
        What::Begins { .. } => {
            let sentence = format!("Run {} begins to work on cluster {}.", event.run, event.cluster);
            Some(bare(event, location, Kind::RunBegan, sentence))
        }
        What::Ends(ending) => Some(of_end(event, location, ending)),
        What::Moves(moved) => of_move(event, location, moved),
        What::TakesBack { release, why } => {
            let sentence =
                format!("Release {release} is to be taken back from cluster {}: {}.", event.cluster, why.sentence);
            Some(Message {
                reason: Some(why.code.clone()),
                to: Some(release.clone()),
                ..bare(event, location, Kind::RolledBack, sentence)
            })
        }
        What::Closes(_) | What::Opens | What::Stands(_) => None,
    }
}

fn bare(event: &Event, location: &Location, kind: Kind, sentence: String) -> Message {
    Message {
        version: 1,
        id: String::new(),
        kind,
        at: event.at,
        run: event.run.clone(),
        cluster: event.cluster.clone(),
        location: location.clone(),
        // So that those who pass it on may put it between quotes.
        sentence: clean::cut(&sentence, LONGEST).replace('"', "'").replace('\\', "/"),
        reason: None,
        count: 0,
        instances: Vec::new(),
        from: None,
        to: None,
        outcomes: BTreeMap::new(),
        error: None,
    }
}

fn of_end(event: &Event, location: &Location, ending: &Ending) -> Message {
    let counts = ending.outcomes.iter().map(|(outcome, count)| format!("{count} {}", State::Settled(*outcome).word()));
    let counts = counts.collect::<Vec<_>>().join(", ");
    let counts = if counts.is_empty() { "no instance was seen".to_owned() } else { counts };
    let why = ending.error.as_ref().map(|error| format!(" It ended early: {}.", error.message.trim_end_matches('.')));
    let sentence =
        format!("Run {} ends with cluster {}: {counts}.{}", event.run, event.cluster, why.unwrap_or_default());
    Message {
        count: ending.outcomes.values().sum(),
        outcomes: ending.outcomes.clone(),
        error: ending.error.as_ref().map(|error| error.kind.as_str()),
        ..bare(event, location, Kind::RunEnded, sentence)
    }
}

fn of_move(event: &Event, location: &Location, moved: &Transition) -> Option<Message> {
    let why = moved.why.as_ref();
    let kind = match moved.is {
        State::Settled(Outcome::Failed) => Kind::UpdateFailed,
        State::Settled(Outcome::RolledBack) => Kind::RolledBack,
        State::Settled(Outcome::Held) if why.is_some_and(|why| needs_somebody(&why.code)) => Kind::Held,
        State::Settled(_) | State::Phase(_) | State::Inspecting => return None,
    };
    let because = why.map(|why| format!(": {}", why.sentence.trim_end_matches('.'))).unwrap_or_default();
    let sentence = format!("{} of cluster {}, {}{because}.", moved.host, event.cluster, moved.is.word());
    Some(Message {
        reason: why.map(|why| why.code.clone()),
        count: 1,
        instances: vec![moved.host.clone()],
        from: moved.from.clone(),
        to: moved.to.clone(),
        ..bare(event, location, kind, sentence)
    })
}

/// Whether a hold does not end by itself, and nobody asked for it. What waits for its turn, or for others in the same run,
/// is not news.
fn needs_somebody(code: &str) -> bool {
    let Some(code) = HoldCode::find(code) else { return false };
    match code {
        HoldCode::BudgetUsedUp
        | HoldCode::DrainsPaced
        | HoldCode::SlowDrainFirst
        | HoldCode::StoppedMachineFirst
        | HoldCode::OtherZoneFirst
        | HoldCode::EarlierGroup
        | HoldCode::CanaryFirst
        | HoldCode::CheckpointFirst
        | HoldCode::HookWaiting
        | HoldCode::OutOfTime
        | HoldCode::Interrupted
        | HoldCode::ClusterGivenUp => false,
        other => other.bearing() == Bearing::Hindrance,
    }
}

/// Makes one message of those that are alike, where there are many, in the order of the first of each.
pub fn gathered(messages: Vec<Message>) -> Vec<Message> {
    let mut counts: BTreeMap<(Kind, Option<String>), usize> = BTreeMap::new();
    for message in &messages {
        *counts.entry((message.kind, message.reason.clone())).or_default() += 1;
    }
    let mut places: BTreeMap<(Kind, Option<String>), usize> = BTreeMap::new();
    let mut fewer: Vec<Message> = Vec::new();
    for message in messages {
        let key = (message.kind, message.reason.clone());
        let is_many =
            message.count > 0 && message.kind != Kind::RunEnded && counts.get(&key).is_some_and(|count| *count > ALIKE);
        match places.get(&key).filter(|_| is_many) {
            Some(place) => fewer[*place].add(message),
            None => {
                if is_many {
                    places.insert(key, fewer.len());
                }
                fewer.push(message);
            }
        }
    }
    fewer
}

impl Message {
    /// Takes in another one that is alike.
    fn add(&mut self, other: Self) {
        self.count += other.count;
        let room = NAMED.saturating_sub(self.instances.len());
        self.instances.extend(other.instances.into_iter().take(room));
        self.from = self.from.take().filter(|from| other.from.as_ref() == Some(from));
        self.to = self.to.take().filter(|to| other.to.as_ref() == Some(to));
        let word = match self.kind {
            Kind::UpdateFailed => "failed",
            Kind::RolledBack => "rolled back",
            Kind::Held => "held",
            Kind::RunBegan | Kind::RunEnded => "",
        };
        let named: Vec<&str> = self.instances.iter().take(ALIKE).map(HostId::as_str).collect();
        self.sentence = format!(
            "{} of cluster {}, {word}{}: {} and more.",
            plural(self.count, "instance"),
            self.cluster,
            self.reason.as_ref().map(|code| format!(" ({code})")).unwrap_or_default(),
            named.join(", ")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Progress, Reason};

    fn moved(host: usize, is: State, code: &str) -> Event {
        let why = Some(Reason { code: code.to_owned(), sentence: format!("why {code}") });
        let host = HostId::from(format!("i-{host}"));
        let moved = Transition {
            host,
            zone: None,
            group: None,
            was: None,
            lasted: None,
            is,
            from: None,
            to: Some(Version::new(1, 27, 0)),
            why,
            progress: Progress::default(),
        };
        Event {
            at: Timestamp::UNIX_EPOCH,
            run: RunId::new("01RUN"),
            cluster: "web".into(),
            what: What::Moves(Box::new(moved)),
        }
    }

    #[test]
    fn who_is_told_of_what() {
        let table = [
            (Outcome::Failed, "never_came_back", Some(Kind::UpdateFailed)),
            (Outcome::RolledBack, "unhealthy", Some(Kind::RolledBack)),
            (Outcome::Held, "host_unreachable", Some(Kind::Held)),
            (Outcome::Held, "budget_used_up", None),
            (Outcome::Held, "paused", None),
            (Outcome::Held, "excluded", None),
            (Outcome::Held, "not_bottlerocket", None),
            (Outcome::Updated, "", None),
            (Outcome::Gone, "gone", None),
        ];
        for (outcome, code, kind) in table {
            let message = message(&moved(1, State::Settled(outcome), code), &Location::default());
            assert_eq!(message.as_ref().map(|message| message.kind), kind, "{outcome:?} {code}");
            if let Some(message) = message {
                assert_eq!(message.sentence.matches(code).count(), 1, "{message:?}");
            }
        }
    }

    #[test]
    fn a_release_that_a_run_takes_back_is_told_as_a_rollback() {
        let why = Reason { code: "alarm_firing".to_owned(), sentence: "the alarm \"web-5xx\" fires".to_owned() };
        let what = What::TakesBack { release: Version::new(1, 27, 0), why };
        let told = message(&Event { what, ..moved(1, State::Inspecting, "") }, &Location::default()).unwrap();
        assert_eq!((told.kind, told.count, told.reason.as_deref()), (Kind::RolledBack, 0, Some("alarm_firing")));
        assert_eq!(told.sentence, "Release 1.27.0 is to be taken back from cluster web: the alarm 'web-5xx' fires.");
    }

    #[test]
    fn many_alike_are_one_and_few_stay_as_they_are() {
        let of = |count: usize, code: &str| -> Vec<Message> {
            let events = (0..count).map(|host| moved(host, State::Settled(Outcome::Held), code));
            events.filter_map(|event| message(&event, &Location::default())).collect()
        };
        assert_eq!(gathered(of(5, "no_room")).len(), 5);
        let mut messages = of(1_000, "no_room");
        messages.extend(of(2, "tags_full"));
        let fewer = gathered(messages);
        assert_eq!(fewer.iter().map(|message| message.count).collect::<Vec<_>>(), [1_000, 1, 1]);
        assert_eq!(fewer[0].instances.len(), NAMED);
        assert_eq!(fewer[0].to, Some(Version::new(1, 27, 0)));
        assert_eq!(
            fewer[0].sentence,
            "1000 instances of cluster web, held (no_room): i-0, i-1, i-2, i-3, i-4 and more."
        );
    }
}
