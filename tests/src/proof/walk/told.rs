//! Who is told of runs: an event bus, which may refuse, be slow, or say nothing. It is drawn by dice of its own, so that all else
//! of a seed is as it would be without.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::{Draw, set, table};
use crate::dice::Dice;

/// In so many of a hundred seeds.
const PERCENT: i64 = 15;

pub(super) fn add(seed: u64, scenario: &mut Table) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "told", throws: 0 };
    if !draw.chance(PERCENT) {
        return;
    }
    change(scenario, &["updater", "defaults"], |defaults| set(defaults, "events", "ecs-updater"));
    if draw.chance(40) {
        let refused = draw.pick(&[10_i64, 50, 100]);
        change(scenario, &["region"], |region| set(region, "events_refused", refused));
    }
    if draw.chance(40) {
        let mut fault = table([("operation", "events:PutEvents".into()), ("from", draw.minutes(0, 30).into())]);
        match draw.between(0, 2) {
            0 => set(&mut fault, "error", "AccessDeniedException"),
            1 => set(&mut fault, "delay", "5h"),
            _ => set(&mut fault, "reset", "after"),
        }
        extend(scenario, "fault", vec![Value::from(fault)]);
    }
}
