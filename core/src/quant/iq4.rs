//! IQ4_NL and IQ4_XS: 4-bit indices into sixteen fixed levels that lie denser around zero. Read
//! only: no quantizer is offered.

use bytemuck::{Pod, Zeroable};

use super::Format;
use super::block::{
    Simple, SimpleBlock, Super, SuperBlock, f16_to_f32, simple_format, super_format,
};
use crate::gguf::TensorType;

/// The levels that the 4-bit indices stand for.
pub const IQ4_LEVELS: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/// `w = d·level[q]`, 32 weights laid out as in Q4_0: 4.5 bits a weight.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BlockIQ4NL {
    /// The scale, f16.
    pub d: [u8; 2],
    /// The indices, two to a byte.
    pub qs: [u8; 16],
}

const _: () = assert!(size_of::<BlockIQ4NL>() == 18);

/// `w = d·(scale − 32)·level[q]`: 256 weights in groups of 32, each laid out as in Q4_0; 4.25 bits a
/// weight.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BlockIQ4XS {
    /// The scale of the scales, f16.
    pub d: [u8; 2],
    /// The upper two bits of the eight scales: a little-endian word, lowest bits first.
    pub scales_h: [u8; 2],
    /// The low four bits of the eight scales, two to a byte.
    pub scales_l: [u8; 4],
    /// The indices, two to a byte.
    pub qs: [u8; 128],
}

const _: () = assert!(size_of::<BlockIQ4XS>() == 136);

pub(super) const IQ4_NL: Format = simple_format::<BlockIQ4NL>(TensorType::IQ4NL, None);

pub(super) const IQ4_XS: Format = super_format::<BlockIQ4XS>(TensorType::IQ4XS, None);

/// Sixteen bytes to the levels of their 32 indices.
fn look_up(qs: &[u8; 16], out: &mut [i8; 32]) {
    let (low, high) = out.split_at_mut(16);
    for ((low, high), &byte) in low.iter_mut().zip(high).zip(qs) {
        *low = IQ4_LEVELS[usize::from(byte & 15)];
        *high = IQ4_LEVELS[usize::from(byte >> 4)];
    }
}

impl Simple for BlockIQ4NL {
    const HAS_MIN: bool = false;

    fn unpack(&self, out: &mut SimpleBlock) {
        look_up(&self.qs, &mut out.q);
        out.d = f16_to_f32(self.d);
        out.m = 0.0;
    }
}

impl Super for BlockIQ4XS {
    const HAS_MIN: bool = false;

    fn unpack(&self, out: &mut SuperBlock) {
        let (groups, _) = out.q.as_chunks_mut::<32>();
        let (qs, _) = self.qs.as_chunks::<16>();
        let upper = u16::from_le_bytes(self.scales_h);
        for (g, (group, qs)) in groups.iter_mut().zip(qs).enumerate() {
            look_up(qs, group);
            let low = self.scales_l[g / 2] >> (4 * (g % 2)) & 15;
            let scale = i16::from(low) | ((upper >> (2 * g) & 3) << 4) as i16;
            out.scale[2 * g] = scale - 32;
            out.scale[2 * g + 1] = scale - 32;
        }
        out.min = [0; 16];
        out.d = f16_to_f32(self.d);
        out.dmin = 0.0;
    }
}
