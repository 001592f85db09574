//! Whether an update may be begun at a moment, by what people wish: windows, freezes, the pause, and a version whose
//! approval has changed. What has been begun is finished all the same, which is no matter of this room.

mod freeze;
mod pause;
mod window;

use jiff::{SignedDuration, Timestamp};
use models::fleet::{FleetSnapshot, Instance};
use models::policy::{Policy, StandaloneTasks};
use models::reason::HoldReason;
use models::report::Outcome;
use models::schedule::Freeze;
use models::time::after;

use super::durations::{self, OUT_OF_SERVICE};
use super::workload;
use window::Period;

/// Returns why no instance may be drained now, whatever the plan said, if so: a look takes time.
pub(crate) fn closed_for_drains(
    snapshot: &FleetSnapshot,
    policy: &Policy,
    asked: Asked,
    now: Timestamp,
) -> Option<HoldReason> {
    let gate = Gate::of(snapshot, policy, asked, now);
    gate.closed(expected(snapshot, now)).map(|closed| closed.why)
}

/// Returns when the window closes that is open now; `None` where none is, or none is needed.
pub(crate) fn open_until(policy: &Policy, now: Timestamp) -> Option<Timestamp> {
    let open = window::open_periods(&policy.windows, now).into_iter().find(|period| period.contains(now));
    open.map(|period| period.to)
}

/// Returns when an update may be begun first from a moment on, by windows and freezes alone; `None` where that is never.
pub(crate) fn next_opening(policy: &Policy, now: Timestamp) -> Option<Timestamp> {
    let gate = Gate { policy, pause: None, unapproved: None, asked: Asked::default(), now };
    gate.first_opening(policy.window_cutoff.unwrap_or(OUT_OF_SERVICE))
}

/// What a person asks of the run itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// To begin outside of the windows too.
    pub(crate) outside_window: bool,
    /// To begin nothing, and to end what was begun.
    pub(crate) finish: bool,
}

/// What the answer rests on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate<'a> {
    pub(crate) policy: &'a Policy,
    /// The note of a pause.
    pub(crate) pause: Option<&'a str>,
    /// What the parameter that approves the version says otherwise than when the run began.
    pub(crate) unapproved: Option<&'a str>,
    pub(crate) asked: Asked,
    pub(crate) now: Timestamp,
}

/// Why nothing is begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) why: HoldReason,
    /// When a run that has nothing under way goes on, where it is to wait for that.
    pub(crate) wait_until: Option<Timestamp>,
}

/// Returns how long an instance is expected to be out of service: as long as the longest update of this run, else as a plan
/// estimates; and no shorter than what is under way takes already.
pub(crate) fn expected(snapshot: &FleetSnapshot, now: Timestamp) -> SignedDuration {
    let (mut ended, mut under_way) = (None, SignedDuration::ZERO);
    for run in snapshot.instances.values().map(|instance| &instance.run) {
        let Some(drained_at) = run.drained_at else { continue };
        match &run.verdict {
            Some(verdict) if verdict.outcome == Outcome::Updated => {
                ended = ended.max(Some(verdict.at.duration_since(drained_at)));
            }
            Some(_) => {}
            None => under_way = under_way.max(now.duration_since(drained_at)),
        }
    }
    ended.unwrap_or(OUT_OF_SERVICE).max(under_way)
}

/// The same for an instance whose tasks of no service are waited for; `None` where it is as any other.
pub(crate) fn expected_of(instance: &Instance, policy: &Policy) -> Option<SignedDuration> {
    let seen = instance.tasks.as_ref().filter(|_| policy.standalone_tasks == StandaloneTasks::Wait)?;
    workload::standalone_words(&seen.tasks)?;
    Some(OUT_OF_SERVICE.saturating_add(durations::longest_wait(policy)))
}

impl<'a> Gate<'a> {
    /// Returns what is known at a moment.
    pub(crate) fn of(snapshot: &'a FleetSnapshot, policy: &'a Policy, asked: Asked, now: Timestamp) -> Self {
        let (pause, unapproved) = (snapshot.pause.as_deref(), snapshot.unapproved.as_deref());
        Self { policy, pause, unapproved, asked, now }
    }

    /// Returns why no update that takes so long may be begun now, if so. A run that begins nothing waits for no opening.
    pub(crate) fn closed(&self, takes: SignedDuration) -> Option<Closed> {
        let closed = self.closed_for_all(takes);
        let lasts = closed.as_ref().is_some_and(|closed| closed.wait_until.is_none());
        if self.asked.finish && !lasts {
            return Some(Closed { why: HoldReason::Finishing, wait_until: None });
        }
        closed
    }

    /// The same for every run.
    fn closed_for_all(&self, takes: SignedDuration) -> Option<Closed> {
        if let Some(note) = self.pause {
            return Some(pause::closed(note));
        }
        if let Some(why) = self.unapproved {
            return Some(Closed { why: HoldReason::ApprovalChanged { why: why.to_owned() }, wait_until: None });
        }
        let needs = self.policy.window_cutoff.unwrap_or(takes);
        let frozen = self.freezes().find(|(_, period)| period.contains(self.now));
        if let Some((freeze, _)) = frozen {
            return Some(self.frozen(format!("it is frozen from {}", words(freeze)), needs));
        }
        let ends = after(self.now, needs);
        let open = self.windows(self.now).into_iter().find(|period| period.contains(self.now));
        let Some(open) = open else {
            return Some(self.outside_window("no window is open".to_owned(), needs));
        };
        let takes = format!("{} min are taken for an update", (needs.as_secs() + 59).div_euclid(60));
        if ends > open.to {
            return Some(self.outside_window(format!("the window closes at {}, and {takes}", open.to), needs));
        }
        let (freeze, _) = self.freezes().find(|(_, period)| period.from > self.now && ends > period.from)?;
        Some(self.frozen(format!("it will be frozen from {}, and {takes}", words(freeze)), needs))
    }

    fn outside_window(&self, why: String, needs: SignedDuration) -> Closed {
        let (until, wait_until) = self.opens(needs);
        Closed { why: HoldReason::OutsideWindow { why, until }, wait_until }
    }

    fn frozen(&self, why: String, needs: SignedDuration) -> Closed {
        let (until, wait_until) = self.opens(needs);
        Closed { why: HoldReason::Frozen { why, until }, wait_until }
    }

    /// Returns when the first update can be begun that takes so long, or before when none can, and whether to wait for it.
    fn opens(&self, needs: SignedDuration) -> (Timestamp, Option<Timestamp>) {
        let first = self.first_opening(needs);
        let wait = first.filter(|first| *first <= after(self.now, self.policy.window_wait));
        let last = self.moments().max().unwrap_or(self.now);
        (first.unwrap_or_else(|| window::looked_up_until(last)), wait)
    }

    /// Returns the first opening from now on.
    fn first_opening(&self, needs: SignedDuration) -> Option<Timestamp> {
        self.moments().filter_map(|moment| self.opening_after(moment, needs)).min()
    }

    /// Now, and the ends of the freezes: openings are looked for after each of them.
    fn moments(&self) -> impl Iterator<Item = Timestamp> {
        let ends = self.freezes().map(|(_, period)| period.to).filter(|end| *end > self.now);
        std::iter::once(self.now).chain(ends)
    }

    /// Returns the first opening with enough time left, at that moment or in the two weeks after it.
    fn opening_after(&self, moment: Timestamp, needs: SignedDuration) -> Option<Timestamp> {
        let ahead = self.windows(moment).into_iter().filter(|period| period.to > moment);
        ahead.map(|period| (period.from.max(moment), period.to)).find_map(|(opens, closes)| {
            let ends = after(opens, needs);
            let is_frozen =
                self.freezes().any(|(_, freeze)| freeze.to > opens && freeze.from < ends.max(after(opens, TICK)));
            (ends <= closes && !is_frozen).then_some(opens)
        })
    }

    /// The times around a moment in which the windows allow a beginning.
    fn windows(&self, moment: Timestamp) -> Vec<Period> {
        if self.asked.outside_window || self.policy.windows.is_empty() {
            vec![Period::ALWAYS]
        } else {
            window::open_periods(&self.policy.windows, moment)
        }
    }

    fn freezes(&self) -> impl Iterator<Item = (&Freeze, Period)> {
        let freezes = self.policy.freeze.iter();
        freezes.map(|freeze| (freeze, freeze::period(freeze, &self.policy.windows)))
    }
}

/// The shortest time that can be told from none.
const TICK: SignedDuration = SignedDuration::from_nanos(1);

fn words(freeze: &Freeze) -> String {
    let zone = freeze.zone.as_ref().map(|zone| format!(" ({zone})")).unwrap_or_default();
    let why = freeze.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{} to {}{zone}{why}", freeze.from, freeze.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Asked = Asked { outside_window: false, finish: false };
    const URGENT: Asked = Asked { outside_window: true, finish: false };

    fn policy(windows: &[&str], freezes: &[&str]) -> Policy {
        Policy {
            windows: windows.iter().map(|text| text.parse().unwrap()).collect(),
            freeze: freezes.iter().map(|text| text.parse().unwrap()).collect(),
            ..Policy::default()
        }
    }

    #[test]
    fn an_update_is_expected_to_take_what_others_took() {
        use crate::planner::fixtures::{at, fleet, instance};
        use models::report::Verdict;
        let run = |number, ended: Option<(i64, Outcome)>| {
            let mut one = instance(number, None, at(0));
            one.run.drained_at = Some(at(0));
            one.run.verdict = ended.map(|(minute, outcome)| {
                let (reason, detail, from, to) = (None, None, None, None);
                Box::new(Verdict { outcome, reason, detail, from, to, at: at(minute), of_its_own: false })
            });
            one
        };
        let updated = |minute| Some((minute, Outcome::Updated));
        type Ends = Vec<Option<(i64, Outcome)>>;
        let table: [(&str, Ends, i64); 6] = [
            ("nothing is known", vec![], 6),
            ("the longest", vec![updated(3), updated(4), updated(2)], 4),
            ("a rollback says nothing", vec![Some((40, Outcome::RolledBack)), Some((20, Outcome::Failed))], 6),
            ("one is under way", vec![None], 10),
            ("one is under way for longer than others took", vec![None, updated(3)], 10),
            ("one took longer", vec![None, updated(12)], 12),
        ];
        for (name, ends, minutes) in table {
            let instances = (0..).zip(ends).map(|(number, end)| run(number, end)).collect();
            assert_eq!(expected(&fleet(instances, vec![]), at(10)).as_mins(), minutes, "{name}");
        }
    }

    #[test]
    fn a_pause_comes_before_all_else_and_is_not_waited_for() {
        let policy = policy(&["Mon-Fri 02:00-05:00 UTC"], &["2026-11-23..2026-11-23"]);
        for now in ["2026-11-23T03:00:00Z", "2026-11-24T03:00:00Z", "2026-11-24T12:00:00Z"] {
            let gate = Gate {
                policy: &policy,
                pause: Some("sale"),
                unapproved: None,
                asked: URGENT,
                now: now.parse().unwrap(),
            };
            let closed = gate.closed(SignedDuration::ZERO).unwrap();
            assert_eq!((closed.why.code(), closed.wait_until), ("paused", None), "{now}");
        }
    }

    /// The hold's code, until when, and for how many minutes a run waits.
    fn said(gate: Gate<'_>, takes: i64) -> Option<(&'static str, String, Option<i64>)> {
        let closed = gate.closed(SignedDuration::from_mins(takes))?;
        let (HoldReason::OutsideWindow { until, .. } | HoldReason::Frozen { until, .. }) = &closed.why else {
            panic!("{:?}", closed.why)
        };
        let until = format!("{until:.0}");
        Some((closed.why.code(), until, closed.wait_until.map(|at| at.duration_since(gate.now).as_mins())))
    }

    /// From Monday 23 November 2026 on.
    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    fn when_something_may_be_begun() {
        const NIGHT: &[&str] = &["Mon-Fri 02:00-05:00 UTC"];
        const SHORT: &[&str] = &["Mon 02:00-02:05 UTC", "Mon 02:20-04:00 UTC"];
        const SOON: &[&str] = &["2026-11-23..2026-11-24", "2026-11-24..2026-11-25: sale"];
        type Said = Option<(&'static str, &'static str, Option<i64>)>;
        let (outside, frozen) = ("outside_window", "frozen");
        /// What it is about, windows, freezes, the time, and what is said.
        type Case = (&'static str, &'static [&'static str], &'static [&'static str], &'static str, Said);
        let table: Vec<Case> = vec![
            ("no list: always", &[], &[], "2026-11-23T12:00:00Z", None),
            ("inside", NIGHT, &[], "2026-11-23T02:00:00Z", None),
            ("an update just fits", NIGHT, &[], "2026-11-23T04:54:00Z", None),
            ("it does not", NIGHT, &[], "2026-11-23T04:54:01Z", Some((outside, "2026-11-24T02:00:00Z", None))),
            ("at the end", NIGHT, &[], "2026-11-23T05:00:00Z", Some((outside, "2026-11-24T02:00:00Z", None))),
            ("over the weekend", NIGHT, &[], "2026-11-27T12:00:00Z", Some((outside, "2026-11-30T02:00:00Z", None))),
            ("it opens soon", NIGHT, &[], "2026-11-23T01:30:00Z", Some((outside, "2026-11-23T02:00:00Z", Some(30)))),
            ("not so soon", NIGHT, &[], "2026-11-23T01:29:59Z", Some((outside, "2026-11-23T02:00:00Z", None))),
            (
                "too short, the next is not",
                SHORT,
                &[],
                "2026-11-23T02:00:00Z",
                Some((outside, "2026-11-23T02:20:00Z", Some(20))),
            ),
            (
                "none is long enough",
                &["Mon 02:00-02:05 UTC"],
                &[],
                "2026-11-23T00:00:00Z",
                Some((outside, "2026-12-08T00:00:00Z", None)),
            ),
            ("frozen, no window", &[], SOON, "2026-11-23T12:00:00Z", Some((frozen, "2026-11-26T00:00:00Z", None))),
            ("frozen in a window", NIGHT, SOON, "2026-11-23T03:00:00Z", Some((frozen, "2026-11-26T02:00:00Z", None))),
            (
                "outside, the opening is frozen",
                NIGHT,
                SOON,
                "2026-11-22T12:00:00Z",
                Some((outside, "2026-11-26T02:00:00Z", None)),
            ),
            ("a freeze ends soon", &[], SOON, "2026-11-25T23:45:00Z", Some((frozen, "2026-11-26T00:00:00Z", Some(15)))),
            ("a freeze is near", &[], SOON, "2026-11-22T23:55:00Z", Some((frozen, "2026-11-26T00:00:00Z", None))),
            ("a freeze is near enough", &[], SOON, "2026-11-22T23:54:00Z", None),
            ("a freeze is over", &[], SOON, "2026-11-26T00:00:00Z", None),
            (
                "for months",
                NIGHT,
                &["2026-11-23..2027-03-01"],
                "2026-11-23T03:00:00Z",
                Some((frozen, "2027-03-02T02:00:00Z", None)),
            ),
            (
                "without end",
                NIGHT,
                &["2026-11-23..9999-12-31"],
                "2026-11-23T03:00:00Z",
                Some((frozen, "9999-12-30T22:00:00Z", None)),
            ),
        ];
        for (name, windows, freezes, now, expected) in table {
            let policy = policy(windows, freezes);
            let gate =
                Gate { policy: &policy, pause: None, unapproved: None, asked: NOTHING, now: now.parse().unwrap() };
            assert_eq!(said(gate, 6), expected.map(|(code, until, wait)| (code, until.to_owned(), wait)), "{name}");
        }
    }

    #[test]
    fn what_settings_and_flag_change() {
        let night = policy(&["Mon-Fri 02:00-05:00 UTC"], &["2026-11-24..2026-11-24"]);
        let with = |change: fn(&mut Policy)| {
            let mut policy = night.clone();
            change(&mut policy);
            policy
        };
        let code = |policy: &Policy, outside_window: bool, now: &str| {
            said(
                Gate {
                    policy,
                    pause: None,
                    unapproved: None,
                    asked: Asked { outside_window, finish: false },
                    now: now.parse().unwrap(),
                },
                6,
            )
            .map(|(code, ..)| code)
        };
        let none = with(|policy| policy.window_cutoff = Some(SignedDuration::ZERO));
        assert_eq!(code(&none, false, "2026-11-23T04:59:59Z"), None, "a cutoff of nothing");
        assert_eq!(code(&none, false, "2026-11-24T03:00:00Z"), Some("frozen"));
        let long = with(|policy| policy.window_cutoff = Some(SignedDuration::from_hours(1)));
        assert_eq!(code(&long, false, "2026-11-23T04:00:01Z"), Some("outside_window"), "a long cutoff");
        assert_eq!(code(&night, true, "2026-11-23T12:00:00Z"), None, "--outside-window");
        assert_eq!(code(&night, true, "2026-11-24T12:00:00Z"), Some("frozen"), "is no word on a freeze");
        let patient = with(|policy| policy.window_wait = SignedDuration::from_hours(3));
        let now = "2026-11-23T00:00:00Z".parse().unwrap();
        let gate = Gate { policy: &patient, pause: None, unapproved: None, asked: NOTHING, now };
        assert_eq!(said(gate, 6).and_then(|(.., wait)| wait), Some(120));
    }

    #[test]
    fn a_run_that_finishes_begins_nothing_and_says_what_lasts_longer() {
        let night = policy(&["Mon-Fri 02:00-05:00 UTC"], &[]);
        let code = |pause: Option<&str>, now: &str| {
            let asked = Asked { outside_window: false, finish: true };
            let gate = Gate { policy: &night, pause, unapproved: None, asked, now: now.parse().unwrap() };
            let closed = gate.closed(SignedDuration::ZERO).unwrap();
            (closed.why.code(), closed.wait_until)
        };
        assert_eq!(code(None, "2026-11-23T03:00:00Z"), ("finishing", None), "open");
        assert_eq!(code(None, "2026-11-23T01:45:00Z"), ("finishing", None), "it opens soon");
        assert_eq!(code(None, "2026-11-23T12:00:00Z"), ("outside_window", None));
        assert_eq!(code(Some("sale"), "2026-11-23T03:00:00Z"), ("paused", None));
    }
}
