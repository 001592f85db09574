//! What a run does when its work is over: whether a bucket keeps its report, which may not be there, refuse, be slow, or say
//! nothing; and whether it asks for the date of the oldest release, for its metrics. It is drawn by dice of its own, so that all
//! else of a seed is as it would be without.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::{Draw, set, table};
use crate::dice::Dice;

/// Each in so many of a hundred seeds.
const PERCENT: i64 = 20;

pub(super) fn add(seed: u64, scenario: &mut Table) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "kept", throws: 0 };
    if draw.chance(PERCENT) {
        reports(&mut draw, scenario);
    }
    if draw.chance(PERCENT) {
        metrics(&mut draw, scenario);
    }
}

fn reports(draw: &mut Draw, scenario: &mut Table) {
    change(scenario, &["updater", "defaults"], |defaults| set(defaults, "reports", "s3://runs/reports"));
    if !draw.chance(10) {
        set(scenario, "buckets", table([("runs", Value::Table(Table::new()))]));
    }
    if draw.chance(40) {
        let mut fault = table([("operation", "s3:PutObject".into())]);
        match draw.between(0, 4) {
            0 => set(&mut fault, "status", 503),
            1 => set(&mut fault, "error", "AccessDenied"),
            2 => set(&mut fault, "delay", "5h"),
            3 => set(&mut fault, "delay", "4s"),
            _ => set(&mut fault, "reset", "after"),
        }
        set(&mut fault, "percent", draw.pick(&[50_i64, 100]));
        extend(scenario, "fault", vec![Value::from(fault)]);
    }
}

fn metrics(draw: &mut Draw, scenario: &mut Table) {
    let runs = scenario.get_mut("expect").and_then(|expect| expect.get_mut("run")).and_then(Value::as_array_mut);
    for run in runs.into_iter().flatten().filter_map(Value::as_table_mut) {
        set(run, "metrics", true);
    }
    // A date that `min_age` asks for has to be told by the last run.
    let by_age = scenario.get("updater").and_then(|updater| updater.get("defaults")?.get("min_age")).is_some();
    if draw.chance(30) && !by_age {
        let operation = draw.pick(&["ec2:DescribeImages", "ssm:GetParameters"]);
        let mut fault = table([("operation", operation.into())]);
        match draw.between(0, 2) {
            0 => set(&mut fault, "status", 503),
            1 => set(&mut fault, "error", "UnauthorizedOperation"),
            _ => set(&mut fault, "delay", "5h"),
        }
        extend(scenario, "fault", vec![Value::from(fault)]);
    }
}
