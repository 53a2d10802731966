//! How much memory a forward pass takes while it runs, beside weights and cache: the sizes of the
//! buffers that the operations of this room allocate, for the plan that is made before a model is
//! loaded.

use std::mem::size_of;

use crate::kernels::{Attention, Head, Mlp};
use crate::quant::{Format, Ints};

use super::activations::{Block32, Block256};
use super::lanes::LANES;
use super::tile::FLOAT_COLS;
use super::{attention, matmul};

/// Bytes of an f32.
const FLOAT: usize = size_of::<f32>();

/// One row of [`super::activations::Activations`]: `cols` elements in every representation that
/// the formats need.
fn activation_row(cols: usize, formats: &[&'static Format]) -> usize {
    let needs = |wanted: fn(&Ints) -> bool| formats.iter().any(|f| wanted(&f.ints));
    let mut bytes = 0;
    if needs(|ints| matches!(ints, Ints::Simple(_))) {
        bytes += cols / 32 * size_of::<Block32>();
    }
    if needs(|ints| matches!(ints, Ints::Super(_))) {
        bytes += cols / 256 * size_of::<Block256>();
    }
    if needs(|ints| matches!(ints, Ints::Float)) {
        bytes += cols.next_multiple_of(FLOAT_COLS) * FLOAT;
    }
    bytes
}

/// The most that one layer holds at a time for `n` rows, its input included.
pub fn layer_bytes(attention: &Attention, mlp: &Mlp, n: usize) -> usize {
    let a = attention;
    let dim = mlp.gate.cols;
    let (q, kv) = (a.heads * a.head_dim, a.kv_heads * a.head_dim);
    let projections = [&a.q, &a.k, &a.v].map(|linear| linear.weight.format);
    let gates = [mlp.gate.format, mlp.up.format];
    let hidden = mlp.gate.rows;
    let operations = [
        // qkv: x, its quantized form, and the three products.
        dim * FLOAT + activation_row(dim, &projections) + (q + 2 * kv) * FLOAT,
        // attend: x, q and the weighted means.
        (dim + 2 * q) * FLOAT,
        // The output projection: the means and their quantized form, residual and sum.
        (q + 2 * dim) * FLOAT + activation_row(q, &[a.output.weight.format]),
        // gated_mlp: x, its quantized form, and the hidden activations.
        (dim + hidden) * FLOAT + activation_row(dim, &gates),
        // The down projection: the hidden activations and their quantized form, residual and sum.
        (hidden + 2 * dim) * FLOAT + activation_row(hidden, &[mlp.down.weight.format]),
    ];
    n * operations.into_iter().max().unwrap_or(0)
}

/// What the head holds for `outputs` rows of logits: their input, quantized, and the logits.
pub fn head_bytes(head: &Head, outputs: usize) -> usize {
    let (dim, vocab) = (head.output.weight.cols, head.output.weight.rows);
    let quantized = activation_row(dim, &[head.output.weight.format]);
    outputs * (dim * FLOAT + quantized + vocab * FLOAT)
}

/// What one thread keeps from operation to operation for batches of up to `n` rows: tiles and sums
/// of products, and a page of keys and values with the softmaxes of attention.
pub fn thread_bytes(attention: &Attention, n: usize) -> usize {
    let stride = attention.head_dim.div_ceil(LANES);
    let group = attention.heads / attention.kv_heads;
    matmul::room_bytes(n) + attention::room_bytes(attention.head_dim, stride, group)
}
