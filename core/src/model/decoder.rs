//! The decoder-only transformer that every page fills in (arXiv 1706.03762, pre-norm).

use burn::tensor::Tensor;

use crate::cache::KvCache;
use crate::error::{PocketError, Result};
use crate::kernels::{Attention, Compute, Head, Matrix, Mlp, RopeSpec};

/// One layer: attention, then a gated feed-forward network, each added to the residual stream.
pub struct Layer {
    /// Attention with its norms.
    pub attention: Attention,
    /// Feed-forward network with its norms.
    pub mlp: Mlp,
}

impl Layer {
    /// Its weights, without norms and biases.
    pub fn matrices(&self) -> [&Matrix; 7] {
        let (a, m) = (&self.attention, &self.mlp);
        let [q, k, v, output, down] =
            [&a.q, &a.k, &a.v, &a.output, &m.down].map(|linear| &linear.weight);
        [q, k, v, output, &m.gate, &m.up, down]
    }
}

/// How a pass ended.
pub enum Pass {
    /// With the logits of the rows asked for: `[outputs, vocab]`.
    Logits(Box<Tensor<2>>),
    /// With keys and values only: no logits were asked for.
    Cached,
    /// Before its end.
    Stopped,
}

/// A whole model, ready to run.
pub struct Decoder {
    /// `[vocab, dim]`.
    pub embedding: Matrix,
    /// Factor of every embedding (Gemma: `sqrt(dim)`).
    pub embedding_scale: f32,
    /// In order.
    pub layers: Vec<Layer>,
    /// Norm and output projection.
    pub head: Head,
    /// The RoPE variants that layers refer to by index.
    pub ropes: Vec<RopeSpec>,
    /// Positions the model may use.
    pub context: usize,
    /// Positions the file says the model was made for.
    pub trained_context: usize,
}

impl Decoder {
    /// Elements of a hidden state.
    pub fn dim(&self) -> usize {
        self.embedding.cols
    }

    /// Rows of the embedding table, and logits of a position.
    pub fn vocab(&self) -> usize {
        self.head.output.weight.rows
    }

    /// An empty cache for one sequence of up to [`Decoder::context`] tokens.
    ///
    /// # Errors
    /// [`PocketError::InsufficientMemory`] when a GPU cannot hold it.
    pub fn new_cache(&self, compute: &Compute) -> Result<KvCache> {
        let shapes = self.layers.iter().map(|layer| {
            let a = &layer.attention;
            (a.kv_heads, a.head_dim)
        });
        KvCache::new(compute, shapes, self.context)
    }

    /// Bytes of cache that one position takes, over all layers, with elements of `bytes` bytes.
    pub fn kv_bytes_per_position(&self, bytes: usize) -> usize {
        let elements = |a: &Attention| 2 * a.kv_heads * a.head_dim;
        self.layers
            .iter()
            .map(|layer| elements(&layer.attention) * bytes)
            .sum()
    }

    /// Bytes of weights that one decoded token reads (all but the unused embedding rows).
    pub fn bytes_per_token(&self) -> u64 {
        let layers = self.layers.iter().flat_map(Layer::matrices);
        layers.map(Matrix::bytes).sum::<u64>() + self.head.output.weight.bytes()
    }

    /// Runs `ids` through the model after what `cache` holds, appends their keys and values to
    /// it, and returns the logits of the last `outputs` of them: `[outputs, vocab]`. With no
    /// outputs the head is skipped and `None` returned.
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`] for an id outside the vocabulary, and
    /// [`PocketError::ContextExceeded`]; the cache then is as it was.
    pub fn forward(
        &self,
        compute: &Compute,
        ids: &[u32],
        cache: &mut KvCache,
        outputs: usize,
    ) -> Result<Option<Tensor<2>>> {
        match self.forward_while(compute, ids, cache, outputs, &|| true)? {
            Pass::Logits(logits) => Ok(Some(*logits)),
            Pass::Cached | Pass::Stopped => Ok(None),
        }
    }

    /// [`Decoder::forward`], as long as `go_on` says so before each layer. A pass that is stopped
    /// leaves the tokens of `cache` as they were.
    ///
    /// # Errors
    /// As [`Decoder::forward`].
    pub fn forward_while(
        &self,
        compute: &Compute,
        ids: &[u32],
        cache: &mut KvCache,
        outputs: usize,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Pass> {
        let (n, position) = (ids.len(), cache.len());
        if let Some(id) = ids.iter().find(|id| **id as usize >= self.embedding.rows) {
            return Err(PocketError::invalid(
                "token id",
                format!("{id} is outside a vocabulary of {}", self.embedding.rows),
            ));
        }
        if n == 0 || outputs > n {
            return Err(PocketError::invalid(
                "outputs",
                format!("{outputs} rows of logits for {n} tokens"),
            ));
        }
        cache.reserve(n)?;
        cache.prepare(n);

        let ropes: Vec<_> = self
            .ropes
            .iter()
            .map(|spec| compute.rope_table(spec, position, n))
            .collect();
        let mut x = compute.embed(ids, &self.embedding, self.embedding_scale); // [n, dim]
        for (layer, kv) in self.layers.iter().zip(cache.layers_mut()) {
            if !go_on() {
                return Ok(Pass::Stopped);
            }
            let (attention, mlp) = (&layer.attention, &layer.mlp);
            let rope = &ropes[attention.rope];
            let q = compute.qkv(&x, attention, rope, kv, position); // [n, heads · head_dim]
            let a = compute.attend(q, attention, kv, position); // [n, heads · head_dim]
            x = compute.matmul_add(a, &attention.output, attention.post_norm.as_ref(), x);
            let h = compute.gated_mlp(&x, mlp); // [n, hidden]
            x = compute.matmul_add(h, &mlp.down, mlp.post_norm.as_ref(), x);
        }
        cache.commit(ids);
        Ok(match outputs {
            0 => Pass::Cached,
            _ => Pass::Logits(Box::new(compute.head(x, n - outputs, outputs, &self.head))),
        })
    }
}
