//! What the operations of the seam take besides activations: matrices, vectors, layers.

use std::ops::Range;
use std::sync::Arc;

use crate::gguf::Blob;
use crate::quant::Format;

/// A quantized matrix `[rows, cols]`, row-major, each row a whole number of GGUF blocks.
#[derive(Clone)]
pub struct Matrix {
    /// The block format of every row.
    pub format: &'static Format,
    /// Output features.
    pub rows: usize,
    /// Input features; a multiple of the format's block length.
    pub cols: usize,
    /// Where the blocks are.
    pub blocks: Blocks,
}

/// Where a matrix lives.
#[derive(Clone)]
pub enum Blocks {
    /// In the mapped file (or, for generated models, in memory).
    Host(Blob),
    /// In GPU buffers.
    #[cfg(feature = "gpu")]
    Device(super::gpu::DeviceBlocks),
}

impl Matrix {
    /// Bytes of one row.
    pub fn row_bytes(&self) -> usize {
        self.cols / self.format.block_len * self.format.block_bytes
    }

    /// Bytes of all rows.
    pub fn bytes(&self) -> u64 {
        (self.rows * self.row_bytes()) as u64
    }

    /// The host bytes of all rows.
    ///
    /// # Panics
    /// When the matrix was placed on a GPU: a Flex kernel never meets such a matrix.
    pub fn host(&self) -> &[u8] {
        match &self.blocks {
            Blocks::Host(blob) => blob,
            #[cfg(feature = "gpu")]
            Blocks::Device(_) => unreachable!("a Flex kernel never meets a matrix on the GPU"),
        }
    }

    /// The host bytes of row `row`.
    pub fn host_row(&self, row: usize) -> &[u8] {
        let bytes = self.row_bytes();
        &self.host()[row * bytes..(row + 1) * bytes]
    }

    /// A view of some of the rows of a matrix that still is in host memory; no bytes are copied.
    pub fn slice_rows(&self, rows: Range<usize>) -> Self {
        let bytes = self.row_bytes();
        let blocks = match &self.blocks {
            Blocks::Host(blob) => Blocks::Host(blob.slice(rows.start * bytes..rows.end * bytes)),
            #[cfg(feature = "gpu")]
            Blocks::Device(_) => unreachable!("matrices are sliced before they are placed"),
        };
        Self {
            format: self.format,
            rows: rows.len(),
            cols: self.cols,
            blocks,
        }
    }
}

/// A vector of f32 parameters: a norm's weights or a bias.
#[derive(Clone)]
pub struct Vector {
    /// Number of elements.
    pub len: usize,
    /// Where they are.
    pub values: Values,
}

/// Where a vector lives.
#[derive(Clone)]
pub enum Values {
    /// In host memory.
    Host(Arc<[f32]>),
    /// In a GPU buffer.
    #[cfg(feature = "gpu")]
    Device(super::gpu::DeviceValues),
}

impl Vector {
    /// A vector in host memory.
    pub fn new(values: impl Into<Arc<[f32]>>) -> Self {
        let values = values.into();
        Self {
            len: values.len(),
            values: Values::Host(values),
        }
    }

    /// The elements in host memory.
    ///
    /// # Panics
    /// When the vector was placed on a GPU: a Flex kernel never meets such a vector.
    pub fn host(&self) -> &[f32] {
        match &self.values {
            Values::Host(values) => values,
            #[cfg(feature = "gpu")]
            Values::Device(_) => unreachable!("a Flex kernel never meets a vector on the GPU"),
        }
    }
}

/// Root mean square norm: `x · weight / sqrt(mean(x²) + eps)` (arXiv 1910.07467).
#[derive(Clone)]
pub struct Norm {
    /// One factor per element; where a model's formula says `1 + w`, the file holds the sum.
    pub weight: Vector,
    /// Added to the mean square.
    pub eps: f32,
}

/// A projection: `x · Wᵀ + bias`.
#[derive(Clone)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Matrix,
    /// `[out]`.
    pub bias: Option<Vector>,
}

/// The attention half of a layer.
pub struct Attention {
    /// Applied to the input.
    pub norm: Norm,
    /// `[heads · head_dim, dim]`.
    pub q: Linear,
    /// `[kv_heads · head_dim, dim]`.
    pub k: Linear,
    /// `[kv_heads · head_dim, dim]`.
    pub v: Linear,
    /// Per-head norm of q, `[head_dim]` (Qwen 3, Gemma 3).
    pub q_norm: Option<Norm>,
    /// Per-head norm of k, `[head_dim]`.
    pub k_norm: Option<Norm>,
    /// `[dim, heads · head_dim]`.
    pub output: Linear,
    /// Applied to the output before the residual (Gemma 2 and 3).
    pub post_norm: Option<Norm>,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// Factor of q·k before the soft-cap and the softmax.
    pub scale: f32,
    /// `cap · tanh(score / cap)` (Gemma 2).
    pub softcap: Option<f32>,
    /// A row sees this many positions, itself included; `None` sees all before it.
    pub window: Option<usize>,
    /// Which of the model's RoPE variants turns q and k.
    pub rope: usize,
}

/// The gated feed-forward half of a layer.
pub struct Mlp {
    /// Applied to the input.
    pub norm: Norm,
    /// `[hidden, dim]`.
    pub gate: Matrix,
    /// `[hidden, dim]`.
    pub up: Matrix,
    /// `[dim, hidden]`.
    pub down: Linear,
    /// Applied to the gate.
    pub activation: Activation,
    /// Applied to the output before the residual (Gemma 2 and 3).
    pub post_norm: Option<Norm>,
}

/// The non-linearity of a gated feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(x)`.
    Silu,
    /// The tanh approximation of GELU.
    Gelu,
}

impl Activation {
    /// The function's value at `x`.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::Gelu => {
                let inner = 0.797_884_6 * x * (1.0 + 0.044_715 * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }
        }
    }
}

/// The output half of the model.
pub struct Head {
    /// Applied to the last layer's output.
    pub norm: Norm,
    /// `[vocab, dim]`; the embedding table where the model ties them.
    pub output: Linear,
    /// `cap · tanh(logit / cap)` (Gemma 2).
    pub softcap: Option<f32>,
}
