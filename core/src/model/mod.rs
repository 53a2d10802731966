//! Transformers: one page per architecture, a table of them, and the decoder they all fill in.
//!
//! ```text
//! Gguf ── Source (checked look-ups) ── page (llama.rs, qwen2.rs, …) ──> Decoder ── forward ──> logits
//! ```
//!
//! A page says which tensors a layer has, which norms stand where, how positions are turned and
//! what is capped. It says nothing of hardware or quantization. To add an architecture, write its
//! page and add a row to [`ARCHITECTURES`]; see `docs/add-a-model.md`.

mod decoder;
mod gemma2;
mod gemma3;
mod llama;
mod phi3;
mod qwen2;
mod qwen3;
mod source;

pub use decoder::{Decoder, Layer, Pass};
pub use source::{Reading, Source};

use crate::error::{PocketError, Result};
use crate::gguf::Gguf;
use crate::kernels::{Compute, cpu};

/// A row of [`ARCHITECTURES`].
pub struct Architecture {
    /// Values of `general.architecture` that this page reads, the usual one first.
    pub names: &'static [&'static str],
    /// Models people know it by, for messages and docs.
    pub models: &'static str,
    /// Reads the page.
    pub load: fn(&Source<'_>) -> Result<Decoder>,
}

/// Every architecture this runtime has a page for.
pub static ARCHITECTURES: &[Architecture] = &[
    Architecture {
        names: &["llama", "mistral"],
        models: "Llama 1 to 3.x, Mistral, TinyLlama, SmolLM",
        load: llama::load,
    },
    Architecture {
        names: &["qwen2"],
        models: "Qwen 2 and 2.5, Qwen2.5-Coder, DeepSeek-R1-Distill-Qwen",
        load: qwen2::load,
    },
    Architecture {
        names: &["qwen3"],
        models: "Qwen 3 (dense)",
        load: qwen3::load,
    },
    Architecture {
        names: &["gemma2"],
        models: "Gemma 2",
        load: gemma2::load,
    },
    Architecture {
        names: &["gemma3", "gemma3_text"],
        models: "Gemma 3 (text)",
        load: gemma3::load,
    },
    Architecture {
        names: &["phi3"],
        models: "Phi 3, 3.5 and 4 (dense)",
        load: phi3::load,
    },
];

/// Builds the decoder of `gguf` on `compute`, for sequences of up to `context` tokens.
///
/// # Errors
/// [`PocketError::UnsupportedModel`] naming the architecture, feature or tensor that no page reads,
/// [`PocketError::CorruptModel`] naming the missing or misshapen tensor or key, and the errors of
/// placing weights on a GPU.
pub fn load(gguf: &Gguf, compute: &Compute, context: Option<usize>) -> Result<Decoder> {
    read(gguf, compute, context, Reading::Whole(&|_| true))
}

/// The decoder of `gguf` as far as its header tells: every shape and format, mapped matrices that
/// nobody has read, ones in place of vectors. For questions about sizes.
///
/// # Errors
/// As [`load`].
pub fn outline(gguf: &Gguf, context: Option<usize>) -> Result<Decoder> {
    // One thread is the caller's own: none is started.
    let compute = Compute::Cpu(cpu::Engine::new(1));
    read(gguf, &compute, context, Reading::Outline)
}

/// [`load`], reading as much as `reading` says.
///
/// # Errors
/// As [`load`]; [`PocketError::Internal`] when `reading` stopped it.
pub fn read(
    gguf: &Gguf,
    compute: &Compute,
    context: Option<usize>,
    reading: Reading<'_>,
) -> Result<Decoder> {
    let name = gguf.metadata().require_str("general.architecture")?;
    let architecture = ARCHITECTURES
        .iter()
        .find(|a| a.names.contains(&name))
        .ok_or_else(|| {
            let known: Vec<&str> = ARCHITECTURES.iter().map(|a| a.names[0]).collect();
            PocketError::unsupported(format!(
                "architecture \"{name}\" (this runtime reads {})",
                known.join(", ")
            ))
        })?;
    let source = Source::new(gguf, name, compute, context, reading)?;
    let decoder = (architecture.load)(&source)?;
    source.refuse_unread()?;
    Ok(decoder)
}
