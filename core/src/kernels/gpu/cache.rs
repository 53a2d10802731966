//! Keys and values of one layer on the device.
//!
//! Elements are halves, two in a word and four in an entry. Keys are stored with positions
//! innermost, `[kv_heads][head_dim / 4][capacity]` entries, because neighbouring units of the
//! attention kernel hold neighbouring positions; values as `[kv_heads][capacity][head_dim / 4]`,
//! because there they hold neighbouring elements.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::layout::{Quad, half_bits};

/// Four halves in two words.
pub(super) type Entry = Vector<u32, Const<2>>;

/// The keys and values of one layer, written in place as positions are appended.
pub struct DeviceKv {
    pub(super) keys: Handle,
    pub(super) values: Handle,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) capacity: usize,
}

impl DeviceKv {
    /// Bytes of memory held on the device.
    pub fn bytes(&self) -> usize {
        2 * 8 * self.entries()
    }

    /// Positions that fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Entries of the keys, and of the values.
    pub(super) fn entries(&self) -> usize {
        self.kv_heads * self.capacity * (self.head_dim / 4)
    }
}

/// Rounds four elements to halves.
#[cube]
pub(super) fn pack(quad: Quad) -> Entry {
    let low = half_bits(quad.extract(0usize)) | (half_bits(quad.extract(1usize)) << 16);
    let high = half_bits(quad.extract(2usize)) | (half_bits(quad.extract(3usize)) << 16);
    let mut entry = Entry::new(low);
    entry.insert(1usize, high);
    entry
}

/// The four elements of an entry.
///
/// The bits of a half, moved to their places in an f32, are its value times 2⁻¹¹². Elements below
/// 2⁻¹⁴ may come out as zero on a GPU that flushes small numbers.
#[cube]
pub(super) fn unpack(entry: Entry) -> Quad {
    let a = entry.extract(0usize);
    let b = entry.extract(1usize);
    let mut bits = Vector::<u32, Const<4>>::new(a << 16);
    bits.insert(1usize, a);
    bits.insert(2usize, b << 16);
    bits.insert(3usize, b);
    let sign = bits & Vector::new(0x8000_0000u32);
    let magnitude = (bits & Vector::new(0x7fff_0000u32)) >> Vector::new(3u32);
    Quad::reinterpret(sign | magnitude) * Quad::new(5.192_297e33_f32)
}
