//! How much of the account's API rates a run takes. It is drawn by dice of its own, so that all else of a seed is as it would be
//! without.

use toml::Table;

use super::bridges::change;
use super::{Draw, set};
use crate::dice::Dice;

/// In so many of a hundred seeds.
const PERCENT: i64 = 20;

pub(super) fn add(seed: u64, scenario: &mut Table) {
    let mut draw = Draw { dice: Dice::new(seed), purpose: "shares", throws: 0 };
    if draw.chance(PERCENT) {
        let share = draw.pick(&[0.1, 0.2, 0.9, 1.0]);
        change(scenario, &["updater"], |updater| set(updater, "api_share", share));
    }
}
