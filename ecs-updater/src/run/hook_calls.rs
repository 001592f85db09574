//! The calls of the user's functions, beside the loop: one may take a quarter of an hour, and the instances that are out of
//! service meanwhile are looked after all the same.
//!
//! No call is made twice: what is not answered is asked again by the next plan, once its time is over. What is under way when
//! the run ends is waited for no longer.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use models::function::FunctionArn;
use models::hook::{HookAnswer, Subject};
use tokio::task::{JoinError, JoinSet};

use crate::aws::Aws;

/// How many notes are kept for the report.
const MOST_NOTES: usize = 20;

/// What a call may take beyond its time: it has a limit of its own, and this one is for what that does not hold.
const BEYOND: Duration = Duration::from_secs(60);

/// What a function said, and about what.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) subject: Subject,
    pub(super) since: Timestamp,
    pub(super) answer: HookAnswer,
}

/// A call of a function.
#[derive(Debug)]
pub(super) struct HookCall {
    pub(super) function: FunctionArn,
    pub(super) payload: String,
    pub(super) within: Duration,
    pub(super) subject: Subject,
    pub(super) since: Timestamp,
}

/// The functions that are asked by one run on one cluster. Dropped, it asks nobody any more.
#[derive(Debug, Default)]
pub(super) struct HookCalls {
    calls: JoinSet<Said>,
    heard: Vec<Said>,
    /// Whether a call ended without a word.
    is_one_lost: bool,
    /// For the report: what functions said that changed nothing.
    notes: BTreeSet<String>,
}

impl HookCalls {
    /// Waits until a function has answered, and without end while none is asked.
    pub(super) async fn ended(&mut self) {
        match self.calls.join_next().await {
            Some(said) => self.note(said),
            None => std::future::pending().await,
        }
    }

    fn note(&mut self, said: Result<Said, JoinError>) {
        match said {
            Ok(said) => self.heard.push(said),
            Err(error) => {
                tracing::error!(%error, "a call of a function was lost");
                self.is_one_lost = true;
            }
        }
    }

    /// What was answered since it was asked for last.
    pub(super) fn take_heard(&mut self) -> Vec<Said> {
        while let Some(said) = self.calls.try_join_next() {
            self.note(said);
        }
        std::mem::take(&mut self.heard)
    }

    /// Whether calls ended without a word since that was asked for last, and none is under way.
    pub(super) fn take_lost(&mut self) -> bool {
        self.calls.is_empty() && std::mem::take(&mut self.is_one_lost)
    }

    /// Calls a function.
    pub(super) fn call(&mut self, aws: &Aws, call: HookCall, now: Timestamp) {
        let aws = aws.clone();
        self.calls.spawn(async move {
            let HookCall { function, payload, within, subject, since } = call;
            let call = aws.invoke(&function, &payload, within, now);
            let answer = tokio::time::timeout(within + BEYOND, call).await.unwrap_or_else(|_| HookAnswer::NotAsked {
                detail: format!("no end of the call within {} s", (within + BEYOND).as_secs()),
            });
            Said { subject, since, answer }
        });
    }

    /// Keeps for the report what a function said that changed nothing.
    pub(super) fn keep_note(&mut self, note: String) {
        self.notes.insert(note);
    }

    /// For the report: what functions said that changed nothing.
    pub(super) fn notes(&self) -> impl Iterator<Item = &String> {
        self.notes.iter().take(MOST_NOTES)
    }
}
