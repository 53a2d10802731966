//! Q2_K: 256 weights of 2 bits in groups of 16, 2.625 bits a weight.
//!
//! Each half of the block (128 weights) has 32 bytes: byte `l` holds weights `l`, `l + 32`,
//! `l + 64` and `l + 96` of the half, lowest bits first.

use bytemuck::{Pod, Zeroable};

use super::Format;
use super::block::{Quantize, SUPER, Super, SuperBlock, f16_to_f32, quantize_rows, super_format};
use super::search::AffineSuper;
use crate::gguf::TensorType;

/// `w = d·scale·q − dmin·min`, q from 0 to 3, scale and min from 0 to 15.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BlockQ2K {
    /// For each group of 16 weights, the scale (low half) and the minimum (high half).
    pub scales: [u8; 16],
    /// The weights, four to a byte.
    pub qs: [u8; 64],
    /// The scale of the scales, f16.
    pub d: [u8; 2],
    /// The scale of the minimums, f16.
    pub dmin: [u8; 2],
}

const _: () = assert!(size_of::<BlockQ2K>() == 84);

pub(super) const FORMAT: Format =
    super_format::<BlockQ2K>(TensorType::Q2K, Some(quantize_rows::<BlockQ2K, SUPER>));

/// Splits 64 bytes into 256 2-bit numbers.
pub(super) fn split_quarters(qs: &[u8; 64], out: &mut [i8; 256]) {
    let (halves, _) = out.as_chunks_mut::<128>();
    let (bytes, _) = qs.as_chunks::<32>();
    for (half, bytes) in halves.iter_mut().zip(bytes) {
        let (rows, _) = half.as_chunks_mut::<32>();
        for (j, row) in rows.iter_mut().enumerate() {
            for (q, &byte) in row.iter_mut().zip(bytes) {
                *q = (byte >> (2 * j) & 3) as i8;
            }
        }
    }
}

/// The inverse of [`split_quarters`], for numbers from 0 to 3 (higher bits are dropped).
pub(super) fn join_quarters(q: &[u8; 256]) -> [u8; 64] {
    std::array::from_fn(|i| {
        let first = i / 32 * 128 + i % 32;
        (0..4).fold(0, |byte, j| byte | (q[first + 32 * j] & 3) << (2 * j))
    })
}

impl Super for BlockQ2K {
    const HAS_MIN: bool = true;

    fn unpack(&self, out: &mut SuperBlock) {
        split_quarters(&self.qs, &mut out.q);
        for (i, &byte) in self.scales.iter().enumerate() {
            out.scale[i] = (byte & 15).into();
            out.min[i] = (byte >> 4).into();
        }
        out.d = f16_to_f32(self.d);
        out.dmin = f16_to_f32(self.dmin);
    }
}

impl Quantize<SUPER> for BlockQ2K {
    fn quantize(x: &[f32; SUPER]) -> Self {
        let found = AffineSuper::<16>::search(x, 3, 15);
        Self {
            scales: std::array::from_fn(|i| found.scale[i] | found.min[i] << 4),
            qs: join_quarters(&found.q),
            d: found.d.to_le_bytes(),
            dmin: found.dmin.to_le_bytes(),
        }
    }
}
