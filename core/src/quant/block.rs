//! What block formats have in common: rows are blocks, and a block unpacks to integers.
//!
//! A format defines its layout once, in `unpack`; dequantization multiplies the integers out in the
//! order ggml does (`d·scale` first, then `·q`, then the minimum), so that the result is the same
//! to the last bit.

use bytemuck::Pod;
use half::f16;

use super::{Format, Ints, QuantizeRows};
use crate::gguf::TensorType;

/// Weights in a simple block.
pub(super) const SIMPLE: usize = 32;

/// Weights in a super-block.
pub(super) const SUPER: usize = 256;

/// The integers of a block of 32: `w[i] = d·q[i] + m`.
#[repr(C, align(64))]
#[derive(Clone, Debug, PartialEq)]
pub struct SimpleBlock {
    /// The integers, in the order of the weights.
    pub q: [i8; 32],
    /// The scale.
    pub d: f32,
    /// What is added to every weight; 0 for symmetric formats.
    pub m: f32,
}

/// The integers of a block of 256: `w[i] = d·scale[i/16]·q[i] − dmin·min[i/16]`.
///
/// Formats with groups of 32 repeat each scale and minimum in two entries.
#[repr(C, align(64))]
#[derive(Clone, Debug, PartialEq)]
pub struct SuperBlock {
    /// The integers, in the order of the weights.
    pub q: [i8; 256],
    /// One scale for each 16 integers.
    pub scale: [i16; 16],
    /// One minimum for each 16 integers, 0 for symmetric formats.
    pub min: [i16; 16],
    /// The scale of the scales.
    pub d: f32,
    /// The scale of the minimums; 0 for symmetric formats.
    pub dmin: f32,
}

impl Default for SimpleBlock {
    fn default() -> Self {
        Self {
            q: [0; 32],
            d: 0.0,
            m: 0.0,
        }
    }
}

impl Default for SuperBlock {
    fn default() -> Self {
        Self {
            q: [0; 256],
            scale: [0; 16],
            min: [0; 16],
            d: 0.0,
            dmin: 0.0,
        }
    }
}

/// A format with blocks of 32. The struct is made of bytes, so that it may lie at any address.
pub(super) trait Simple: Pod {
    /// Whether `m` is ever other than 0.
    const HAS_MIN: bool;
    /// Writes every field of `out`.
    fn unpack(&self, out: &mut SimpleBlock);
}

/// A format with blocks of 256. The struct is made of bytes, so that it may lie at any address.
pub(super) trait Super: Pod {
    /// Whether `min` is ever other than 0.
    const HAS_MIN: bool;
    /// Writes every field of `out`.
    fn unpack(&self, out: &mut SuperBlock);
}

/// A format that can be written: `N` weights to a block.
pub(super) trait Quantize<const N: usize>: Pod {
    /// The block that comes close to `x`.
    fn quantize(x: &[f32; N]) -> Self;
}

/// The table row of a simple format.
pub(super) const fn simple_format<B: Simple>(
    ty: TensorType,
    quantize: Option<QuantizeRows>,
) -> Format {
    assert!(ty.block_len() == SIMPLE && ty.block_bytes() == size_of::<B>());
    assert!(align_of::<B>() == 1);
    Format {
        ty,
        name: ty.name(),
        block_len: SIMPLE,
        block_bytes: size_of::<B>(),
        dequantize: dequantize_simple::<B>,
        quantize,
        ints: Ints::Simple(unpack_simple::<B>),
    }
}

/// The table row of a super-block format.
pub(super) const fn super_format<B: Super>(
    ty: TensorType,
    quantize: Option<QuantizeRows>,
) -> Format {
    assert!(ty.block_len() == SUPER && ty.block_bytes() == size_of::<B>());
    assert!(align_of::<B>() == 1);
    Format {
        ty,
        name: ty.name(),
        block_len: SUPER,
        block_bytes: size_of::<B>(),
        dequantize: dequantize_super::<B>,
        quantize,
        ints: Ints::Super(unpack_super::<B>),
    }
}

fn unpack_simple<B: Simple>(block: &[u8], out: &mut SimpleBlock) {
    bytemuck::from_bytes::<B>(block).unpack(out);
}

fn unpack_super<B: Super>(block: &[u8], out: &mut SuperBlock) {
    bytemuck::from_bytes::<B>(block).unpack(out);
}

fn dequantize_simple<B: Simple>(blocks: &[u8], out: &mut [f32]) {
    let (weights, rest) = out.as_chunks_mut::<SIMPLE>();
    assert!(rest.is_empty(), "a row must be whole blocks");
    let blocks: &[B] = bytemuck::cast_slice(blocks);
    assert_eq!(
        blocks.len(),
        weights.len(),
        "as many weights as blocks hold"
    );
    let mut ints = SimpleBlock::default();
    for (block, weights) in blocks.iter().zip(weights) {
        block.unpack(&mut ints);
        for (w, &q) in weights.iter_mut().zip(&ints.q) {
            // Adding a zero minimum would turn -0 into 0, which ggml does not.
            let scaled = ints.d * f32::from(q);
            *w = if B::HAS_MIN { scaled + ints.m } else { scaled };
        }
    }
}

fn dequantize_super<B: Super>(blocks: &[u8], out: &mut [f32]) {
    let (weights, rest) = out.as_chunks_mut::<SUPER>();
    assert!(rest.is_empty(), "a row must be whole blocks");
    let blocks: &[B] = bytemuck::cast_slice(blocks);
    assert_eq!(
        blocks.len(),
        weights.len(),
        "as many weights as blocks hold"
    );
    let mut ints = SuperBlock::default();
    for (block, weights) in blocks.iter().zip(weights) {
        block.unpack(&mut ints);
        let (weights, _) = weights.as_chunks_mut::<16>();
        let (q, _) = ints.q.as_chunks::<16>();
        for ((weights, q), (&scale, &min)) in weights
            .iter_mut()
            .zip(q)
            .zip(ints.scale.iter().zip(&ints.min))
        {
            let scale = ints.d * f32::from(scale);
            let min = ints.dmin * f32::from(min);
            for (w, &q) in weights.iter_mut().zip(q) {
                let scaled = scale * f32::from(q);
                *w = if B::HAS_MIN { scaled - min } else { scaled };
            }
        }
    }
}

/// The `quantize` entry of a table row.
pub(super) fn quantize_rows<B: Quantize<N>, const N: usize>(x: &[f32], out: &mut [u8]) {
    let (x, rest) = x.as_chunks::<N>();
    assert!(rest.is_empty(), "a row must be whole blocks");
    let blocks: &mut [B] = bytemuck::cast_slice_mut(out);
    assert_eq!(blocks.len(), x.len(), "as many blocks as weights fill");
    for (block, x) in blocks.iter_mut().zip(x) {
        *block = B::quantize(x);
    }
}

/// A little-endian f16 (subnormals included) as f32. In software: for a single number that is
/// cheaper than `to_f32`, which looks for the instruction at each call.
pub(super) fn f16_to_f32(bytes: [u8; 2]) -> f32 {
    f16::from_le_bytes(bytes).to_f32_const()
}

/// Rounds to f16, to nearest even; beyond the f16 range it gives infinity.
pub(super) fn f32_to_f16(value: f32) -> [u8; 2] {
    f16::from_f32(value).to_le_bytes()
}
