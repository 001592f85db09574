//! What is not there in a drawn scenario, or not yet: machines that are dead, stopped or hidden, services that are deleted,
//! answers that are late. It is drawn by dice of its own, for one seed of four, so that all else of a seed is as it would be
//! without.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::{Draw, set, table};
use crate::dice::Dice;

pub(super) fn add(seed: u64, scenario: &mut Table, size: i64) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "absent", throws: 0 };
    if !draw.chance(25) {
        return;
    }
    for _ in 0..draw.pick(&[1, 1, 2]) {
        let host = draw.between(0, size - 1);
        match draw.between(0, 7) {
            0 | 1 => {
                // Its agent is gone before it is, so that ECS keeps the registration.
                let (stopped, gone) = (draw.minutes(0, 15), draw.minutes(20, 40));
                extend(scenario, "event", vec![event(host, stopped, "stop"), event(host, gone, "terminate")]);
            }
            2 | 3 => {
                let stopped = draw.minutes(0, 30);
                extend(scenario, "event", vec![event(host, stopped, "stop")]);
                if draw.chance(50) {
                    let started = draw.minutes(35, 90);
                    extend(scenario, "event", vec![event(host, started, "start")]);
                }
            }
            4 => extend(scenario, "host", vec![table([("index", host.into()), ("hidden", true.into())]).into()]),
            5 | 6 => {
                let lag = draw.pick(&["3s", "8s", "15s"]);
                change(scenario, &["region"], |region| set(region, "describes_lag", lag));
            }
            _ => delete_service(&mut draw, scenario),
        }
    }
}

fn event(host: i64, at: String, action: &str) -> Value {
    table([("host", host.into()), ("at", at.into()), ("do", action.into())]).into()
}

fn delete_service(draw: &mut Draw, scenario: &mut Table) {
    let first = scenario.get("service").and_then(|services| services.as_array()?.first()?.get("name")?.as_str());
    let Some(name) = first.map(str::to_owned) else { return };
    let at = draw.minutes(0, 45);
    let deleted = table([("service", name.into()), ("at", at.into()), ("do", "delete_service".into())]);
    extend(scenario, "event", vec![deleted.into()]);
    let visible = draw.pick(&["1m", "1h"]);
    change(scenario, &["region"], |region| set(region, "deleted_services_visible", visible));
}
