//! Llama 1 to 3.x (arXiv 2302.13971, 2407.21783) and Mistral (arXiv 2310.06825).
//!
//! Pre-norm, no biases, RoPE on adjacent pairs (the GGUF converter permutes the rows of q and k),
//! SwiGLU. Llama 3.1 and later carry divisors of the RoPE frequencies in `rope_freqs.weight`.

use crate::error::Result;
use crate::kernels::RopePairing;

use super::decoder::{Decoder, Layer};
use super::source::Source;

/// Divisors of the RoPE frequencies, in files of Llama 3.1 and later.
pub(super) const ROPE_DIVISORS: &str = "rope_freqs.weight";

/// Reads a Llama-family file.
///
/// # Errors
/// See [`super::load`].
pub fn load(source: &Source<'_>) -> Result<Decoder> {
    decoder(source, RopePairing::Adjacent, 10_000.0)
}

/// The plain pre-norm decoder that Llama and Qwen share; they differ in how RoPE pairs elements.
pub(super) fn decoder(source: &Source<'_>, pairing: RopePairing, base: f32) -> Result<Decoder> {
    let heads = source.heads()?;
    let hidden = source.per_layer("feed_forward_length")?;
    let layers = (0..source.layers)
        .map(|i| {
            Ok(Layer {
                attention: source.attention(i, heads[i])?,
                mlp: source.swiglu(i, hidden[i])?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let embedding = source.matrix("token_embd.weight", source.vocab, source.dim)?;
    Ok(Decoder {
        head: source.head(&embedding, None)?,
        embedding,
        embedding_scale: 1.0,
        layers,
        ropes: vec![source.rope(pairing, heads[0].2, base, ROPE_DIVISORS)?],
        context: source.context,
        trained_context: source.trained_context,
    })
}
