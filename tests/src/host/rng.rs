//! A small seeded generator, so that a host's life depends on its seed alone.

use jiff::SignedDuration;

/// Splitmix64. Good enough for boot ids and small delays, and no dependency.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Starts the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number of the sequence.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 to `bound`, without `bound`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// `base`, made longer by up to `percent` percent.
    pub fn stretch(&mut self, base: SignedDuration, percent: u32) -> SignedDuration {
        let most = base.as_millis().max(0).unsigned_abs() * u128::from(percent) / 100;
        let extra = self.below(u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1));
        base + SignedDuration::from_millis(i64::try_from(extra).unwrap_or(i64::MAX))
    }

    /// A random (version 4) UUID, as the kernel writes boot ids.
    pub fn uuid(&mut self) -> String {
        let high = (self.next_u64() & 0xFFFF_FFFF_FFFF_0FFF) | 0x4000;
        let low = (self.next_u64() & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xFFFF,
            high & 0xFFFF,
            low >> 48,
            low & 0xFFFF_FFFF_FFFF
        )
    }
}
