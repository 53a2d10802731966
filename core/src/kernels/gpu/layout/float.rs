//! Plain numbers: 32 of them are a group, and a group is a block.

use cubecl::prelude::*;

use super::BlockLayout;
use super::words::{Quad, half_value, quad};

/// 32 f32.
pub(in super::super) struct F32Layout;

/// 32 IEEE 754 halves.
pub(in super::super) struct F16Layout;

/// 32 upper halves of f32.
pub(in super::super) struct Bf16Layout;

#[cube]
impl BlockLayout for F32Layout {
    fn quads(words: &[u32], block: u32, _group: u32) -> Sequence<Quad> {
        let first = (block >> 2) as usize;
        let mut quads = Sequence::<Quad>::new();
        #[unroll]
        for i in 0..8usize {
            quads.push(quad(
                f32::reinterpret(words[first + 4 * i]),
                f32::reinterpret(words[first + 4 * i + 1]),
                f32::reinterpret(words[first + 4 * i + 2]),
                f32::reinterpret(words[first + 4 * i + 3]),
            ));
        }
        quads
    }
}

#[cube]
impl BlockLayout for F16Layout {
    fn quads(words: &[u32], block: u32, _group: u32) -> Sequence<Quad> {
        let first = (block >> 2) as usize;
        let mut quads = Sequence::<Quad>::new();
        #[unroll]
        for i in 0..8usize {
            let a = words[first + 2 * i];
            let b = words[first + 2 * i + 1];
            quads.push(quad(
                half_value(a & 0xffff),
                half_value(a >> 16),
                half_value(b & 0xffff),
                half_value(b >> 16),
            ));
        }
        quads
    }
}

#[cube]
impl BlockLayout for Bf16Layout {
    fn quads(words: &[u32], block: u32, _group: u32) -> Sequence<Quad> {
        let first = (block >> 2) as usize;
        let mut quads = Sequence::<Quad>::new();
        #[unroll]
        for i in 0..8usize {
            let a = words[first + 2 * i];
            let b = words[first + 2 * i + 1];
            quads.push(quad(
                f32::reinterpret(a << 16),
                f32::reinterpret(a & 0xffff_0000),
                f32::reinterpret(b << 16),
                f32::reinterpret(b & 0xffff_0000),
            ));
        }
        quads
    }
}
