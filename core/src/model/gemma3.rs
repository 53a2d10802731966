//! Gemma 3, text (arXiv 2503.19786): Gemma 2 without soft-caps, with norms on the heads of q and
//! k, and five layers with a sliding window and a short RoPE base for each one that sees all.

use crate::error::Result;
use crate::kernels::{RopePairing, RopeScaling, RopeSpec};

use super::decoder::{Decoder, Layer};
use super::llama::ROPE_DIVISORS;
use super::source::Source;

/// One layer in this many sees the whole context.
const PATTERN: usize = 6;

/// Layers of the 27B model, the one whose query scale is not `1 / sqrt(head_dim)`.
const LAYERS_27B: usize = 62;

/// Index in `Decoder::ropes` of the variant for layers with a window; 0 is the other one.
const LOCAL: usize = 1;

/// Reads a Gemma 3 file.
///
/// # Errors
/// See [`super::load`]; a file without head norms is refused.
pub fn load(source: &Source<'_>) -> Result<Decoder> {
    source.require_in_layers(&["attn_q_norm.weight", "attn_k_norm.weight"])?;
    let heads = source.heads()?;
    let hidden = source.per_layer("feed_forward_length")?;
    // Rnj-1 is a Gemma 3 without windows.
    let window = source.optional_size("attention.sliding_window")?;
    let windowed = source.windowed_layers(PATTERN)?;
    let layers = (0..source.layers)
        .map(|i| {
            let mut attention = source.attention(i, heads[i])?;
            attention.post_norm =
                Some(source.norm(&format!("blk.{i}.post_attention_norm"), source.dim)?);
            if window.is_some() && windowed[i] {
                attention.window = window;
                attention.rope = LOCAL;
            }
            if source.layers == LAYERS_27B {
                attention.scale = 1.0 / ((source.dim / attention.heads) as f32).sqrt();
            }
            Ok(Layer {
                attention,
                mlp: source.geglu(i, hidden[i])?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let global = source.rope(RopePairing::Halves, heads[0].2, 1_000_000.0, ROPE_DIVISORS)?;
    // Context extension concerns the layers that see far; the others keep the original angles.
    let local = RopeSpec {
        base: source
            .optional_f32("rope.freq_base_swa")?
            .unwrap_or(10_000.0),
        scaling: RopeScaling::None,
        ..global.clone()
    };
    let mut ropes = vec![global];
    ropes.insert(LOCAL, local);
    let embedding = source.matrix("token_embd.weight", source.vocab, source.dim)?;
    let logit_cap = source.optional_f32("final_logit_softcapping")?;
    Ok(Decoder {
        head: source.head(&embedding, logit_cap.filter(|cap| *cap != 0.0))?,
        embedding,
        embedding_scale: (source.dim as f32).sqrt(),
        layers,
        ropes,
        context: source.context,
        trained_context: source.trained_context,
    })
}
