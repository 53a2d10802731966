//! Q8_0: d, then bytes.

use crate::kernels::cpu::lanes::{Lanes, Rows};

use super::{SimpleFormat, Sink, lines};

/// The format.
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)] // the format's name
pub struct Q8_0;

impl SimpleFormat for Q8_0 {
    const MIN: bool = false;
    const LINES: usize = lines(8 * 34);

    #[inline(always)]
    fn unpack<S: Lanes>(self, s: S, rows: &Rows<'_>, at: usize, out: &mut impl Sink<S>) {
        let [d, ..] = s.gather(rows, at);
        out.d(s, s.half(d));
        let bias = s.splat(i32::from_ne_bytes([S::BIAS; 4]));
        for half in 0..2 {
            let mut words = s.gather(rows, at + 2 + 16 * half);
            for w in &mut words {
                *w = s.xor(*w, bias);
            }
            out.words(s, 4 * half, words);
        }
    }
}
