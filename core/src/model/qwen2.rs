//! Qwen 2 and 2.5 (arXiv 2407.10671): Llama with biases on q, k and v, and RoPE on halves.

use crate::error::Result;
use crate::kernels::RopePairing;

use super::decoder::Decoder;
use super::llama;
use super::source::Source;

/// Reads a Qwen 2 file. The biases are found by name (`blk.N.attn_q.bias` and so on).
///
/// # Errors
/// See [`super::load`]; a file without the biases is refused, because without them the model would
/// answer nonsense.
pub fn load(source: &Source<'_>) -> Result<Decoder> {
    source.require_in_layers(&["attn_q.bias", "attn_k.bias", "attn_v.bias"])?;
    llama::decoder(source, RopePairing::Halves, 10_000.0)
}
