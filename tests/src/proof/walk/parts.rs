//! Groups of the cluster's instances, with budgets, an order and canaries of their own. It is drawn by dice of its own, so that
//! all else of a seed is as it would be without.
//!
//! What puts an instance into two groups is taken back before the calm: the last run is to bring everything to an end.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::gates::{FREEZES, OF_THE_LAST_RUN, WINDOWS};
use super::{Draw, set, table};
use crate::dice::Dice;

/// In so many of a hundred seeds.
const PERCENT: i64 = 15;

pub(super) fn add(seed: u64, scenario: &mut Table, size: i64) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "parts", throws: 0 };
    if !draw.chance(PERCENT) {
        return;
    }
    let by_zone = draw.chance(30);
    let matches = if by_zone {
        ["attribute:ecs.availability-zone =~ '.*[0-9]a'", "attribute:ecs.availability-zone =~ '.*[0-9]b'"]
    } else {
        ["attribute:pool == one", "attribute:pool == two or attribute:also exists"]
    };
    if !by_zone {
        pools(&mut draw, scenario, size);
    }
    let moves = !by_zone && draw.chance(40);
    let mut rarer = Draw { dice: Dice::new(seed), purpose: "parts-rarer", throws: 0 };
    let groups: Vec<Value> = ["one", "two"]
        .iter()
        .zip(matches)
        .map(|(name, matches)| {
            let mut group = table([("name", (*name).into()), ("match", matches.into())]);
            settings(&mut draw, &mut group, moves);
            rarer_settings(&mut rarer, &mut group, moves);
            group.into()
        })
        .collect();
    let cluster = table([("name", "web".into()), ("group", groups.into())]);
    change(scenario, &["updater"], |updater| set(updater, "cluster", vec![Value::from(cluster)]));
    if moves {
        both(&mut draw, scenario, size);
    }
}

/// Most instances are in a group.
fn pools(draw: &mut Draw, scenario: &mut Table, size: i64) {
    for index in 0..size {
        let pool = draw.pick(&["one", "one", "two", "two", "three"]);
        let attributes = table([("pool", pool.into())]);
        extend(scenario, "host", vec![table([("index", index.into()), ("attributes", attributes.into())]).into()]);
    }
}

fn settings(draw: &mut Draw, group: &mut Table, moves: bool) {
    if draw.chance(60) {
        let budget: Value = if draw.chance(70) { 1.into() } else { "50%".into() };
        set(group, "max_unavailable", budget);
    }
    if draw.chance(50) {
        set(group, "order", draw.pick(&[-1_i64, 0, 1, 2]));
    }
    if draw.chance(25) {
        set(group, "standalone_tasks", draw.pick(&["skip", "wait", "stop"]));
    }
    if draw.chance(25) && !moves {
        set(group, "canary", 1);
        set(group, "bake", draw.pick(&["1m", "5m"]));
        if draw.chance(30) {
            set(group, "canary_match", "tag:stage == canary or attribute:ecs.availability-zone =~ '.*a'");
        }
    }
    if draw.chance(15) {
        let windows = draw.pick(&WINDOWS).iter().chain(&OF_THE_LAST_RUN).copied().collect::<Vec<_>>();
        set(group, "windows", windows);
    }
    if draw.chance(20) {
        set(group, "timeouts", table([("drain", draw.pick(&["4m", "15m"]).into())]));
    }
}

/// Drawn by dice of its own, as the whole is.
fn rarer_settings(draw: &mut Draw, group: &mut Table, moves: bool) {
    if draw.chance(15) {
        set(group, "freeze", draw.pick(&FREEZES));
    }
    if draw.chance(20) {
        set(group, "window_cutoff", draw.pick(&["0s", "2m", "20m"]));
    }
    if draw.chance(25) && !moves {
        set(group, "checkpoints", draw.pick(&[&["50%"][..], &["34%", "67%"], &["1%", "99%"]]).to_vec());
        if !group.contains_key("bake") {
            set(group, "bake", draw.pick(&["1m", "5m", "20m"]));
        }
    }
    if draw.chance(25) {
        let timeouts = group.entry("timeouts").or_insert_with(|| Table::new().into());
        if let Value::Table(timeouts) = timeouts {
            set(timeouts, "reboot", draw.pick(&["8m", "20m"]));
            set(timeouts, "verify", draw.pick(&["4m", "20m"]));
        }
    }
    if draw.chance(15) {
        set(group, "owner_lock", draw.pick(&["respect", "override"]));
    }
}

/// An instance comes to be in both groups for a while.
fn both(draw: &mut Draw, scenario: &mut Table, size: i64) {
    let host = draw.between(0, size - 1);
    let mut event = table([("host", host.into()), ("do", "put_attribute".into()), ("name", "also".into())]);
    set(&mut event, "value", "yes");
    if draw.chance(40) {
        set(&mut event, "at", draw.minutes(1, 30));
    } else {
        let point = draw.pick(&["claimed", "staged", "draining", "drained", "rebooting", "booted", "active"]);
        set(&mut event, "when", table([("host", draw.between(0, size - 1).into()), ("is", point.into())]));
        set(&mut event, "after", format!("{}s", draw.pick(&[0, 1, 5, 20])));
    }
    let mut back = table([("at", "110m".into()), ("host", host.into()), ("do", "delete_attribute".into())]);
    set(&mut back, "name", "also");
    extend(scenario, "event", vec![event.into(), back.into()]);
}
