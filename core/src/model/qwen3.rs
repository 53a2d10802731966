//! Qwen 3, dense (arXiv 2505.09388): no biases, a norm on every head of q and k, RoPE on halves,
//! heads whose size is given apart from the hidden state's.

use crate::error::Result;
use crate::kernels::RopePairing;

use super::decoder::Decoder;
use super::llama;
use super::source::Source;

/// Reads a Qwen 3 file. The head norms are found by name (`blk.N.attn_q_norm.weight`).
///
/// # Errors
/// See [`super::load`]; a file without head norms is refused.
pub fn load(source: &Source<'_>) -> Result<Decoder> {
    source.require_in_layers(&["attn_q_norm.weight", "attn_k_norm.weight"])?;
    llama::decoder(source, RopePairing::Halves, 1_000_000.0)
}
