//! Seeded randomness: one seed, one run.
//!
//! A throw depends on the seed, on what it is for and on a number: what has an index of its own (a host, a task, an
//! instance) gets its throw by that, whatever else happens.

/// The seed of a simulated Region, from which every throw is derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dice(u64);

impl Dice {
    /// Dice of this seed.
    pub fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0x9e37_79b9_7f4a_7c15))
    }

    /// 64 random bits for the `n`th use of a purpose.
    pub fn bits(self, purpose: &str, n: u64) -> u64 {
        let named = purpose.bytes().fold(self.0, |state, byte| mix(state ^ u64::from(byte)));
        mix(named ^ mix(n))
    }

    /// A number from `low` to `high`, both included; `low` when the range is empty.
    pub fn between(self, purpose: &str, n: u64, low: u64, high: u64) -> u64 {
        match high.checked_sub(low) {
            Some(span) if span < u64::MAX => low + self.bits(purpose, n) % (span + 1),
            Some(_) | None => low,
        }
    }

    /// 32 lowercase hexadecimal digits, as in the ids of ECS.
    pub fn hex32(self, purpose: &str, n: u64) -> String {
        let (high, low) = (self.bits(purpose, n), mix(self.bits(purpose, n)));
        format!("{high:016x}{low:016x}")
    }

    /// A random UUID (version 4 in form).
    pub fn uuid(self, purpose: &str, n: u64) -> String {
        let hex = self.hex32(purpose, n);
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }
}

/// The finalizer of SplitMix64.
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_throw() {
        let dice = Dice::new(7);
        assert_eq!(dice.bits("latency", 3), Dice::new(7).bits("latency", 3));
        assert_ne!(dice.bits("latency", 3), dice.bits("latency", 4));
        assert_ne!(dice.bits("latency", 3), dice.bits("boot", 3));
        assert_ne!(dice.bits("latency", 3), Dice::new(8).bits("latency", 3));
        assert!((0..1000).all(|n| (30..=60).contains(&dice.between("latency", n, 30, 60))));
        assert_eq!(dice.between("x", 1, 5, 4), 5);
        assert_eq!(dice.uuid("command", 1).len(), 36);
    }
}
