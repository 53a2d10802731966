//! The KV cache of one sequence: keys and values of every layer, and the tokens they belong to.

use crate::error::{PocketError, Result};
use crate::kernels::{Compute, KvLayer};

/// Keys and values of the tokens a sequence has been through, in order.
pub struct KvCache {
    layers: Vec<KvLayer>,
    tokens: Vec<u32>,
    capacity: usize,
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
        let same = self.tokens.iter().zip(ids).take_while(|(a, b)| a == b);
        let keep = same.count().min(ids.len().saturating_sub(1));
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

    /// The layers, for a forward pass to append to.
    pub(crate) fn layers_mut(&mut self) -> &mut [KvLayer] {
        &mut self.layers
    }

    /// Notes that the keys and values of `ids` were appended to every layer.
    pub(crate) fn commit(&mut self, ids: &[u32]) {
        self.tokens.extend_from_slice(ids);
    }
}
