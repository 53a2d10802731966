//! Q5_K: 256 weights of 5 bits in groups of 32, 5.5 bits a weight.
//!
//! Scales and the low four bits lie as in Q4_K. Bit `j` of `qh[l]` is the fifth bit of weight
//! `32·j + l`.

use bytemuck::{Pod, Zeroable};

use super::block::{Quantize, SUPER, Super, SuperBlock, f16_to_f32, quantize_rows, super_format};
use super::q4_k::{join_halves, split_halves};
use super::search::AffineSuper;
use super::{Format, scales};
use crate::gguf::TensorType;

/// `w = d·scale·q − dmin·min`, q from 0 to 31, scale and min from 0 to 63.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BlockQ5K {
    /// The scale of the scales, f16.
    pub d: [u8; 2],
    /// The scale of the minimums, f16.
    pub dmin: [u8; 2],
    /// Eight 6-bit scales and eight 6-bit minimums.
    pub scales: [u8; 12],
    /// The fifth bits.
    pub qh: [u8; 32],
    /// The low four bits, two weights to a byte.
    pub qs: [u8; 128],
}

const _: () = assert!(size_of::<BlockQ5K>() == 176);

pub(super) const FORMAT: Format =
    super_format::<BlockQ5K>(TensorType::Q5K, Some(quantize_rows::<BlockQ5K, SUPER>));

impl Super for BlockQ5K {
    const HAS_MIN: bool = true;

    fn unpack(&self, out: &mut SuperBlock) {
        split_halves(&self.qs, &mut out.q);
        let (rows, _) = out.q.as_chunks_mut::<32>();
        for (j, row) in rows.iter_mut().enumerate() {
            for (q, &bits) in row.iter_mut().zip(&self.qh) {
                *q |= (bits >> j << 4 & 16) as i8;
            }
        }
        scales::unpack(&self.scales, &mut out.scale, &mut out.min);
        out.d = f16_to_f32(self.d);
        out.dmin = f16_to_f32(self.dmin);
    }
}

impl Quantize<SUPER> for BlockQ5K {
    fn quantize(x: &[f32; SUPER]) -> Self {
        let found = AffineSuper::<8>::search(x, 31, 63);
        let q = &found.q;
        Self {
            d: found.d.to_le_bytes(),
            dmin: found.dmin.to_le_bytes(),
            scales: scales::pack(&found.scale, &found.min),
            qh: std::array::from_fn(|l| (0..8).fold(0, |byte, j| byte | (q[32 * j + l] >> 4) << j)),
            qs: join_halves(q),
        }
    }
}
