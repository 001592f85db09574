//! Outages that many hosts share. They are drawn by dice of their own, so that all else of a seed is as it would be without.

use toml::Table;

use super::bridges::extend;
use super::{Draw, set, table};
use crate::dice::Dice;

/// In so many of a hundred seeds.
const PERCENT: i64 = 6;

/// The same, in few of the seeds, with agents of each second or third host, or of all, that ECS does not hear for a while.
pub(super) fn add(seed: u64, scenario: &mut Table, size: i64) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "outages", throws: 0 };
    if !draw.chance(PERCENT) {
        return;
    }
    let step = draw.pick(&[1, 1, 2, 3]);
    let hosts: Vec<i64> = (0..size).filter(|host| host % step == 0).collect();
    let mut outage = table([("at", draw.minutes(2, 20).into()), ("do", "disconnect".into()), ("hosts", hosts.into())]);
    set(&mut outage, "for", draw.pick(&["4m", "15m", "40m"]));
    extend(scenario, "event", vec![outage.into()]);
}
