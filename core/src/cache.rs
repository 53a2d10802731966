//! The KV cache of one sequence: keys and values of every layer, and the tokens they belong to.

use crate::error::{PocketError, Result};
use crate::kernels::{Compute, KvLayer, KvType};

/// Keys and values of the tokens a sequence has been through, in order.
pub struct KvCache {
    layers: Vec<KvLayer>,
    tokens: Vec<u32>,
    capacity: usize,
}

/// What the keys and values of a cache in host memory look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvShape {
    /// Element type.
    pub ty: KvType,
    /// `(kv_heads, head_dim)` of each layer.
    pub layers: Vec<(usize, usize)>,
}

impl KvShape {
    /// Bytes that one position takes, over all layers.
    pub fn position_bytes(&self) -> usize {
        let bytes = |&(kv_heads, head_dim)| self.ty.position_bytes(kv_heads, head_dim);
        self.layers.iter().map(bytes).sum()
    }
}

/// How many tokens two sequences have in common at their beginnings.
pub fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl KvCache {
    /// An empty cache for sequences of up to `capacity` tokens, with a layer for each
    /// `(kv_heads, head_dim)` of `layers`.
    ///
    /// # Errors
    /// [`PocketError::InsufficientMemory`] when a GPU cannot hold it.
    pub fn new(
        compute: &Compute,
        layers: impl Iterator<Item = (usize, usize)>,
        capacity: usize,
    ) -> Result<Self> {
        let layers = layers
            .map(|(kv_heads, head_dim)| compute.kv_layer(kv_heads, head_dim, capacity))
            .collect::<Result<_>>()?;
        Ok(Self {
            layers,
            tokens: Vec::new(),
            capacity,
        })
    }

    /// Tokens whose keys and values are here.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether nothing is here.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Tokens this cache may hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The tokens whose keys and values are here.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.layers.iter().map(KvLayer::bytes).sum()
    }

    /// An independent cache that begins with the same tokens. Pages are shared until one of the
    /// two writes to them.
    ///
    /// # Errors
    /// [`PocketError::DeviceUnavailable`] for a cache on a GPU, which cannot be forked yet.
    pub fn fork(&self) -> Result<Self> {
        let layers: Option<Vec<KvLayer>> = self.layers.iter().map(KvLayer::fork).collect();
        let layers = layers.ok_or_else(|| PocketError::DeviceUnavailable {
            device: "gpu".into(),
            reason: "a cache on the GPU cannot be forked".into(),
        })?;
        Ok(Self {
            layers,
            tokens: self.tokens.clone(),
            capacity: self.capacity,
        })
    }

    /// What the keys and values of this cache look like; `None` for one on a GPU.
    pub fn shape(&self) -> Option<KvShape> {
        let shapes: Option<Vec<_>> = self.layers.iter().map(KvLayer::shape).collect();
        let shapes = shapes?;
        Some(KvShape {
            ty: shapes.first().map(|shape| shape.0)?,
            layers: shapes.into_iter().map(|(_, h, d)| (h, d)).collect(),
        })
    }

    /// Appends the keys and values of the token at `position`, layer by layer, to `out`:
    /// [`KvShape::position_bytes`] bytes. Nothing for a cache on a GPU.
    ///
    /// # Panics
    /// When there is no such token.
    pub fn take(&self, position: usize, out: &mut Vec<u8>) {
        assert!(position < self.len(), "no token at {position}");
        self.layers.iter().for_each(|kv| kv.take(position, out));
    }

    /// Appends the token `id` with the keys and values that [`KvCache::take`] gave for it in a
    /// cache of the same shape.
    ///
    /// # Errors
    /// [`PocketError::ContextExceeded`]; [`PocketError::InvalidArgument`] for another number of
    /// bytes than this cache's shape asks for, or when it is on a GPU.
    pub fn put(&mut self, id: u32, bytes: &[u8]) -> Result<()> {
        self.reserve(1)?;
        let shape = self.shape().filter(|s| s.position_bytes() == bytes.len());
        let Some(shape) = shape else {
            let reason = format!("{} bytes are no position of this cache", bytes.len());
            return Err(PocketError::invalid("keys and values", reason));
        };
        let (position, mut rest) = (self.len(), bytes);
        for (kv, (kv_heads, head_dim)) in self.layers.iter_mut().zip(shape.layers) {
            let part;
            (part, rest) = rest.split_at(shape.ty.position_bytes(kv_heads, head_dim));
            kv.put(position, part);
        }
        self.tokens.push(id);
        Ok(())
    }

    /// Forgets the tokens from `len` on.
    pub fn truncate(&mut self, len: usize) {
        if len < self.tokens.len() {
            self.tokens.truncate(len);
            self.layers.iter_mut().for_each(|kv| kv.truncate(len));
        }
    }

    /// Forgets everything from the first token on that differs from `ids`, and at least the last
    /// of `ids` (whose logits are wanted); returns how many tokens of `ids` remain.
    pub fn keep_prefix(&mut self, ids: &[u32]) -> usize {
        let keep = common_prefix(&self.tokens, ids).min(ids.len().saturating_sub(1));
        self.truncate(keep);
        keep
    }

    /// Checks that `n` more tokens fit.
    ///
    /// # Errors
    /// [`PocketError::ContextExceeded`].
    pub fn reserve(&self, n: usize) -> Result<()> {
        let tokens = self.len() + n;
        if tokens > self.capacity {
            return Err(PocketError::ContextExceeded {
                size: self.capacity,
                tokens,
            });
        }
        Ok(())
    }

    /// Makes room for `n` more tokens, which [`KvCache::reserve`] has checked.
    pub(crate) fn prepare(&mut self, n: usize) {
        let positions = self.len()..self.len() + n;
        let layers = self.layers.iter_mut();
        layers.for_each(|kv| kv.prepare(positions.clone()));
    }

    /// The layers, for a forward pass to append to.
    pub(crate) fn layers_mut(&mut self) -> &mut [KvLayer] {
        &mut self.layers
    }

    /// Notes that the keys and values of `ids` were appended to every layer.
    pub(crate) fn commit(&mut self, ids: &[u32]) {
        self.tokens.extend_from_slice(ids);
    }
}
