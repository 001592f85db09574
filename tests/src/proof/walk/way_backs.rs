//! A person takes the release back, between runs or after one that died; and sometimes lifts the skip, is not allowed to write
//! it, or finds that an old version is not well. It is drawn by dice of its own, so that all else of a seed is as it would be
//! without.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::{Draw, set, table};
use crate::dice::Dice;

/// In so many of a hundred seeds.
const PERCENT: i64 = 15;

pub(super) fn add(seed: u64, scenario: &mut Table, size: i64) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "way_backs", throws: 0 };
    if !draw.chance(PERCENT) {
        return;
    }
    let commands: Vec<Value> = (0..draw.pick(&[1, 1, 2])).map(|_| command(&mut draw, size)).collect();
    let is_lifted = draw.chance(25);
    let is_last = draw.chance(30);
    change(scenario, &["expect"], |expect| {
        let Some(Value::Array(runs)) = expect.get_mut("run") else { return };
        let last = runs.len().saturating_sub(1);
        runs.splice(last..last, commands);
        if is_lifted {
            let last = runs.len().saturating_sub(1);
            runs.insert(last, table([("command", "unskip 1.27.0".into())]).into());
        }
        // The run in the calm is one itself.
        if let Some(last) = runs.last_mut().and_then(Value::as_table_mut).filter(|_| is_last) {
            set(last, "command", "rollback from 1.27.0 to 1.26.1");
        }
    });
    let mut events = Vec::new();
    if draw.chance(20) {
        let lifts = [("do", "cluster_untag".into()), ("key", "ecs-updater:skip-versions".into())];
        let mut lifts = table(lifts);
        set(&mut lifts, "at", draw.minutes(10, 90));
        events.push(lifts.into());
    }
    if draw.chance(20) {
        let sick = table([("agent_dead_on", vec!["1.26.1"].into())]);
        let host = draw.between(0, size - 1);
        let set_it = [("do", "set".into()), ("host", host.into()), ("set", sick.into())];
        let mut event = table(set_it);
        set(&mut event, "at", draw.minutes(5, 60));
        events.push(event.into());
    }
    if draw.chance(15) {
        let fault = [("operation", "ecs:TagResource".into()), ("reset", draw.pick(&["before", "after"]).into())];
        let mut fault = table(fault);
        set(&mut fault, "until", "100m");
        set(&mut fault, "times", draw.between(1, 4));
        extend(scenario, "fault", vec![fault.into()]);
    }
    extend(scenario, "event", events);
    if draw.chance(30)
        && let Some(Value::Array(instances)) = scenario.get_mut("instances")
    {
        instances.iter_mut().filter_map(Value::as_table_mut).for_each(|group| set(group, "superpowered", false));
    }
    if draw.chance(25) {
        let (down, up) = (draw.minutes(5, 60), draw.minutes(61, 100));
        let events = [("repository_down", down), ("repository_up", up)];
        let events = events.map(|(what, at)| Value::from(table([("do", what.into()), ("at", at.into())])));
        extend(scenario, "event", events.to_vec());
    }
}

fn command(draw: &mut Draw, size: i64) -> Value {
    let words = [
        "rollback from 1.27.0 to 1.26.1",
        "rollback from 1.27.0 to 1.26.1",
        "rollback from 1.27.0",
        "rollback to 1.26.1",
    ];
    let mut command = table([("command", draw.pick(&words).into())]);
    set(&mut command, "after", draw.pick(&["0s", "30s", "5m"]));
    match draw.between(0, 5) {
        0 | 1 => {
            let points = ["claimed", "staged", "draining", "drained", "activated", "rebooting", "booted", "active"];
            let moment = table([("host", draw.between(0, size - 1).into()), ("is", draw.pick(&points).into())]);
            set(&mut command, draw.pick(&["kill", "sigint", "interrupt"]), moment);
        }
        2 => {
            let moment = table([("after_call", draw.between(1, 250).into())]);
            set(&mut command, draw.pick(&["kill", "kill", "sigint"]), moment);
        }
        _ => {}
    }
    command.into()
}
