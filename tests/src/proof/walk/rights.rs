//! Who may report for whom in a drawn scenario with host bridges: what the hosts' role allows, whether the container
//! instances have the tag that it asks for, whether the updater may write that, and who writes for others. It is drawn by
//! dice of its own, so that all else of a seed is as it would be without.

use toml::{Table, Value};

use super::bridges::{change, extend};
use super::{Draw, set, table, transport};
use crate::dice::Dice;

pub(super) fn add(seed: u64, scenario: &mut Table, size: i64) {
    if transport(scenario) == "ssm" {
        return;
    }
    let mut draw = Draw { dice: Dice::new(seed), purpose: "rights", throws: 0 };
    let all_may = draw.chance(20);
    let named = !draw.chance(40);
    let quick = draw.chance(60);
    change(scenario, &["region"], |region| {
        if all_may {
            set(region, "bridge_policy", "cluster");
        }
        if all_may && quick {
            set(region, "agent_lost_after", "15s");
        }
        if !named {
            set(region, "instances_named", false);
        }
    });
    if draw.chance(25) {
        extend(scenario, "fault", vec![refused_tags(&mut draw).into()]);
    }
    if draw.chance(15) {
        let deny = Value::from(vec!["ecs:TagResource"]);
        extend(scenario, "host", vec![table([("index", draw.between(0, size - 1).into()), ("deny", deny)]).into()]);
    }
    // Where every host may report for every other one, an agent that was disconnected since the claim is all the proof that
    // is asked for, whatever disconnected it.
    let may_forge = !all_may || !agents_are_lost(scenario);
    if draw.chance(40) && may_forge && size > 1 {
        let forged = forged(&mut draw, size, all_may);
        extend(scenario, "event", vec![forged.into()]);
    }
}

fn refused_tags(draw: &mut Draw) -> Table {
    let mut fault = table([("operation", "ecs:TagResource".into())]);
    set(&mut fault, "percent", draw.pick(&[30_i64, 100]));
    match draw.between(0, 4) {
        0 => set(&mut fault, "error", "ThrottlingException"),
        1 => set(&mut fault, "status", 503),
        2 => set(&mut fault, "reset", "after"),
        3 => set(&mut fault, "error", "InvalidParameterException"),
        _ => set(&mut fault, "error", "AccessDeniedException"),
    }
    set(&mut fault, "from", draw.minutes(0, 20));
    set(&mut fault, "until", draw.minutes(21, 60));
    fault
}

/// Whether an agent can be disconnected for another reason than the reboot that a claim asks for.
fn agents_are_lost(scenario: &Table) -> bool {
    let flaps = scenario.get("region").is_some_and(|region| region.get("agent_flap_every").is_some());
    let events = scenario.get("event").and_then(Value::as_array).into_iter().flatten();
    let mut deeds = events.filter_map(|event| event.get("do")?.as_str());
    flaps || deeds.any(|deed| ["disconnect", "reboot", "stop", "terminate", "replace", "set"].contains(&deed))
}

/// Another host's role says that a host has done what its claim asks for, or has not.
fn forged(draw: &mut Draw, size: i64, all_may: bool) -> Table {
    let of = draw.between(0, size - 1);
    let by = (of + draw.between(1, size - 1)) % size;
    let points =
        if all_may { &["activated"][..] } else { &["claimed", "draining", "activated", "rebooting", "booted"] };
    let mut event = table([("when", table([("host", of.into()), ("is", draw.pick(points).into())]).into())]);
    set(&mut event, "after", draw.pick(&["0s", "1s", "3s"]));
    set(&mut event, "do", "forge");
    set(&mut event, "host", by);
    set(&mut event, "of", of);
    set(
        &mut event,
        "says",
        draw.pick(if all_may { &["done", "failed"][..] } else { &["done", "fell-back", "failed"] }),
    );
    event
}
