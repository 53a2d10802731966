//! Random numbers that are the same on every platform.

use std::hash::{BuildHasher, RandomState};

use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng;

/// A PCG XSL-RR 128/64 generator (O'Neill, 2014) started from 64 bits of seed.
#[derive(Debug, Clone)]
pub(super) struct SeededRng {
    pcg: Pcg64,
}

impl SeededRng {
    /// The generator of `seed`. State and stream are four outputs of SplitMix64 (Steele et al.,
    /// 2014), so that seeds that differ in one bit give unrelated sequences.
    pub(super) fn new(seed: u64) -> Self {
        let mut state = seed;
        let mut word = || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            u128::from(z ^ (z >> 31))
        };
        let (state, stream) = ((word() << 64) | word(), (word() << 64) | word());
        Self {
            pcg: Pcg64::new(state, stream),
        }
    }

    /// The next number, uniform in [0, 1) with 53 bits.
    pub(super) fn uniform(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1u64 << 53) as f64;
        (self.pcg.next_u64() >> 11) as f64 * STEP
    }
}

/// A seed that was not used before: the standard library's hash keys, which it draws from the
/// system.
pub(super) fn fresh_seed() -> u64 {
    RandomState::new().hash_one(0u64)
}
