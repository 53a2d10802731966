//! Formats without an unpacker of their own: each row by its definition, then transposed.

use crate::kernels::cpu::lanes::{LANES, Lanes, Rows};
use crate::quant::{SimpleBlock, SuperBlock};

use super::{SimpleFormat, Sink, SuperFormat, SuperHead, lines};

/// A format of blocks of 256 weights, by its definition and its bytes a block. Scales and minimums
/// come per 16 weights.
#[derive(Clone, Copy)]
pub struct AnySuper(pub fn(&[u8], &mut SuperBlock), pub usize);

impl SuperFormat for AnySuper {
    const GROUP: usize = 16;
    const MIN: bool = true;
    const LINES: usize = lines(144);

    #[inline(always)]
    fn unpack<S: Lanes>(self, s: S, rows: &Rows<'_>, at: usize, out: &mut impl Sink<S>) {
        let Self(unpack, bytes) = self;
        let mut block = SuperBlock::default();
        let mut q = [[0i8; 256]; LANES];
        let mut head = SuperHead::default();
        for i in 0..LANES {
            unpack(&rows.row(i)[at..at + bytes], &mut block);
            q[i] = block.q;
            head.d[i] = block.d;
            head.dmin[i] = block.dmin;
            for g in 0..16 {
                head.scale[g][i] = i32::from(block.scale[g]);
            }
            for g in 0..8 {
                let (low, high) = (block.min[2 * g], block.min[2 * g + 1]);
                head.min[g][i] = i32::from(low) & 0xffff | i32::from(high) << 16;
            }
        }
        out.d(s, s.load_f(&head.d));
        out.m(s, s.load_f(&head.dmin));
        for g in 0..16 {
            out.scale(s, g, s.load(&head.scale[g]));
        }
        for pair in 0..8 {
            out.mins(s, pair, s.load(&head.min[pair]));
        }
        transpose(s, &q, out);
    }
}

/// A format of blocks of 32 weights, by its definition and its bytes a block.
#[derive(Clone, Copy)]
pub struct AnySimple(pub fn(&[u8], &mut SimpleBlock), pub usize);

impl SimpleFormat for AnySimple {
    const MIN: bool = true;
    const LINES: usize = lines(8 * 24);

    #[inline(always)]
    fn unpack<S: Lanes>(self, s: S, rows: &Rows<'_>, at: usize, out: &mut impl Sink<S>) {
        let Self(unpack, bytes) = self;
        let mut block = SimpleBlock::default();
        let mut q = [[0i8; 32]; LANES];
        let (mut d, mut m) = ([0.0; LANES], [0.0; LANES]);
        for i in 0..LANES {
            unpack(&rows.row(i)[at..at + bytes], &mut block);
            q[i] = block.q;
            d[i] = block.d;
            m[i] = block.m;
        }
        out.d(s, s.load_f(&d));
        out.m(s, s.load_f(&m));
        transpose(s, &q, out);
    }
}

/// Rows of signed bytes to words of each row, with the bias.
#[inline(always)]
fn transpose<S: Lanes, T: bytemuck::NoUninit>(s: S, q: &[T; LANES], out: &mut impl Sink<S>) {
    let rows = Rows::from_arrays(q);
    let bias = s.splat(i32::from_ne_bytes([S::BIAS; 4]));
    for i in 0..size_of::<T>() / 16 {
        let mut words = s.gather(&rows, 16 * i);
        for w in &mut words {
            *w = s.xor(*w, bias);
        }
        out.words(s, 4 * i, words);
    }
}
