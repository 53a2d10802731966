//! What a model will need, before it is loaded: bytes by kind, against what the system can give.
//!
//! Only the header of the file is read: shapes and formats come from [`crate::model::outline`], which maps
//! tensors without looking at them. Nothing is measured and nothing is computed, so a plan for a
//! file of gigabytes takes milliseconds.
//!
//! Weights on the CPU stay in the file's mapping. Its pages are clean: the system may drop them and
//! read them again, so a model whose weights do not fit still runs, as fast as storage can be read.
//! Everything else is private memory, which must fit.

mod memory;

use std::collections::HashSet;

use crate::error::{PocketError, Result};
use crate::gguf::{Gguf, Metadata};
use crate::kernels::cpu::scratch;
use crate::kernels::{KvType, Matrix, Norm, PAGE};
use crate::model::{Decoder, Layer};
use crate::speculate::MOST;

pub use memory::available;

/// Positions whose keys and values a model keeps for instructions that sessions share.
const SHARED_POSITIONS: usize = 1024;

/// The smallest context that is suggested.
const LEAST_CONTEXT: usize = 512;

/// Bytes for each token that a tokenizer keeps beside the texts: ends, attributes, scores, and two
/// or three slots of the index (see `tokenizer/vocab.rs`).
const TOKEN_BYTES: usize = 20;

/// Bytes for each merge of a byte-pair tokenizer: an entry of a hash table that is at worst a
/// little under half full.
const MERGE_BYTES: usize = 36;

/// Bytes for each logit while a token is drawn: the logits as they come from the device, the
/// candidates, and the orders and weights that sampling stages work on.
const SAMPLING_BYTES: usize = 40;

/// What a loaded model takes beside everything that is counted: chat template, thread stacks,
/// directories, and above all what the system's allocator keeps for later. Measured on the models of
/// the test suite: 5 to 10 MiB.
const BASE_BYTES: u64 = 12 << 20;

/// Rows of logits that are alive together: those of a pass with all its guesses, and those of the
/// pass before it.
const LOGIT_ROWS: usize = 2 * (1 + MOST);

/// How a model would be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Whether weights and caches go to a GPU.
    pub gpu: bool,
    /// Element type of the cache.
    pub kv: KvType,
    /// Positions of a session.
    pub context: usize,
    /// Prompt tokens computed together.
    pub chunk: usize,
    /// CPU threads.
    pub threads: usize,
}

/// How well a model fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fit {
    /// Everything fits in memory, the weights too.
    InMemory,
    /// It runs, but not all weights fit beside what must: some are read from storage again for
    /// each token, which is slow.
    FromStorage,
    /// Private memory alone is more than there is: loading is refused.
    No,
    /// This system does not tell how much memory there is.
    Unknown,
}

/// Another way to run a model, that fits better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// Positions of a session.
    pub context: usize,
    /// Element type of the cache.
    pub kv: KvType,
    /// How well that fits.
    pub fit: Fit,
}

/// What a model needs. All sizes are bytes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// How it would be run.
    pub setting: Setting,
    /// Weights that stay in the mapped file: pages the system may drop and read again.
    pub weights_mapped: u64,
    /// Weights in private memory: norms and biases; on a GPU all of them, in its memory.
    pub weights_private: u64,
    /// Vocabulary and merges.
    pub tokenizer: u64,
    /// The cache of one session with a full context.
    pub kv: u64,
    /// What the model keeps at most for instructions that sessions share.
    pub shared_prefixes: u64,
    /// Activations, logits and what threads work on while a model runs, and the small rest.
    pub scratch: u64,
    /// What can be had now: free memory and clean pages, within the limits set for this process.
    /// `None` where the system does not tell.
    pub available: Option<u64>,
    /// How well it fits.
    pub fit: Fit,
    /// Another context or cache type that fits better, when this does not fit in memory and there
    /// is one.
    pub suggestion: Option<Suggestion>,
}

impl Plan {
    /// Reads the header of an open file.
    ///
    /// # Errors
    /// Those of [`crate::model::load`] that the header shows.
    pub fn from_gguf(gguf: &Gguf, setting: Setting) -> Result<Self> {
        let decoder = crate::model::outline(gguf, Some(setting.context))?;
        let tokenizer = tokenizer_bytes(gguf.metadata())?;
        Ok(Self::of(&decoder, tokenizer, setting, available()))
    }

    /// The plan of a decoder in host memory, with a tokenizer of so many bytes.
    pub(crate) fn of(
        decoder: &Decoder,
        tokenizer: u64,
        setting: Setting,
        available: Option<u64>,
    ) -> Self {
        let (mapped, private) = weights(decoder, setting.gpu);
        let mut plan = Self {
            setting,
            weights_mapped: mapped,
            weights_private: private,
            tokenizer,
            kv: 0,
            shared_prefixes: 0,
            scratch: scratch_bytes(decoder, setting),
            available,
            fit: Fit::Unknown,
            suggestion: None,
        };
        plan.set(decoder, setting.context, setting.kv);
        plan.suggestion = plan.better(decoder);
        plan
    }

    /// Private memory that must be there: everything but the mapped weights.
    pub fn private(&self) -> u64 {
        self.weights_private + self.tokenizer + self.kv + self.shared_prefixes + self.scratch
    }

    /// Everything, the mapped weights included.
    pub fn total(&self) -> u64 {
        self.weights_mapped + self.private()
    }

    /// Refuses what cannot run.
    ///
    /// # Errors
    /// [`PocketError::InsufficientMemory`] when private memory alone is more than there is.
    pub fn check(&self) -> Result<()> {
        match (self.fit, self.available) {
            (Fit::No, Some(available)) => Err(PocketError::InsufficientMemory {
                needed: self.private(),
                available,
            }),
            _ => Ok(()),
        }
    }

    /// Changes context and cache type, and what depends on them.
    fn set(&mut self, decoder: &Decoder, context: usize, kv: KvType) {
        self.setting.context = context;
        self.setting.kv = kv;
        self.kv = kv_bytes(decoder, self.setting, context);
        self.shared_prefixes = shared_bytes(decoder, self.setting);
        self.fit = match self.available {
            None => Fit::Unknown,
            Some(available) if self.private() > available => Fit::No,
            Some(available) if self.total() > available => Fit::FromStorage,
            Some(_) => Fit::InMemory,
        };
    }

    /// The largest context, in halves of the one asked for, and the cache type that fit better.
    fn better(&self, decoder: &Decoder) -> Option<Suggestion> {
        let goals: &[Fit] = match self.fit {
            Fit::InMemory | Fit::Unknown => &[],
            Fit::FromStorage => &[Fit::InMemory],
            Fit::No => &[Fit::InMemory, Fit::FromStorage],
        };
        let halves = std::iter::successors(Some(self.setting.context), |context| {
            (context / 2 >= LEAST_CONTEXT).then_some(context / 2)
        });
        let contexts: Vec<usize> = halves.collect();
        let types = match (self.setting.gpu, self.setting.kv) {
            (false, KvType::F16) => vec![KvType::F16, KvType::Q8_0],
            (_, kv) => vec![kv],
        };
        let mut plan = self.clone();
        for goal in goals {
            for &context in &contexts {
                for &kv in &types {
                    plan.set(decoder, context, kv);
                    if plan.fit == *goal {
                        let fit = plan.fit;
                        return Some(Suggestion { context, kv, fit });
                    }
                }
            }
        }
        None
    }
}

/// Bytes of keys and values of `positions` positions.
fn kv_bytes(decoder: &Decoder, setting: Setting, positions: usize) -> u64 {
    let layer = |layer: &Layer| {
        let a = &layer.attention;
        // A GPU's cache is made of whole runs of positions too, f16 always.
        debug_assert!(!setting.gpu || setting.kv == KvType::F16);
        setting.kv.host_bytes(a.kv_heads, a.head_dim, positions) as u64
    };
    decoder.layers.iter().map(layer).sum()
}

/// What the model keeps at most for instructions that sessions share.
pub(crate) fn shared_bytes(decoder: &Decoder, setting: Setting) -> u64 {
    match setting.gpu {
        true => 0, // a cache on a GPU is not shared
        false => kv_bytes(decoder, setting, setting.context.min(SHARED_POSITIONS)),
    }
}

/// Weights in the mapping, and in private (or GPU) memory.
fn weights(decoder: &Decoder, gpu: bool) -> (u64, u64) {
    let mut seen = HashSet::new();
    let (mut mapped, mut private) = (0, 0);
    let mut matrix = |m: &Matrix| {
        // A table that serves as the output projection too is there once.
        if seen.insert(m.host().as_ptr()) {
            match gpu {
                true => private += placed_bytes(m),
                false => mapped += m.bytes(),
            }
        }
    };
    matrix(&decoder.embedding);
    matrix(&decoder.head.output.weight);
    let mut vectors = decoder.head.norm.weight.len;
    for layer in &decoder.layers {
        layer.matrices().into_iter().for_each(&mut matrix);
        let Layer { attention: a, mlp } = layer;
        for linear in [&a.q, &a.k, &a.v, &a.output, &mlp.down] {
            vectors += linear.bias.as_ref().map_or(0, |bias| bias.len);
        }
        let optional = [&a.q_norm, &a.k_norm, &a.post_norm, &mlp.post_norm];
        let norms = optional.into_iter().flatten().chain([&a.norm, &mlp.norm]);
        vectors += norms.map(|norm: &Norm| norm.weight.len).sum::<usize>();
    }
    (mapped, private + (vectors * size_of::<f32>()) as u64)
}

#[cfg(feature = "gpu")]
fn placed_bytes(matrix: &Matrix) -> u64 {
    crate::kernels::gpu::placed_bytes(matrix) as u64
}

#[cfg(not(feature = "gpu"))]
fn placed_bytes(matrix: &Matrix) -> u64 {
    matrix.bytes()
}

/// What a pass over a chunk of a prompt holds at the same time, at the most.
fn scratch_bytes(decoder: &Decoder, setting: Setting) -> u64 {
    let n = setting.chunk.min(setting.context).max(1);
    let layer = |layer: &Layer| scratch::layer_bytes(&layer.attention, &layer.mlp, n);
    let layers = decoder.layers.iter().map(layer).max().unwrap_or(0);
    let room = |layer: &Layer| scratch::thread_bytes(&layer.attention, n);
    let rooms = decoder.layers.iter().map(room).max().unwrap_or(0) * setting.threads;
    let ropes: usize = decoder.ropes.iter().map(|rope| rope.dims * n * 4).sum();
    let head =
        n * decoder.dim() * size_of::<f32>() + scratch::head_bytes(&decoder.head, LOGIT_ROWS);
    let sampling = decoder.vocab() * SAMPLING_BYTES;
    (layers.max(head + sampling) + rooms + ropes) as u64 + BASE_BYTES
}

/// What the tokenizer of a file keeps in memory.
pub(crate) fn tokenizer_bytes(metadata: &Metadata) -> Result<u64> {
    let tokens = metadata.strings("tokenizer.ggml.tokens")?;
    let merges = metadata.strings("tokenizer.ggml.merges")?;
    let (count, text) = tokens.map_or((0, 0), |tokens| {
        (tokens.len(), tokens.iter().map(str::len).sum::<usize>())
    });
    let merges = merges.map_or(0, |merges| merges.len());
    Ok((text + count * TOKEN_BYTES + merges * MERGE_BYTES) as u64)
}

// Suggestions are halves, and a cache grows by whole pages: the smallest one must hold some.
const _: () = assert!(LEAST_CONTEXT.is_multiple_of(PAGE));
