//! The randomness of synthetic markets.

/// SplitMix64: its sequence is part of what a seed means, so it is not left to a library's next version.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    /// Keeps what is drawn for `name` apart from what is drawn for other names.
    pub(crate) fn named(seed: u64, name: &str) -> Self {
        // FNV-1a; it must never change, or a seed would mean another market.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(seed ^ hash)
    }

    /// Returns a number from 0 to `bound` - 1; `bound` is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// As [`SplitMix::below`], for ticks and lots.
    pub(crate) fn below_u32(&mut self, bound: u32) -> u32 {
        // Below a u32, so it fits.
        self.below(u64::from(bound)) as u32
    }

    /// Returns whether something of this probability happens.
    pub(crate) fn happens(&mut self, share: f64) -> bool {
        const STEPS: u64 = 1 << 24;
        (self.below(STEPS) as f64) < share * STEPS as f64
    }
}
