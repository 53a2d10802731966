//! Q5_0: d, a word of fifth bits, then nibbles as in Q4_0.

use crate::kernels::cpu::lanes::{Lanes, Rows};

use super::{SimpleFormat, Sink, lines, shifted};

/// The format.
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)] // the format's name
pub struct Q5_0;

impl SimpleFormat for Q5_0 {
    const MIN: bool = false;
    const LINES: usize = lines(8 * 22);

    #[inline(always)]
    fn unpack<S: Lanes>(self, s: S, rows: &Rows<'_>, at: usize, out: &mut impl Sink<S>) {
        let [first, second, ..] = s.gather(rows, at);
        out.d(s, s.half(first));
        // Bit i is the fifth bit of weight i.
        let bits = s.or(s.shr(first, 16), s.shl(second, 16));
        let nibble = s.splat(0x0f0f_0f0f);
        let words = s.gather(rows, at + 6);
        let (mut low, mut high) = (words, words);
        for k in 0..4 {
            let at = 4 * k as u32;
            let w = s.or(s.and(words[k], nibble), fifth(s, bits, at));
            low[k] = shifted::<S, 16>(s, w);
            let w = s.or(s.and(s.shr(words[k], 4), nibble), fifth(s, bits, 16 + at));
            high[k] = shifted::<S, 16>(s, w);
        }
        out.words(s, 0, low);
        out.words(s, 4, high);
    }
}

/// Bits `from..from + 4`, each moved to bit 4 of a byte of its own.
#[inline(always)]
fn fifth<S: Lanes>(s: S, bits: S::I, from: u32) -> S::I {
    let four = s.and(s.shr(bits, from), s.splat(0xf));
    // Four copies, seven bits apart: bit i of copy i lands on bit 4 of byte i, and none overlap.
    let spread = s.mul(four, s.splat(0x0204_0810));
    s.and(spread, s.splat(0x1010_1010))
}
