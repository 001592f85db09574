//! Which instances people select: by an attribute, a tag or a provider that changes meanwhile, and by name for one run. It is
//! drawn by dice of its own, so that all else of a seed is as it would be without.
//!
//! The last run is told of no instance: one that is named may be gone by then.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::{Draw, set, table};
use crate::dice::Dice;

/// In so many of a hundred seeds.
const PERCENT: i64 = 15;
const SELECTS: [&str; 6] = [
    "attribute:role == web",
    "attribute:role != db",
    "tag:role == web",
    "not (tag:role == db)",
    "provider:web-asg or tag:role in [web, api]",
    "attribute:role =~ w.* and provider exists",
];

pub(super) fn add(seed: u64, scenario: &mut Table, size: i64) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "selections", throws: 0 };
    if !draw.chance(PERCENT) {
        return;
    }
    if draw.chance(60) {
        let select = draw.pick(&SELECTS);
        change(scenario, &["updater", "defaults"], |defaults| set(defaults, "select", select));
        hosts(&mut draw, scenario, size);
        events(&mut draw, scenario, size);
    }
    if draw.chance(60) {
        named(&mut draw, scenario, size);
    }
}

/// What hosts have that is asked for, most of them what is wanted.
fn hosts(draw: &mut Draw, scenario: &mut Table, size: i64) {
    for index in 0..size {
        let mut host = table([("index", index.into())]);
        for place in ["attributes", "tags"] {
            if draw.chance(80) {
                set(&mut host, place, table([("role", draw.pick(&["web", "web", "web", "db"]).into())]));
            }
        }
        if draw.chance(70) {
            set(&mut host, "provider", draw.pick(&["web-asg", "web-asg", "db-asg"]));
        }
        extend(scenario, "host", vec![host.into()]);
    }
}

/// Somebody changes it in the middle of things.
fn events(draw: &mut Draw, scenario: &mut Table, size: i64) {
    for _ in 0..draw.between(0, 3) {
        let mut event = table([("host", draw.between(0, size - 1).into())]);
        let (write, delete, key) = draw.pick(&[("put_attribute", "delete_attribute", "name"), ("tag", "untag", "key")]);
        set(&mut event, key, "role");
        if draw.chance(60) {
            set(&mut event, "do", write);
            set(&mut event, "value", draw.pick(&["web", "db"]));
        } else {
            set(&mut event, "do", delete);
        }
        if draw.chance(40) {
            set(&mut event, "at", draw.minutes(0, 30));
        } else {
            let point = draw.pick(&["claimed", "staged", "draining", "drained", "rebooting", "booted", "active"]);
            set(&mut event, "when", table([("host", draw.between(0, size - 1).into()), ("is", point.into())]));
            set(&mut event, "after", format!("{}s", draw.pick(&[0, 1, 5, 20])));
        }
        extend(scenario, "event", vec![event.into()]);
    }
}

/// Instances that the runs before the last are told of.
fn named(draw: &mut Draw, scenario: &mut Table, size: i64) {
    let Some(runs) = scenario.get_mut("expect").and_then(|expect| expect.get_mut("run")?.as_array_mut()) else {
        return;
    };
    let before = runs.len().saturating_sub(1);
    for run in runs.iter_mut().take(before).filter_map(Value::as_table_mut) {
        let flag = draw.pick(&["instance", "skip", "none"]);
        if flag != "none" {
            let mut hosts: Vec<i64> = (0..draw.between(1, 2)).map(|_| draw.between(0, size - 1)).collect();
            hosts.dedup();
            set(run, flag, hosts);
        }
    }
}
