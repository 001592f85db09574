//! What people do with the updater besides starting runs: they let a run finish, let go of an instance, pause, forget. It is
//! drawn by dice of its own, so that all else of a seed is as it would be without.
//!
//! It is over before the last run of a walk.

use toml::{Table, Value};

use super::bridges::change;
use super::{Draw, set, table};
use crate::dice::Dice;

/// In so many of a hundred seeds.
const PERCENT: i64 = 20;

pub(super) fn add(seed: u64, scenario: &mut Table, size: i64) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "steered", throws: 0 };
    if !draw.chance(PERCENT) {
        return;
    }
    let asks = draw.chance(50);
    let commands: Vec<Value> = (0..draw.pick(&[0, 1, 1, 2])).map(|_| command(&mut draw, size)).collect();
    let paused = draw.chance(20);
    change(scenario, &["expect"], |expect| {
        let Some(Value::Array(runs)) = expect.get_mut("run") else { return };
        if asks {
            ask(&mut draw, runs, size);
        }
        // After those that may have died, and before the one in the calm.
        let last = runs.len().saturating_sub(1);
        runs.splice(last..last, commands);
        if paused {
            let (pause, resume) = (one("pause a person is at it"), one("resume"));
            let last = runs.len().saturating_sub(1);
            runs.insert(last, resume.into());
            runs.insert(0, pause.into());
        }
    });
}

/// A person at the terminal of a run that does not die presses once, or twice.
fn ask(draw: &mut Draw, runs: &mut [Value], size: i64) {
    let points = ["claimed", "staged", "draining", "drained", "activated", "rebooting", "booted", "active"];
    let moment = if draw.chance(50) {
        table([("host", draw.between(0, size - 1).into()), ("is", draw.pick(&points).into())])
    } else {
        table([("after_call", draw.between(1, 250).into())])
    };
    let again = draw.chance(25).then(|| draw.pick(&["1s", "20s", "5m"]));
    let last = runs.len().saturating_sub(1);
    let ends = |run: &Table| ["kill", "interrupt"].iter().any(|key| run.contains_key(*key));
    let whole = runs[..last].iter_mut().filter_map(Value::as_table_mut).find(|run| !ends(run));
    let Some(run) = whole else { return };
    set(run, "sigint", moment);
    if let Some(again) = again {
        set(run, "sigint_again", again);
    }
}

fn command(draw: &mut Draw, size: i64) -> Value {
    let host = draw.between(0, size - 1);
    let mut command = match draw.between(0, 5) {
        0 | 1 => one("finish"),
        2..=4 => one(&format!("release {host}")),
        _ => one("forget-failed"),
    };
    set(&mut command, "after", draw.pick(&["0s", "30s", "5m"]));
    if draw.chance(25) {
        let key = draw.pick(&["before_call", "after_call"]);
        set(&mut command, "kill", table([(key, draw.between(1, 60).into())]));
    }
    command.into()
}

fn one(text: &str) -> Table {
    table([("command", text.into())])
}
