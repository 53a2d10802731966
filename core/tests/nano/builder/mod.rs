//! Nano models: GGUF files of half a megabyte (Q4_K) to ten (Gemma 3 in F32), built in memory, that
//! have everything a real file of their architecture has. Their weights are random, so their text
//! is noise.
//!
//! ```text
//! nano::model("llama", TensorType::Q4K) -> bytes of a GGUF file
//! nano::recipe("gemma3-linear").build(Weights::Mixed) -> Nano, to be changed and then .to_bytes()
//! ```
//!
//! This folder depends on nothing but `pocketlm` and `half`, so that other test binaries can
//! include it by path.
#![allow(dead_code)] // each test binary uses a part of it

mod recipe;
pub mod script;
mod vocabulary;
pub mod weights;

pub use recipe::{RECIPES, Recipe, Setting};
pub use vocabulary::SIZE as VOCAB;
pub use weights::{Noise, Weights};

use pocketlm::gguf::{TensorType, WriteValue, Writer};

/// Elements of a hidden state: one block of the largest formats.
pub const DIM: usize = 256;

/// Positions every model is made for.
pub const CONTEXT: u32 = 256;

/// The bytes of the plain nano model of `architecture`, its matrices in `format`.
///
/// # Panics
/// When the table has no such architecture.
pub fn model(architecture: &str, format: TensorType) -> Vec<u8> {
    plain(architecture)
        .unwrap_or_else(|| panic!("no recipe for architecture {architecture}"))
        .build(Weights::All(format))
        .to_bytes()
}

/// The first recipe of an architecture.
pub fn plain(architecture: &str) -> Option<&'static Recipe> {
    RECIPES.iter().find(|r| r.architecture == architecture)
}

/// The recipe of a name.
///
/// # Panics
/// When the table has no such row.
pub fn recipe(name: &str) -> &'static Recipe {
    let row = RECIPES.iter().find(|r| r.name == name);
    row.unwrap_or_else(|| panic!("no recipe {name}"))
}

/// `n` token ids, the same on every run; no token that ends a text is among them.
pub fn ids(n: usize) -> Vec<u32> {
    let mut noise = Noise::new("ids");
    // Either vocabulary has ordinary tokens from 3 to 290.
    (0..n).map(|_| 3 + noise.below(288) as u32).collect()
}

/// A model that can still be changed.
#[derive(Clone, Debug)]
pub struct Nano {
    /// Keys and values in file order.
    pub metadata: Vec<(String, WriteValue)>,
    /// Tensors in file order.
    pub tensors: Vec<NanoTensor>,
}

/// A tensor of a [`Nano`].
#[derive(Clone, Debug)]
pub struct NanoTensor {
    /// Its name.
    pub name: String,
    /// Columns first.
    pub shape: Vec<u64>,
    /// Its format.
    pub ty: TensorType,
    /// Its blocks.
    pub bytes: Vec<u8>,
}

impl Nano {
    /// Replaces the value of a key, or adds the key.
    pub fn set(&mut self, key: &str, value: impl Into<WriteValue>) -> &mut Self {
        let value = value.into();
        match self.metadata.iter_mut().find(|(k, _)| k == key) {
            Some(entry) => entry.1 = value,
            None => self.metadata.push((key.into(), value)),
        }
        self
    }

    /// Removes a key.
    ///
    /// # Panics
    /// When there is none: the test would test nothing.
    pub fn remove(&mut self, key: &str) -> &mut Self {
        let before = self.metadata.len();
        self.metadata.retain(|(k, _)| k != key);
        assert!(self.metadata.len() < before, "no key {key}");
        self
    }

    /// Removes a tensor.
    ///
    /// # Panics
    /// When there is none.
    pub fn drop_tensor(&mut self, name: &str) -> &mut Self {
        let before = self.tensors.len();
        self.tensors.retain(|t| t.name != name);
        assert!(self.tensors.len() < before, "no tensor {name}");
        self
    }

    /// The file.
    ///
    /// # Panics
    /// When the writer refuses it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        for (key, value) in &self.metadata {
            writer.metadata(key.clone(), value.clone());
        }
        for t in &self.tensors {
            writer.tensor(t.name.clone(), &t.shape, t.ty, t.bytes.clone());
        }
        writer.to_bytes().expect("a file that can be written")
    }
}

impl Recipe {
    /// The model with its matrices in `weights`; vectors are F32.
    pub fn build(&self, weights: Weights) -> Nano {
        self.build_as(self.architecture, weights)
    }

    /// As [`Recipe::build`], under another name of the architecture.
    pub fn build_as(&self, architecture: &str, weights: Weights) -> Nano {
        let mut draft = Draft {
            weights,
            matrices: 0,
            tensors: Vec::new(),
        };
        // Deviations that keep the residual stream near 1, scores and logits near 2.
        draft.matrix("token_embd.weight", VOCAB, DIM, self.embedding);
        draft.vector("output_norm.weight", DIM, 1.0, 0.2);
        if !self.tied {
            draft.matrix("output.weight", VOCAB, DIM, 0.15);
        }
        for name in self.factors {
            draft.factors(name, self.rope_dims() / 2);
        }
        for i in 0..self.layers {
            self.attention(i, &mut draft);
            self.feed_forward(i, &mut draft);
        }
        Nano {
            metadata: self.metadata(architecture),
            tensors: draft.tensors,
        }
    }

    fn attention(&self, i: usize, draft: &mut Draft) {
        let stem = |name: &str| format!("blk.{i}.{name}");
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        draft.vector(&stem("attn_norm.weight"), DIM, 1.0, 0.2);
        if self.fused {
            draft.matrix(&stem("attn_qkv.weight"), q + 2 * kv, DIM, 0.08);
        } else {
            for (name, rows) in [("attn_q", q), ("attn_k", kv), ("attn_v", kv)] {
                draft.matrix(&stem(&format!("{name}.weight")), rows, DIM, 0.08);
                if self.biases {
                    draft.vector(&stem(&format!("{name}.bias")), rows, 0.0, 0.3);
                }
            }
        }
        if self.head_norms {
            draft.vector(&stem("attn_q_norm.weight"), self.head_dim, 1.4, 0.3);
            draft.vector(&stem("attn_k_norm.weight"), self.head_dim, 1.4, 0.3);
        }
        draft.matrix(&stem("attn_output.weight"), DIM, q, 0.06);
        if self.post_norms {
            draft.vector(&stem("post_attention_norm.weight"), DIM, 1.0, 0.2);
        }
    }

    fn feed_forward(&self, i: usize, draft: &mut Draft) {
        let stem = |name: &str| format!("blk.{i}.{name}");
        draft.vector(&stem("ffn_norm.weight"), DIM, 1.0, 0.2);
        if self.fused {
            draft.matrix(&stem("ffn_up.weight"), 2 * self.hidden, DIM, 0.08);
        } else {
            draft.matrix(&stem("ffn_gate.weight"), self.hidden, DIM, 0.08);
            draft.matrix(&stem("ffn_up.weight"), self.hidden, DIM, 0.08);
        }
        draft.matrix(&stem("ffn_down.weight"), DIM, self.hidden, 0.08);
        if self.post_norms {
            draft.vector(&stem("post_ffw_norm.weight"), DIM, 1.0, 0.2);
        }
    }

    fn metadata(&self, architecture: &str) -> Vec<(String, WriteValue)> {
        let key = |name: &str| format!("{architecture}.{name}");
        let size = |name: &str, value: usize| (key(name), WriteValue::U32(value as u32));
        let mut out = vec![
            ("general.architecture".into(), architecture.into()),
            ("general.name".into(), format!("nano {}", self.name).into()),
            size("context_length", CONTEXT as usize),
            size("embedding_length", DIM),
            size("block_count", self.layers),
            size("feed_forward_length", self.hidden),
            size("attention.head_count", self.heads),
            size("attention.head_count_kv", self.kv_heads),
            (key("attention.layer_norm_rms_epsilon"), 1e-6f32.into()),
        ];
        if self.heads * self.head_dim != DIM {
            out.push(size("attention.key_length", self.head_dim));
            out.push(size("attention.value_length", self.head_dim));
        }
        if self.rope_dims() == self.head_dim {
            out.push(size("rope.dimension_count", self.head_dim));
        }
        for (name, value) in self.settings {
            let value = match *value {
                Setting::Size(n) => n.into(),
                Setting::Number(x) => x.into(),
                Setting::Text(text) => text.into(),
            };
            out.push((key(name), value));
        }
        out.extend(vocabulary::metadata(self.vocabulary));
        out
    }
}

/// Tensors in the making. What a tensor holds depends on its name and size alone, so models of
/// different formats are roundings of the same numbers.
struct Draft {
    weights: Weights,
    matrices: usize,
    tensors: Vec<NanoTensor>,
}

impl Draft {
    fn matrix(&mut self, name: &str, rows: usize, cols: usize, deviation: f32) {
        let format = self.weights.of(self.matrices);
        self.matrices += 1;
        let mut noise = Noise::new(name);
        self.tensors.push(NanoTensor {
            name: name.into(),
            shape: vec![cols as u64, rows as u64],
            ty: format.ty,
            bytes: weights::matrix(&mut noise, format, rows * cols, deviation),
        });
    }

    fn vector(&mut self, name: &str, len: usize, mean: f32, deviation: f32) {
        let mut noise = Noise::new(name);
        let values: Vec<f32> = (0..len).map(|_| mean + noise.normal(deviation)).collect();
        self.push_vector(name, &values);
    }

    /// Divisors from 1 to 8.
    fn factors(&mut self, name: &str, len: usize) {
        let mut noise = Noise::new(name);
        let values: Vec<f32> = (0..len).map(|_| 1.0 + 7.0 * noise.uniform()).collect();
        self.push_vector(name, &values);
    }

    fn push_vector(&mut self, name: &str, values: &[f32]) {
        self.tensors.push(NanoTensor {
            name: name.into(),
            shape: vec![values.len() as u64],
            ty: TensorType::F32,
            bytes: weights::floats(values),
        });
    }
}
