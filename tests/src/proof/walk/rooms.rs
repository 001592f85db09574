//! Kinds of room beside CPU and memory, deployments that are taken back, and zone rebalancing. It is drawn by dice of its own, so
//! that all else of a seed is as it would be without.

use toml::{Table, Value};

use super::bridges::change;
use super::{Draw, set};
use crate::dice::Dice;

/// In so many of a hundred seeds.
const PERCENT: i64 = 33;

pub(super) fn add(seed: u64, scenario: &mut Table) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "rooms", throws: 0 };
    if !draw.chance(PERCENT) {
        return;
    }
    let (empty, registered) = (draw.chance(50), draw.chance(50));
    let after = draw.pick(&["10s", "2m", "10m"]);
    change(scenario, &["region"], |region| {
        set(region, "empty_gpu_entry", empty);
        set(region, "rebalance_after", after);
        set(region, "rebalance_over", if registered { "registered" } else { "in-service" });
    });
    let (gpus, trunk) = (draw.between(1, 4), draw.chance(30));
    for instances in tables(scenario, "instances") {
        set(instances, "gpus", gpus);
        if trunk {
            set(instances, "trunk", 10);
        }
    }
    for service in tables(scenario, "service") {
        match draw.between(0, 5) {
            0 => set(service, "gpus", 1),
            1 | 2 => set(service, "awsvpc", true),
            3 => set(service, "definition_member_of", draw.pick(&CONSTRAINTS)),
            _ => {}
        }
        if service.get("kind").is_none() {
            set(service, "circuit_breaker", draw.chance(50));
            set(service, "zone_rebalancing", draw.chance(50));
        }
    }
}

/// All instances meet these sooner or later.
const CONSTRAINTS: [&str; 3] = [
    "attribute:ecs.instance-type =~ m6i.*",
    "runningTasksCount < 50 and agentConnected == true",
    "registeredAt > 2020-01-01T00:00:00Z",
];

fn tables<'a>(scenario: &'a mut Table, key: &str) -> impl Iterator<Item = &'a mut Table> {
    scenario.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_table_mut)
}
