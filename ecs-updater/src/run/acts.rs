//! What went wrong with acts, and what it means for the next ones: how long to pause, and when to give the cluster up.
//!
//! What AWS refuses counts against the instance that it was for, in the planner; here only silence counts, of each operation
//! by itself: that reads are answered says nothing about writes that are not. SSM's silence holds up nobody but what needs
//! SSM.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use models::pace::Pace;
use models::time::after;

use crate::aws::AwsError;
use crate::patience::{GiveUp, Streak, Trouble, Try};

/// No two rounds follow faster than this when a call went wrong in the first.
pub(super) const BREATH: Duration = Duration::from_secs(2);

/// The waits after calls that go wrong one after the other.
pub(super) fn pace() -> Pace {
    Pace::new(BREATH, 2.0, Duration::from_secs(30), 0.0)
}

/// How the acts of a cluster's loop went so far.
#[derive(Debug)]
pub(super) struct Acts {
    /// By operation: its silence, and how often it had been answered when that began.
    silences: BTreeMap<&'static str, (Streak, u64)>,
    pace: Pace,
    ssm_pace: Pace,
    ssm_again_at: Option<Timestamp>,
}

/// What follows from the acts of one round.
#[derive(Debug, Default)]
pub(super) struct Aftermath<'e> {
    /// How long the loop is to pause.
    pub(super) pause: Option<Duration>,
    /// Why the cluster is to be given up, and the call that was the last straw.
    pub(super) give_up: Option<(GiveUp, &'e AwsError)>,
}

impl Default for Acts {
    fn default() -> Self {
        Self { silences: BTreeMap::new(), pace: pace(), ssm_pace: pace(), ssm_again_at: None }
    }
}

impl Acts {
    /// Takes in what went wrong in a round of acts. `done` tells how often an operation has done what it was for;
    /// `is_draining`, that an instance drains, which needs ECS alone and ends in time: SSM's silence does not end that.
    pub(super) fn learn<'e>(
        &mut self,
        errors: &'e [AwsError],
        tried: Try,
        done: impl Fn(&str) -> u64,
        is_draining: bool,
    ) -> Aftermath<'e> {
        let mut aftermath = Aftermath::default();
        let silent: BTreeMap<&'static str, &AwsError> =
            errors.iter().filter(|error| error.kind.is_silence()).map(|error| (error.operation, error)).collect();
        for (operation, error) in &silent {
            let now_done = done(operation);
            let (streak, before) = self.silences.entry(operation).or_default();
            if *before != now_done {
                streak.is_over();
                *before = now_done;
            }
            let why = streak.failed(Trouble::Silent, tried);
            if !(error.is_of_ssm() && is_draining) {
                aftermath.give_up = aftermath.give_up.or(why.map(|why| (why, *error)));
            }
        }
        if silent.values().any(|error| error.is_of_ssm()) {
            let wait = SignedDuration::try_from(self.ssm_pace.next_wait()).unwrap_or_default();
            self.ssm_again_at = Some(after(tried.ended, wait));
        } else if !self.is_ssm_silent(done) {
            self.ssm_pace.reset();
        }
        if silent.values().any(|error| !error.is_of_ssm()) {
            aftermath.pause = Some(self.pace.next_wait());
        } else {
            self.pace.reset();
            aftermath.pause = errors.iter().any(|error| error.kind.is_refusal()).then_some(BREATH);
        }
        aftermath
    }

    /// When SSM may be asked again, where it has just not answered.
    pub(super) fn ssm_again_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.ssm_again_at.filter(|at| now < *at)
    }

    /// Whether SSM has not answered since it last did not.
    pub(super) fn is_ssm_silent(&self, done: impl Fn(&str) -> u64) -> bool {
        self.silent(done).any(|operation| operation.starts_with("ssm:"))
    }

    /// Whether AWS has not answered some operation since it last did not.
    pub(super) fn is_silent(&self, done: impl Fn(&str) -> u64) -> bool {
        // What only tells of groups is no outage: the account shares its rate.
        self.silent(done).any(|operation| !operation.starts_with("autoscaling:"))
    }

    fn silent(&self, done: impl Fn(&str) -> u64) -> impl Iterator<Item = &'static str> {
        let silences = self.silences.iter();
        silences.filter_map(move |(operation, (streak, before))| {
            (streak.is_open() && done(operation) == *before).then_some(*operation)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::ErrorKind;

    fn at(seconds: i64) -> Timestamp {
        after("2026-11-23T03:00:00Z".parse().unwrap(), SignedDuration::from_secs(seconds))
    }

    fn error(operation: &'static str, kind: ErrorKind) -> AwsError {
        AwsError { operation, kind, message: String::new() }
    }

    fn round(acts: &mut Acts, errors: &[AwsError], second: i64, done: u64, is_draining: bool) -> (Option<u64>, bool) {
        let tried = Try { began: at(second), ended: at(second) };
        let aftermath = acts.learn(errors, tried, |_| done, is_draining);
        (aftermath.pause.map(|pause| pause.as_secs()), aftermath.give_up.is_some())
    }

    /// Rounds a minute apart: the pause after the first, and the minute in which the cluster is given up.
    #[test]
    fn silence_is_waited_out_and_refusals_are_the_instances_own() {
        use ErrorKind::{Denied, LeaseOver, NoAnswer, Throttled};
        let (tags, ssm) = ("ec2:CreateTags", "ssm:SendCommand");
        let table = [
            ("nothing", vec![], false, None, None),
            ("silent", vec![error(tags, NoAnswer)], false, Some(2), Some(15)),
            ("throttled", vec![error(tags, Throttled)], true, Some(2), Some(15)),
            ("refused", vec![error(tags, Denied)], false, Some(2), None),
            ("without the lease", vec![error(tags, LeaseOver)], false, None, None),
            ("SSM is silent", vec![error(ssm, NoAnswer)], false, None, Some(15)),
            ("SSM is silent while an instance drains", vec![error(ssm, NoAnswer)], true, None, None),
        ];
        for (name, errors, is_draining, pause, given_up) in table {
            let mut acts = Acts::default();
            assert_eq!(round(&mut acts, &errors, 0, 0, is_draining).0, pause, "{name}");
            let ended = (1..60).find(|minute| round(&mut acts, &errors, minute * 60, 0, is_draining).1);
            assert_eq!(ended, given_up, "{name}");
        }
    }

    #[test]
    fn an_answer_to_the_same_operation_ends_its_silence() {
        let mut acts = Acts::default();
        let silent = [error("ec2:CreateTags", ErrorKind::NoAnswer)];
        for minute in 0..120 {
            let answered = u64::try_from(minute / 10).unwrap();
            assert!(!round(&mut acts, &silent, minute * 60, answered, false).1, "minute {minute}");
        }
    }

    #[test]
    fn ssm_is_asked_again_at_a_pace_until_it_answers() {
        let mut acts = Acts::default();
        let silent = [error("ssm:SendCommand", ErrorKind::NoAnswer)];
        round(&mut acts, &silent, 0, 7, false);
        assert_eq!((acts.ssm_again_at(at(1)), acts.ssm_again_at(at(2))), (Some(at(2)), None));
        assert!(acts.is_ssm_silent(|_| 7));
        round(&mut acts, &silent, 2, 7, false);
        assert_eq!(acts.ssm_again_at(at(3)), Some(at(6)));
        assert!(!acts.is_ssm_silent(|_| 8), "answered since");
        round(&mut acts, &[], 6, 8, false);
        round(&mut acts, &silent, 7, 8, false);
        assert_eq!(acts.ssm_again_at(at(7)), Some(at(9)), "it begins again with a short wait");
    }
}
