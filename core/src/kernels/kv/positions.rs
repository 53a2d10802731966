//! One position of a host cache as bytes, whatever the pages look like: what a saved session holds.
//!
//! A position is its keys, then its values, both `[kv_heads][head_dim]`, in the cache's element type
//! and little-endian; for 8-bit blocks the scales of the keys and of the values follow, both
//! `[kv_heads][blocks]` f16. So the size of a page is no part of a file.

use bytemuck::Pod;
use half::f16;

use super::{FloatPage, HalfPage, HostKv, KvLayer, KvType, PAGE, Page, Q8Page, insert, scatter};

// Elements are copied as they lie in memory, here as for the blocks of GGUF files.
const _: () = assert!(cfg!(target_endian = "little"));

/// A page whose positions can be taken out and put in as bytes.
pub trait Positions: Page {
    /// Appends the position `slot` to `out`.
    fn take(&self, slot: usize, out: &mut Vec<u8>);
    /// Writes what [`Positions::take`] gave to the position `slot`.
    fn put(&mut self, slot: usize, bytes: &[u8]);
}

/// Appends a position of two planes: keys in runs of [`PAGE`], values in rows of `width`.
fn take_planes<T: Pod>(keys: &[T], values: &[T], width: usize, slot: usize, out: &mut Vec<u8>) {
    for run in keys.chunks_exact(PAGE) {
        out.extend_from_slice(bytemuck::bytes_of(&run[slot]));
    }
    for head in values.chunks_exact(PAGE * width) {
        out.extend_from_slice(bytemuck::cast_slice(&head[slot * width..][..width]));
    }
}

/// The counterpart of [`take_planes`]; returns what `bytes` has beyond.
fn put_planes<'b, T: Pod>(
    keys: &mut [T],
    values: &mut [T],
    width: usize,
    slot: usize,
    bytes: &'b [u8],
) -> &'b [u8] {
    let (k, rest) = bytes.split_at(keys.len() / PAGE * size_of::<T>());
    let (v, rest) = rest.split_at(values.len() / PAGE * size_of::<T>());
    let elements = |bytes: &[u8]| -> Vec<T> { bytemuck::pod_collect_to_vec(bytes) };
    scatter(&elements(k), slot, keys);
    insert(&elements(v), slot, width, values);
    rest
}

impl Positions for HalfPage {
    fn take(&self, slot: usize, out: &mut Vec<u8>) {
        take_planes(&self.keys, &self.values, self.head_dim, slot, out);
    }

    fn put(&mut self, slot: usize, bytes: &[u8]) {
        let width = self.head_dim;
        put_planes::<f16>(&mut self.keys, &mut self.values, width, slot, bytes);
    }
}

impl Positions for FloatPage {
    fn take(&self, slot: usize, out: &mut Vec<u8>) {
        take_planes(&self.keys, &self.values, self.head_dim, slot, out);
    }

    fn put(&mut self, slot: usize, bytes: &[u8]) {
        let width = self.head_dim;
        put_planes::<f32>(&mut self.keys, &mut self.values, width, slot, bytes);
    }
}

impl Positions for Q8Page {
    fn take(&self, slot: usize, out: &mut Vec<u8>) {
        take_planes(&self.keys, &self.values, self.head_dim, slot, out);
        let blocks = self.blocks();
        take_planes(&self.key_scales, &self.value_scales, blocks, slot, out);
    }

    fn put(&mut self, slot: usize, bytes: &[u8]) {
        let (width, blocks) = (self.head_dim, self.blocks());
        let rest = put_planes::<i8>(&mut self.keys, &mut self.values, width, slot, bytes);
        let (keys, values) = (&mut self.key_scales, &mut self.value_scales);
        put_planes::<f16>(keys, values, blocks, slot, rest);
    }
}

impl<P: Positions> HostKv<P> {
    fn take(&self, position: usize, out: &mut Vec<u8>) {
        self.pages[position / PAGE].take(position % PAGE, out);
    }

    fn put(&mut self, position: usize, bytes: &[u8]) {
        let page = self.page_mut(position / PAGE);
        page.put(position % PAGE, bytes);
    }
}

impl KvLayer {
    /// Element type, key and value heads, and elements of a head; `None` for a cache on a GPU.
    pub fn shape(&self) -> Option<(KvType, usize, usize)> {
        match self {
            Self::F16(kv) => Some((KvType::F16, kv.kv_heads, kv.head_dim)),
            Self::Q8_0(kv) => Some((KvType::Q8_0, kv.kv_heads, kv.head_dim)),
            Self::F32(kv) => Some((KvType::F32, kv.kv_heads, kv.head_dim)),
            #[cfg(feature = "gpu")]
            Self::Device(_) => None,
        }
    }

    /// Appends the keys and values of a position that is there to `out`; nothing for a cache on a
    /// GPU.
    pub fn take(&self, position: usize, out: &mut Vec<u8>) {
        host!(self, kv => kv.take(position, out), _ => {});
    }

    /// Writes what [`KvLayer::take`] gave to `position`, at most one past the last page's end.
    ///
    /// # Panics
    /// When `bytes` is not as long as [`KvType::position_bytes`] says.
    pub fn put(&mut self, position: usize, bytes: &[u8]) {
        host!(self, kv => kv.put(position, bytes), _ => {});
    }
}
