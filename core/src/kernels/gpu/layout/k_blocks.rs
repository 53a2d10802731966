//! Super-blocks of 256 with scales of their own scales: Q4_K, Q5_K, Q6_K (llama.cpp's pull
//! request 1684). A group is one of the eight sub-blocks of 32.

use cubecl::prelude::*;

use super::BlockLayout;
use super::words::{
    Quad, byte_of, bytes_of, half_at, half_value, numbers, signed_bytes_of, words_from,
};

/// 144 bytes: two scales, 12 bytes of 6-bit scales and minimums, 128 bytes of 4-bit weights.
pub(in super::super) struct Q4KLayout;

/// 176 bytes: as Q4_K, with 32 bytes of fifth bits before the 4-bit weights.
pub(in super::super) struct Q5KLayout;

/// 210 bytes: 128 of low halves, 64 of upper two bits, 16 signed scales, the scale of the scales.
pub(in super::super) struct Q6KLayout;

/// The scale and the minimum of group `group` of a Q4_K or Q5_K block whose first word is
/// `words[first]`, multiplied out.
///
/// The first four groups have six bits each in bytes 0 to 3 (scales) and 4 to 7 (minimums); the
/// last four have their low four bits in bytes 8 to 11 and their upper two in the spare bits of
/// the first eight bytes.
#[cube]
fn scale_and_min(words: &[u32], first: usize, group: u32) -> (f32, f32) {
    let d = half_value(words[first] & 0xffff);
    let dmin = half_value(words[first] >> 16);
    let index = group & 3;
    let scale = byte_of(words[first + 1], index);
    let min = byte_of(words[first + 2], index);
    let low = byte_of(words[first + 3], index);
    let early = group < 4;
    let scale = select(early, scale & 63, (low & 15) | ((scale >> 6) << 4));
    let min = select(early, min & 63, (low >> 4) | ((min >> 6) << 4));
    (d * f32::cast_from(scale), dmin * f32::cast_from(min))
}

#[cube]
impl BlockLayout for Q4KLayout {
    fn quads(words: &[u32], block: u32, group: u32) -> Sequence<Quad> {
        let first = (block >> 2) as usize;
        let (scale, min) = scale_and_min(words, first, group);
        let from = first + 4 + ((group >> 1) * 8) as usize;
        let shift = (group & 1) * 4;
        let mut quads = Sequence::<Quad>::new();
        #[unroll]
        for i in 0..8usize {
            let q = bytes_of((words[from + i] >> shift) & 0x0f0f_0f0f);
            quads.push(fma(numbers(q), Quad::new(scale), Quad::new(-min)));
        }
        quads
    }
}

#[cube]
impl BlockLayout for Q5KLayout {
    fn quads(words: &[u32], block: u32, group: u32) -> Sequence<Quad> {
        let first = (block >> 2) as usize;
        let (scale, min) = scale_and_min(words, first, group);
        let from = first + 12 + ((group >> 1) * 8) as usize;
        let shift = (group & 1) * 4;
        let mut quads = Sequence::<Quad>::new();
        #[unroll]
        for i in 0..8usize {
            let low = (words[from + i] >> shift) & 0x0f0f_0f0f;
            let fifth = ((words[first + 4 + i] >> group) & 0x0101_0101) << 4;
            let q = bytes_of(low | fifth);
            quads.push(fma(numbers(q), Quad::new(scale), Quad::new(-min)));
        }
        quads
    }
}

#[cube]
impl BlockLayout for Q6KLayout {
    fn quads(words: &[u32], block: u32, group: u32) -> Sequence<Quad> {
        let (half, quarter) = (group >> 2, group & 3);
        let lows = words_from(words, block + half * 64 + (quarter & 1) * 32, 8usize);
        let low_shift = (quarter >> 1) * 4;
        let highs = words_from(words, block + 128 + half * 32, 8usize);
        let high_shift = quarter * 2;
        // Two signed bytes, one for each 16 weights.
        let scales = signed_bytes_of(half_at(words, block + 192 + half * 8 + quarter * 2));
        let d = half_value(half_at(words, block + 208));
        let mut quads = Sequence::<Quad>::new();
        #[unroll]
        for i in 0..8usize {
            let low = (lows[i] >> low_shift) & 0x0f0f_0f0f;
            let high = ((highs[i] >> high_shift) & 0x0303_0303) << 4;
            let scale = d * scales.extract(comptime!(i / 4));
            let q = numbers(bytes_of(low | high)) - Quad::new(32.0f32);
            quads.push(q * Quad::new(scale));
        }
        quads
    }
}
