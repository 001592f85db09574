//! Auto Scaling groups and what they do with their instances, three of four with managed scaling: so capacity providers are
//! drawn for a third of the seeds. It is drawn by dice of its own, so that
//! all else of a seed is as it would be without.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::{Draw, set, table};
use crate::dice::Dice;

/// In so many of a hundred seeds.
const PERCENT: i64 = 45;

pub(super) fn add(seed: u64, scenario: &mut Table, size: i64) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "groups", throws: 0 };
    if !draw.chance(PERCENT) {
        return;
    }
    if let Some(Value::Array(instances)) = scenario.get_mut("instances") {
        for group in instances.iter_mut().filter_map(Value::as_table_mut) {
            set(group, "asg", "workers");
        }
    }
    let by_switch = draw.pick(&["waits", "completes", "drains-again"]);
    change(scenario, &["region"], |region| set(region, "active_while_terminating", by_switch));
    let managed = draw.chance(70);
    let workers = table([("managed_draining", managed.into())]);
    set(scenario, "groups", table([("workers", workers.into())]));
    for _ in 0..draw.pick(&[1, 1, 2]) {
        let events = something(&mut draw, size);
        extend(scenario, "event", events);
    }
    if draw.chance(75) {
        scaled(&mut draw, scenario, size);
    }
    let told = draw.pick(&["told", "told", "missing", "refused"]);
    change(scenario, &["region"], |region| set(region, "target_lifecycle", told));
    if draw.chance(30) {
        change(scenario, &["updater", "defaults"], |defaults| set(defaults, "hold_min_size", true));
    }
    if draw.chance(25) {
        interruptions(&mut draw, scenario, size);
    }
}

/// Managed scaling of the capacity provider that the services' tasks run on, and all that nobody knows of it.
fn scaled(draw: &mut Draw, scenario: &mut Table, size: i64) {
    let each = |scenario: &mut Table, key: &str, change: &mut dyn FnMut(&mut Table)| {
        if let Some(Value::Array(tables)) = scenario.get_mut(key) {
            tables.iter_mut().filter_map(Value::as_table_mut).for_each(change);
        }
    };
    each(scenario, "instances", &mut |group| set(group, "provider", "workers"));
    let strategy = vec![Value::from(table([("provider", "workers".into())]))];
    each(scenario, "service", &mut |service| {
        if service.get("kind").is_none() {
            set(service, "strategy", strategy.clone());
        }
    });
    let scaling = table([
        ("target", draw.pick(&[100_i64, 60, 30]).into()),
        ("warm_up", draw.pick(&["1m", "5m"]).into()),
        ("maximum_step", draw.pick(&[1_i64, 10_000]).into()),
    ]);
    let protects = draw.chance(50);
    let provider = table([("managed_scaling", scaling.into()), ("termination_protection", protects.into())]);
    set(scenario, "providers", table([("workers", provider.into())]));
    let bounds = [("min_size", draw.pick(&[0, size, size])), ("max_size", draw.pick(&[size, size + 2]))];
    let policy = draw.pick(&["Default", "OldestInstance", "NewestInstance"]);
    change(scenario, &["groups", "workers"], |workers| {
        for (key, value) in bounds {
            set(workers, key, value);
        }
        set(workers, "termination_policy", policy);
    });
    let kinds = ["draining", "disconnected", "terminating", "standby", "unregistered"];
    let counts: Vec<Value> = kinds.iter().filter(|_| draw.chance(50)).map(|kind| Value::from(*kind)).collect();
    let mut unknown = table([
        ("counts", counts.into()),
        ("low_alarm_at", draw.pick(&[100_i64, 90]).into()),
        ("unprotects_draining", draw.pick(&["at-once", "cycle", "never"]).into()),
        ("quota", draw.pick(&[500_i64, 500, 1]).into()),
    ]);
    let switches = [
        "empty_taken_off",
        "launch_type_keeps",
        "waiting_is_pending",
        "waiting_counts",
        "quota_event",
        "same_provider_again",
    ];
    for switch in switches {
        set(&mut unknown, switch, draw.chance(50));
    }
    let counts_leaving = draw.chance(50);
    change(scenario, &["region"], |region| {
        set(region, "managed_scaling", unknown);
        set(region, "strategy_counts_leaving", counts_leaving);
    });
    let (scale_out, image) = (draw.chance(50), draw.pick(&["1.26.1", "1.27.0"]));
    change(scenario, &["groups", "workers"], |workers| set(workers, "image", image));
    if scale_out {
        change(scenario, &["updater", "defaults"], |defaults| set(defaults, "capacity", "scale-out"));
    }
}

/// Spot instances, one or two of which EC2 takes back.
fn interruptions(draw: &mut Draw, scenario: &mut Table, size: i64) {
    let by_agent = draw.chance(50);
    if let Some(Value::Array(instances)) = scenario.get_mut("instances") {
        for group in instances.iter_mut().filter_map(Value::as_table_mut) {
            set(group, "lifecycle", "spot");
            set(group, "spot_draining", by_agent);
        }
    }
    for _ in 0..draw.pick(&[1, 2]) {
        let host = draw.between(0, size - 1);
        let mut event = begins(draw, host);
        set(&mut event, "do", "spot_interruption");
        extend(scenario, "event", vec![event.into()]);
    }
}

/// When something happens to a host: at a time, or after it has come to a point.
fn begins(draw: &mut Draw, host: i64) -> Table {
    let mut begins = table([("host", host.into())]);
    if draw.chance(40) {
        set(&mut begins, "at", draw.minutes(0, 40));
    } else {
        let point = draw.pick(&["claimed", "staged", "draining", "drained", "rebooting", "booted", "active"]);
        set(&mut begins, "when", table([("host", host.into()), ("is", point.into())]));
        set(&mut begins, "after", format!("{}s", draw.pick(&[0, 1, 5, 20, 60])));
    }
    begins
}

/// A scale-in, or a standby that ends before the last run.
fn something(draw: &mut Draw, size: i64) -> Vec<Value> {
    let host = draw.between(0, size - 1);
    let mut begins = begins(draw, host);
    if draw.chance(60) {
        set(&mut begins, "do", "scale_in");
        return vec![begins.into()];
    }
    set(&mut begins, "do", "group_state");
    set(&mut begins, "state", draw.pick(&["Standby", "EnteringStandby", "Levitating"]));
    let back = |at: String| {
        table([("host", host.into()), ("do", "group_state".into()), ("state", "InService".into()), ("at", at.into())])
    };
    // The second comes where the first was too early, and before the last run.
    [begins, back(draw.minutes(41, 70)), back("115m".to_owned())].map(Value::from).to_vec()
}
