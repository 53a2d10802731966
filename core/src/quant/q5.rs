//! Q5_0 and Q5_1: 32 weights of 5 bits.
//!
//! The low four bits lie as in Q4_0; bit `i` of the little-endian word `qh` is the fifth bit of
//! weight `i`.

use bytemuck::{Pod, Zeroable};

use super::Format;
use super::block::{
    Quantize, SIMPLE, Simple, SimpleBlock, f16_to_f32, f32_to_f16, quantize_rows, simple_format,
};
use super::q4::{join_halves, split_halves};
use super::search::{affine_range, inverse, signed_extreme};
use crate::gguf::TensorType;

/// `w = d·(q − 16)`: 5.5 bits a weight.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BlockQ5_0 {
    /// The scale, f16.
    pub d: [u8; 2],
    /// The fifth bits.
    pub qh: [u8; 4],
    /// The low four bits, two weights to a byte.
    pub qs: [u8; 16],
}

const _: () = assert!(size_of::<BlockQ5_0>() == 22);

/// `w = d·q + m`: 6 bits a weight.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BlockQ5_1 {
    /// The scale, f16.
    pub d: [u8; 2],
    /// The minimum, f16.
    pub m: [u8; 2],
    /// The fifth bits.
    pub qh: [u8; 4],
    /// The low four bits, two weights to a byte.
    pub qs: [u8; 16],
}

const _: () = assert!(size_of::<BlockQ5_1>() == 24);

pub(super) const Q5_0: Format =
    simple_format::<BlockQ5_0>(TensorType::Q5_0, Some(quantize_rows::<BlockQ5_0, SIMPLE>));

pub(super) const Q5_1: Format =
    simple_format::<BlockQ5_1>(TensorType::Q5_1, Some(quantize_rows::<BlockQ5_1, SIMPLE>));

fn unpack_bits(qs: &[u8; 16], qh: &[u8; 4]) -> [u8; 32] {
    let low = split_halves(qs);
    std::array::from_fn(|i| {
        // A test of a constant bit rather than a shift by `i`: it becomes a vector compare.
        let bit = qh[i / 8] & (1 << (i % 8));
        low[i] | if bit != 0 { 16 } else { 0 }
    })
}

fn pack_bits(q: &[u8; 32]) -> ([u8; 16], [u8; 4]) {
    let qh = (0..32).fold(0u32, |word, i| word | u32::from(q[i] >> 4 & 1) << i);
    (join_halves(q), qh.to_le_bytes())
}

impl Simple for BlockQ5_0 {
    const HAS_MIN: bool = false;

    fn unpack(&self, out: &mut SimpleBlock) {
        out.q = unpack_bits(&self.qs, &self.qh).map(|q| q as i8 - 16);
        out.d = f16_to_f32(self.d);
        out.m = 0.0;
    }
}

impl Simple for BlockQ5_1 {
    const HAS_MIN: bool = true;

    fn unpack(&self, out: &mut SimpleBlock) {
        out.q = unpack_bits(&self.qs, &self.qh).map(|q| q as i8);
        out.d = f16_to_f32(self.d);
        out.m = f16_to_f32(self.m);
    }
}

impl Quantize<SIMPLE> for BlockQ5_0 {
    /// The weight of largest magnitude becomes −16 exactly, as in ggml's reference.
    fn quantize(x: &[f32; SIMPLE]) -> Self {
        let d = signed_extreme(x) / -16.0;
        let id = inverse(d);
        let q = x.map(|x| ((x * id + 16.5) as u8).min(31));
        let (qs, qh) = pack_bits(&q);
        Self {
            d: f32_to_f16(d),
            qh,
            qs,
        }
    }
}

impl Quantize<SIMPLE> for BlockQ5_1 {
    /// The smallest weight becomes 0 and the largest 31, as in ggml's reference.
    fn quantize(x: &[f32; SIMPLE]) -> Self {
        let (min, max) = affine_range(x);
        let d = (max - min) / 31.0;
        let id = inverse(d);
        let q = x.map(|x| (((x - min) * id + 0.5) as u8).min(31));
        let (qs, qh) = pack_bits(&q);
        Self {
            d: f32_to_f16(d),
            m: f32_to_f16(min),
            qh,
            qs,
        }
    }
}
