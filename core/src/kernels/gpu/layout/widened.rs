//! Formats without a layout of their own on the device: 8-bit integers and the scales they had.
//!
//! The format's own [`Ints`](crate::quant::Ints) defines the integers, so nothing is lost and a new
//! format needs no GPU code; it costs up to four times the memory of the file.

use cubecl::prelude::*;

use super::BlockLayout;
use super::words::{Quad, signed_bytes_of};
use crate::quant::{SimpleBlock, SuperBlock};

/// Words of a widened block of 32: d, m, 32 bytes.
pub(super) const SIMPLE_WORDS: usize = 2 + 8;

/// Words of a widened block of 256: d, dmin, 16 pairs of scale and minimum, 256 bytes.
pub(super) const SUPER_WORDS: usize = 2 + 16 + 64;

/// `d · q + m`.
pub(in super::super) struct SimpleLayout;

/// `d · scale · q − dmin · min`.
pub(in super::super) struct SuperLayout;

/// Appends a block in the device's layout.
pub(in super::super) fn widen_simple(block: &SimpleBlock, out: &mut Vec<u8>) {
    out.extend_from_slice(&block.d.to_le_bytes());
    out.extend_from_slice(&block.m.to_le_bytes());
    out.extend_from_slice(bytemuck::cast_slice(&block.q));
}

/// Appends a block in the device's layout.
pub(in super::super) fn widen_super(block: &SuperBlock, out: &mut Vec<u8>) {
    out.extend_from_slice(&block.d.to_le_bytes());
    out.extend_from_slice(&block.dmin.to_le_bytes());
    for (scale, min) in block.scale.iter().zip(&block.min) {
        out.extend_from_slice(&scale.to_le_bytes());
        out.extend_from_slice(&min.to_le_bytes());
    }
    out.extend_from_slice(bytemuck::cast_slice(&block.q));
}

#[cube]
impl BlockLayout for SimpleLayout {
    fn quads(words: &[u32], block: u32, _group: u32) -> Sequence<Quad> {
        let first = (block >> 2) as usize;
        let d = f32::reinterpret(words[first]);
        let m = f32::reinterpret(words[first + 1]);
        let mut quads = Sequence::<Quad>::new();
        #[unroll]
        for i in 0..8usize {
            let q = signed_bytes_of(words[first + 2 + i]);
            quads.push(fma(q, Quad::new(d), Quad::new(m)));
        }
        quads
    }
}

/// The signed integer in the low 16 bits of a word.
#[cube]
fn signed_half(word: u32) -> f32 {
    f32::cast_from((word ^ 0x8000) & 0xffff) - 32768.0f32
}

#[cube]
impl BlockLayout for SuperLayout {
    fn quads(words: &[u32], block: u32, group: u32) -> Sequence<Quad> {
        let first = (block >> 2) as usize;
        let d = f32::reinterpret(words[first]);
        let dmin = f32::reinterpret(words[first + 1]);
        let scales = first + 2 + (group * 2) as usize;
        let from = first + 18 + (group * 8) as usize;
        let mut quads = Sequence::<Quad>::new();
        #[unroll]
        for i in 0..8usize {
            let pair = words[scales + comptime!(i / 4)];
            let scale = d * signed_half(pair);
            let min = dmin * signed_half(pair >> 16);
            let q = signed_bytes_of(words[from + i]);
            quads.push(fma(q, Quad::new(scale), Quad::new(-min)));
        }
        quads
    }
}
