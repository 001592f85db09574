//! When nothing is begun, whatever the windows say.

use jiff::ToSpan as _;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use models::schedule::{Freeze, Window};

use super::window::{Period, first_moment};

/// Returns the time of a freeze: from the beginning of its first day to the end of its last, in every zone that it is for.
pub(super) fn period(freeze: &Freeze, windows: &[Window]) -> Period {
    let own = freeze.zone.as_ref().map(|zone| zone.rules());
    let of_windows = windows.iter().map(|window| window.zone.rules()).filter(|_| own.is_none());
    let mut zones: Vec<&TimeZone> = own.into_iter().chain(of_windows).collect();
    let utc = TimeZone::UTC;
    if zones.is_empty() {
        zones.push(&utc);
    }
    let last = freeze.to.checked_add(1.days()).ok();
    let begins = zones.iter().map(|rules| first_moment(rules, freeze.from.to_datetime(Time::MIN)));
    let ends = zones.iter().map(|rules| first_moment(rules, last?.to_datetime(Time::MIN)));
    Period {
        from: begins.map(|at| at.unwrap_or(Period::ALWAYS.from)).min().unwrap_or(Period::ALWAYS.from),
        to: ends.map(|at| at.unwrap_or(Period::ALWAYS.to)).max().unwrap_or(Period::ALWAYS.to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freeze_is_for_whole_days_of_its_zone_or_of_the_windows() {
        let (berlin, tokyo) = ("Mon 02:00-05:00 Europe/Berlin", "Mon 02:00-05:00 Asia/Tokyo");
        let table: [(&str, &[&str], &str, &str); 6] = [
            ("2026-12-20..2027-01-04", &[], "2026-12-20T00:00:00Z", "2027-01-05T00:00:00Z"),
            ("2026-12-20..2026-12-20", &[berlin], "2026-12-19T23:00:00Z", "2026-12-20T23:00:00Z"),
            ("2026-12-20..2026-12-20", &[berlin, tokyo], "2026-12-19T15:00:00Z", "2026-12-20T23:00:00Z"),
            ("2026-12-20..2026-12-20 America/New_York", &[berlin], "2026-12-20T05:00:00Z", "2026-12-21T05:00:00Z"),
            ("2026-03-29..2026-03-29 Europe/Berlin", &[], "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            ("2026-04-24..2026-04-24 Africa/Cairo", &[], "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"),
        ];
        for (freeze, windows, from, to) in table {
            let windows: Vec<Window> = windows.iter().map(|text| text.parse().unwrap()).collect();
            let expected = Period { from: from.parse().unwrap(), to: to.parse().unwrap() };
            assert_eq!(period(&freeze.parse().unwrap(), &windows), expected, "{freeze} {windows:?}");
        }
    }
}
