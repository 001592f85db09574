//! Maintenance windows, freezes and the pause, as a person writes them. What they mean at a moment is the planner's.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Tag of an ECS cluster by which a person pauses it; its value is a note.
pub const PAUSE_TAG: &str = "ecs-updater:pause";

/// Returns the note of a pause, where a cluster's tags say that it is paused: by any value but `false`.
pub fn pause(tags: &BTreeMap<String, String>) -> Option<&str> {
    tags.get(PAUSE_TAG).map(String::as_str).filter(|note| *note != "false")
}

/// A time zone of the IANA database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

impl Zone {
    /// Returns the rules by which its clocks are set.
    pub fn rules(&self) -> &TimeZone {
        &self.rules
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for Zone {
    type Err = String;

    /// Looks the name up in the system's database, else in the one that the program brings.
    fn from_str(text: &str) -> Result<Self, String> {
        match TimeZone::get(text) {
            Ok(rules) if !rules.is_unknown() => Ok(Self { name: rules.iana_name().unwrap_or(text).to_owned(), rules }),
            Ok(_) | Err(_) => Err(format!("{text:?} is not a time zone such as \"UTC\" or \"Europe/Berlin\"")),
        }
    }
}

/// Days of the week, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days([bool; 7]);

const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Days {
    /// Whether this day is among them.
    pub fn contains(self, day: Weekday) -> bool {
        usize::try_from(day.to_monday_zero_offset()).is_ok_and(|at| self.0[at])
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        let mut at = 0;
        while at < 7 {
            if !self.0[at] {
                at += 1;
                continue;
            }
            let end = (at..7).take_while(|day| self.0[*day]).last().unwrap_or(at);
            f.write_str(if first { "" } else { "," })?;
            f.write_str(NAMES[at])?;
            if end > at {
                write!(f, "-{}", NAMES[end])?;
            }
            first = false;
            at = end + 1;
        }
        Ok(())
    }
}

impl FromStr for Days {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut days = [false; 7];
        for part in text.split(',') {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let (mut at, to) = (day(from)?, day(to)?);
            days[at] = true;
            while at != to {
                at = (at + 1) % 7;
                days[at] = true;
            }
        }
        Ok(Self(days))
    }
}

fn day(text: &str) -> Result<usize, String> {
    let is_it = |name: &&str| name.eq_ignore_ascii_case(text);
    NAMES.iter().position(is_it).ok_or_else(|| format!("{text:?} is none of Mon, Tue … Sun"))
}

/// A maintenance window: on these days from one time of the zone's clocks to another, on the next day where that is not
/// later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    /// The days on which it opens.
    pub days: Days,
    pub opens: Time,
    /// `None` is 24:00.
    pub closes: Option<Time>,
    pub zone: Zone,
}

impl Window {
    /// Whether it closes on the day after it opens.
    pub fn crosses_midnight(&self) -> bool {
        self.closes.is_none_or(|closes| closes <= self.opens)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}-", self.days, clock(self.opens))?;
        match self.closes {
            Some(closes) => f.write_str(&clock(closes))?,
            None => f.write_str(MIDNIGHT)?,
        }
        write!(f, " {}", self.zone)
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [days, hours, zone] = parts.as_slice() else {
            return Err(format!("{text:?} is not days, hours and a time zone, such as \"{EXAMPLE}\""));
        };
        let (opens, closes) =
            hours.split_once('-').ok_or_else(|| format!("{hours:?} is not two times such as 02:00-05:00"))?;
        let opens = time(opens)?;
        let closes = if closes == MIDNIGHT { None } else { Some(time(closes)?) };
        if closes == Some(opens) {
            return Err(format!("{hours:?} has no length; a whole day is 00:00-24:00"));
        }
        Ok(Self { days: days.parse()?, opens, closes, zone: zone.parse()? })
    }
}

/// A window as an example.
pub const EXAMPLE: &str = "Mon-Fri 02:00-05:00 Europe/Berlin";
const MIDNIGHT: &str = "24:00";

fn clock(time: Time) -> String {
    format!("{:02}:{:02}", time.hour(), time.minute())
}

/// Reads hours and minutes; two digits each, so that `5:00` and `05:0` are no times.
fn time(text: &str) -> Result<Time, String> {
    let bad = || format!("{text:?} is not a time from 00:00 to 23:59");
    let (hour, minute) =
        text.split_once(':').filter(|parts| parts.0.len() == 2 && parts.1.len() == 2).ok_or_else(bad)?;
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i8>().ok().filter(|_| digits).ok_or_else(bad)
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).map_err(|_| bad())
}

/// Days on which nothing is begun, the first and the last included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Freeze {
    pub from: Date,
    pub to: Date,
    /// Whose days these are; `None`: those of each zone that a window names, of UTC where there is no window.
    pub zone: Option<Zone>,
    /// Why, for people.
    pub why: Option<String>,
}

impl Freeze {
    /// Returns the freeze from a day to another.
    ///
    /// # Errors
    /// The last day is before the first.
    pub fn new(from: Date, to: Date, zone: Option<Zone>, why: Option<String>) -> Result<Self, String> {
        if to < from {
            return Err(format!("{to} is before {from}"));
        }
        Ok(Self { from, to, zone, why: why.filter(|why| !why.is_empty()) })
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)?;
        if let Some(zone) = &self.zone {
            write!(f, " {zone}")?;
        }
        match &self.why {
            Some(why) => write!(f, ": {why}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Freeze {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (when, why) = match text.split_once(": ") {
            Some((when, why)) => (when, Some(why.trim().to_owned())),
            None => (text, None),
        };
        let mut parts = when.split_whitespace();
        let days = parts.next().and_then(|days| days.split_once(".."));
        let (from, to) = days.ok_or_else(|| format!("{when:?} is not two days such as 2026-12-20..2027-01-04"))?;
        let zone = parts.next().map(str::parse).transpose()?;
        if parts.next().is_some() {
            return Err(format!("{when:?} is not two days and a time zone"));
        }
        Self::new(date(from)?, date(to)?, zone, why)
    }
}

/// Reads a day such as `2026-12-20`.
///
/// # Errors
/// Anything else, a date with a time too.
pub fn date(text: &str) -> Result<Date, String> {
    let bad = || format!("{text:?} is not a day such as 2026-12-20");
    if text.len() == 10 { text.parse().map_err(|_| bad()) } else { Err(bad()) }
}

as_text!(Window);
as_text!(Freeze);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_reads_as_it_is_written() {
        let table = [
            ("Mon-Fri 02:00-05:00 UTC", "Mon-Fri 02:00-05:00 UTC"),
            ("mon,WED 22:30-04:00  UTC", "Mon,Wed 22:30-04:00 UTC"),
            ("Sat-Mon 00:00-24:00 UTC", "Mon,Sat-Sun 00:00-24:00 UTC"),
            ("Sun-Sat 23:00-22:59 utc", "Mon-Sun 23:00-22:59 UTC"),
        ];
        for (written, read) in table {
            let window: Window = written.parse().unwrap();
            assert_eq!(window.to_string(), read, "{written}");
            assert_eq!(read.parse::<Window>().unwrap(), window);
        }
        let wrong = [
            "",
            "02:00-05:00 UTC",
            "Mon-Fri 02:00-05:00",
            "Mon-Fri 2:00-5:00 UTC",
            "Mon-Fri 02:00-02:00 UTC",
            "Mon-Fri 24:00-02:00 UTC",
            "Mon-Fri 02:60-03:00 UTC",
            "Mon-Fry 02:00-05:00 UTC",
            "Mon- 02:00-05:00 UTC",
            "Mon 02:00-05:00 Europe/Bonn",
            "Mon 02:00 - 05:00 UTC",
            "Mon 02:00-+5:00 UTC",
        ];
        for text in wrong {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
    }

    #[test]
    fn any_value_but_false_pauses() {
        for (value, paused) in [("sale", true), ("", true), ("true", true), ("false", false)] {
            let tags = BTreeMap::from([(PAUSE_TAG.to_owned(), value.to_owned())]);
            assert_eq!(pause(&tags), Some(value).filter(|_| paused));
        }
        assert_eq!(pause(&BTreeMap::from([("ecs-updater:paused".to_owned(), String::new())])), None);
    }

    #[test]
    fn a_freeze_reads_as_it_is_written() {
        for text in
            ["2026-12-20..2027-01-04", "2026-12-20..2026-12-20 UTC", "2026-12-20..2027-01-04 UTC: sale: hands off"]
        {
            assert_eq!(text.parse::<Freeze>().unwrap().to_string(), text);
        }
        for text in ["2026-12-20", "2026-12-20..2026-12-19", "2026-12-20..2026-12-32", "2026-12-20T10:00..2026-12-21"] {
            assert!(text.parse::<Freeze>().is_err(), "{text}");
        }
    }
}
