//! Whether updates go on: what is outdated at the end of a run, and that nothing was updated although nobody asked for that.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ClusterReport, InstanceReport, Outcome, RunReport};
use crate::reason::{Bearing, HoldCode};

/// How a cluster stood at the end of a run, besides what its instances say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterEnd {
    /// Whether nothing may be begun in it by a person's wish: a pause, a freeze, a window, in none of its groups either.
    pub held_by_a_wish: bool,
    /// Whether windows and freezes are not the same for all of it, since a group has its own.
    pub has_own_windows: bool,
    /// Whether `select` is met by no instance: a wish that is more likely a mistake.
    pub selects_none: bool,
    /// How many instances are out of service, taken out by anyone.
    pub out_of_service: usize,
    /// Since when the instance is out of service that an earlier run of this program took out first and that is not back
    /// yet; `None`: there is none.
    pub drained_since: Option<Timestamp>,
    /// When an instance was updated last, but that of a release for whose bake others wait, the first counts; where none ever
    /// was, when the oldest of those that are outdated was launched.
    pub last_progress: Option<Timestamp>,
}

/// Returns what a hold means in a cluster whose `select` may be met by no instance.
fn bearing(code: HoldCode, selects_none: bool) -> Bearing {
    if selects_none && code == HoldCode::NotSelected { Bearing::Hindrance } else { code.bearing() }
}

/// A run in which nothing was updated although something is outdated, and nobody asked for that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NothingUpdated {
    /// How many instances are held that are outdated, or may be.
    pub outdated: usize,
    /// How many of these may be current: nobody could look at them.
    pub not_known: usize,
    /// How many are held by which reason, by its code.
    pub held: BTreeMap<String, usize>,
}

impl NothingUpdated {
    /// Returns what the report of a run says, which is of no account where anything else ended or went wrong: an update, a
    /// failure, an interruption, a cluster's error, a release that was taken back.
    pub fn of(report: &RunReport) -> Option<Self> {
        let is_more = |cluster: &ClusterReport| cluster.error.is_some() || cluster.taken_back.is_some();
        if report.dry_run || report.interrupted || report.clusters.iter().any(is_more) {
            return None;
        }
        let mut found = Self { outdated: 0, not_known: 0, held: BTreeMap::new() };
        for cluster in &report.clusters {
            let is_wished = cluster.is_held_by_a_wish();
            let known = found.outdated;
            for instance in &cluster.instances {
                match instance.outcome {
                    Outcome::Updated | Outcome::RolledBack | Outcome::Failed | Outcome::InProgress => return None,
                    Outcome::Current | Outcome::Gone | Outcome::ScaledIn | Outcome::WouldUpdate => {}
                    Outcome::Held if !is_wished => found.count(instance, &cluster.end),
                    Outcome::Held => {}
                }
            }
            // What waits for its turn waits for these.
            if found.outdated > known {
                cluster.instances.iter().filter(|one| waits_for_its_turn(one)).for_each(|one| found.add(one, false));
            }
        }
        (found.outdated > 0).then_some(found)
    }

    fn count(&mut self, instance: &InstanceReport, end: &ClusterEnd) {
        let Some(code) = hold(instance).filter(|code| bearing(*code, end.selects_none) == Bearing::Hindrance) else {
            return;
        };
        self.add(instance, code.leaves_it_open() || code == HoldCode::NotSelected);
    }

    fn add(&mut self, instance: &InstanceReport, is_open: bool) {
        self.outdated += 1;
        self.not_known += usize::from(is_open);
        *self.held.entry(instance.reason.clone().unwrap_or_default()).or_default() += 1;
    }

    /// Returns the reasons with their counts, the most frequent first.
    pub fn by_frequency(&self) -> Vec<(&str, usize)> {
        let mut reasons: Vec<(&str, usize)> = self.held.iter().map(|(code, count)| (code.as_str(), *count)).collect();
        reasons.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
        reasons
    }
}

/// As the last line of a report: how many instances were to be updated and why none was, the most frequent reason first.
impl fmt::Display for NothingUpdated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<String> = self.by_frequency().iter().map(|(code, count)| format!("{count} {code}")).collect();
        let what = match (self.outdated, self.not_known) {
            (1, 0) => "1 outdated instance was".to_owned(),
            (count, 0) => format!("{count} outdated instances were"),
            (1, _) => "1 instance that may be outdated was".to_owned(),
            (count, open) if count == open => format!("{count} instances that may be outdated were"),
            (count, _) => format!("{count} instances that are outdated, or may be, were"),
        };
        write!(f, "0 of {what} updated: {}", reasons.join(", "))
    }
}

fn hold(instance: &InstanceReport) -> Option<HoldCode> {
    HoldCode::find(instance.reason.as_deref()?)
}

fn waits_for_its_turn(instance: &InstanceReport) -> bool {
    instance.outcome == Outcome::Held && hold(instance) == Some(HoldCode::EarlierGroup)
}

impl ClusterReport {
    /// Whether a person's wish for the whole cluster let nothing be begun.
    pub fn is_held_by_a_wish(&self) -> bool {
        let held = self.instances.iter().filter(|instance| instance.outcome == Outcome::Held);
        let mut codes = held.filter_map(hold);
        self.end.held_by_a_wish || codes.any(|code| code.bearing() == Bearing::WishForAll && !self.is_of_a_group(code))
    }

    /// Whether such a hold may be that of one group alone.
    fn is_of_a_group(&self, code: HoldCode) -> bool {
        self.end.has_own_windows && matches!(code, HoldCode::OutsideWindow | HoldCode::Frozen)
    }

    /// How many instances are outdated at the end, or may be, and are not to stay so by a wish for them alone.
    pub fn outdated(&self) -> usize {
        self.instances.iter().filter(|instance| instance.is_outdated(self.end.selects_none)).count()
    }
}

impl InstanceReport {
    /// Whether it is held while a release is watched on others.
    pub fn is_baking(&self) -> bool {
        self.outcome == Outcome::Held && hold(self) == Some(HoldCode::Baking)
    }

    /// Whether it is outdated at the end of a run, or may be, and is not to stay so by a wish for it alone.
    pub fn is_outdated(&self, selects_none: bool) -> bool {
        match self.outcome {
            Outcome::Held => hold(self).is_none_or(|code| match bearing(code, selects_none) {
                Bearing::Hindrance | Bearing::WishForAll => true,
                // It is not to stay so: it waits for others.
                Bearing::Wish if matches!(code, HoldCode::EarlierGroup | HoldCode::Baking | HoldCode::Soaking) => true,
                Bearing::Wish | Bearing::NothingWanted => false,
            }),
            Outcome::RolledBack | Outcome::Failed | Outcome::InProgress | Outcome::WouldUpdate => true,
            Outcome::Updated | Outcome::Current | Outcome::ScaledIn | Outcome::Gone => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ClusterName, RunId};
    use crate::location::Location;
    use crate::report::{ClusterError, ClusterErrorKind};

    fn instance(end: &str) -> InstanceReport {
        let (word, reason) = end.split_once(": ").map_or((end, None), |(word, reason)| (word, Some(reason)));
        let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word).unwrap();
        InstanceReport {
            container_instance: "arn:aws:ecs:eu-west-1:123456789012:container-instance/web/1".into(),
            ec2_instance_id: "i-1".into(),
            zone: None,
            group: None,
            outcome,
            reason: reason.map(str::to_owned),
            detail: None,
            from: None,
            to: None,
            turn: None,
            phases: Vec::new(),
            out_of_service_s: None,
            unknown_tags: Vec::new(),
        }
    }

    fn cluster(ends: &[&str]) -> ClusterReport {
        ClusterReport {
            cluster: ClusterName::new("web"),
            location: Location::default(),
            error: None,
            taken_back: None,
            notes: Vec::new(),
            instances: ends.iter().map(|end| instance(end)).collect(),
            aws_calls: BTreeMap::new(),
            longest_out_of_service_s: None,
            estimate: None,
            ignored_tags: Vec::new(),
            auto_scaling_groups: Vec::new(),
            oldest_release: None,
            timeline: Default::default(),
            end: ClusterEnd::default(),
        }
    }

    fn run(clusters: Vec<ClusterReport>) -> RunReport {
        RunReport {
            version: 1,
            run: RunId::new("01KAQ3X9ZC8W5N3M2T7R6V4B1D"),
            dry_run: false,
            started_at: Timestamp::UNIX_EPOCH,
            ended_at: Timestamp::UNIX_EPOCH,
            interrupted: false,
            clusters,
            nothing_updated: None,
        }
    }

    #[test]
    fn nothing_was_updated_and_nobody_wished_so() {
        /// How the instances ended; how many are outdated, how many of these may be current, and why.
        type Case = (&'static [&'static str], Option<(usize, usize, &'static str)>);
        let table: [Case; 15] = [
            (&[], None),
            (&["current", "gone"], None),
            (&["held: no_room", "current"], Some((1, 0, "1 no_room"))),
            (
                &["held: no_room", "held: host_unreachable", "held: no_room"],
                Some((3, 1, "2 no_room, 1 host_unreachable")),
            ),
            (&["held: tags_full", "held: no_room"], Some((2, 0, "1 no_room, 1 tags_full"))),
            (&["held: excluded", "held: wave_not_open", "held: version_locked"], None),
            (&["held: excluded", "held: no_room"], Some((1, 0, "1 no_room"))),
            (&["held: paused", "held: host_unreachable"], None),
            (&["held: frozen"], None),
            (&["held: outside_window", "held: no_room"], None),
            (&["held: not_bottlerocket", "held: not_running", "held: ahead_of_target"], None),
            (&["held: no_room", "updated"], None),
            (&["held: no_room", "failed: stage_failed"], None),
            (&["held: no_room", "rolled_back: unhealthy"], None),
            (&["held: no_room", "in_progress"], None),
        ];
        for (ends, expected) in table {
            let found = NothingUpdated::of(&run(vec![cluster(ends)]));
            let words = |found: &NothingUpdated| {
                let reasons: Vec<String> =
                    found.by_frequency().iter().map(|(code, count)| format!("{count} {code}")).collect();
                (found.outdated, found.not_known, reasons.join(", "))
            };
            let expected = expected.map(|(outdated, not_known, words)| (outdated, not_known, words.to_owned()));
            assert_eq!(found.as_ref().map(words), expected, "{ends:?}");
        }
    }

    #[test]
    fn the_most_frequent_reason_comes_first() {
        let of = |outdated, not_known, held: &[(&str, usize)]| {
            let held: BTreeMap<String, usize> = held.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect();
            NothingUpdated { outdated, not_known, held }.to_string()
        };
        let table = [
            (
                of(24, 0, &[("budget_used_up", 4), ("no_room", 20)]),
                "0 of 24 outdated instances were updated: 20 no_room, 4 budget_used_up",
            ),
            (of(1, 0, &[("no_room", 1)]), "0 of 1 outdated instance was updated: 1 no_room"),
            (
                of(3, 1, &[("no_room", 2), ("host_unreachable", 1)]),
                "0 of 3 instances that are outdated, or may be, were updated: 2 no_room, 1 host_unreachable",
            ),
            (
                of(2, 2, &[("host_unreachable", 2)]),
                "0 of 2 instances that may be outdated were updated: 2 host_unreachable",
            ),
            (
                of(1, 1, &[("host_unreachable", 1)]),
                "0 of 1 instance that may be outdated was updated: 1 host_unreachable",
            ),
        ];
        for (said, expected) in table {
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn what_else_a_run_says_comes_first() {
        let held = || cluster(&["held: no_room"]);
        let found = |report: &RunReport| NothingUpdated::of(report).map(|found| found.outdated);
        assert_eq!(found(&run(vec![held(), held()])), Some(2));
        assert_eq!(found(&run(vec![held(), cluster(&["updated"])])), None, "another cluster got an update");
        assert_eq!(found(&run(vec![held(), cluster(&["held: paused"])])), Some(1), "another cluster is paused");
        let error = Some(ClusterError { kind: ClusterErrorKind::AnotherRun, message: String::new() });
        assert_eq!(found(&run(vec![held(), ClusterReport { error, ..cluster(&[]) }])), None, "another run");
        assert_eq!(found(&RunReport { interrupted: true, ..run(vec![held()]) }), None);
        assert_eq!(found(&RunReport { dry_run: true, ..run(vec![held()]) }), None);
        let end = ClusterEnd { held_by_a_wish: true, ..ClusterEnd::default() };
        let unheard = cluster(&["held: host_unreachable"]);
        assert_eq!(found(&run(vec![ClusterReport { end, ..unheard }])), None, "a pause that no host was asked about");
        let end = ClusterEnd { selects_none: true, ..ClusterEnd::default() };
        let others = || cluster(&["held: not_selected", "held: excluded"]);
        assert_eq!(found(&run(vec![others()])), None, "a selection");
        assert_eq!(found(&run(vec![ClusterReport { end, ..others() }])), Some(1), "a selection of nothing");
    }

    #[test]
    fn what_is_outdated_at_the_end() {
        let ends = ["updated", "current", "gone", "held: excluded", "held: wave_not_open", "held: not_running"];
        assert_eq!(cluster(&ends).outdated(), 0);
        let ends = ["held: paused", "held: no_room", "held: host_unreachable", "failed: stage_failed", "in_progress"];
        assert_eq!(cluster(&ends).outdated(), 5);
        assert_eq!(cluster(&["rolled_back: unhealthy", "held: a_newer_code"]).outdated(), 2);
        assert_eq!(cluster(&["held: canary_failed", "held: earlier_group", "held: baking"]).outdated(), 3);
    }

    /// How the instances ended, whether a group has windows of its own, and how many count.
    #[test]
    fn a_group_speaks_for_itself() {
        let table: [(&[&str], bool, Option<usize>); 6] = [
            (&["held: outside_window", "held: no_room"], false, None),
            (&["held: outside_window", "held: no_room"], true, Some(1)),
            (&["held: frozen", "held: paused", "held: no_room"], true, None),
            (&["held: outside_window", "held: earlier_group"], true, None),
            (&["held: canary_failed", "held: earlier_group", "held: earlier_group"], false, Some(3)),
            (&["held: baking", "held: earlier_group"], false, None),
        ];
        for (ends, has_own_windows, expected) in table {
            let end = ClusterEnd { has_own_windows, ..ClusterEnd::default() };
            let found = NothingUpdated::of(&run(vec![ClusterReport { end, ..cluster(ends) }]));
            assert_eq!(found.map(|found| found.outdated), expected, "{ends:?} {has_own_windows}");
        }
    }
}
