//! Q4_0: d, then nibbles; the low halves are the first 16 weights.

use crate::kernels::cpu::lanes::{Lanes, Rows};

use super::{SimpleFormat, Sink, lines, shifted};

/// The format.
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)] // the format's name
pub struct Q4_0;

impl SimpleFormat for Q4_0 {
    const MIN: bool = false;
    const LINES: usize = lines(8 * 18);

    #[inline(always)]
    fn unpack<S: Lanes>(self, s: S, rows: &Rows<'_>, at: usize, out: &mut impl Sink<S>) {
        let [d, ..] = s.gather(rows, at);
        out.d(s, s.half(d));
        let nibble = s.splat(0x0f0f_0f0f);
        let words = s.gather(rows, at + 2);
        let (mut low, mut high) = (words, words);
        for k in 0..4 {
            low[k] = shifted::<S, 8>(s, s.and(words[k], nibble));
            high[k] = shifted::<S, 8>(s, s.and(s.shr(words[k], 4), nibble));
        }
        out.words(s, 0, low);
        out.words(s, 4, high);
    }
}
