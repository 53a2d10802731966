//! The keys and values of one layer.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::error::{PocketError, Result};

use super::cpu::activations::step;
use super::cpu::lanes::{LANES, Lanes};

/// Positions in one page of a host cache. Attention walks keys page by page, so this is also the
/// block in which a softmax is rescaled: part of what makes results independent of the batch.
pub const PAGE: usize = 64;

/// Elements that share a scale in a cache of [`KvType::Q8_0`].
const Q8_BLOCK: usize = 32;

/// Element type of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvType {
    /// Two bytes an element: the default.
    #[default]
    F16,
    /// One byte an element and an f16 for each 32 of a head: 17 bits in place of 32 for a key and a
    /// value.
    Q8_0,
    /// Four bytes an element: the reference path.
    F32,
}

/// Every type with its name.
const NAMES: &[(&str, KvType)] = &[
    ("f16", KvType::F16),
    ("q8_0", KvType::Q8_0),
    ("f32", KvType::F32),
];

impl KvType {
    /// Bytes that the keys and values of one position take in a layer.
    pub fn position_bytes(self, kv_heads: usize, head_dim: usize) -> usize {
        let elements = 2 * kv_heads * head_dim;
        match self {
            Self::F16 => elements * size_of::<f16>(),
            Self::F32 => elements * size_of::<f32>(),
            Self::Q8_0 => elements + 2 * kv_heads * head_dim.div_ceil(Q8_BLOCK) * size_of::<f16>(),
        }
    }

    /// Bytes that `positions` positions take in a layer in host memory: whole pages.
    pub fn host_bytes(self, kv_heads: usize, head_dim: usize, positions: usize) -> usize {
        positions.next_multiple_of(PAGE) * self.position_bytes(kv_heads, head_dim)
    }
}

impl fmt::Display for KvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = NAMES.iter().find(|row| row.1 == *self);
        f.write_str(row.map_or("f16", |row| row.0))
    }
}

impl FromStr for KvType {
    type Err = PocketError;

    fn from_str(name: &str) -> Result<Self> {
        let row = NAMES.iter().find(|row| row.0 == name);
        row.map(|row| row.1).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|row| row.0).collect();
            PocketError::invalid("kv", format!("{name} is none of {}", names.join(", ")))
        })
    }
}

/// Keys and values of one layer for the positions of one sequence.
///
/// Not `Clone`: a copy of a GPU cache's handle would write into the same buffer.
pub enum KvLayer {
    /// Pages of f16 in host memory.
    F16(HostKv<HalfPage>),
    /// Pages of 8-bit blocks in host memory.
    Q8_0(HostKv<Q8Page>),
    /// Pages of f32 in host memory.
    F32(HostKv<FloatPage>),
    /// Buffers on a GPU.
    #[cfg(feature = "gpu")]
    Device(super::gpu::DeviceKv),
}

/// The same on each kind of host cache.
macro_rules! host {
    ($layer:expr, $kv:ident => $do:expr, $device:pat => $else:expr) => {
        match $layer {
            KvLayer::F16($kv) => $do,
            KvLayer::Q8_0($kv) => $do,
            KvLayer::F32($kv) => $do,
            #[cfg(feature = "gpu")]
            KvLayer::Device($device) => $else,
        }
    };
}

mod positions;

impl KvLayer {
    /// An empty cache in host memory.
    pub fn host(ty: KvType, kv_heads: usize, head_dim: usize) -> Self {
        match ty {
            KvType::F16 => Self::F16(HostKv::new(kv_heads, head_dim)),
            KvType::Q8_0 => Self::Q8_0(HostKv::new(kv_heads, head_dim)),
            KvType::F32 => Self::F32(HostKv::new(kv_heads, head_dim)),
        }
    }

    /// An independent cache with the same contents; `None` for one on a GPU.
    pub fn fork(&self) -> Option<Self> {
        match self {
            Self::F16(kv) => Some(Self::F16(kv.clone())),
            Self::Q8_0(kv) => Some(Self::Q8_0(kv.clone())),
            Self::F32(kv) => Some(Self::F32(kv.clone())),
            #[cfg(feature = "gpu")]
            Self::Device(_) => None,
        }
    }

    /// Forgets the positions from `len` on.
    pub fn truncate(&mut self, len: usize) {
        // A GPU cache is a buffer of fixed size in which later positions are overwritten.
        host!(self, kv => kv.truncate(len), _ => {});
    }

    /// Makes room for the positions `positions`, the first of which is at most one past the last
    /// page's end. Writing them then allocates nothing.
    ///
    /// Pages live long, and what a pass works on does not. Allocated in turn, layer by layer, they
    /// would leave holes between them that fit nothing: glibc then kept six times as much memory
    /// as was in use.
    pub fn prepare(&mut self, positions: Range<usize>) {
        host!(self, kv => kv.prepare(positions), _ => {});
    }

    /// Bytes of memory held for this layer (pages shared with a fork are counted in both).
    pub fn bytes(&self) -> usize {
        host!(self, kv => kv.bytes(), kv => kv.bytes())
    }
}

/// [`PAGE`] positions of a layer, in some element type. Keys lie dimension by dimension and values
/// position by position, so that both halves of attention run along vectors.
pub trait Page: Clone + Send + Sync {
    /// A page of zeros.
    fn new(kv_heads: usize, head_dim: usize) -> Self;
    /// Writes the keys and values (`[kv_heads · head_dim]` each) of the position `slot`.
    fn write(&mut self, slot: usize, keys: &[f32], values: &[f32]);
    /// The keys of a head, `[head_dim][PAGE]`.
    fn keys<S: Lanes>(&self, s: S, head: usize, out: &mut [f32]);
    /// The values of a head, `[PAGE][head_dim]` in rows of `stride` elements, of which those beyond
    /// `head_dim` are left alone.
    fn values<S: Lanes>(&self, s: S, head: usize, stride: usize, out: &mut [f32]);
    /// Bytes of a page.
    fn bytes(&self) -> usize;
}

/// A host cache: pages shared by reference count, copied when a forked sequence writes to one.
#[derive(Clone)]
pub struct HostKv<P> {
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    pages: Vec<Arc<P>>,
}

impl<P: Page> HostKv<P> {
    fn new(kv_heads: usize, head_dim: usize) -> Self {
        Self {
            kv_heads,
            head_dim,
            pages: Vec::new(),
        }
    }

    /// The pages, in order of position.
    pub fn pages(&self) -> &[Arc<P>] {
        &self.pages
    }

    /// Writes the keys and values (`[kv_heads · head_dim]` each) of one position, which is at most
    /// one past the last page's end.
    pub fn write(&mut self, position: usize, keys: &[f32], values: &[f32]) {
        self.page_mut(position / PAGE)
            .write(position % PAGE, keys, values);
    }

    fn prepare(&mut self, positions: Range<usize>) {
        for index in positions.start / PAGE..positions.end.div_ceil(PAGE) {
            self.page_mut(index);
        }
    }

    /// The page `index`, at most one past the last; a copy of its own when it was shared.
    fn page_mut(&mut self, index: usize) -> &mut P {
        while self.pages.len() <= index {
            self.pages
                .push(Arc::new(P::new(self.kv_heads, self.head_dim)));
        }
        Arc::make_mut(&mut self.pages[index])
    }

    fn truncate(&mut self, len: usize) {
        self.pages.truncate(len.div_ceil(PAGE));
    }

    fn bytes(&self) -> usize {
        self.pages.iter().map(|page| page.bytes()).sum()
    }
}

/// Puts the elements of `row` at `slot` of runs of [`PAGE`].
fn scatter<T: Copy>(row: &[T], slot: usize, keys: &mut [T]) {
    for (run, x) in keys.chunks_exact_mut(PAGE).zip(row) {
        run[slot] = *x;
    }
}

/// Puts `[kv_heads][width]` elements at `slot` of `[kv_heads][PAGE][width]`.
fn insert<T: Copy>(row: &[T], slot: usize, width: usize, values: &mut [T]) {
    for (page, head) in values
        .chunks_exact_mut(PAGE * width)
        .zip(row.chunks_exact(width))
    {
        page[slot * width..][..width].copy_from_slice(head);
    }
}

/// A page of f16.
#[derive(Clone)]
pub struct HalfPage {
    head_dim: usize,
    /// `[kv_heads][head_dim][PAGE]`, after RoPE.
    keys: Vec<f16>,
    /// `[kv_heads][PAGE][head_dim]`.
    values: Vec<f16>,
}

impl Page for HalfPage {
    fn new(kv_heads: usize, head_dim: usize) -> Self {
        let zeros = vec![f16::ZERO; kv_heads * PAGE * head_dim];
        Self {
            head_dim,
            keys: zeros.clone(),
            values: zeros,
        }
    }

    fn write(&mut self, slot: usize, keys: &[f32], values: &[f32]) {
        let mut halves = vec![f16::ZERO; keys.len()];
        halves.convert_from_f32_slice(keys);
        scatter(&halves, slot, &mut self.keys);
        halves.convert_from_f32_slice(values);
        insert(&halves, slot, self.head_dim, &mut self.values);
    }

    #[inline(always)]
    fn keys<S: Lanes>(&self, s: S, head: usize, out: &mut [f32]) {
        let len = PAGE * self.head_dim;
        widen(s, &self.keys[head * len..][..len], out);
    }

    #[inline(always)]
    fn values<S: Lanes>(&self, s: S, head: usize, stride: usize, out: &mut [f32]) {
        let len = PAGE * self.head_dim;
        let values = self.values[head * len..][..len].chunks_exact(self.head_dim);
        for (row, out) in values.zip(out.chunks_exact_mut(stride)) {
            widen(s, row, out);
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&self.keys[..]) + size_of_val(&self.values[..])
    }
}

/// f16 to f32.
#[inline(always)]
fn widen<S: Lanes>(s: S, from: &[f16], to: &mut [f32]) {
    let (from, from_rest) = from.as_chunks::<LANES>();
    let (to, to_rest) = to.as_chunks_mut::<LANES>();
    for (from, to) in from.iter().zip(&mut *to) {
        s.store_f(s.load_half(from), to);
    }
    if !from_rest.is_empty() {
        let mut halves = [f16::ZERO; LANES];
        halves[..from_rest.len()].copy_from_slice(from_rest);
        let mut floats = [0.0; LANES];
        s.store_f(s.load_half(&halves), &mut floats);
        let to = match to.get_mut(from.len()) {
            Some(to) => &mut to[..],
            None => to_rest,
        };
        to[..from_rest.len()].copy_from_slice(&floats[..from_rest.len()]);
    }
}

/// A page of f32.
#[derive(Clone)]
pub struct FloatPage {
    head_dim: usize,
    /// `[kv_heads][head_dim][PAGE]`, after RoPE.
    keys: Vec<f32>,
    /// `[kv_heads][PAGE][head_dim]`.
    values: Vec<f32>,
}

impl FloatPage {
    /// Element `d` of the key of `head` at `slot`.
    pub fn key(&self, head: usize, slot: usize, d: usize) -> f32 {
        self.keys[(head * self.head_dim + d) * PAGE + slot]
    }

    /// The value of `head` at `slot`.
    pub fn value(&self, head: usize, slot: usize) -> &[f32] {
        &self.values[(head * PAGE + slot) * self.head_dim..][..self.head_dim]
    }
}

impl Page for FloatPage {
    fn new(kv_heads: usize, head_dim: usize) -> Self {
        let zeros = vec![0.0; kv_heads * PAGE * head_dim];
        Self {
            head_dim,
            keys: zeros.clone(),
            values: zeros,
        }
    }

    fn write(&mut self, slot: usize, keys: &[f32], values: &[f32]) {
        scatter(keys, slot, &mut self.keys);
        insert(values, slot, self.head_dim, &mut self.values);
    }

    #[inline(always)]
    fn keys<S: Lanes>(&self, _: S, head: usize, out: &mut [f32]) {
        let len = PAGE * self.head_dim;
        out.copy_from_slice(&self.keys[head * len..][..len]);
    }

    #[inline(always)]
    fn values<S: Lanes>(&self, _: S, head: usize, stride: usize, out: &mut [f32]) {
        for (slot, out) in out.chunks_exact_mut(stride).enumerate() {
            out[..self.head_dim].copy_from_slice(self.value(head, slot));
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&self.keys[..]) + size_of_val(&self.values[..])
    }
}

/// A page of signed bytes, with a scale for each 32 elements of a head (fewer at its end).
#[derive(Clone)]
pub struct Q8Page {
    head_dim: usize,
    /// `[kv_heads][head_dim][PAGE]`, after RoPE.
    keys: Vec<i8>,
    /// `[kv_heads][blocks][PAGE]`.
    key_scales: Vec<f16>,
    /// `[kv_heads][PAGE][head_dim]`.
    values: Vec<i8>,
    /// `[kv_heads][PAGE][blocks]`.
    value_scales: Vec<f16>,
}

impl Q8Page {
    fn blocks(&self) -> usize {
        self.head_dim.div_ceil(Q8_BLOCK)
    }

    /// Bytes and scales of `[kv_heads][head_dim]` elements.
    fn quantize(&self, x: &[f32]) -> (Vec<i8>, Vec<f16>) {
        let mut quants = Vec::with_capacity(x.len());
        let mut scales = Vec::new();
        for block in x
            .chunks_exact(self.head_dim)
            .flat_map(|head| head.chunks(Q8_BLOCK))
        {
            let peak = block.iter().fold(0f32, |peak, x| peak.max(x.abs()));
            let (d, inverse) = step(peak);
            scales.push(f16::from_f32(d));
            quants.extend(block.iter().map(|x| (x * inverse).round_ties_even() as i8));
        }
        (quants, scales)
    }
}

impl Page for Q8Page {
    fn new(kv_heads: usize, head_dim: usize) -> Self {
        let quants = vec![0; kv_heads * PAGE * head_dim];
        let scales = vec![f16::ZERO; kv_heads * PAGE * head_dim.div_ceil(Q8_BLOCK)];
        Self {
            head_dim,
            keys: quants.clone(),
            key_scales: scales.clone(),
            values: quants,
            value_scales: scales,
        }
    }

    fn write(&mut self, slot: usize, keys: &[f32], values: &[f32]) {
        let (quants, scales) = self.quantize(keys);
        scatter(&quants, slot, &mut self.keys);
        scatter(&scales, slot, &mut self.key_scales);
        let (quants, scales) = self.quantize(values);
        insert(&quants, slot, self.head_dim, &mut self.values);
        let blocks = self.blocks();
        insert(&scales, slot, blocks, &mut self.value_scales);
    }

    #[inline(always)]
    fn keys<S: Lanes>(&self, s: S, head: usize, out: &mut [f32]) {
        let (len, blocks) = (PAGE * self.head_dim, self.blocks());
        let keys = &self.keys[head * len..][..len];
        let scales = &self.key_scales[head * blocks * PAGE..][..blocks * PAGE];
        let rows = keys.chunks_exact(PAGE).zip(out.chunks_exact_mut(PAGE));
        for (d, (row, out)) in rows.enumerate() {
            let scales = &scales[d / Q8_BLOCK * PAGE..][..PAGE];
            let (row, _) = row.as_chunks::<LANES>();
            let (scales, _) = scales.as_chunks::<LANES>();
            let (out, _) = out.as_chunks_mut::<LANES>();
            for ((q, scale), out) in row.iter().zip(scales).zip(out) {
                let q = s.to_f32(s.load(&q.map(i32::from)));
                s.store_f(s.mul_f(q, s.load_half(scale)), out);
            }
        }
    }

    #[inline(always)]
    fn values<S: Lanes>(&self, s: S, head: usize, stride: usize, out: &mut [f32]) {
        let blocks = self.blocks();
        for (slot, out) in out.chunks_exact_mut(stride).enumerate() {
            let at = head * PAGE + slot;
            let row = &self.values[at * self.head_dim..][..self.head_dim];
            let scales = &self.value_scales[at * blocks..][..blocks];
            let row = row.chunks(Q8_BLOCK).zip(out.chunks_mut(Q8_BLOCK));
            for ((q, out), scale) in row.zip(scales) {
                let scale = scale.to_f32_const();
                let (whole, rest) = q.as_chunks::<LANES>();
                let (out_whole, out_rest) = out.as_chunks_mut::<LANES>();
                let vector = s.splat_f(scale);
                for (q, out) in whole.iter().zip(&mut *out_whole) {
                    let q = s.to_f32(s.load(&q.map(i32::from)));
                    s.store_f(s.mul_f(q, vector), out);
                }
                let out_rest = match out_whole.get_mut(whole.len()) {
                    Some(out) => &mut out[..],
                    None => out_rest,
                };
                for (out, q) in out_rest.iter_mut().zip(rest) {
                    *out = f32::from(*q) * scale;
                }
            }
        }
    }

    fn bytes(&self) -> usize {
        let scales = size_of_val(&self.key_scales[..]) + size_of_val(&self.value_scales[..]);
        self.keys.len() + self.values.len() + scales
    }
}
