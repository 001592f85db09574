//! What reading the answers of ECS has in common.

use std::collections::BTreeSet;

/// Returns the one of `known` that is equal, so that both are kept once; it is put there where there is none.
pub(super) fn shared<T: Clone + Ord>(one: T, known: &mut BTreeSet<T>) -> T {
    if let Some(other) = known.get(&one) {
        return other.clone();
    }
    known.insert(one.clone());
    one
}

pub(super) fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}
