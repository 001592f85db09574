//! How long a run puts up with an AWS that refuses or does not answer. Pure: the caller says what time it is.
//!
//! A refusal is soon over or lasts until somebody does something about it; an outage may end by itself. So the first is
//! waited out for [`FOR_REFUSALS`], the second for [`FOR_SILENCE`]. Both are times of nothing else: one good answer ends
//! them. What fails again and again between good answers is waited out while no more than half of the time is lost to it.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use models::time::after;

/// How long nothing but refusals is waited out: what was changed by mistake is often put right within minutes, and
/// permissions take some seconds to show everywhere.
pub(crate) const FOR_REFUSALS: SignedDuration = SignedDuration::from_mins(5);
/// How long it is waited out that AWS gives no usable answer.
pub(crate) const FOR_SILENCE: SignedDuration = SignedDuration::from_mins(15);
/// Of this time half must belong to looks that were answered.
pub(crate) const WINDOW: SignedDuration = SignedDuration::from_mins(30);
/// A call that was not repeated for so long has nothing to do with the next one.
const FORGIVEN_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// How a call went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// AWS said no.
    Refused,
    /// AWS gave no answer to go by.
    Silent,
}

/// Why the work is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GiveUp {
    /// Refused for [`FOR_REFUSALS`].
    Refused,
    /// Not a good answer for [`FOR_SILENCE`].
    Silent,
    /// Less than half of [`WINDOW`] belongs to looks that were answered.
    TooSeldom,
}

/// A try: when it was begun and when it was over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Try {
    pub(crate) began: Timestamp,
    pub(crate) ended: Timestamp,
}

/// A time of nothing but trouble with one thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streak(Option<Began>);

#[derive(Debug, Clone)]
struct Began {
    at: Timestamp,
    /// When the first refusal in it came.
    refused_at: Option<Timestamp>,
    /// When the last try was over.
    last: Timestamp,
}

impl Streak {
    /// One more try went wrong; says whether it was the last.
    pub(crate) fn failed(&mut self, how: Trouble, tried: Try) -> Option<GiveUp> {
        let now = tried.ended;
        let going_on = self.0.take().filter(|began| tried.began < after(began.last, FORGIVEN_AFTER));
        let mut began = going_on.unwrap_or(Began { at: now, refused_at: None, last: now });
        began.last = now;
        if how == Trouble::Refused {
            began.refused_at.get_or_insert(now);
        }
        let refused = began.refused_at.filter(|at| how == Trouble::Refused && now >= after(*at, FOR_REFUSALS));
        let silent = now >= after(began.at, FOR_SILENCE);
        self.0 = Some(began);
        if refused.is_some() { Some(GiveUp::Refused) } else { silent.then_some(GiveUp::Silent) }
    }

    /// A good answer came.
    pub(crate) fn is_over(&mut self) {
        self.0 = None;
    }

    /// Whether the last try went wrong.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_some()
    }
}

/// The looks at a cluster. The time from the end of one to the end of the next belongs to the next: a look that is not
/// answered takes a minute with its retries, and there are few of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Looks {
    streak: Streak,
    first: Option<Timestamp>,
    /// Those that ended within the last [`WINDOW`].
    lately: VecDeque<Look>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    ended: Timestamp,
    /// The time that belongs to it.
    took: SignedDuration,
    answered: bool,
}

impl Looks {
    /// A look was answered.
    pub(crate) fn answered(&mut self, now: Timestamp) {
        self.note(now, true);
        self.streak.is_over();
    }

    /// A look went wrong; says whether it was the last.
    pub(crate) fn failed(&mut self, how: Trouble, tried: Try) -> Option<GiveUp> {
        let now = tried.ended;
        self.note(now, false);
        let lost: SignedDuration = self.lately.iter().filter(|look| !look.answered).map(|look| look.took).sum();
        let is_long_enough = self.first.is_some_and(|first| now >= after(first, WINDOW));
        let too_seldom = is_long_enough && lost > WINDOW / 2;
        self.streak.failed(how, tried).or(too_seldom.then_some(GiveUp::TooSeldom))
    }

    /// Whether the last look went wrong.
    pub(crate) fn is_in_trouble(&self) -> bool {
        self.streak.is_open()
    }

    fn note(&mut self, now: Timestamp, answered: bool) {
        self.first.get_or_insert(now);
        let took = self.lately.back().map_or(SignedDuration::ZERO, |last| now.duration_since(last.ended));
        self.lately.push_back(Look { ended: now, took, answered });
        while self.lately.front().is_some_and(|look| now >= after(look.ended, WINDOW)) {
            self.lately.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1;
    const MIN: i64 = 60 * S;

    fn at(seconds: i64) -> Timestamp {
        after("2026-11-23T03:00:00Z".parse().unwrap(), SignedDuration::from_secs(seconds))
    }

    fn tried(began: i64, ended: i64) -> Try {
        Try { began: at(began), ended: at(ended) }
    }

    #[test]
    fn refusals_are_waited_out_for_five_minutes_and_silence_for_fifteen() {
        use Trouble::{Refused as R, Silent as N};
        /// What went wrong, the seconds of its beginning and its end.
        type Tried = (Trouble, i64, i64);
        let table: &[(&str, &[Tried], Option<GiveUp>)] = &[
            ("the first refusal", &[(R, 0, 0)], None),
            ("refused for almost five minutes", &[(R, 0, 0), (R, 200, 200), (R, 299, 299)], None),
            ("refused for five minutes", &[(R, 0, 0), (R, 200, 200), (R, 300, 300)], Some(GiveUp::Refused)),
            ("silent for five minutes", &[(N, 0, 0), (N, 200, 200), (N, 300, 300)], None),
            ("silent, and not tried for five minutes", &[(N, 0, 0), (N, 290, 290), (N, 580, 580), (N, 900, 900)], None),
            (
                "silent for fifteen minutes",
                &[(N, 0, 0), (N, 290, 290), (N, 580, 580), (N, 870, 870), (N, 880, 900)],
                Some(GiveUp::Silent),
            ),
            ("refused at the end of a silence", &[(N, 0, 0), (N, 290, 290), (R, 299, 301)], None),
            (
                "silent in the middle of refusals",
                &[(R, 0, 0), (N, 100, 120), (R, 150, 150), (R, 300, 300)],
                Some(GiveUp::Refused),
            ),
            ("a silence does not end for a refusal long ago", &[(R, 0, 0), (N, 290, 310)], None),
            ("tries that take minutes each", &[(N, 0, 400), (N, 402, 802), (N, 804, 1304)], Some(GiveUp::Silent)),
        ];
        for (name, tries, expected) in table {
            let mut streak = Streak::default();
            let mut said = None;
            for (how, began, ended) in *tries {
                assert_eq!(said, None, "{name}: given up earlier");
                said = streak.failed(*how, tried(*began, *ended));
            }
            assert_eq!(said, *expected, "{name}");
        }
    }

    #[test]
    fn a_good_answer_ends_it() {
        let mut streak = Streak::default();
        for round in 0..100 {
            for second in [0, 290] {
                let now = round * 300 + second;
                assert_eq!(streak.failed(Trouble::Refused, tried(now, now)), None);
            }
            assert!(streak.is_open());
            streak.is_over();
            assert!(!streak.is_open());
        }
    }

    /// Looks every 10 s; of each `every` seconds the first `away` are an outage. When it is given up, in minutes.
    fn given_up_after(away: i64, every: i64, how: Trouble) -> Option<(i64, GiveUp)> {
        let mut looks = Looks::default();
        for second in (0..4 * 60 * MIN).step_by(10) {
            if second >= MIN && second % every < away {
                if let Some(why) = looks.failed(how, tried(second, second)) {
                    return Some((second / MIN, why));
                }
            } else {
                looks.answered(at(second));
            }
        }
        None
    }

    #[test]
    fn outages_one_after_the_other_are_waited_out_while_half_of_the_time_is_answered() {
        use Trouble::{Refused, Silent};
        let table = [
            (50, 4 * MIN, Silent, None),
            (50, 4 * MIN, Refused, None),
            (2 * MIN, 5 * MIN, Silent, None),
            (3 * MIN, 5 * MIN, Silent, Some((30, GiveUp::TooSeldom))),
            (4 * MIN, 5 * MIN, Refused, Some((30, GiveUp::TooSeldom))),
            (6 * MIN, 10 * MIN, Refused, Some((15, GiveUp::Refused))),
            (10 * MIN, 10 * MIN, Silent, Some((16, GiveUp::Silent))),
            (10 * MIN, 10 * MIN, Refused, Some((6, GiveUp::Refused))),
        ];
        for (away, every, how, expected) in table {
            assert_eq!(given_up_after(away, every, how), expected, "{away} s of each {every}, {how:?}");
        }
    }

    /// A look that is not answered takes a minute, one that is answered five seconds.
    #[test]
    fn few_looks_that_take_long_count_as_much_as_many_short_ones() {
        let (mut looks, mut now) = (Looks::default(), 0);
        let given_up = loop {
            for _ in 0..12 {
                now += 5;
                looks.answered(at(now));
            }
            let why = (0..4).find_map(|_| {
                now += MIN;
                looks.failed(Trouble::Silent, tried(now - MIN, now))
            });
            if why.is_some() || now > 2 * 60 * MIN {
                break why;
            }
        };
        assert_eq!((given_up, now / MIN), (Some(GiveUp::TooSeldom), 32));
    }
}
