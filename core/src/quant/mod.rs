//! Block formats: how tensors store their weights, and how kernels see them.
//!
//! A format stores a row as blocks of a fixed number of weights. Each is described by one row of
//! [`FORMATS`], and two views of a block serve everything else:
//!
//! - `dequantize`: the weights as f32, bitwise equal to llama.cpp's and to the Python `gguf` package;
//! - [`Ints`]: small integers with the scales that apply to them, for integer dot products. There
//!   are two shapes, [`SimpleBlock`] for blocks of 32 and [`SuperBlock`] for blocks of 256, so a
//!   kernel written against both runs every format.
//!
//! | Format | Weights | Bytes | Weight |
//! |---|---|---|---|
//! | Q4_0, Q5_0, Q8_0 | 32 | 18, 22, 34 | `d·q`, q signed |
//! | Q4_1, Q5_1 | 32 | 20, 24 | `d·q + m` |
//! | IQ4_NL | 32 | 18 | `d·level[q]` |
//! | Q2_K, Q4_K, Q5_K | 256 | 84, 144, 176 | `d·scale·q − dmin·min`, groups of 16, 32, 32 |
//! | Q3_K, Q6_K | 256 | 110, 210 | `d·scale·q`, groups of 16 |
//! | IQ4_XS | 256 | 136 | `d·scale·level[q]`, groups of 32 |
//!
//! The layouts are facts of ggml (`ggml-common.h`); the K formats come from llama.cpp's pull
//! request 1684, IQ4_NL and IQ4_XS from 5590 and 5747.
//!
//! # Adding a format
//! 1. Write one file: a `#[repr(C)]` block struct of bytes with a size assertion, and an
//!    implementation of `block::Simple` or `block::Super` whose `unpack` defines the layout
//!    (dequantization follows from it). Export `pub(super) const FORMAT: Format`.
//! 2. Add the row to [`FORMATS`].
//! 3. Run `core/tests/data/quant/make_vectors.py` after adding the name to its list.
//!
//! The tests, `inspect` and the reference kernels iterate the table.

mod block;
mod float;
mod iq4;
mod q2_k;
mod q3_k;
mod q4;
mod q4_k;
mod q5;
mod q5_k;
mod q6_k;
mod q8;
mod scales;
mod search;

pub use block::{SimpleBlock, SuperBlock};
pub use iq4::{BlockIQ4NL, BlockIQ4XS, IQ4_LEVELS};
pub use q2_k::BlockQ2K;
pub use q3_k::BlockQ3K;
pub use q4::{BlockQ4_0, BlockQ4_1};
pub use q4_k::BlockQ4K;
pub use q5::{BlockQ5_0, BlockQ5_1};
pub use q5_k::BlockQ5K;
pub use q6_k::BlockQ6K;
pub use q8::BlockQ8_0;

use crate::error::{PocketError, Result};
use crate::gguf::TensorType;

/// Blocks to weights.
pub type DequantizeRows = fn(&[u8], &mut [f32]);

/// Weights to blocks.
pub type QuantizeRows = fn(&[f32], &mut [u8]);

/// A format this runtime computes with.
#[derive(Debug)]
pub struct Format {
    /// The tensor type in files.
    pub ty: TensorType,
    /// ggml's name, like `Q4_K`.
    pub name: &'static str,
    /// Weights in a block.
    pub block_len: usize,
    /// Bytes of a block.
    pub block_bytes: usize,
    /// Blocks to weights: any number of whole blocks, as many weights as they hold.
    ///
    /// # Panics
    /// When the bytes are no whole number of blocks, or the output has another length than theirs.
    pub dequantize: DequantizeRows,
    /// Weights to blocks, or `None` for formats that are only read. Weights should be finite;
    /// others give some block, never a panic.
    ///
    /// # Panics
    /// As `dequantize`.
    pub quantize: Option<QuantizeRows>,
    /// The integers of one block.
    pub ints: Ints,
}

/// How integer kernels see a block. Each function takes exactly one block.
#[derive(Clone, Copy, Debug)]
pub enum Ints {
    /// Plain numbers: there are no integers, use `dequantize`.
    Float,
    /// Blocks of 32 with one scale.
    Simple(fn(&[u8], &mut SimpleBlock)),
    /// Blocks of 256 with scales per 16.
    Super(fn(&[u8], &mut SuperBlock)),
}

/// Every format this runtime computes with.
pub static FORMATS: &[Format] = &[
    float::F32,
    float::F16,
    float::BF16,
    q4::Q4_0,
    q4::Q4_1,
    q5::Q5_0,
    q5::Q5_1,
    q8::Q8_0,
    q2_k::FORMAT,
    q3_k::FORMAT,
    q4_k::FORMAT,
    q5_k::FORMAT,
    q6_k::FORMAT,
    iq4::IQ4_NL,
    iq4::IQ4_XS,
];

/// The format of a tensor type.
///
/// # Errors
/// `UnsupportedModel` naming the type, when this runtime cannot compute with it.
pub fn format(ty: TensorType) -> Result<&'static Format> {
    FORMATS
        .iter()
        .find(|f| f.ty == ty)
        .ok_or_else(|| PocketError::unsupported(format!("block format {}", ty.name())))
}

/// The dot product of a quantized row and `x`, in f64 over dequantized weights: the oracle that
/// kernels are tested against, not a fast path.
///
/// # Panics
/// When `row` is no whole number of blocks or `x` has another length.
pub fn dot_f64(format: &Format, row: &[u8], x: &[f32]) -> f64 {
    let mut weights = vec![0.0; x.len()];
    (format.dequantize)(row, &mut weights);
    let products = weights.iter().zip(x);
    products.map(|(&w, &x)| f64::from(w) * f64::from(x)).sum()
}
