//! Sends messages to an event bus, beside the loop: the run neither waits for them nor fails for them, and says at its end
//! what was not taken.
//!
//! A run makes [`MAX_CALLS`] calls at most, however large the cluster. The first are made at once, later ones ever further
//! apart, and what comes meanwhile is gathered.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use models::count::plural;
use models::ids::{ClusterName, HostId};
use models::location::Location;
use models::time::after;
use tokio::task::JoinHandle;

use crate::aws::{Aws, AwsError, MAX_ENTRIES, Posted};
use crate::clock::Clock;
use crate::events::{Event, Kind, Message, SOURCE, gathered, message};

/// Calls of one run on one cluster, tries again included.
const MAX_CALLS: usize = 90;
/// How long to wait after so many calls.
const APART: [(usize, SignedDuration); 4] = [
    (20, SignedDuration::ZERO),
    (45, SignedDuration::from_mins(1)),
    (65, SignedDuration::from_mins(10)),
    (MAX_CALLS - LAST_CALLS, SignedDuration::from_hours(1)),
];
/// Calls that are kept for the end.
const LAST_CALLS: usize = 6;
/// After a call that failed.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// How often a message is sent that is not taken.
const TRIES: u32 = 3;
/// What is still to be sent at the end of a run is waited for, and after a signal.
const LAST_WITHIN: Duration = Duration::from_secs(15);
const LAST_WITHIN_AFTER_A_SIGNAL: Duration = Duration::from_secs(2);

/// A message, and how often it was sent.
#[derive(Debug)]
struct Letter {
    message: Message,
    tries: u32,
}

/// How many calls were made, and when the next one may be.
#[derive(Debug, Default)]
struct Pace {
    calls: usize,
    next_at: Option<Timestamp>,
}

impl Pace {
    /// Whether a call may be made before the end of the run.
    fn may_call(&self, now: Timestamp) -> bool {
        self.next_at.is_none_or(|at| now >= at) && self.calls + LAST_CALLS < MAX_CALLS
    }

    /// Whether no call is left for the end either.
    fn is_spent(&self) -> bool {
        self.calls >= MAX_CALLS
    }

    fn called(&mut self, now: Timestamp) {
        self.calls += 1;
        let apart = APART.iter().find(|(calls, _)| self.calls <= *calls);
        self.next_at = Some(after(now, apart.map_or(SignedDuration::from_hours(1), |(_, apart)| *apart)));
    }

    fn failed(&mut self, now: Timestamp) {
        self.next_at = self.next_at.max(Some(after(now, AGAIN)));
    }
}

type Answer = Result<Vec<Option<String>>, AwsError>;

/// Messages on their way. An aborted task sends nothing more.
#[derive(Debug)]
struct Sending {
    letters: Vec<Letter>,
    answer: JoinHandle<Answer>,
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

/// The messages of one run on one cluster.
#[derive(Debug, Default)]
pub(super) struct Post {
    /// `None`: nobody is told.
    bus: Option<String>,
    location: Location,
    /// The holds that were told.
    held: BTreeSet<(HostId, Option<String>)>,
    waiting: VecDeque<Letter>,
    sending: Option<Sending>,
    pace: Pace,
    /// How many messages there were.
    number: usize,
    /// How many were given up, and why the last one was.
    lost: usize,
    why: Option<String>,
    has_warned: bool,
}

impl Post {
    pub(super) fn to(bus: Option<&str>, location: &Location) -> Self {
        Self { bus: bus.map(str::to_owned), location: location.clone(), ..Self::default() }
    }

    /// Takes in what has happened.
    pub(super) fn take(&mut self, events: &[Event]) {
        if self.bus.is_none() {
            return;
        }
        for event in events {
            if let Some(message) = message(event, &self.location).filter(|message| self.is_news(message)) {
                self.waiting.push_back(Letter { message, tries: 0 });
            }
        }
    }

    /// Whether nobody was told yet: a hold that passes and comes back is none.
    fn is_news(&mut self, message: &Message) -> bool {
        match message.kind {
            Kind::Held => {
                let mut hosts = message.instances.iter();
                hosts.any(|host| self.held.insert((host.clone(), message.reason.clone())))
            }
            Kind::RunBegan | Kind::UpdateFailed | Kind::RolledBack | Kind::RunEnded => true,
        }
    }

    /// Sends what may be sent now.
    pub(super) fn go_on(&mut self, aws: &Aws, now: Timestamp) {
        self.hear(now);
        if self.sending.is_none() && self.pace.may_call(now) {
            self.send(aws, now);
        }
    }

    /// Sends the rest, and waits for it. Returns what a person should know, where something was not taken.
    pub(super) async fn end(&mut self, aws: &Aws, clock: &Clock, is_stopped: bool) -> Option<String> {
        let bus = self.bus.clone()?;
        let within = if is_stopped { LAST_WITHIN_AFTER_A_SIGNAL } else { LAST_WITHIN };
        let unsent = tokio::time::timeout(within, async {
            loop {
                if let Some(sending) = &mut self.sending {
                    let answer = (&mut sending.answer).await.ok();
                    self.learn(answer, clock.now());
                }
                if self.waiting.is_empty() || self.pace.is_spent() {
                    break;
                }
                self.send(aws, clock.now());
            }
        });
        let is_late = unsent.await.is_err();
        let on_their_way = self.sending.take().map_or(0, |sending| sending.letters.len());
        if is_late {
            self.why.get_or_insert_with(|| format!("no answer within {} s", within.as_secs()));
        }
        self.lost += on_their_way + self.waiting.len();
        self.waiting.clear();
        let why = self.why.as_deref().unwrap_or("the run had no call left");
        (self.lost > 0).then(|| {
            format!(
                "{} of this run on event bus {bus}: {} may not have been accepted ({why}); this report contains what \
                 they say",
                plural(self.number, "message"),
                self.lost
            )
        })
    }

    fn send(&mut self, aws: &Aws, now: Timestamp) {
        let Some(bus) = self.bus.clone() else { return };
        self.gather();
        let letters: Vec<Letter> = self.waiting.drain(..self.waiting.len().min(MAX_ENTRIES)).collect();
        if letters.is_empty() {
            return;
        }
        self.pace.called(now);
        let posted: Vec<Posted> = letters.iter().map(posted).collect();
        let aws = aws.clone();
        let answer = tokio::spawn(async move { aws.put_events(&bus, &posted).await });
        self.sending = Some(Sending { letters, answer });
    }

    /// Makes one message of many alike, and numbers those that are new.
    fn gather(&mut self) {
        let (again, new): (VecDeque<Letter>, VecDeque<Letter>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|letter| letter.tries > 0);
        self.waiting = again;
        for mut message in gathered(new.into_iter().map(|letter| letter.message).collect()) {
            if message.id.is_empty() {
                self.number += 1;
                message.id = format!("{}/{}/{}", message.run, message.cluster, self.number);
            }
            self.waiting.push_back(Letter { message, tries: 0 });
        }
    }

    fn hear(&mut self, now: Timestamp) {
        if let Some(answer) = self.sending.as_mut().and_then(|sending| (&mut sending.answer).now_or_never()) {
            self.learn(answer.ok(), now);
        }
    }

    /// Takes in the answer to what is on its way; `None`: its sender has told nothing.
    fn learn(&mut self, answer: Option<Answer>, now: Timestamp) {
        let Some(mut sending) = self.sending.take() else { return };
        let letters = std::mem::take(&mut sending.letters);
        let refusals: Vec<Option<String>> = match answer {
            Some(Ok(refusals)) => refusals,
            Some(Err(error)) => vec![Some(error.to_string()); letters.len()],
            None => vec![Some("the call was not answered".to_owned()); letters.len()],
        };
        for (letter, refusal) in letters.into_iter().zip(refusals) {
            if let Some(why) = refusal {
                self.pace.failed(now);
                self.refused(letter, why);
            }
        }
    }

    fn refused(&mut self, letter: Letter, why: String) {
        let tries = letter.tries + 1;
        let Message { cluster, sentence, .. } = &letter.message;
        if tries < TRIES {
            self.warn(cluster, &why);
            self.waiting.push_front(Letter { tries, ..letter });
        } else {
            tracing::warn!(%cluster, sentence, error = why, "not taken by the event bus, and not sent again");
            self.lost += 1;
        }
        self.why = Some(why);
    }

    fn warn(&mut self, cluster: &ClusterName, why: &str) {
        if !self.has_warned {
            self.has_warned = true;
            tracing::warn!(
                %cluster,
                error = why,
                bus = self.bus,
                "a message was not taken by the event bus; it is sent again, and changes nothing else"
            );
        }
    }
}

fn posted(letter: &Letter) -> Posted {
    let message = &letter.message;
    // A message is texts and numbers, which JSON always takes.
    let detail = serde_json::to_string(message).unwrap_or_default();
    Posted { at: message.at, source: SOURCE, detail_type: message.kind.detail_type(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand instances that fail one after the other: the last hours are told too, and no call is made beyond.
    #[test]
    fn a_run_of_a_thousand_makes_less_than_a_hundred_calls() {
        let mut pace = Pace::default();
        let mut told = Vec::new();
        for instance in 0..1_000 {
            let now = after(Timestamp::UNIX_EPOCH, SignedDuration::from_secs(60 * instance));
            if pace.may_call(now) {
                pace.called(now);
                told.push(instance);
            }
        }
        assert!(told.len() + LAST_CALLS < 100, "{}", told.len());
        assert!(told[..20].iter().copied().eq(0..20), "the first at once: {told:?}");
        assert!(told.last().is_some_and(|last| *last > 900), "{told:?}");
        assert!(!pace.is_spent(), "some are left for the end");
    }
}
