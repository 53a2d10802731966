//! Q3_K: 256 weights of 3 bits in groups of 16, 3.4375 bits a weight.
//!
//! The low two bits lie as in Q2_K. Bit `j` of `hmask[l]` is the third bit of weight `32·j + l`.
//! The 16 scales have 6 bits: byte `i` of the first 8 holds the low half of scales `i` and `i + 8`,
//! and bits `2·(i / 4)` of byte `8 + i % 4` the upper two of scale `i`.

use bytemuck::{Pod, Zeroable};

use super::Format;
use super::block::{Quantize, SUPER, Super, SuperBlock, f16_to_f32, quantize_rows, super_format};
use super::q2_k::{join_quarters, split_quarters};
use super::search::{Span, SymmetricSuper};
use crate::gguf::TensorType;

/// `w = d·(scale − 32)·(q − 4)`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BlockQ3K {
    /// The third bits.
    pub hmask: [u8; 32],
    /// The low two bits, four weights to a byte.
    pub qs: [u8; 64],
    /// Sixteen 6-bit scales.
    pub scales: [u8; 12],
    /// The scale of the scales, f16.
    pub d: [u8; 2],
}

const _: () = assert!(size_of::<BlockQ3K>() == 110);

pub(super) const FORMAT: Format =
    super_format::<BlockQ3K>(TensorType::Q3K, Some(quantize_rows::<BlockQ3K, SUPER>));

impl Super for BlockQ3K {
    const HAS_MIN: bool = false;

    fn unpack(&self, out: &mut SuperBlock) {
        split_quarters(&self.qs, &mut out.q);
        let (rows, _) = out.q.as_chunks_mut::<32>();
        for (j, row) in rows.iter_mut().enumerate() {
            for (q, &mask) in row.iter_mut().zip(&self.hmask) {
                // A set bit stands for +4, and 4 is subtracted from all.
                *q += (mask >> j << 2 & 4) as i8 - 4;
            }
        }
        for i in 0..8 {
            let (low, high) = (self.scales[i] & 15, self.scales[i] >> 4);
            let upper = self.scales[8 + i % 4] >> (2 * (i / 4));
            out.scale[i] = i16::from(low | (upper & 3) << 4) - 32;
            out.scale[i + 8] = i16::from(high | (upper >> 4 & 3) << 4) - 32;
        }
        out.min = [0; 16];
        out.d = f16_to_f32(self.d);
        out.dmin = 0.0;
    }
}

impl Quantize<SUPER> for BlockQ3K {
    fn quantize(x: &[f32; SUPER]) -> Self {
        let found = SymmetricSuper::search(x, Span { lo: -4, hi: 3 }, Span { lo: -32, hi: 31 });
        let q = found.q.map(|q| (q + 4) as u8);
        let hmask =
            std::array::from_fn(|l| (0..8).fold(0, |byte, j| byte | (q[32 * j + l] >> 2) << j));
        let mut scales = [0; 12];
        for (i, scale) in found.scale.iter().enumerate() {
            let scale = (scale + 32) as u8;
            scales[i % 8] |= (scale & 15) << (4 * (i / 8));
            scales[8 + i % 4] |= (scale >> 4) << (2 * (i / 4));
        }
        Self {
            hmask,
            qs: join_quarters(&q),
            scales,
            d: found.d.to_le_bytes(),
        }
    }
}
