//! Q5_K: Q4_K with a fifth bit of each weight; bit `g` of 32 bytes belongs to group `g`.

use crate::kernels::cpu::lanes::{Lanes, Rows};

use super::{Sink, SuperFormat, lines, q4_k};

/// The format.
#[derive(Clone, Copy)]
pub struct Q5K;

impl SuperFormat for Q5K {
    const GROUP: usize = 32;
    const MIN: bool = true;
    const LINES: usize = lines(176);

    #[inline(always)]
    fn unpack<S: Lanes>(self, s: S, rows: &Rows<'_>, at: usize, out: &mut impl Sink<S>) {
        q4_k::header(s, rows, at, out);
        let mut bits = [s.gather(rows, at + 16), s.gather(rows, at + 32)];
        for pair in 0..4 {
            let words = at + 48 + 32 * pair;
            let (low, high) = q4_k::halves(s, s.gather(rows, words));
            let (low2, high2) = q4_k::halves(s, s.gather(rows, words + 16));
            out.words(s, 16 * pair, with_fifth::<S, 4>(s, low, bits[0]));
            out.words(s, 16 * pair + 4, with_fifth::<S, 4>(s, low2, bits[1]));
            out.words(s, 16 * pair + 8, with_fifth::<S, 3>(s, high, bits[0]));
            out.words(s, 16 * pair + 12, with_fifth::<S, 3>(s, high2, bits[1]));
            // The next pair's bits come down to where these were.
            for part in &mut bits {
                for bits in part {
                    *bits = s.shr(*bits, 2);
                }
            }
        }
    }
}

/// Weights with what is `LEFT` below the fifth bit of each byte.
#[inline(always)]
fn with_fifth<S: Lanes, const LEFT: u32>(s: S, w: [S::I; 4], bits: [S::I; 4]) -> [S::I; 4] {
    let fifth = s.splat(0x1010_1010);
    let mut out = w;
    for k in 0..4 {
        out[k] = s.or(w[k], s.and(s.shl(bits[k], LEFT), fifth));
    }
    out
}
