//! A date that leaps where the updater runs, and hosts whose clocks are behind. They are drawn by dice of their own, so that
//! all else of a seed is as it would be without.

use toml::Table;

use super::bridges::{change, extend};
use super::{Draw, set, table};
use crate::dice::Dice;

/// In so many of a hundred seeds.
const PERCENT: i64 = 8;

/// The same, in few of the seeds, with a date that leaps once or twice, and in some with ends of commands that are dated too
/// early.
pub(super) fn add(seed: u64, scenario: &mut Table) {
    let mut hosts = Draw { dice: Dice::new(seed), purpose: "clocks of hosts", throws: 0 };
    if hosts.chance(PERCENT) {
        let early = hosts.pick(&["5s", "30s", "1h"]);
        change(scenario, &["region"], |region| set(region, "ssm_dated_early", early));
    }
    let mut draw = Draw { dice: Dice::new(seed), purpose: "clocks", throws: 0 };
    if !draw.chance(PERCENT) {
        return;
    }
    for _ in 0..draw.pick(&[1, 1, 2]) {
        let mut leap = table([("at", draw.minutes(0, 20).into()), ("do", "clock".into())]);
        set(&mut leap, "by", draw.pick(&["1h", "-1h", "1h", "-1h", "10m", "-10m"]));
        extend(scenario, "event", vec![leap.into()]);
    }
}
