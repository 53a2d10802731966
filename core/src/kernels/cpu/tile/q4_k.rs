//! Q4_K and what Q5_K shares with it: a header of four words, nibbles by 32 bytes.

use crate::kernels::cpu::lanes::{Lanes, Rows};

use super::{Sink, SuperFormat, lines};

/// The format.
#[derive(Clone, Copy)]
pub struct Q4K;

impl SuperFormat for Q4K {
    const GROUP: usize = 32;
    const MIN: bool = true;
    const LINES: usize = lines(144);

    #[inline(always)]
    fn unpack<S: Lanes>(self, s: S, rows: &Rows<'_>, at: usize, out: &mut impl Sink<S>) {
        header(s, rows, at, out);
        for pair in 0..4 {
            // Of 32 bytes the low halves are one group of weights, the high halves the next.
            let (low, high) = halves(s, s.gather(rows, at + 16 + 32 * pair));
            let (low2, high2) = halves(s, s.gather(rows, at + 32 + 32 * pair));
            out.words(s, 16 * pair, low);
            out.words(s, 16 * pair + 4, low2);
            out.words(s, 16 * pair + 8, high);
            out.words(s, 16 * pair + 12, high2);
        }
    }
}

/// Low and high halves of bytes, with the bias.
#[inline(always)]
pub fn halves<S: Lanes>(s: S, words: [S::I; 4]) -> ([S::I; 4], [S::I; 4]) {
    let nibble = s.splat(0x0f0f_0f0f);
    let bias = s.splat(i32::from_ne_bytes([S::BIAS; 4]));
    let (mut low, mut high) = (words, words);
    for k in 0..4 {
        low[k] = s.or(s.and(words[k], nibble), bias);
        high[k] = s.or(s.and(s.shr(words[k], 4), nibble), bias);
    }
    (low, high)
}

/// Unpacks d, dmin, eight scales and eight minimums (layout: `quant/scales.rs`).
#[inline(always)]
pub fn header<S: Lanes>(s: S, rows: &Rows<'_>, at: usize, out: &mut impl Sink<S>) {
    let [d, a, b, c] = s.gather(rows, at);
    out.d(s, s.half(d));
    out.m(s, s.half(s.shr(d, 16)));
    // Bytes of a, b, c to bytes: scales 0-3 and 4-7, minimums 0-3 and 4-7.
    let six = s.splat(0x3f3f_3f3f);
    let four = s.splat(0x0f0f_0f0f);
    let upper = s.splat(0x3030_3030);
    let scales = [
        s.and(a, six),
        s.or(s.and(c, four), s.and(s.shr(a, 2), upper)),
    ];
    let mins = [
        s.and(b, six),
        s.or(s.and(s.shr(c, 4), four), s.and(s.shr(b, 2), upper)),
    ];
    let byte = s.splat(0xff);
    let (low, high) = (s.splat(0xff), s.splat(0x00ff_0000));
    for i in 0..2 {
        for j in 0..4 {
            let scale = s.and(s.shr(scales[i], 8 * j as u32), byte);
            out.scale(s, 4 * i + j, scale);
        }
        for j in 0..2 {
            let two = s.shr(mins[i], 16 * j as u32);
            let two = s.or(s.and(two, low), s.and(s.shl(two, 8), high));
            out.mins(s, 2 * i + j, two);
        }
    }
}
