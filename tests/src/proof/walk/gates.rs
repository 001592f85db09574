//! What people wish of the time: windows, freezes, a pause that is lifted again. It is drawn by dice of its own, so that all
//! else of a seed is as it would be without.
//!
//! The last run of a walk finds an open window, no freeze and no pause, but where the date has leapt.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::{Draw, set, table};
use crate::dice::Dice;

/// In so many of a hundred seeds.
const PERCENT: i64 = 15;
/// Open in the calm, for longer than a run may take. A walk begins on a Monday at 03:00 UTC.
pub(super) const OF_THE_LAST_RUN: [&str; 2] = ["Mon 05:00-24:00 UTC", "Tue 00:00-24:00 UTC"];
/// Windows before that; what begins at 03:00 may wait for some of them.
pub(super) const WINDOWS: [&[&str]; 4] = [
    &["Mon 02:00-03:05 UTC"],
    &["Mon 03:10-03:40 UTC"],
    &["Mon 03:05-03:20 UTC", "Mon 03:35-04:10 UTC"],
    &["Sun 22:00-03:15 Europe/Lisbon", "Mon 03:15-04:00 UTC"],
];
/// Freezes that end at 03:30, 04:00 and 05:00 UTC on that Monday.
pub(super) const FREEZES: [&str; 3] = [
    "2026-11-20..2026-11-22 America/St_Johns",
    "2026-11-20..2026-11-22 America/Halifax",
    "2026-11-22..2026-11-22 America/New_York: sale",
];

pub(super) fn add(seed: u64, scenario: &mut Table, size: i64) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "gates", throws: 0 };
    if !draw.chance(PERCENT) {
        return;
    }
    for _ in 0..draw.pick(&[1, 1, 2]) {
        match draw.between(0, 4) {
            0 | 1 => windows(&mut draw, scenario),
            2 => {
                let freeze = draw.pick(&FREEZES);
                of_policy(scenario, "freeze", freeze);
            }
            _ => pause(&mut draw, scenario, size),
        }
    }
    let wait = draw.pick(&["0s", "30m", "1h"]);
    of_policy(scenario, "window_wait", wait);
}

fn windows(draw: &mut Draw, scenario: &mut Table) {
    let windows = draw.pick(&WINDOWS).iter().chain(&OF_THE_LAST_RUN).copied().collect::<Vec<_>>();
    of_policy(scenario, "windows", windows);
    if draw.chance(50) {
        let cutoff = draw.pick(&["0s", "2m", "20m"]);
        of_policy(scenario, "window_cutoff", cutoff);
    }
}

/// A pause that begins at a time or where a host comes to a point, and ends later.
fn pause(draw: &mut Draw, scenario: &mut Table, size: i64) {
    let mut begins = table([
        ("do", "cluster_tag".into()),
        ("key", "ecs-updater:pause".into()),
        ("value", "a person is at it".into()),
    ]);
    if draw.chance(50) {
        set(&mut begins, "at", draw.minutes(0, 30));
    } else {
        let point = draw.pick(&["claimed", "staged", "draining", "drained", "rebooting", "active"]);
        set(&mut begins, "when", table([("host", draw.between(0, size - 1).into()), ("is", point.into())]));
        set(&mut begins, "after", format!("{}s", draw.pick(&[0, 1, 5, 20])));
    }
    let ends =
        |at: String| table([("do", "cluster_untag".into()), ("key", "ecs-updater:pause".into()), ("at", at.into())]);
    // The second comes where the first was too early, and before the last run.
    let events = [begins, ends(draw.minutes(5, 60)), ends("110m".to_owned())];
    extend(scenario, "event", events.map(Value::from).to_vec());
}

fn of_policy(scenario: &mut Table, key: &str, value: impl Into<Value>) {
    change(scenario, &["updater", "defaults"], |defaults| set(defaults, key, value));
}
