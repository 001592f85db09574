//! What happens to the `MinSize` that runs hold: people change it, or the size; AWS refuses to have it changed, or does not say
//! what became of that; and half of the runs have a lease, by which the next one knows that the last is dead. It is drawn by dice
//! of its own, so that all else of a seed is as it would be without.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::{Draw, set, table};
use crate::dice::Dice;

pub(super) fn add(seed: u64, scenario: &mut Table, size: i64) {
    if !is_held(scenario) {
        return;
    }
    let mut draw = Draw { dice: Dice::new(seed), purpose: "min sizes", throws: 0 };
    if draw.chance(50) {
        set(scenario, "tables", table([("leases", "lease".into())]));
        change(scenario, &["updater"], |updater| set(updater, "lease_table", "leases"));
    }
    for (percent, what) in [(30, "min_size"), (40, "desired_capacity")] {
        if draw.chance(percent) {
            let event = by_a_person(&mut draw, what, size);
            extend(scenario, "event", vec![event.into()]);
        }
    }
    for _ in 0..draw.pick(&[0, 1, 1, 2]) {
        let fault = refused(&mut draw);
        if keeps_from_holding(&fault) {
            change(scenario, &["expect"], |expect| set(expect, "disturbed", true));
        }
        extend(scenario, "fault", vec![fault.into()]);
    }
}

/// Whether runs hold `MinSize` of a group with managed scaling.
fn is_held(scenario: &Table) -> bool {
    let defaults = scenario.get("updater").and_then(|updater| updater.get("defaults"));
    let holds = defaults.and_then(|defaults| defaults.get("hold_min_size")?.as_bool());
    holds == Some(true) && scenario.contains_key("providers")
}

fn by_a_person(draw: &mut Draw, what: &str, size: i64) -> Table {
    let mut event = table([("do", what.into()), ("group", "workers".into())]);
    if draw.chance(40) {
        set(&mut event, "at", draw.minutes(0, 60));
    } else {
        let host = draw.between(0, size - 1);
        let point = draw.pick(&["claimed", "draining", "drained", "rebooting", "booted", "active"]);
        set(&mut event, "when", table([("host", host.into()), ("is", point.into())]));
        set(&mut event, "after", format!("{}s", draw.pick(&[0, 5, 60])));
    }
    match what {
        "min_size" => set(&mut event, "min_size", draw.between(0, size)),
        _ => set(&mut event, "desired", draw.between(size - 1, size + 2)),
    }
    event
}

/// Whether the fault never ends and leaves a call unanswered without which nothing of the group is drained: a run gives the cluster
/// up then. A change of `MinSize` whose answer alone is lost is not among them: the next look shows it.
fn keeps_from_holding(fault: &Table) -> bool {
    let says = |key: &str, value: &str| fault.get(key).and_then(Value::as_str) == Some(value);
    let is_unanswered = says("error", "Throttling") || fault.contains_key("status") || fault.contains_key("reset");
    let is_needed = match fault.get("operation").and_then(Value::as_str) {
        Some("autoscaling:UpdateAutoScalingGroup") => !says("reset", "after"),
        Some("autoscaling:CreateOrUpdateTags") => true,
        _ => false,
    };
    let is_always = fault.get("percent").and_then(Value::as_integer) == Some(100) && !fault.contains_key("until");
    is_unanswered && is_needed && is_always
}

/// A call that changes the group goes wrong, a third of them without an end, or the one that reads it.
fn refused(draw: &mut Draw) -> Table {
    let operations = [
        "autoscaling:UpdateAutoScalingGroup",
        "autoscaling:UpdateAutoScalingGroup",
        "autoscaling:CreateOrUpdateTags",
        "autoscaling:DeleteTags",
        "autoscaling:DescribeAutoScalingGroups",
    ];
    let operation = draw.pick(&operations);
    let mut fault = table([("operation", operation.into()), ("group", "workers".into())]);
    match draw.between(0, 5) {
        0 => set(&mut fault, "error", "AccessDenied"),
        1 => set(&mut fault, "error", "ScalingActivityInProgress"),
        2 => set(&mut fault, "error", "Throttling"),
        3 => set(&mut fault, "status", 503),
        4 => set(&mut fault, "reset", "before"),
        _ => set(&mut fault, "reset", "after"),
    }
    set(&mut fault, "percent", draw.pick(&[30_i64, 100, 100]));
    set(&mut fault, "from", draw.minutes(0, 30));
    if !draw.chance(33) || operation.contains("Describe") {
        set(&mut fault, "until", draw.minutes(31, 100));
    }
    fault
}
