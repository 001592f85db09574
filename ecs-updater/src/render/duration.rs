//! Durations for people, in one place.

use jiff::SignedDuration;

/// The two largest units, such as `42s`, `4m 12s`, `1h 5m` or `14d`; what is below them is cut off. Nothing below a
/// second.
///
/// The configuration takes what this prints.
pub fn short(duration: SignedDuration) -> String {
    let (parts, sign) = parts(duration);
    let named: Vec<String> = parts.iter().map(|(count, unit)| format!("{count}{}", unit.short())).collect();
    format!("{sign}{}", named.join(" "))
}

/// As [`short`], in words and no finer than minutes: `42 minutes`, `1 hour 5 minutes`, `less than a minute`.
pub fn long(duration: SignedDuration) -> String {
    let whole = SignedDuration::from_mins(duration.as_mins().max(0));
    if whole.is_zero() {
        return "less than a minute".to_owned();
    }
    let (parts, _) = parts(whole);
    let named: Vec<String> = parts
        .iter()
        .map(|(count, unit)| format!("{count} {}{}", unit.long(), if *count == 1 { "" } else { "s" }))
        .collect();
    named.join(" ")
}

#[derive(Clone, Copy)]
enum Unit {
    Day,
    Hour,
    Minute,
    Second,
}

impl Unit {
    fn short(self) -> &'static str {
        match self {
            Self::Day => "d",
            Self::Hour => "h",
            Self::Minute => "m",
            Self::Second => "s",
        }
    }

    fn long(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Second => "second",
        }
    }
}

/// The largest unit that is not zero and the one below it, unless that is zero.
fn parts(duration: SignedDuration) -> (Vec<(u64, Unit)>, &'static str) {
    let seconds = duration.as_secs().unsigned_abs();
    let sign = if duration.as_secs() < 0 { "-" } else { "" };
    let all = [
        (seconds / 86_400, Unit::Day),
        (seconds / 3_600 % 24, Unit::Hour),
        (seconds / 60 % 60, Unit::Minute),
        (seconds % 60, Unit::Second),
    ];
    let first = all.iter().position(|(count, _)| *count > 0).unwrap_or(all.len() - 1);
    let parts = all.iter().skip(first).take(2).copied().enumerate();
    (parts.filter(|(at, (count, _))| *at == 0 || *count > 0).map(|(_, part)| part).collect(), sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_two_units_at_most() {
        let cases = [
            (0, "0s", "less than a minute"),
            (42, "42s", "less than a minute"),
            (60, "1m", "1 minute"),
            (252, "4m 12s", "4 minutes"),
            (3_600, "1h", "1 hour"),
            (3_905, "1h 5m", "1 hour 5 minutes"),
            (86_400, "1d", "1 day"),
            (176_460, "2d 1h", "2 days 1 hour"),
            (86_460, "1d", "1 day"),
            (-90, "-1m 30s", "less than a minute"),
        ];
        for (seconds, in_short, in_words) in cases {
            let duration = SignedDuration::from_secs(seconds);
            assert_eq!(short(duration), in_short, "{seconds}");
            assert_eq!(long(duration), in_words, "{seconds}");
        }
    }
}
