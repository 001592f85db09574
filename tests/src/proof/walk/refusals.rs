//! What AWS refuses for one host alone, answers that are no answers, times at their edges, and signals. It is drawn by dice
//! of its own, so that all else of a seed is as it would be without.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::{Draw, set, table};
use crate::dice::Dice;

/// In so many of a hundred seeds.
const PERCENT: i64 = 25;
/// Calls for many, which one member can spoil.
const FOR_MANY: [&str; 9] = [
    "ecs:DescribeContainerInstances",
    "ecs:UpdateContainerInstancesState",
    "ecs:DescribeTasks",
    "ecs:GetTaskProtection",
    "ec2:CreateTags",
    "ec2:DeleteTags",
    "ec2:DescribeInstances",
    "ec2:DescribeInstanceStatus",
    "ssm:SendCommand",
];

pub(super) fn add(seed: u64, scenario: &mut Table, size: i64) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "refusals", throws: 0 };
    if !draw.chance(PERCENT) {
        return;
    }
    for _ in 0..draw.pick(&[1, 1, 2]) {
        let host = draw.between(0, size - 1);
        match draw.between(0, 11) {
            0..=2 => refused_alone(&mut draw, scenario, host),
            3 => of_host(scenario, host, "other_tags", draw.between(44, 50)),
            4 | 5 => of_host(scenario, host, draw.pick(&["reboot_unsure", "reboot_lost"]), draw.between(1, 2)),
            6 | 7 => edges(&mut draw, scenario),
            8 | 9 => silence_of_ssm(&mut draw, scenario),
            _ => signal(&mut draw, scenario),
        }
    }
}

/// A host with a key of its own.
fn of_host(scenario: &mut Table, host: i64, key: &str, value: i64) {
    extend(scenario, "host", vec![table([("index", host.into()), (key, value.into())]).into()]);
}

/// What names this host is refused for a while.
fn refused_alone(draw: &mut Draw, scenario: &mut Table, host: i64) {
    let operation = draw.pick(&FOR_MANY);
    let is_of_ec2 = operation.starts_with("ec2:");
    let denied = if is_of_ec2 { "UnauthorizedOperation" } else { "AccessDeniedException" };
    let invalid = if is_of_ec2 { "InvalidParameterValue" } else { "InvalidParameterException" };
    let mut fault = table([("operation", operation.into()), ("naming", host.into())]);
    set(&mut fault, "error", draw.pick(&[denied, invalid]));
    set(&mut fault, "from", draw.minutes(0, 15));
    set(&mut fault, "until", draw.minutes(16, 60));
    extend(scenario, "fault", vec![fault.into()]);
}

/// Time limits that a reboot or a boot comes close to.
fn edges(draw: &mut Draw, scenario: &mut Table) {
    let reboot = draw.pick(&["8m", "9m", "12m"]);
    let verify = draw.pick(&["1m", "2m", "3m"]);
    change(scenario, &["updater", "defaults", "timeouts"], |timeouts| {
        set(timeouts, "reboot", reboot);
        set(timeouts, "verify", verify);
    });
}

/// SSM hangs while ECS answers.
fn silence_of_ssm(draw: &mut Draw, scenario: &mut Table) {
    let mut fault = table([("operation", "ssm:*".into()), ("delay", "90s".into())]);
    set(&mut fault, "from", draw.minutes(0, 10));
    set(&mut fault, "until", draw.minutes(11, 40));
    extend(scenario, "fault", vec![fault.into()]);
}

/// A run that gets a signal, in half of them while AWS does not answer or refuses.
fn signal(draw: &mut Draw, scenario: &mut Table) {
    let key = draw.pick(&["before_call", "after_call"]);
    let interrupt = table([(key, draw.between(1, 250).into())]);
    let run = table([("interrupt", interrupt.into()), ("after", draw.pick(&["0s", "30s"]).into())]);
    change(scenario, &["expect"], |expect| {
        if let Some(runs) = expect.get_mut("run").and_then(Value::as_array_mut) {
            runs.insert(0, run.into());
        }
    });
    if draw.chance(50) {
        let mut fault = table([("operation", draw.pick(&["*", "ecs:*", "ec2:*"]).into())]);
        match draw.between(0, 2) {
            0 => set(&mut fault, "status", 503),
            1 => set(&mut fault, "delay", "90s"),
            _ => set(&mut fault, "reset", "before"),
        }
        set(&mut fault, "from", draw.minutes(1, 8));
        set(&mut fault, "until", draw.minutes(9, 14));
        extend(scenario, "fault", vec![fault.into()]);
    }
}
