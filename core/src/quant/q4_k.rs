//! Q4_K: 256 weights of 4 bits in groups of 32, 4.5 bits a weight.
//!
//! Each 32 bytes hold two groups: the low halves one, the high halves the next.

use bytemuck::{Pod, Zeroable};

use super::block::{Quantize, SUPER, Super, SuperBlock, f16_to_f32, quantize_rows, super_format};
use super::search::AffineSuper;
use super::{Format, scales};
use crate::gguf::TensorType;

/// `w = d·scale·q − dmin·min`, q from 0 to 15, scale and min from 0 to 63.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BlockQ4K {
    /// The scale of the scales, f16.
    pub d: [u8; 2],
    /// The scale of the minimums, f16.
    pub dmin: [u8; 2],
    /// Eight 6-bit scales and eight 6-bit minimums.
    pub scales: [u8; 12],
    /// The weights, two to a byte.
    pub qs: [u8; 128],
}

const _: () = assert!(size_of::<BlockQ4K>() == 144);

pub(super) const FORMAT: Format =
    super_format::<BlockQ4K>(TensorType::Q4K, Some(quantize_rows::<BlockQ4K, SUPER>));

/// Splits 128 bytes into 256 4-bit numbers, 32 low halves before 32 high halves.
pub(super) fn split_halves(qs: &[u8; 128], out: &mut [i8; 256]) {
    let (bytes, _) = qs.as_chunks::<32>();
    let (pairs, _) = out.as_chunks_mut::<64>();
    for (pair, bytes) in pairs.iter_mut().zip(bytes) {
        let (low, high) = pair.split_at_mut(32);
        for ((low, high), &byte) in low.iter_mut().zip(high).zip(bytes) {
            *low = (byte & 15) as i8;
            *high = (byte >> 4) as i8;
        }
    }
}

/// The inverse of [`split_halves`], for numbers from 0 to 15 (higher bits are dropped).
pub(super) fn join_halves(q: &[u8; 256]) -> [u8; 128] {
    std::array::from_fn(|i| {
        let low = i / 32 * 64 + i % 32;
        (q[low] & 15) | q[low + 32] << 4
    })
}

impl Super for BlockQ4K {
    const HAS_MIN: bool = true;

    fn unpack(&self, out: &mut SuperBlock) {
        split_halves(&self.qs, &mut out.q);
        scales::unpack(&self.scales, &mut out.scale, &mut out.min);
        out.d = f16_to_f32(self.d);
        out.dmin = f16_to_f32(self.dmin);
    }
}

impl Quantize<SUPER> for BlockQ4K {
    fn quantize(x: &[f32; SUPER]) -> Self {
        let found = AffineSuper::<8>::search(x, 15, 63);
        Self {
            d: found.d.to_le_bytes(),
            dmin: found.dmin.to_le_bytes(),
            scales: scales::pack(&found.scale, &found.min),
            qs: join_halves(&found.q),
        }
    }
}
