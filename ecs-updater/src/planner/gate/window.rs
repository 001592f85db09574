//! When windows are open.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use models::schedule::Window;
use models::time::after;

/// So many days from a moment on windows are looked up: two weeks and a day, since a weekly one can lie in a gap.
const DAYS_AHEAD: i32 = 15;
/// A window that is open has opened on one of as many days before.
const DAYS_BEFORE: i32 = 2;

/// A time, its end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Period {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Period {
    pub(super) const ALWAYS: Self = Self { from: Timestamp::MIN, to: Timestamp::MAX };

    pub(super) fn contains(self, time: Timestamp) -> bool {
        (self.from..self.to).contains(&time)
    }
}

/// Returns until when the windows were looked up for a moment.
pub(super) fn looked_up_until(moment: Timestamp) -> Timestamp {
    after(moment, SignedDuration::from_hours(24 * i64::from(DAYS_AHEAD)))
}

/// Returns when windows are open around a moment, in order; windows that touch are one.
pub(super) fn open_periods(windows: &[Window], moment: Timestamp) -> Vec<Period> {
    let mut all: Vec<Period> = windows.iter().flat_map(|window| of_one(window, moment)).collect();
    all.sort_unstable();
    let mut joined: Vec<Period> = Vec::new();
    for period in all {
        match joined.last_mut() {
            Some(last) if period.from <= last.to => last.to = last.to.max(period.to),
            Some(_) | None => joined.push(period),
        }
    }
    joined
}

fn of_one(window: &Window, moment: Timestamp) -> impl Iterator<Item = Period> {
    let rules = window.zone.rules();
    let today = rules.to_datetime(moment).date();
    (-DAYS_BEFORE..=DAYS_AHEAD).filter_map(move |days| {
        let day = today.checked_add(days.days()).ok().filter(|day| window.days.contains(day.weekday()))?;
        let last = if window.crosses_midnight() { day.checked_add(1.days()).ok()? } else { day };
        let closes = window.closes.unwrap_or(jiff::civil::Time::MIN);
        let period = Period {
            from: first_moment(rules, day.to_datetime(window.opens))?,
            to: first_moment(rules, last.to_datetime(closes))?,
        };
        (period.from < period.to).then_some(period)
    })
}

/// Returns when the clocks of a zone first show this, or leap over it. `None` at the end of time.
pub(super) fn first_moment(rules: &TimeZone, shown: DateTime) -> Option<Timestamp> {
    let at = rules.to_ambiguous_timestamp(shown);
    match at.offset() {
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => at.earlier().ok(),
        AmbiguousOffset::Gap { .. } => {
            // What the clocks would show had they not leapt is at or after the leap.
            let past = at.later().ok()?.checked_add(1.nanosecond()).ok()?;
            rules.preceding(past).next().map(|leap| leap.timestamp())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(windows: &[&str], moment: &str) -> Vec<String> {
        let windows: Vec<Window> = windows.iter().map(|text| text.parse().unwrap()).collect();
        let moment: Timestamp = moment.parse().unwrap();
        let ahead = |period: &Period| period.to > moment && period.from < after(moment, SignedDuration::from_hours(48));
        let periods = open_periods(&windows, moment).into_iter().filter(ahead);
        periods
            .map(|period| format!("{:.0}/{}", period.from, period.to.duration_since(period.from).as_mins()))
            .collect()
    }

    /// The windows of two days: when each opens, and for how many minutes.
    #[test]
    fn windows_are_open_when_they_say() {
        let work = "Mon-Fri 02:00-05:00 UTC";
        let table: [(&str, &[&str], &str, &[&str]); 10] = [
            (
                "tonight and tomorrow",
                &[work],
                "2026-11-23T00:00:00Z",
                &["2026-11-23T02:00:00Z/180", "2026-11-24T02:00:00Z/180"],
            ),
            (
                "at its end it is over",
                &[work],
                "2026-11-23T05:00:00Z",
                &["2026-11-24T02:00:00Z/180", "2026-11-25T02:00:00Z/180"],
            ),
            ("before its end it is not", &[work], "2026-11-27T04:59:00Z", &["2026-11-27T02:00:00Z/180"]),
            (
                "over midnight, by the day on which it opens",
                &["Mon 22:00-04:00 UTC"],
                "2026-11-24T03:00:00Z",
                &["2026-11-23T22:00:00Z/360"],
            ),
            ("a whole day", &["Tue 00:00-24:00 UTC"], "2026-11-23T12:00:00Z", &["2026-11-24T00:00:00Z/1440"]),
            (
                "two that touch are one",
                &["Mon 22:00-24:00 UTC", "Tue 00:00-06:00 UTC"],
                "2026-11-23T21:00:00Z",
                &["2026-11-23T22:00:00Z/480"],
            ),
            (
                "two that overlap are one",
                &["Mon 02:00-04:00 UTC", "Mon 03:00-06:00 UTC"],
                "2026-11-23T03:30:00Z",
                &["2026-11-23T02:00:00Z/240"],
            ),
            (
                "two that do not are two",
                &["Mon 02:00-03:00 UTC", "Mon 04:00-06:00 UTC"],
                "2026-11-23T00:00:00Z",
                &["2026-11-23T02:00:00Z/60", "2026-11-23T04:00:00Z/120"],
            ),
            (
                "two zones",
                &["Mon 02:00-03:00 UTC", "Mon 02:00-03:00 Asia/Tokyo"],
                "2026-11-22T12:00:00Z",
                &["2026-11-22T17:00:00Z/60", "2026-11-23T02:00:00Z/60"],
            ),
            ("none of them for days", &["Sun 02:00-03:00 UTC"], "2026-11-23T00:00:00Z", &[]),
        ];
        for (name, windows, moment, expected) in table {
            assert_eq!(open(windows, moment), expected, "{name}");
        }
    }

    /// Berlin goes to summer time on 29 March 2026 at 02:00 (01:00 UTC), which shows 03:00 then, and back on 25 October
    /// 2026 at 03:00 (01:00 UTC), which shows 02:00 once more.
    #[test]
    fn daylight_saving() {
        let (spring, autumn) = ("2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z");
        let table: [(&str, &str, &str, &[&str]); 12] = [
            ("loses an hour", "Sun 01:00-05:00", spring, &["2026-03-29T00:00:00Z/180"]),
            ("opens in the gap: at the leap", "Sun 02:30-05:00", spring, &["2026-03-29T01:00:00Z/120"]),
            ("opens where the gap begins", "Sun 02:00-05:00", spring, &["2026-03-29T01:00:00Z/120"]),
            ("closes in the gap: at the leap", "Sun 01:00-02:30", spring, &["2026-03-29T00:00:00Z/60"]),
            ("closes where the gap ends", "Sun 01:00-03:00", spring, &["2026-03-29T00:00:00Z/60"]),
            ("lies in the gap", "Sun 02:10-02:50", spring, &[]),
            ("is the gap", "Sun 02:00-03:00", spring, &[]),
            ("gains an hour", "Sun 01:00-05:00", autumn, &["2026-10-24T23:00:00Z/300"]),
            (
                "opens in the hour that comes twice: at the first",
                "Sun 02:30-05:00",
                autumn,
                &["2026-10-25T00:30:00Z/210"],
            ),
            ("closes in that hour: at the first", "Sun 01:00-02:30", autumn, &["2026-10-24T23:00:00Z/90"]),
            ("lies in that hour: opens once", "Sun 02:10-02:50", autumn, &["2026-10-25T00:10:00Z/40"]),
            ("is that hour: both of it", "Sun 02:00-03:00", autumn, &["2026-10-25T00:00:00Z/120"]),
        ];
        for (name, window, moment, expected) in table {
            assert_eq!(open(&[&format!("{window} Europe/Berlin")], moment), expected, "{name}");
        }
        let cairo = "Thu-Fri 00:00-01:00 Africa/Cairo";
        let at_midnight = open(&[cairo], "2026-04-22T18:00:00Z");
        assert_eq!(at_midnight, ["2026-04-22T22:00:00Z/60"], "Friday's lies in a gap at midnight");
    }

    #[test]
    fn a_weekly_window_in_the_gap_opens_two_weeks_later() {
        let windows = ["Sun 02:10-02:50 Europe/Berlin".parse().unwrap()];
        let moment: Timestamp = "2026-03-22T12:00:00Z".parse().unwrap();
        let next = open_periods(&windows, moment).into_iter().find(|period| period.from > moment).unwrap();
        assert_eq!(next.from, "2026-04-05T00:10:00Z".parse().unwrap());
    }
}
