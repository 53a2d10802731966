//! Phi 3, 3.5 and 4, dense (arXiv 2404.14219): Llama with q, k and v in one tensor, gate and up in
//! another, RoPE on (part of) the halves, and two sets of RoPE divisors for short and long
//! contexts (LongRoPE, arXiv 2402.13753).

use crate::error::Result;
use crate::kernels::{Activation, Attention, Linear, Mlp, RopePairing, RopeSpec};

use super::decoder::{Decoder, Layer};
use super::source::Source;

/// Divisors of the RoPE frequencies for short contexts.
const SHORT: &str = "rope_factors_short.weight";

/// Divisors of the RoPE frequencies for long contexts.
const LONG: &str = "rope_factors_long.weight";

/// Reads a Phi 3 file.
///
/// # Errors
/// See [`super::load`].
pub fn load(source: &Source<'_>) -> Result<Decoder> {
    let heads = source.heads()?;
    let hidden = source.per_layer("feed_forward_length")?;
    let window = source
        .optional_size("attention.sliding_window")?
        .filter(|window| *window < source.context);
    let layers = (0..source.layers)
        .map(|i| {
            let mut attention = attention(source, i, heads[i])?;
            attention.window = window;
            Ok(Layer {
                attention,
                mlp: mlp(source, i, hidden[i])?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let embedding = source.matrix("token_embd.weight", source.vocab, source.dim)?;
    Ok(Decoder {
        head: source.head(&embedding, None)?,
        embedding,
        embedding_scale: 1.0,
        layers,
        ropes: vec![rope(source, heads[0].2)?],
        context: source.context,
        trained_context: source.trained_context,
    })
}

/// `attn_qkv` holds the rows of q, then k, then v.
fn attention(source: &Source<'_>, i: usize, shape: (usize, usize, usize)) -> Result<Attention> {
    let fused = format!("blk.{i}.attn_qkv.weight");
    if source.has(&format!("blk.{i}.attn_q.weight")) {
        return source.attention(i, shape);
    }
    let (heads, kv_heads, head_dim) = shape;
    let rows = [heads * head_dim, kv_heads * head_dim, kv_heads * head_dim];
    let mut parts = source
        .matrix_parts(&fused, &rows, source.dim)?
        .into_iter()
        .map(|weight| Linear { weight, bias: None });
    let mut next = || parts.next().ok_or_else(|| source.missing(&fused));
    Ok(Attention {
        norm: source.norm(&format!("blk.{i}.attn_norm"), source.dim)?,
        q: next()?,
        k: next()?,
        v: next()?,
        q_norm: None,
        k_norm: None,
        output: source.linear(
            &format!("blk.{i}.attn_output"),
            source.dim,
            heads * head_dim,
        )?,
        post_norm: None,
        heads,
        kv_heads,
        head_dim,
        scale: 1.0 / (head_dim as f32).sqrt(),
        softcap: None,
        window: None,
        rope: 0,
    })
}

/// `ffn_up` holds the rows of the gate, then those of up.
fn mlp(source: &Source<'_>, i: usize, hidden: usize) -> Result<Mlp> {
    if source.has(&format!("blk.{i}.ffn_gate.weight")) {
        return source.swiglu(i, hidden);
    }
    let fused = format!("blk.{i}.ffn_up.weight");
    let mut parts = source
        .matrix_parts(&fused, &[hidden, hidden], source.dim)?
        .into_iter();
    let mut next = || parts.next().ok_or_else(|| source.missing(&fused));
    Ok(Mlp {
        norm: source.norm(&format!("blk.{i}.ffn_norm"), source.dim)?,
        gate: next()?,
        up: next()?,
        down: source.linear(&format!("blk.{i}.ffn_down"), source.dim, hidden)?,
        activation: Activation::Silu,
        post_norm: None,
    })
}

/// The long divisors serve a context longer than the one the model was first trained on. A file has
/// both sets or none.
fn rope(source: &Source<'_>, head_dim: usize) -> Result<RopeSpec> {
    let original = source
        .optional_size("rope.scaling.original_context_length")?
        .unwrap_or(source.trained_context);
    let names = match source.context > original {
        true => [LONG, SHORT],
        false => [SHORT, LONG],
    };
    let spec = source.rope(RopePairing::Halves, head_dim, 10_000.0, names[0])?;
    if names.iter().any(|name| source.has(name)) {
        for name in names {
            source.rope_factors(name, spec.dims)?;
        }
    }
    Ok(spec)
}
