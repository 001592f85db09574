//! How far a release goes at once: canaries, checkpoints, bakes and soaks. It is drawn by dice of its own, so that all else of
//! a seed is as it would be without. A run waits for the bakes, which are short.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::{Draw, set, table};
use crate::dice::Dice;

/// In so many of a hundred seeds.
const PERCENT: i64 = 20;

pub(super) fn add(seed: u64, scenario: &mut Table, size: i64) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "paces", throws: 0 };
    if !draw.chance(PERCENT) {
        return;
    }
    if draw.chance(70) {
        let canary = draw.pick(&[1, 1, 2, 3]);
        of_policy(scenario, "canary", i64::from(canary));
        if draw.chance(30) {
            of_policy(scenario, "canary_match", "tag:stage == canary");
            for _ in 0..2 {
                let host = draw.between(0, size - 1);
                let event = table([
                    ("at", "0s".into()),
                    ("do", "tag".into()),
                    ("host", host.into()),
                    ("key", "stage".into()),
                    ("value", "canary".into()),
                ]);
                extend(scenario, "event", vec![Value::from(event)]);
            }
        }
    }
    if draw.chance(50) {
        let checkpoints = draw.pick(&["10%,50%", "34%", "1%,2%,99%"]);
        of_policy(scenario, "checkpoints", checkpoints);
    }
    let bake = draw.pick(&["1m", "5m", "20m"]);
    of_policy(scenario, "bake", bake);
    if draw.chance(40) {
        let soak = draw.pick(&["10s", "1m", "4m"]);
        of_policy(scenario, "soak", soak);
    }
    if draw.chance(30) {
        let (host, at) = (draw.between(0, size - 1), draw.minutes(0, 60));
        let last =
            draw.pick(&["updated/1.26.1/1.27.0/2020-01-01T00:00:00Z", "updated/1.26.1/1.27.0/2120-01-01T00:00:00Z"]);
        let event = table([
            ("at", at.into()),
            ("do", "tag".into()),
            ("host", host.into()),
            ("key", "ecs-updater:last".into()),
            ("value", last.into()),
        ]);
        extend(scenario, "event", vec![Value::from(event)]);
    }
}

fn of_policy(scenario: &mut Table, key: &str, value: impl Into<Value>) {
    change(scenario, &["updater", "defaults"], |defaults| set(defaults, key, value));
}
