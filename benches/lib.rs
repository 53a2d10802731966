//! What the kernel benchmarks share: matrices of every block format, the layers of a model, and
//! rows to run through them.
//!
//! Run them with `cargo bench -p pocketlm-benches`; a filter picks one, as in
//! `cargo bench -p pocketlm-benches --bench matmul -- Q4_K`. They time single kernels; what an app
//! sees is `pocketlm bench`.

use burn::tensor::{DType, Tensor, TensorData};
use pocketlm::gguf::Blob;
use pocketlm::kernels::{
    Activation, Attention, Blocks, Compute, Head, KvLayer, Linear, Matrix, Mlp, Norm, RopePairing,
    RopeScaling, RopeSpec, Vector, cpu,
};
use pocketlm::quant::{self, Format};

/// Rows of a matrix that differ; the others repeat them, so that large matrices are made quickly.
const DISTINCT_ROWS: usize = 64;

/// Positions appended to a cache at a time.
const FILL_PIECE: usize = 128;

/// The CPU path with a thread for each core.
pub fn cpu() -> Compute {
    Compute::Cpu(cpu::Engine::new(cpu::Engine::default_threads()))
}

/// Numbers between -1 and 1, the same on every run.
pub fn noise(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        // The multiplier of Numerical Recipes' linear congruential generator.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// A matrix `[rows, cols]` in host memory; `cols` is a multiple of the format's block length.
pub fn matrix(format: &'static Format, rows: usize, cols: usize) -> Matrix {
    let distinct = rows.min(DISTINCT_ROWS);
    let row_bytes = cols / format.block_len * format.block_bytes;
    let mut bytes = vec![0; distinct * row_bytes];
    match format.quantize {
        Some(quantize) => quantize(&noise(distinct * cols), &mut bytes),
        // Read as f16, pairs of these bytes are ordinary numbers: scales must not overflow.
        None => bytes
            .iter_mut()
            .zip((0u8..=255).cycle())
            .for_each(|(byte, i)| *byte = i % 0x3c),
    }
    let bytes = bytes.into_iter().cycle().take(rows * row_bytes).collect();
    Matrix {
        format,
        rows,
        cols,
        blocks: Blocks::Host(Blob::from_vec(bytes)),
    }
}

/// `n` rows of activations `[n, cols]` on the device.
pub fn rows(compute: &Compute, n: usize, cols: usize) -> Tensor<2> {
    let data = TensorData::new(noise(n * cols), [n, cols]);
    Tensor::from_data(data, (&compute.device(), DType::F32))
}

/// The sizes of a model's layers.
pub struct Shape {
    /// Whose they are.
    pub name: &'static str,
    /// Elements of a hidden state.
    pub dim: usize,
    /// Elements between the halves of the feed-forward network.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
}

/// Qwen2.5 1.5B.
pub const SHAPE_1_5B: Shape = Shape {
    name: "1.5B",
    dim: 1536,
    hidden: 8960,
    heads: 12,
    kv_heads: 2,
    head_dim: 128,
};

/// Qwen2.5 7B.
pub const SHAPE_7B: Shape = Shape {
    name: "7B",
    dim: 3584,
    hidden: 18_944,
    heads: 28,
    kv_heads: 4,
    head_dim: 128,
};

impl Shape {
    /// The attention half of a layer, in the formats of a Q4_K_M file.
    pub fn attention(&self) -> Attention {
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        Attention {
            norm: self.norm(),
            q: linear("Q4_K", q, self.dim),
            k: linear("Q4_K", kv, self.dim),
            v: linear("Q6_K", kv, self.dim),
            q_norm: None,
            k_norm: None,
            output: linear("Q4_K", self.dim, q),
            post_norm: None,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            scale: (self.head_dim as f32).sqrt().recip(),
            softcap: None,
            window: None,
            rope: 0,
        }
    }

    /// The feed-forward half of a layer, in the formats of a Q4_K_M file.
    pub fn mlp(&self) -> Mlp {
        Mlp {
            norm: self.norm(),
            gate: matrix(format("Q4_K"), self.hidden, self.dim),
            up: matrix(format("Q4_K"), self.hidden, self.dim),
            down: linear("Q6_K", self.dim, self.hidden),
            activation: Activation::Silu,
            post_norm: None,
        }
    }

    /// The output half of a model with a vocabulary of `vocab` tokens.
    pub fn head(&self, vocab: usize) -> Head {
        Head {
            norm: self.norm(),
            output: linear("Q6_K", vocab, self.dim),
            softcap: None,
        }
    }

    /// The rotation of the model's heads.
    pub fn rope(&self) -> RopeSpec {
        RopeSpec {
            dims: self.head_dim,
            base: 1e6,
            pairing: RopePairing::Halves,
            scaling: RopeScaling::None,
        }
    }

    /// A cache that holds the keys and values of `positions` positions.
    pub fn filled_cache(&self, compute: &Compute, layer: &Attention, positions: usize) -> KvLayer {
        let mut cache = compute
            .kv_layer(self.kv_heads, self.head_dim, positions)
            .expect("a cache in host memory takes nothing beforehand");
        for position in (0..positions).step_by(FILL_PIECE) {
            let n = FILL_PIECE.min(positions - position);
            let rope = compute.rope_table(&self.rope(), position, n);
            let x = rows(compute, n, self.dim);
            compute.qkv(&x, layer, &rope, &mut cache, position);
        }
        cache
    }

    /// A norm over a hidden state.
    fn norm(&self) -> Norm {
        Norm {
            weight: Vector::new(vec![1.0; self.dim]),
            eps: 1e-6,
        }
    }
}

/// A projection without a bias.
fn linear(name: &str, rows: usize, cols: usize) -> Linear {
    Linear {
        weight: matrix(format(name), rows, cols),
        bias: None,
    }
}

/// The block format of this name.
fn format(name: &str) -> &'static Format {
    let format = quant::FORMATS.iter().find(|format| format.name == name);
    format.expect("a format of the table")
}
