//! Q4_0 and Q4_1: 32 weights of 4 bits.
//!
//! Byte `i` holds weight `i` in its low and weight `i + 16` in its high half.

use bytemuck::{Pod, Zeroable};

use super::Format;
use super::block::{
    Quantize, SIMPLE, Simple, SimpleBlock, f16_to_f32, f32_to_f16, quantize_rows, simple_format,
};
use super::search::{affine_range, inverse, signed_extreme};
use crate::gguf::TensorType;

/// `w = d·(q − 8)`: 4.5 bits a weight.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BlockQ4_0 {
    /// The scale, f16.
    pub d: [u8; 2],
    /// The weights, two to a byte.
    pub qs: [u8; 16],
}

const _: () = assert!(size_of::<BlockQ4_0>() == 18);

/// `w = d·q + m`: 5 bits a weight.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BlockQ4_1 {
    /// The scale, f16.
    pub d: [u8; 2],
    /// The minimum, f16.
    pub m: [u8; 2],
    /// The weights, two to a byte.
    pub qs: [u8; 16],
}

const _: () = assert!(size_of::<BlockQ4_1>() == 20);

pub(super) const Q4_0: Format =
    simple_format::<BlockQ4_0>(TensorType::Q4_0, Some(quantize_rows::<BlockQ4_0, SIMPLE>));

pub(super) const Q4_1: Format =
    simple_format::<BlockQ4_1>(TensorType::Q4_1, Some(quantize_rows::<BlockQ4_1, SIMPLE>));

/// Splits 16 bytes into 32 4-bit numbers, the low halves first.
pub(super) fn split_halves(qs: &[u8; 16]) -> [u8; 32] {
    std::array::from_fn(|i| if i < 16 { qs[i] & 15 } else { qs[i - 16] >> 4 })
}

/// The inverse of [`split_halves`], for numbers from 0 to 15 (higher bits are dropped).
pub(super) fn join_halves(q: &[u8; 32]) -> [u8; 16] {
    std::array::from_fn(|i| (q[i] & 15) | (q[i + 16] << 4))
}

impl Simple for BlockQ4_0 {
    const HAS_MIN: bool = false;

    fn unpack(&self, out: &mut SimpleBlock) {
        out.q = split_halves(&self.qs).map(|q| q as i8 - 8);
        out.d = f16_to_f32(self.d);
        out.m = 0.0;
    }
}

impl Simple for BlockQ4_1 {
    const HAS_MIN: bool = true;

    fn unpack(&self, out: &mut SimpleBlock) {
        out.q = split_halves(&self.qs).map(|q| q as i8);
        out.d = f16_to_f32(self.d);
        out.m = f16_to_f32(self.m);
    }
}

impl Quantize<SIMPLE> for BlockQ4_0 {
    /// The weight of largest magnitude becomes −8 exactly, as in ggml's reference.
    fn quantize(x: &[f32; SIMPLE]) -> Self {
        let d = signed_extreme(x) / -8.0;
        let id = inverse(d);
        let q = x.map(|x| ((x * id + 8.5) as u8).min(15));
        Self {
            d: f32_to_f16(d),
            qs: join_halves(&q),
        }
    }
}

impl Quantize<SIMPLE> for BlockQ4_1 {
    /// The smallest weight becomes 0 and the largest 15, as in ggml's reference.
    fn quantize(x: &[f32; SIMPLE]) -> Self {
        let (min, max) = affine_range(x);
        let d = (max - min) / 15.0;
        let id = inverse(d);
        let q = x.map(|x| (((x - min) * id + 0.5) as u8).min(15));
        Self {
            d: f32_to_f16(d),
            m: f32_to_f16(min),
            qs: join_halves(&q),
        }
    }
}
