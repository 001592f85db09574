//! What never ends in a drawn scenario: a host, a right or an agent that is gone for good. It is drawn by dice of its own,
//! so that all else of a seed is as it would be without.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::{Draw, set, table, transport};
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
    let draw = Draw { dice: Dice::new(seed), purpose: "endless", throws: 0 };
    let by = transport(scenario).to_owned();
    let mut disturber = Disturber { draw, scenario, size, by };
    for _ in 0..disturber.draw.pick(&[1, 1, 2]) {
        disturber.disturb();
    }
    let on_its_way = disturber.draw.chance(50);
    change(scenario, &["expect"], |expect| {
        set(expect, "disturbed", true);
        if let Some(runs) = expect.get_mut("run").and_then(Value::as_array_mut).filter(|_| on_its_way) {
            runs.pop();
        }
    });
}

struct Disturber<'a> {
    draw: Draw,
    scenario: &'a mut Table,
    size: i64,
    /// How the hosts are reached.
    by: String,
}

impl Disturber<'_> {
    fn disturb(&mut self) {
        match self.draw.between(0, 12) {
            0..=2 => {
                let event = self.silence();
                self.happens(event);
            }
            3 => {
                let event = self.silence();
                self.happens_to_all(event);
            }
            4..=7 => {
                let operation = self.draw.pick(&RIGHTS);
                self.fault(operation, refusal(operation));
            }
            8 => self.fault("*", "ExpiredTokenException"),
            9 | 10 => {
                let mut dead = self.at_some_time();
                set(&mut dead, "do", "set");
                set(&mut dead, "set", table([("agent_dead_on", VERSIONS.to_vec().into())]));
                self.happens(dead);
            }
            11 => {
                let right = self.draw.pick(&["ec2:CreateTags", "ec2:DeleteTags", "ssm:SendCommand"]);
                let host = self.draw.between(0, self.size - 1);
                let denied = table([("index", host.into()), ("deny", vec![right].into())]);
                extend(self.scenario, "host", vec![denied.into()]);
            }
            _ => {
                let mut away = self.at_some_time();
                set(&mut away, "do", "disconnect");
                set(&mut away, "for", FOR_GOOD);
                self.happens(away);
            }
        }
    }

    /// No word reaches the host any more by the way by which it is reached.
    fn silence(&mut self) -> Table {
        let mut event = self.at_some_time();
        let by_bridge = if self.by == "auto" { self.draw.pick(&[false, true]) } else { self.by == "bridge" };
        match (by_bridge, self.draw.between(0, 2)) {
            (true, 0) => {
                set(&mut event, "do", "metadata_away");
                set(&mut event, "for", FOR_GOOD);
            }
            (true, _) => set(&mut event, "do", "bridge_stops"),
            (false, _) => {
                set(&mut event, "do", "set");
                set(&mut event, "set", table([("ssm_away", true.into())]));
            }
        }
        event
    }

    /// Once a host is at a point, or at a time at which some run is at work.
    fn at_some_time(&mut self) -> Table {
        let host = self.draw.between(0, self.size - 1);
        let mut event = table([("host", host.into())]);
        if self.draw.chance(40) {
            set(&mut event, "at", self.draw.minutes(1, 15));
        } else {
            let points =
                ["claimed", "staged", "draining", "draining", "drained", "activated", "rebooting", "booted", "active"];
            set(&mut event, "when", table([("host", host.into()), ("is", self.draw.pick(&points).into())]));
            set(&mut event, "after", format!("{}s", self.draw.pick(&[0, 2, 10, 60, 120])));
        }
        event
    }

    fn fault(&mut self, operation: &str, error: &str) {
        let mut fault = table([("operation", operation.into()), ("error", error.into())]);
        set(&mut fault, "from", self.draw.minutes(1, 15));
        if operation.starts_with("ec2:") {
            set(&mut fault, "status", 403);
        }
        extend(self.scenario, "fault", vec![fault.into()]);
    }

    fn happens(&mut self, event: Table) {
        extend(self.scenario, "event", vec![event.into()]);
    }

    /// To every host, once any of them is at the point.
    fn happens_to_all(&mut self, mut event: Table) {
        event.remove("host");
        set(&mut event, "hosts", (0..self.size).collect::<Vec<i64>>());
        change(&mut event, &["when"], |when| drop(when.remove("host")));
        self.happens(event);
    }
}

/// How a service refuses what no policy allows.
fn refusal(operation: &str) -> &'static str {
    if operation.starts_with("ec2:") { "UnauthorizedOperation" } else { "AccessDeniedException" }
}
