//! The table of nano models: at least one for every architecture of the runtime, and one for each
//! way its files vary.

use super::vocabulary::Vocabulary;

/// The value of a metadata key.
#[derive(Clone, Copy, Debug)]
pub enum Setting {
    /// An unsigned integer.
    Size(u32),
    /// A number.
    Number(f32),
    /// A string.
    Text(&'static str),
}

/// A row of [`RECIPES`]: what distinguishes one model from another. All have
/// [`super::DIM`] elements in a hidden state.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Of the model and of its golden file.
    pub name: &'static str,
    /// `general.architecture`.
    pub architecture: &'static str,
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements of a head; written to the file when `heads` of them are not a hidden state.
    pub head_dim: usize,
    /// Elements between the two halves of the feed-forward network.
    pub hidden: usize,
    /// Whether q, k and v have biases.
    pub biases: bool,
    /// Whether every head of q and k has a norm.
    pub head_norms: bool,
    /// Whether a norm follows each half of a layer.
    pub post_norms: bool,
    /// Whether q, k and v are one tensor, and gate and up another.
    pub fused: bool,
    /// Whether the embedding table is the output projection too.
    pub tied: bool,
    /// Standard deviation of embeddings. Gemma multiplies them by the root of their length, so that
    /// they can drown what the layers add to them.
    pub embedding: f32,
    /// Vectors of RoPE divisors, one a pair.
    pub factors: &'static [&'static str],
    /// Keys below the architecture's name.
    pub settings: &'static [(&'static str, Setting)],
    /// How text is spelled.
    pub vocabulary: Vocabulary,
}

impl Recipe {
    /// Elements of a head that RoPE turns.
    pub fn rope_dims(&self) -> usize {
        let given = self.settings.iter().find_map(|(key, value)| match value {
            Size(n) if *key == "rope.dimension_count" => Some(*n as usize),
            _ => None,
        });
        given.unwrap_or(self.head_dim)
    }
}

use Setting::{Number, Size, Text};

const LLAMA: Recipe = Recipe {
    name: "llama",
    architecture: "llama",
    layers: 2,
    heads: 8,
    kv_heads: 2,
    head_dim: 32,
    hidden: 256,
    biases: false,
    head_norms: false,
    post_norms: false,
    fused: false,
    tied: false,
    embedding: 0.15,
    factors: &[],
    settings: &[],
    vocabulary: Vocabulary::BytePair("llama-bpe"),
};

const QWEN2: Recipe = Recipe {
    name: "qwen2",
    architecture: "qwen2",
    heads: 4,
    kv_heads: 2,
    head_dim: 64,
    biases: true,
    tied: true,
    settings: &[("rope.freq_base", Number(1e6))],
    vocabulary: Vocabulary::BytePair("qwen2"),
    ..LLAMA
};

const GEMMA3: Recipe = Recipe {
    name: "gemma3",
    architecture: "gemma3",
    // Five layers with a window, one without, and one more to see that the pattern starts anew.
    layers: 7,
    heads: 4,
    kv_heads: 1,
    head_dim: 64,
    head_norms: true,
    post_norms: true,
    tied: true,
    embedding: 0.08,
    settings: &[
        ("rope.freq_base", Number(1e6)),
        ("attention.sliding_window", Size(8)),
    ],
    vocabulary: Vocabulary::SentencePiece,
    ..LLAMA
};

const PHI3: Recipe = Recipe {
    name: "phi3",
    architecture: "phi3",
    heads: 4,
    kv_heads: 2,
    head_dim: 64,
    fused: true,
    factors: &["rope_factors_long.weight", "rope_factors_short.weight"],
    settings: &[
        ("rope.dimension_count", Size(48)),
        ("rope.scaling.original_context_length", Size(64)),
        ("rope.scaling.attn_factor", Number(1.19)),
    ],
    vocabulary: Vocabulary::SentencePiece,
    ..LLAMA
};

/// Every nano model. The first row of an architecture is its plain one.
pub static RECIPES: &[Recipe] = &[
    LLAMA,
    Recipe {
        name: "llama-rope-freqs",
        hidden: 512,
        factors: &["rope_freqs.weight"],
        settings: &[("rope.freq_base", Number(5e5))],
        ..LLAMA
    },
    Recipe {
        name: "llama-linear",
        settings: &[
            ("rope.scaling.type", Text("linear")),
            ("rope.scaling.factor", Number(4.0)),
        ],
        vocabulary: Vocabulary::SentencePiece,
        ..LLAMA
    },
    Recipe {
        name: "llama-yarn",
        settings: &[
            ("rope.scaling.type", Text("yarn")),
            ("rope.scaling.factor", Number(4.0)),
            ("rope.scaling.original_context_length", Size(64)),
        ],
        ..LLAMA
    },
    Recipe {
        name: "llama-divided",
        // Divisors, linear interpolation and a magnitude at once.
        tied: true,
        biases: true,
        factors: &["rope_freqs.weight"],
        settings: &[
            ("rope.scaling.type", Text("linear")),
            ("rope.scaling.factor", Number(2.0)),
            ("rope.scaling.attn_factor", Number(0.9)),
        ],
        ..LLAMA
    },
    QWEN2,
    Recipe {
        name: "qwen2-yarn",
        // With these turns the ramp starts and ends between the pairs of a head.
        settings: &[
            ("rope.freq_base", Number(1e4)),
            ("rope.scaling.type", Text("yarn")),
            ("rope.scaling.factor", Number(8.0)),
            ("rope.scaling.original_context_length", Size(128)),
            ("rope.scaling.yarn_beta_fast", Number(6.0)),
            ("rope.scaling.yarn_beta_slow", Number(0.5)),
            ("rope.scaling.attn_factor", Number(1.1)),
        ],
        ..QWEN2
    },
    Recipe {
        name: "qwen3",
        architecture: "qwen3",
        heads: 4,
        kv_heads: 2,
        head_dim: 128,
        head_norms: true,
        settings: &[("rope.freq_base", Number(1e6))],
        vocabulary: Vocabulary::BytePair("qwen2"),
        ..LLAMA
    },
    Recipe {
        name: "gemma2",
        architecture: "gemma2",
        heads: 4,
        kv_heads: 2,
        head_dim: 128,
        post_norms: true,
        tied: true,
        // Caps that bend what random weights give.
        settings: &[
            ("attention.sliding_window", Size(8)),
            ("attn_logit_softcapping", Number(3.0)),
            ("final_logit_softcapping", Number(5.0)),
        ],
        vocabulary: Vocabulary::SentencePiece,
        ..LLAMA
    },
    GEMMA3,
    Recipe {
        name: "gemma3-linear",
        settings: &[
            ("rope.freq_base", Number(1e6)),
            ("attention.sliding_window", Size(8)),
            ("rope.scaling.type", Text("linear")),
            ("rope.scaling.factor", Number(8.0)),
        ],
        ..GEMMA3
    },
    Recipe {
        name: "gemma3-pattern",
        // Every other layer has a window, and the logits a soft-cap.
        layers: 3,
        settings: &[
            ("rope.freq_base", Number(1e6)),
            ("rope.freq_base_swa", Number(2e4)),
            ("attention.sliding_window", Size(8)),
            ("attention.sliding_window_pattern", Size(2)),
            ("final_logit_softcapping", Number(5.0)),
        ],
        ..GEMMA3
    },
    Recipe {
        name: "gemma3-full",
        // No window at all.
        layers: 3,
        embedding: 0.06,
        settings: &[("rope.freq_base", Number(1e6))],
        ..GEMMA3
    },
    PHI3,
    Recipe {
        name: "phi3-short",
        settings: &[
            ("rope.dimension_count", Size(48)),
            ("rope.scaling.original_context_length", Size(super::CONTEXT)),
            ("rope.scaling.attn_factor", Number(1.19)),
        ],
        ..PHI3
    },
];
