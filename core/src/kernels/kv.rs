//! The keys and values of one layer.

use std::sync::Arc;

use half::f16;

/// Positions in one page of a host cache. Attention walks keys page by page, so this is also the
/// block in which a softmax is rescaled: part of what makes results independent of the batch.
pub const PAGE: usize = 64;

/// Element type of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvType {
    /// Two bytes an element: the default.
    F16,
    /// Four bytes an element: the reference path.
    F32,
}

impl KvType {
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

/// Keys and values of one layer for the positions of one sequence.
///
/// Not `Clone`: a copy of a GPU cache's handle would write into the same buffer.
pub enum KvLayer {
    /// Pages of f16 in host memory.
    F16(HostKv<f16>),
    /// Pages of f32 in host memory.
    F32(HostKv<f32>),
    /// Buffers on a GPU.
    #[cfg(feature = "gpu")]
    Device(super::gpu::DeviceKv),
}

impl KvLayer {
    /// An empty cache in host memory.
    pub fn host(ty: KvType, kv_heads: usize, head_dim: usize) -> Self {
        match ty {
            KvType::F16 => Self::F16(HostKv::new(kv_heads, head_dim)),
            KvType::F32 => Self::F32(HostKv::new(kv_heads, head_dim)),
        }
    }

    /// An independent cache with the same contents; `None` for one on a GPU.
    pub fn fork(&self) -> Option<Self> {
        match self {
            Self::F16(kv) => Some(Self::F16(kv.clone())),
            Self::F32(kv) => Some(Self::F32(kv.clone())),
            #[cfg(feature = "gpu")]
            Self::Device(_) => None,
        }
    }

    /// Forgets the positions from `len` on.
    pub fn truncate(&mut self, len: usize) {
        match self {
            Self::F16(kv) => kv.truncate(len),
            Self::F32(kv) => kv.truncate(len),
            // A GPU cache is a buffer of fixed size in which later positions are overwritten.
            #[cfg(feature = "gpu")]
            Self::Device(_) => {}
        }
    }

    /// Bytes of memory held for this layer (pages shared with a fork are counted in both).
    pub fn bytes(&self) -> usize {
        match self {
            Self::F16(kv) => kv.bytes(),
            Self::F32(kv) => kv.bytes(),
            #[cfg(feature = "gpu")]
            Self::Device(kv) => kv.bytes(),
        }
    }
}

/// One page: `keys[kv_heads][PAGE][head_dim]` and `values` likewise.
#[derive(Clone)]
pub struct Page<T> {
    /// Keys, after RoPE.
    pub keys: Vec<T>,
    /// Values.
    pub values: Vec<T>,
}

/// A host cache: pages shared by reference count, copied when a forked sequence writes to one.
#[derive(Clone)]
pub struct HostKv<T> {
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    pages: Vec<Arc<Page<T>>>,
}

impl<T: Copy + Default> HostKv<T> {
    fn new(kv_heads: usize, head_dim: usize) -> Self {
        Self {
            kv_heads,
            head_dim,
            pages: Vec::new(),
        }
    }

    /// The pages, in order of position.
    pub fn pages(&self) -> &[Arc<Page<T>>] {
        &self.pages
    }

    /// Writes the keys and values (`[kv_heads · head_dim]` each, f32) of one position, which is
    /// at most one past the last page's end.
    pub fn write(
        &mut self,
        position: usize,
        keys: &[f32],
        values: &[f32],
        cast: impl Fn(f32) -> T,
    ) {
        let (page, slot) = (position / PAGE, position % PAGE);
        while self.pages.len() <= page {
            let len = self.kv_heads * PAGE * self.head_dim;
            self.pages.push(Arc::new(Page {
                keys: vec![T::default(); len],
                values: vec![T::default(); len],
            }));
        }
        let page = Arc::make_mut(&mut self.pages[page]);
        for head in 0..self.kv_heads {
            let from = head * self.head_dim..(head + 1) * self.head_dim;
            let to = (head * PAGE + slot) * self.head_dim;
            for (out, x) in page.keys[to..].iter_mut().zip(&keys[from.clone()]) {
                *out = cast(*x);
            }
            for (out, x) in page.values[to..].iter_mut().zip(&values[from]) {
                *out = cast(*x);
            }
        }
    }

    fn truncate(&mut self, len: usize) {
        self.pages.truncate(len.div_ceil(PAGE));
    }

    fn bytes(&self) -> usize {
        self.pages.len() * 2 * self.kv_heads * PAGE * self.head_dim * size_of::<T>()
    }
}
