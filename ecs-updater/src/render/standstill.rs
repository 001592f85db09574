//! The sentence on a run that updated nothing although nobody wished so.

use models::report::NothingUpdated;

/// Says how many instances were to be updated and why none was, the most frequent reason first.
pub fn sentence(found: &NothingUpdated) -> String {
    let reasons: Vec<String> = found.by_frequency().iter().map(|(code, count)| format!("{count} {code}")).collect();
    let what = match (found.outdated, found.not_known) {
        (1, 0) => "1 outdated instance was".to_owned(),
        (count, 0) => format!("{count} outdated instances were"),
        (1, _) => "1 instance that may be outdated was".to_owned(),
        (count, open) if count == open => format!("{count} instances that may be outdated were"),
        (count, _) => format!("{count} instances that are outdated, or may be, were"),
    };
    format!("0 of {what} updated: {}", reasons.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_most_frequent_reason_comes_first() {
        let of = |outdated, not_known, held: &[(&str, usize)]| {
            let held: BTreeMap<String, usize> = held.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect();
            sentence(&NothingUpdated { outdated, not_known, held })
        };
        assert_eq!(
            of(24, 0, &[("budget_used_up", 4), ("no_room", 20)]),
            "0 of 24 outdated instances were updated: 20 no_room, 4 budget_used_up"
        );
        assert_eq!(of(1, 0, &[("no_room", 1)]), "0 of 1 outdated instance was updated: 1 no_room");
        assert_eq!(
            of(3, 1, &[("no_room", 2), ("host_unreachable", 1)]),
            "0 of 3 instances that are outdated, or may be, were updated: 2 no_room, 1 host_unreachable"
        );
        assert_eq!(
            of(2, 2, &[("host_unreachable", 2)]),
            "0 of 2 instances that may be outdated were updated: 2 host_unreachable"
        );
        assert_eq!(
            of(1, 1, &[("host_unreachable", 1)]),
            "0 of 1 instance that may be outdated was updated: 1 host_unreachable"
        );
    }
}
