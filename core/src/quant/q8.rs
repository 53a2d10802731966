//! Q8_0: 32 weights of 8 bits, 8.5 bits a weight.

use bytemuck::{Pod, Zeroable};

use super::Format;
use super::block::{
    Quantize, SIMPLE, Simple, SimpleBlock, f16_to_f32, f32_to_f16, quantize_rows, simple_format,
};
use super::search::{inverse, signed_extreme};
use crate::gguf::TensorType;

/// `w = d·q`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BlockQ8_0 {
    /// The scale, f16.
    pub d: [u8; 2],
    /// The weights.
    pub qs: [i8; 32],
}

const _: () = assert!(size_of::<BlockQ8_0>() == 34);

pub(super) const Q8_0: Format =
    simple_format::<BlockQ8_0>(TensorType::Q8_0, Some(quantize_rows::<BlockQ8_0, SIMPLE>));

impl Simple for BlockQ8_0 {
    const HAS_MIN: bool = false;

    fn unpack(&self, out: &mut SimpleBlock) {
        out.q = self.qs;
        out.d = f16_to_f32(self.d);
        out.m = 0.0;
    }
}

impl Quantize<SIMPLE> for BlockQ8_0 {
    /// The weight of largest magnitude becomes ±127; halves round away from zero, as in ggml's
    /// reference.
    fn quantize(x: &[f32; SIMPLE]) -> Self {
        let d = signed_extreme(x).abs() / 127.0;
        let id = inverse(d);
        Self {
            d: f32_to_f16(d),
            qs: x.map(|x| (x * id).round() as i8),
        }
    }
}
