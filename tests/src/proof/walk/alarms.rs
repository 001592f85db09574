//! Alarms that fire for a while, or are not there, and services that have to be steady. It is drawn by dice of its own, so that
//! all else of a seed is as it would be without. All is well before the last run.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::{Draw, set, table};
use crate::dice::Dice;

/// In so many of a hundred seeds.
const PERCENT: i64 = 20;

pub(super) fn add(seed: u64, scenario: &mut Table) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "alarms", throws: 0 };
    if !draw.chance(PERCENT) {
        return;
    }
    let composite = draw.chance(30);
    let state = draw.pick(&["OK", "OK", "OK", "ALARM", "INSUFFICIENT_DATA"]);
    let alarm = table([("composite", composite.into()), ("state", state.into())]);
    set(scenario, "alarms", table([("web-5xx", Value::from(alarm))]));
    of_policy(scenario, "alarms", "web-5xx");
    if draw.chance(40) {
        of_policy(scenario, "alarm_missing", "ignore");
    }
    if draw.chance(50) {
        of_policy(scenario, "on_alarm", "roll-back");
    }
    if draw.chance(30) {
        of_policy(scenario, "services", "steady");
    }
    let mut events = Vec::new();
    for _ in 0..draw.between(0, 3) {
        let state = draw.pick(&["ALARM", "ALARM", "OK", "INSUFFICIENT_DATA"]);
        events.push(event(draw.minutes(0, 75), state).into());
    }
    if draw.chance(15) {
        let deleted = [("do", "delete_alarm".into()), ("alarm", "web-5xx".into()), ("at", draw.minutes(0, 60).into())];
        events.push(table(deleted).into());
    }
    events.push(event("90m".to_owned(), "OK").into());
    extend(scenario, "event", events);
    if draw.chance(25) {
        let mut fault = table([("operation", "cloudwatch:DescribeAlarms".into()), ("until", "80m".into())]);
        match draw.between(0, 2) {
            0 => set(&mut fault, "status", 503),
            1 => set(&mut fault, "error", "Throttling"),
            _ => set(&mut fault, "delay", "30s"),
        }
        set(&mut fault, "times", draw.between(1, 30));
        extend(scenario, "fault", vec![fault.into()]);
    }
}

fn event(at: String, state: &str) -> Table {
    table([("at", at.into()), ("do", "alarm".into()), ("alarm", "web-5xx".into()), ("state", state.into())])
}

fn of_policy(scenario: &mut Table, key: &str, value: impl Into<Value>) {
    change(scenario, &["updater", "defaults"], |defaults| set(defaults, key, value));
}
