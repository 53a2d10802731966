//! Activations as the integer kernels read them: 8-bit blocks, quantized once per operation.

use crate::quant::{Format, Ints};

use super::Engine;

/// 32 activations: `x[i] ≈ d · q[i]`.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub struct Block32 {
    /// Quants in -127..=127.
    pub q: [i8; 32],
    /// Step.
    pub d: f32,
    /// `d · Σ q`: what a weight block's additive constant multiplies.
    pub sum: f32,
}

/// 256 activations: `x[i] ≈ d · q[i]`.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub struct Block256 {
    /// Quants in -127..=127.
    pub q: [i8; 256],
    /// `Σ q` of each run of 16: what a weight block's sub-minimums multiply.
    pub sums: [i16; 16],
    /// Step.
    pub d: f32,
}

/// `n` rows of activations in every representation that the weights at hand need.
pub struct Activations {
    /// Rows.
    pub n: usize,
    /// `[n, cols / 32]`, when a 32-weight format takes part.
    pub blocks32: Vec<Block32>,
    /// `[n, cols / 256]`, when a 256-weight format takes part.
    pub blocks256: Vec<Block256>,
    /// `[n, cols]`, when a float format takes part.
    pub floats: Vec<f32>,
}

impl Activations {
    /// Quantizes `x[n, cols]` for products with weights of `formats`.
    pub fn new(engine: &Engine, x: &[f32], cols: usize, formats: &[&'static Format]) -> Self {
        let needs = |wanted: fn(&Ints) -> bool| formats.iter().any(|f| wanted(&f.ints));
        let mut out = Self {
            n: x.len() / cols,
            blocks32: Vec::new(),
            blocks256: Vec::new(),
            floats: Vec::new(),
        };
        // Pieces of a row each: rows are independent, so their number changes nothing.
        if needs(|ints| matches!(ints, Ints::Simple(_))) {
            let per_row = cols / 32;
            out.blocks32 = vec![ZERO32; out.n * per_row];
            engine
                .pool
                .for_each_piece(&mut out.blocks32, per_row, |i, row| {
                    for (block, x) in row.iter_mut().zip(x[i * cols..].chunks_exact(32)) {
                        quantize32(x, block);
                    }
                });
        }
        if needs(|ints| matches!(ints, Ints::Super(_))) {
            let per_row = cols / 256;
            out.blocks256 = vec![ZERO256; out.n * per_row];
            engine
                .pool
                .for_each_piece(&mut out.blocks256, per_row, |i, row| {
                    for (block, x) in row.iter_mut().zip(x[i * cols..].chunks_exact(256)) {
                        quantize256(x, block);
                    }
                });
        }
        if needs(|ints| matches!(ints, Ints::Float)) {
            out.floats = x.to_vec();
        }
        out
    }
}

const ZERO32: Block32 = Block32 {
    q: [0; 32],
    d: 0.0,
    sum: 0.0,
};

const ZERO256: Block256 = Block256 {
    q: [0; 256],
    sums: [0; 16],
    d: 0.0,
};

/// The step of a block, and its inverse (zero for a block of zeros).
fn step(x: &[f32]) -> (f32, f32) {
    let peak = x.iter().fold(0f32, |peak, x| peak.max(x.abs()));
    let d = peak / 127.0;
    (d, if d > 0.0 { 1.0 / d } else { 0.0 })
}

fn quantize32(x: &[f32], block: &mut Block32) {
    let (d, inverse) = step(x);
    let mut sum = 0i32;
    for (q, x) in block.q.iter_mut().zip(x) {
        let rounded = (x * inverse).round_ties_even() as i32;
        sum += rounded;
        *q = rounded as i8;
    }
    block.d = d;
    block.sum = d * sum as f32;
}

fn quantize256(x: &[f32], block: &mut Block256) {
    let (d, inverse) = step(x);
    for ((q, x), sum) in block
        .q
        .chunks_exact_mut(16)
        .zip(x.chunks_exact(16))
        .zip(&mut block.sums)
    {
        let mut total = 0i32;
        for (q, x) in q.iter_mut().zip(x) {
            let rounded = (x * inverse).round_ties_even() as i32;
            total += rounded;
            *q = rounded as i8;
        }
        *sum = total as i16;
    }
    block.d = d;
}
