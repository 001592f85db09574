//! Asks the user's functions as the plan says, and takes in what they answer.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use models::hook::{Ask, Asked, HookAnswer, HookStep, Request, Subject};
use models::ids::HostId;
use models::policy::OnHookError;

use super::cluster::Cluster;
use super::hook_calls::{HookCall, Said};

/// A call has at least so long, also where the time of its step is over: it is the last one.
const LAST_CALL: SignedDuration = SignedDuration::from_secs(30);

/// How long a call may take: half the time of its step, so that an answer that is lost on its way is asked for again.
fn within(ask: &Ask, timeout: SignedDuration, now: Timestamp) -> SignedDuration {
    ask.deadline.duration_since(now).min(timeout / 2).max(LAST_CALL)
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
                self.hooks.keep_note(note);
            }
            if let Some(asked) = self.asked_mut(&subject).filter(|asked| asked.since == since) {
                asked.end(answer, now);
            }
        }
        if self.hooks.take_lost() {
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
        let within = Duration::try_from(within(&ask, self.policy.hooks.timeout, now)).unwrap_or_default();
        let Ask { function, subject, since, .. } = ask;
        self.hooks.call(&self.aws, HookCall { function, payload, within, subject, since }, now);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_half_of_the_time() {
        let now: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
        // The seconds that are left, and those of the call.
        for (left, wanted) in [(600, 300), (301, 300), (120, 120), (10, 30), (0, 30), (-60, 30)] {
            let ask = Ask {
                function: "arn:aws:lambda:eu-central-1:111122223333:function:ready".parse().unwrap(),
                subject: Subject::of_run(HookStep::BeforeRun),
                since: now,
                deadline: now + SignedDuration::from_secs(left),
                outcome: None,
            };
            let within = within(&ask, SignedDuration::from_mins(10), now);
            assert_eq!(within, SignedDuration::from_secs(wanted), "{left}");
        }
    }
}
