//! Q6_K: 256 weights of 6 bits in groups of 16, 6.5625 bits a weight.
//!
//! In each half of the block (128 weights), the low four bits of weights 0–63 are the low halves of
//! 64 bytes and those of weights 64–127 their high halves; the upper two bits of weights `l`,
//! `l + 32`, `l + 64` and `l + 96` are in byte `l` of 32, lowest bits first.

use bytemuck::{Pod, Zeroable};

use super::Format;
use super::block::{Quantize, SUPER, Super, SuperBlock, f16_to_f32, quantize_rows, super_format};
use super::search::{Span, SymmetricSuper};
use crate::gguf::TensorType;

/// `w = d·scale·(q − 32)`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BlockQ6K {
    /// The low four bits, two weights to a byte.
    pub ql: [u8; 128],
    /// The upper two bits, four weights to a byte.
    pub qh: [u8; 64],
    /// One scale for each 16 weights.
    pub scales: [i8; 16],
    /// The scale of the scales, f16.
    pub d: [u8; 2],
}

const _: () = assert!(size_of::<BlockQ6K>() == 210);

pub(super) const FORMAT: Format =
    super_format::<BlockQ6K>(TensorType::Q6K, Some(quantize_rows::<BlockQ6K, SUPER>));

impl Super for BlockQ6K {
    const HAS_MIN: bool = false;

    fn unpack(&self, out: &mut SuperBlock) {
        let (halves, _) = out.q.as_chunks_mut::<128>();
        let (ql, _) = self.ql.as_chunks::<64>();
        let (qh, _) = self.qh.as_chunks::<32>();
        for (half, (ql, qh)) in halves.iter_mut().zip(ql.iter().zip(qh)) {
            let (rows, _) = half.as_chunks_mut::<32>();
            for (j, row) in rows.iter_mut().enumerate() {
                let low = &ql[32 * (j % 2)..][..32];
                for (q, (&low, &high)) in row.iter_mut().zip(low.iter().zip(qh)) {
                    let low = low >> (4 * (j / 2)) & 15;
                    let high = high >> (2 * j) & 3;
                    *q = (low | high << 4) as i8 - 32;
                }
            }
        }
        out.scale = self.scales.map(i16::from);
        out.min = [0; 16];
        out.d = f16_to_f32(self.d);
        out.dmin = 0.0;
    }
}

impl Quantize<SUPER> for BlockQ6K {
    fn quantize(x: &[f32; SUPER]) -> Self {
        let found = SymmetricSuper::search(x, Span { lo: -32, hi: 31 }, Span { lo: -128, hi: 127 });
        let q = found.q.map(|q| (q + 32) as u8);
        Self {
            ql: std::array::from_fn(|i| {
                let low = i / 64 * 128 + i % 64;
                (q[low] & 15) | q[low + 64] << 4
            }),
            qh: std::array::from_fn(|i| {
                let first = i / 32 * 128 + i % 32;
                (0..4).fold(0, |byte, j| byte | (q[first + 32 * j] >> 4) << (2 * j))
            }),
            scales: found.scale,
            d: found.d.to_le_bytes(),
        }
    }
}
