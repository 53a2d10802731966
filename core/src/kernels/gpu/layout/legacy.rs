//! Blocks of 32 with one scale: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0.
//!
//! In the 4- and 5-bit formats byte `j` holds weight `j` in its low half and weight `j + 16` in its
//! high half; the fifth bits of all 32 lie in one word.

use cubecl::prelude::*;

use super::BlockLayout;
use super::words::{
    Quad, bits_of, bytes_of, half_at, half_value, numbers, signed_bytes_of, words_from,
};

/// 18 bytes: scale, 16 bytes of 4-bit weights around 8.
pub(in super::super) struct Q4_0Layout;

/// 20 bytes: scale, minimum, 16 bytes of 4-bit weights.
pub(in super::super) struct Q4_1Layout;

/// 22 bytes: scale, fifth bits, 16 bytes of 4 bits; around 16.
pub(in super::super) struct Q5_0Layout;

/// 24 bytes: scale, minimum, fifth bits, 16 bytes of 4 bits.
pub(in super::super) struct Q5_1Layout;

/// 34 bytes: scale, 32 signed bytes.
pub(in super::super) struct Q8_0Layout;

/// The 4-bit weights of the four words from `first` on, as eight quads of integers.
#[cube]
fn nibbles(stored: &Sequence<u32>, #[comptime] first: usize) -> Sequence<Quad> {
    let mut quads = Sequence::<Quad>::new();
    #[unroll]
    for i in 0..4usize {
        quads.push(numbers(bytes_of(
            stored[comptime!(first + i)] & 0x0f0f_0f0f,
        )));
    }
    #[unroll]
    for i in 0..4usize {
        let high = (stored[comptime!(first + i)] >> 4) & 0x0f0f_0f0f;
        quads.push(numbers(bytes_of(high)));
    }
    quads
}

/// The same of four words that a word of fifth bits precedes.
#[cube]
fn fives(stored: &Sequence<u32>) -> Sequence<Quad> {
    let low = nibbles(stored, 1usize);
    let high = stored[0];
    let mut quads = Sequence::<Quad>::new();
    #[unroll]
    for i in 0..8usize {
        let fifth = numbers(bits_of(high >> comptime!(4 * i as u32)));
        quads.push(fma(fifth, Quad::new(16.0f32), low[i]));
    }
    quads
}

/// `d · (q − offset)`: the integers are exact in f32, so this rounds once, as ggml does.
#[cube]
fn centred(q: Sequence<Quad>, d: f32, #[comptime] offset: f32) -> Sequence<Quad> {
    let mut quads = Sequence::<Quad>::new();
    #[unroll]
    for i in 0..8usize {
        quads.push((q[i] - Quad::new(offset.runtime())) * Quad::new(d));
    }
    quads
}

/// `d · q + m`.
#[cube]
fn shifted(q: Sequence<Quad>, d: f32, m: f32) -> Sequence<Quad> {
    let mut quads = Sequence::<Quad>::new();
    #[unroll]
    for i in 0..8usize {
        quads.push(fma(q[i], Quad::new(d), Quad::new(m)));
    }
    quads
}

#[cube]
impl BlockLayout for Q4_0Layout {
    fn quads(words: &[u32], block: u32, _group: u32) -> Sequence<Quad> {
        let d = half_value(half_at(words, block));
        centred(
            nibbles(&words_from(words, block + 2, 4usize), 0usize),
            d,
            8.0f32,
        )
    }
}

#[cube]
impl BlockLayout for Q4_1Layout {
    fn quads(words: &[u32], block: u32, _group: u32) -> Sequence<Quad> {
        let d = half_value(half_at(words, block));
        let m = half_value(half_at(words, block + 2));
        shifted(nibbles(&words_from(words, block + 4, 4usize), 0usize), d, m)
    }
}

#[cube]
impl BlockLayout for Q5_0Layout {
    fn quads(words: &[u32], block: u32, _group: u32) -> Sequence<Quad> {
        let d = half_value(half_at(words, block));
        centred(fives(&words_from(words, block + 2, 5usize)), d, 16.0f32)
    }
}

#[cube]
impl BlockLayout for Q5_1Layout {
    fn quads(words: &[u32], block: u32, _group: u32) -> Sequence<Quad> {
        let d = half_value(half_at(words, block));
        let m = half_value(half_at(words, block + 2));
        shifted(fives(&words_from(words, block + 4, 5usize)), d, m)
    }
}

#[cube]
impl BlockLayout for Q8_0Layout {
    fn quads(words: &[u32], block: u32, _group: u32) -> Sequence<Quad> {
        let d = half_value(half_at(words, block));
        let stored = words_from(words, block + 2, 8usize);
        let mut quads = Sequence::<Quad>::new();
        #[unroll]
        for i in 0..8usize {
            quads.push(signed_bytes_of(stored[i]) * Quad::new(d));
        }
        quads
    }
}
