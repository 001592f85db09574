//! What people wish of versions: an age, a maximum, some to skip, a parameter that approves one and is changed meanwhile, a
//! version on the command line; and what AWS tells of the releases' dates. It is drawn by dice of its own, so that all else
//! of a seed is as it would be without.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::{Draw, set, table};
use crate::dice::Dice;

/// In so many of a hundred seeds.
const PERCENT: i64 = 20;
/// A walk begins on 2026-11-23 at 03:00 UTC. With an age of a day, the second becomes old enough within the walk.
const DATES: [&str; 4] =
    ["2026-11-01T00:00:00Z", "2026-11-22T03:30:00Z", "2026-11-23T02:00:00Z", "2027-02-01T00:00:00Z"];
const PARAMETER: &str = "/ecs-updater/approved/walk";

pub(super) fn add(seed: u64, scenario: &mut Table, size: i64) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "versions", throws: 0 };
    if !draw.chance(PERCENT) {
        return;
    }
    for _ in 0..draw.pick(&[1, 1, 2, 3]) {
        match draw.between(0, 5) {
            0 | 1 => age(&mut draw, scenario),
            2 => of_policy(scenario, "max_version", draw.pick(&["1.27.x", "1.26.x", "1.27.0"])),
            3 => of_policy(scenario, "skip_versions", vec![draw.pick(&["1.27.0", "1.28.0", "1.26.1"])]),
            4 => parameter(&mut draw, scenario, size),
            _ => of_a_run(&mut draw, scenario),
        }
    }
}

/// An age, and a date for each release; some have none.
fn age(draw: &mut Draw, scenario: &mut Table) {
    of_policy(scenario, "min_age", draw.pick(&["1h", "1d", "1d", "7d"]));
    change(scenario, &["repository"], |repository| {
        let Some(Value::Array(releases)) = repository.get_mut("releases") else { return };
        for release in releases.iter_mut().filter_map(Value::as_table_mut) {
            let mut image = Table::new();
            match draw.between(0, 5) {
                0 => set(&mut image, "is_there", false),
                1 => {
                    set(&mut image, "is_there", false);
                    set(&mut image, "has_parameter", false);
                }
                2 => set(&mut image, "copied_at", DATES[0]),
                _ => {}
            }
            set(&mut image, "created_at", draw.pick(&DATES));
            if draw.chance(30) {
                set(&mut image, "parameter_at", draw.pick(&DATES));
            }
            set(release, "image", image);
        }
    });
}

/// A target that is read from a parameter, which says something else for a while or for good, or is gone meanwhile.
fn parameter(draw: &mut Draw, scenario: &mut Table, size: i64) {
    of_policy(scenario, "target", format!("ssm:{PARAMETER}"));
    set(scenario, "parameters", table([(PARAMETER, draw.pick(&["1.27.0", "1.27.0", "1.26.1"]).into())]));
    let put =
        |value: &str| table([("do", "put_parameter".into()), ("name", PARAMETER.into()), ("value", value.into())]);
    let mut changes = match draw.between(0, 3) {
        0 => table([("do", "delete_parameter".into()), ("name", PARAMETER.into())]),
        1 => put("latest"),
        _ => put(draw.pick(&["1.28.0", "1.26.1", "1.27.0"])),
    };
    if draw.chance(50) {
        set(&mut changes, "at", draw.minutes(0, 30));
    } else {
        let point = draw.pick(&["claimed", "staged", "draining", "drained", "rebooting", "active"]);
        set(&mut changes, "when", table([("host", draw.between(0, size - 1).into()), ("is", point.into())]));
    }
    let mut last = put("1.27.0");
    set(&mut last, "at", "110m");
    extend(scenario, "event", vec![changes.into(), last.into()]);
}

/// Runs that differ: one is told to skip what others have begun, or a version by hand.
fn of_a_run(draw: &mut Draw, scenario: &mut Table) {
    let skips = draw.pick(&["1.27.0", "1.28.0"]);
    let by_hand = draw.chance(30).then(|| draw.pick(&["1.27.0", "1.28.0"]));
    change(scenario, &["expect"], |expect| {
        let Some(Value::Array(runs)) = expect.get_mut("run") else { return };
        let Some(last) = runs.last_mut().and_then(Value::as_table_mut) else { return };
        set(last, "defaults", table([("skip_versions", vec![skips].into())]));
        if let Some(version) = by_hand {
            set(last, "flags", table([("target", version.into())]));
        }
    });
}

fn of_policy(scenario: &mut Table, key: &str, value: impl Into<Value>) {
    change(scenario, &["updater", "defaults"], |defaults| set(defaults, key, value));
}
