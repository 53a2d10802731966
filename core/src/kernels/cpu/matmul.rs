//! Quantized matrix times quantized activations: `[n, cols] · [rows, cols]ᵀ → [n, rows]`.
//!
//! A thread unpacks a panel of weight rows once into signed bytes that stay in its cache and
//! multiplies it with every activation row, so one code path serves decode and prefill, and a
//! row's result cannot depend on how many rows there are.

use crate::kernels::Matrix;
use crate::quant::{Ints, SimpleBlock, SuperBlock};

use super::activations::Activations;
use super::{Engine, dot};

/// Weight rows unpacked at a time: with 4,096 columns 8 rows are 32 KiB of signed bytes.
const PANEL: usize = 8;

/// Weight rows a thread takes at a time; a multiple of [`PANEL`].
const CHUNK: usize = 32;

/// `x · wᵀ`, row-major `[n, rows]`.
pub fn matmul(engine: &Engine, x: &Activations, w: &Matrix) -> Vec<f32> {
    // Computed as [rows, n], so that a thread's results lie together.
    let n = x.n;
    let mut out = vec![0f32; w.rows * n];
    engine
        .pool
        .for_each_piece(&mut out, CHUNK * n, |chunk, piece| {
            let first = chunk * CHUNK;
            for (i, panel) in piece.chunks_mut(PANEL * n).enumerate() {
                multiply_panel(engine, x, w, first + i * PANEL, panel);
            }
        });
    if n == 1 {
        out
    } else {
        transpose(engine, &out, w.rows, n)
    }
}

/// The rows `first..` of `w` that `out[rows, n]` has room for.
fn multiply_panel(engine: &Engine, x: &Activations, w: &Matrix, first: usize, out: &mut [f32]) {
    let rows = out.len() / x.n;
    let row = |i: usize| w.host_row(first + i);
    match w.format.ints {
        Ints::Simple(unpack) => {
            let width = w.cols / 32;
            let mut panel = vec![SimpleBlock::default(); rows * width];
            for (i, blocks) in panel.chunks_exact_mut(width).enumerate() {
                for (bytes, block) in row(i).chunks_exact(w.format.block_bytes).zip(blocks) {
                    unpack(bytes, block);
                }
            }
            multiply(&panel, width, &x.blocks32, out, |w, x| {
                dot::simple(engine.level, w, x)
            });
        }
        Ints::Super(unpack) => {
            let width = w.cols / 256;
            let mut panel = vec![SuperBlock::default(); rows * width];
            for (i, blocks) in panel.chunks_exact_mut(width).enumerate() {
                for (bytes, block) in row(i).chunks_exact(w.format.block_bytes).zip(blocks) {
                    unpack(bytes, block);
                }
            }
            multiply(&panel, width, &x.blocks256, out, |w, x| {
                dot::super_blocks(engine.level, w, x)
            });
        }
        Ints::Float => {
            let mut panel = vec![0f32; rows * w.cols];
            for (i, values) in panel.chunks_exact_mut(w.cols).enumerate() {
                (w.format.dequantize)(row(i), values);
            }
            multiply(&panel, w.cols, &x.floats, out, |w, x| {
                dot::floats(engine.level, w, x)
            });
        }
    }
}

/// Every row of `panel` with every row of `x`, both `width` blocks wide: `out[rows, n]`.
fn multiply<W, X>(
    panel: &[W],
    width: usize,
    x: &[X],
    out: &mut [f32],
    dot: impl Fn(&[W], &[X]) -> f32,
) {
    let n = x.len() / width;
    // Activation rows outermost: one of them and the whole panel stay in the first-level cache.
    for (t, x) in x.chunks_exact(width).enumerate() {
        for (r, w) in panel.chunks_exact(width).enumerate() {
            out[r * n + t] = dot(w, x);
        }
    }
}

/// `[rows, n]` → `[n, rows]`.
fn transpose(engine: &Engine, from: &[f32], rows: usize, n: usize) -> Vec<f32> {
    let mut to = vec![0f32; from.len()];
    engine.pool.for_each_piece(&mut to, rows, |t, out| {
        for (r, x) in out.iter_mut().enumerate() {
            *x = from[r * n + t];
        }
    });
    to
}
