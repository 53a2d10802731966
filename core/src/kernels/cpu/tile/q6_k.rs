//! Q6_K: nibbles and pairs of upper bits, the scales after them (layout: `quant/q6_k.rs`).

use crate::kernels::cpu::lanes::{Lanes, Rows};

use super::{Sink, SuperFormat, lines, shifted};

/// The format.
#[derive(Clone, Copy)]
pub struct Q6K;

impl SuperFormat for Q6K {
    const GROUP: usize = 16;
    const MIN: bool = false;
    const LINES: usize = lines(210);

    #[inline(always)]
    fn unpack<S: Lanes>(self, s: S, rows: &Rows<'_>, at: usize, out: &mut impl Sink<S>) {
        // The last 16 bytes end in 14 scales and d; the 16 before d are all scales.
        let [.., last] = s.gather(rows, at + 194);
        out.d(s, s.half(s.shr(last, 16)));
        let scales = s.gather(rows, at + 192);
        for (i, four) in scales.into_iter().enumerate() {
            for j in 0..4 {
                let scale = s.sar(s.shl(four, 24 - 8 * j as u32), 24);
                out.scale(s, 4 * i + j, scale);
            }
        }
        let nibble = s.splat(0x0f0f_0f0f);
        let upper = s.splat(0x3030_3030);
        for half in 0..2 {
            for part in 0..2 {
                let bits = s.gather(rows, at + 128 + 32 * half + 16 * part);
                // Two runs of 32 weights with their low nibbles in these bytes, two in the other's.
                for j in 0..2 {
                    let words = s.gather(rows, at + 64 * half + 32 * j + 16 * part);
                    let (mut low, mut high) = (words, words);
                    for k in 0..4 {
                        let (low_bits, high_bits) = match j {
                            0 => (s.shl(bits[k], 4), bits[k]),
                            _ => (s.shl(bits[k], 2), s.shr(bits[k], 2)),
                        };
                        let w = s.and(words[k], nibble);
                        low[k] = shifted::<S, 32>(s, s.or(w, s.and(low_bits, upper)));
                        let w = s.and(s.shr(words[k], 4), nibble);
                        high[k] = shifted::<S, 32>(s, s.or(w, s.and(high_bits, upper)));
                    }
                    let at = 32 * half + 8 * j + 4 * part;
                    out.words(s, at, low);
                    out.words(s, at + 16, high);
                }
            }
        }
    }
}
