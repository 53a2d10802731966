//! Gemma 2 (arXiv 2408.00118): norms before and after each half of a layer, GELU gates, soft-caps
//! on attention scores and logits, every other layer sees a sliding window.

use crate::error::Result;
use crate::kernels::RopePairing;

use super::decoder::{Decoder, Layer};
use super::llama::ROPE_DIVISORS;
use super::source::Source;

/// One layer in this many sees the whole context.
const PATTERN: usize = 2;

/// Layers of the 27B model, the one whose query scale is not `1 / sqrt(head_dim)`.
const LAYERS_27B: usize = 46;

/// Reads a Gemma 2 file.
///
/// # Errors
/// See [`super::load`].
pub fn load(source: &Source<'_>) -> Result<Decoder> {
    let heads = source.heads()?;
    let hidden = source.per_layer("feed_forward_length")?;
    let window = source
        .optional_size("attention.sliding_window")?
        .unwrap_or(4096);
    let score_cap = source
        .optional_f32("attn_logit_softcapping")?
        .unwrap_or(50.0);
    let logit_cap = source
        .optional_f32("final_logit_softcapping")?
        .unwrap_or(30.0);
    let windowed = source.windowed_layers(PATTERN)?;
    let layers = (0..source.layers)
        .map(|i| {
            let mut attention = source.attention(i, heads[i])?;
            attention.post_norm =
                Some(source.norm(&format!("blk.{i}.post_attention_norm"), source.dim)?);
            attention.softcap = Some(score_cap);
            attention.window = windowed[i].then_some(window);
            if source.layers == LAYERS_27B {
                attention.scale = 1.0 / ((source.dim / attention.heads) as f32).sqrt();
            }
            Ok(Layer {
                attention,
                mlp: source.geglu(i, hidden[i])?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let embedding = source.matrix("token_embd.weight", source.vocab, source.dim)?;
    Ok(Decoder {
        head: source.head(&embedding, Some(logit_cap))?,
        embedding,
        embedding_scale: (source.dim as f32).sqrt(),
        layers,
        ropes: vec![source.rope(RopePairing::Halves, heads[0].2, 10_000.0, ROPE_DIVISORS)?],
        context: source.context,
        trained_context: source.trained_context,
    })
}
