//! What never ends in a drawn scenario: a host, a right or an agent that is gone for good. It is drawn by dice of its own,
//! so that all else of a seed is as it would be without.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::{Draw, set, table, way};
use crate::dice::Dice;

/// For good, as far as any run lives.
const FOR_GOOD: &str = "10000h";
/// Every version that a host may run.
const VERSIONS: [&str; 4] = ["1.26.0", "1.26.1", "1.27.0", "1.28.0"];

/// Rights that a run needs at one time or another.
const RIGHTS: [&str; 17] = [
    "ecs:DescribeContainerInstances",
    "ecs:ListContainerInstances",
    "ecs:UpdateContainerInstancesState",
    "ecs:DescribeTasks",
    "ecs:ListTasks",
    "ecs:DescribeServices",
    "ecs:GetTaskProtection",
    "ec2:DescribeInstances",
    "ec2:DescribeInstanceStatus",
    "ec2:CreateTags",
    "ec2:DeleteTags",
    "ssm:SendCommand",
    "ssm:ListCommandInvocations",
    "ssm:DescribeInstanceInformation",
    "ecs:*",
    "ec2:*",
    "ssm:*",
];

/// The same with disturbances that never end. In half of them there is no run after these have begun but the one that
/// meets them on its way.
pub(super) fn add(seed: u64, scenario: &mut Table, size: i64) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "endless", throws: 0 };
    let by = way(scenario).to_owned();
    for _ in 0..draw.pick(&[1, 1, 2]) {
        disturb(&mut draw, scenario, size, &by);
    }
    let last = draw.falls(50);
    change(scenario, &["expect"], |expect| {
        set(expect, "disturbed", true);
        if let Some(runs) = expect.get_mut("run").and_then(Value::as_array_mut).filter(|_| last) {
            runs.pop();
        }
    });
}

fn disturb(draw: &mut Draw, scenario: &mut Table, size: i64, by: &str) {
    match draw.between(0, 11) {
        0..=2 => silence(draw, scenario, size, by, false),
        3 => silence(draw, scenario, size, by, true),
        4..=7 => {
            let operation = draw.pick(&RIGHTS);
            fault(draw, scenario, operation, refusal(operation));
        }
        8 => fault(draw, scenario, "*", "ExpiredTokenException"),
        9 | 10 => {
            let mut dead = at_some_time(draw, size);
            set(&mut dead, "do", "set");
            set(&mut dead, "set", table([("agent_dead_on", VERSIONS.to_vec().into())]));
            extend(scenario, "event", vec![dead.into()]);
        }
        _ => {
            let mut refused = at_some_time(draw, size);
            set(&mut refused, "do", "disconnect");
            set(&mut refused, "for", FOR_GOOD);
            extend(scenario, "event", vec![refused.into()]);
        }
    }
}

/// No word reaches the host any more, or none of them, by the way by which it is reached.
fn silence(draw: &mut Draw, scenario: &mut Table, size: i64, by: &str, all: bool) {
    let mut event = at_some_time(draw, size);
    let by = if by == "auto" { draw.pick(&["ssm", "bridge"]) } else { by };
    match (by, draw.between(0, 2)) {
        ("bridge", 0) => {
            set(&mut event, "do", "metadata_away");
            set(&mut event, "for", FOR_GOOD);
        }
        ("bridge", _) => set(&mut event, "do", "bridge_stops"),
        _ => {
            set(&mut event, "do", "set");
            set(&mut event, "set", table([("ssm_away", true.into())]));
        }
    }
    if all {
        event.remove("host");
        set(&mut event, "hosts", (0..size).collect::<Vec<i64>>());
        change(&mut event, &["when"], |when| drop(when.remove("host")));
    }
    extend(scenario, "event", vec![event.into()]);
}

/// Once a host is at a point, or at a time at which some run is at work.
fn at_some_time(draw: &mut Draw, size: i64) -> Table {
    let host = draw.between(0, size - 1);
    let mut event = table([("host", host.into())]);
    if draw.falls(40) {
        set(&mut event, "at", draw.minutes(1, 15));
    } else {
        let points =
            ["claimed", "staged", "draining", "draining", "drained", "activated", "rebooting", "booted", "active"];
        set(&mut event, "when", table([("host", host.into()), ("is", draw.pick(&points).into())]));
        set(&mut event, "after", format!("{}s", draw.pick(&[0, 2, 10, 60, 120])));
    }
    event
}

fn fault(draw: &mut Draw, scenario: &mut Table, operation: &str, error: &str) {
    let mut fault = table([("operation", operation.into()), ("error", error.into())]);
    set(&mut fault, "from", draw.minutes(1, 15));
    if operation.starts_with("ec2:") {
        set(&mut fault, "status", 403);
    }
    extend(scenario, "fault", vec![fault.into()]);
}

/// How a service refuses what no policy allows.
fn refusal(operation: &str) -> &'static str {
    if operation.starts_with("ec2:") { "UnauthorizedOperation" } else { "AccessDeniedException" }
}
