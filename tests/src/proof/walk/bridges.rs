//! The hosts of a drawn scenario get agents of `host-bridge`, and agents their own bad luck. It is drawn last, so that a
//! seed is the same scenario but for this, whichever way it has drawn.

use toml::{Table, Value};

use super::{Draw, set, table};

/// The same with the agent of `host-bridge` on the hosts, and what can happen to it. `without` of a hundred hosts have none,
/// and are reached by SSM.
pub(super) fn add(draw: &mut Draw, scenario: &mut Table, size: i64, without: i64) {
    set(scenario, "warm_up", draw.pick(&["5m", "5m", "5m", "10s"]));
    let transport = if without == 0 { "bridge" } else { "auto" };
    change(scenario, &["updater", "defaults"], |defaults| set(defaults, "host", transport));
    if draw.chance(35) {
        let lag = draw.pick(&["2s", "8s", "20s"]);
        change(scenario, &["region"], |region| set(region, "metadata_lag", lag));
    }
    let mut hosts = Vec::new();
    for index in 0..size {
        let mut host = table([("index", index.into())]);
        set(&mut host, "bridge", !draw.chance(without));
        if draw.chance(5) {
            set(&mut host, "metadata_tags", false);
        }
        hosts.push(Value::from(host));
    }
    extend(scenario, "host", hosts);
    let events = (0..draw.pick(&[0, 1, 1, 2, 3])).flat_map(|_| bridge_event(draw, size)).collect();
    extend(scenario, "event", events);
    if draw.chance(35) {
        let mut fault = table([("operation", "ecs:PutAttributes".into())]);
        set(&mut fault, "percent", draw.pick(&[10_i64, 40, 100]));
        match draw.between(0, 3) {
            0 => set(&mut fault, "error", "ThrottlingException"),
            1 => set(&mut fault, "status", 503),
            2 => set(&mut fault, "reset", "after"),
            _ => set(&mut fault, "delay", "12s"),
        }
        set(&mut fault, "from", draw.minutes(0, 30));
        set(&mut fault, "until", draw.minutes(31, 60));
        extend(scenario, "fault", vec![fault.into()]);
    }
}

/// Something that happens to an agent, and where it must, its end.
fn bridge_event(draw: &mut Draw, size: i64) -> Vec<Value> {
    let host = draw.between(0, size - 1);
    let mut event = table([("host", host.into())]);
    if draw.chance(30) {
        set(&mut event, "at", draw.minutes(0, 45));
    } else {
        let points =
            ["claimed", "claimed", "staged", "draining", "drained", "activated", "rebooting", "booted", "active"];
        set(&mut event, "when", table([("host", host.into()), ("is", draw.pick(&points).into())]));
        set(&mut event, "after", format!("{}s", draw.pick(&[0, 1, 3, 7, 20, 60])));
    }
    let (action, end) = draw.pick(&[
        ("bridge_restarts", None),
        ("bridge_restarts", None),
        ("bridge_restarts", None),
        ("bridge_stops", Some("bridge_starts")),
        ("metadata_away", None),
        ("metadata_tags_off", Some("metadata_tags_on")),
    ]);
    set(&mut event, "do", action);
    match action {
        "metadata_away" => set(&mut event, "for", draw.pick(&["20s", "3m", "20m"])),
        "bridge_restarts" => set(&mut event, "for", draw.pick(&["1s", "45s", "45s"])),
        _ => {}
    }
    let back = end.map(|end| table([("host", host.into()), ("at", draw.minutes(10, 75).into()), ("do", end.into())]));
    std::iter::once(event).chain(back).map(Value::from).collect()
}

/// Changes a table in tables that are there.
pub(super) fn change(scenario: &mut Table, path: &[&str], change: impl FnOnce(&mut Table)) {
    let mut table = Some(scenario);
    for key in path {
        table = table.and_then(|table| table.get_mut(*key)?.as_table_mut());
    }
    table.map(change);
}

pub(super) fn extend(scenario: &mut Table, list: &str, entries: Vec<Value>) {
    if let Some(known) = scenario.get_mut(list).and_then(Value::as_array_mut) {
        known.extend(entries);
    }
}
