//! Asks the user's functions, beside the loop: one may take a quarter of an hour, and the instances that are out of service
//! meanwhile are looked after all the same.
//!
//! No call is made twice: what is not answered is asked again by the next plan, once its time is over. What is under way when
//! the run ends is waited for no longer.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use models::hook::{Ask, Asked, HookAnswer, HookStep, Request, Subject};
use models::ids::HostId;
use models::policy::OnHookError;
use tokio::task::JoinSet;

use super::cluster::Cluster;

/// A call has at least so long, also where the time of its step is over: it is the last one.
const LAST_CALL: SignedDuration = SignedDuration::from_secs(30);
/// How many of these are kept for the report.
const MOST_NOTES: usize = 20;

/// What a function said, and about what.
#[derive(Debug)]
struct Said {
    subject: Subject,
    since: Timestamp,
    answer: HookAnswer,
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

    fn note(&mut self, said: Result<Said, tokio::task::JoinError>) {
        match said {
            Ok(said) => self.heard.push(said),
            Err(error) => {
                tracing::error!(%error, "a call of a function was lost");
                self.is_one_lost = true;
            }
        }
    }

    fn take_heard(&mut self) -> Vec<Said> {
        while let Some(said) = self.calls.try_join_next() {
            self.note(said);
        }
        std::mem::take(&mut self.heard)
    }

    /// For the report: what functions said that changed nothing.
    pub(super) fn notes(&self) -> impl Iterator<Item = &String> {
        self.notes.iter().take(MOST_NOTES)
    }
}

impl Cluster<'_> {
    /// Takes in what the functions have answered.
    pub(super) fn hear_hooks(&mut self) {
        let now = self.clock.now();
        for Said { subject, since, answer } in self.hooks.take_heard() {
            let host = subject.host.as_ref().map(HostId::as_str).unwrap_or("-");
            tracing::info!(cluster = %self.name, host, step = subject.step.as_str(), %answer, "a function was asked");
            if let Some(note) = self.note_of(&subject, &answer) {
                tracing::warn!(cluster = %self.name, "{note}");
                self.hooks.notes.insert(note);
            }
            if let Some(asked) = self.asked_mut(&subject).filter(|asked| asked.since == since) {
                asked.end(answer, now);
            }
        }
        if self.hooks.is_one_lost && self.hooks.calls.is_empty() {
            self.hooks.is_one_lost = false;
            let lost = HookAnswer::NotAsked { detail: "the call was lost in this program".to_owned() };
            let of_run = [&mut self.fleet.hooks.before, &mut self.fleet.hooks.after].into_iter().flatten();
            let of_instances =
                self.fleet.instances.values_mut().filter_map(|instance| instance.run.hook.as_deref_mut());
            for asked in of_run.chain(of_instances).filter(|asked| asked.answer.is_none()) {
                asked.end(lost.clone(), now);
            }
        }
    }

    /// Asks the functions that the plan wants asked. Returns whether there was one.
    pub(super) fn ask_hooks(&mut self, now: Timestamp) -> bool {
        if self.is_stopped() {
            return false;
        }
        let asks = std::mem::take(&mut self.plan.asks);
        let are_some = !asks.is_empty();
        for ask in asks {
            self.ask(ask, now);
        }
        are_some
    }

    fn ask(&mut self, ask: Ask, now: Timestamp) {
        let instance = ask.subject.host.as_ref().and_then(|host| self.fleet.instances.get_mut(host));
        let registered = instance.as_ref().map(|instance| instance.container_instance.clone());
        let request = Request::new(&ask, &self.facts.run, self.name, registered.as_ref());
        let payload = match serde_json::to_string(&request) {
            Ok(payload) => payload,
            Err(error) => {
                tracing::error!(%error, "a function is not asked");
                return;
            }
        };
        match (instance, ask.subject.step) {
            (Some(instance), _) => {
                let asked = Asked::begin(&ask, instance.run.hook.as_deref(), now);
                instance.run.hook = Some(Box::new(asked));
            }
            (None, HookStep::BeforeRun) => {
                self.fleet.hooks.before = Some(Asked::begin(&ask, self.fleet.hooks.before.as_ref(), now));
            }
            (None, HookStep::AfterRun) => {
                self.fleet.hooks.after = Some(Asked::begin(&ask, self.fleet.hooks.after.as_ref(), now));
            }
            (
                None,
                HookStep::BeforeDrain | HookStep::BeforeReboot | HookStep::BeforeActive | HookStep::AfterInstance,
            ) => return,
        }
        let left = ask.deadline.duration_since(now).max(LAST_CALL);
        let within = Duration::try_from(left).unwrap_or_default();
        let aws = self.aws.clone();
        let Ask { function, subject, since, .. } = ask;
        self.hooks.calls.spawn(async move {
            let answer = aws.invoke(&function, &payload, within, now).await;
            Said { subject, since, answer }
        });
    }

    fn asked_mut(&mut self, subject: &Subject) -> Option<&mut Asked> {
        let asked = match (&subject.host, subject.step) {
            (Some(host), _) => self.fleet.instances.get_mut(host)?.run.hook.as_deref_mut(),
            (None, HookStep::AfterRun) => self.fleet.hooks.after.as_mut(),
            (None, _) => self.fleet.hooks.before.as_mut(),
        };
        asked.filter(|asked| asked.subject == *subject && asked.answer.is_none())
    }

    /// Says what a function said where that changes nothing: it was only told of what has happened, or its error does not
    /// count.
    fn note_of(&self, subject: &Subject, answer: &HookAnswer) -> Option<String> {
        let Subject { step, host, .. } = subject;
        let about = host.as_ref().map(|host| format!(" for {host}")).unwrap_or_default();
        let goes_on = match answer {
            HookAnswer::Ok | HookAnswer::Wait { .. } => return None,
            HookAnswer::Error { .. } if !step.only_tells() => self.policy.hooks.on_error == OnHookError::Continue,
            HookAnswer::Fail { .. }
            | HookAnswer::Error { .. }
            | HookAnswer::Refused { .. }
            | HookAnswer::Silent
            | HookAnswer::NotAsked { .. } => step.only_tells(),
        };
        let why =
            if step.only_tells() { "it changes nothing" } else { "hooks.on_error = \"continue\" goes on without it" };
        goes_on.then(|| format!("the function of {step} {answer}{about}; {why}"))
    }
}
