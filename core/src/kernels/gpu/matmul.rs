//! Quantized matrix times rows of activations: which kernel, with what arguments.
//!
//! Few rows (decoding, verifying drafts) go to [`thin`](super::thin), where lanes share a matrix
//! row; many rows (prefill) to [`tiled`](super::tiled), where a tile of weights is dequantized into
//! workgroup memory once for 32 tokens.
//!
//! **Exactness.** Both kernels add an output up in one order: inside a group of 32 columns four
//! chains of `fma`, one for each place in a quad, then those four pairwise; eight groups in order
//! to a span; the spans in order. Neither the number of rows nor a row's place enters, and `fma` is
//! spelled out because a compiler may contract `a·b + c` in one kernel and not in the other. So a
//! row's result is bitwise the same in both, at any batch size.
#![allow(unsafe_code)]

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::Engine;
use super::launch::{grid, input, output};
use super::layout::{GROUP, Quad, with_layout};
use super::thin::{self, thin_kernel};
use super::tiled::{self, tiled_kernel};
use crate::kernels::weights::{Activation, Matrix, Vector as Values};

/// Groups that are added up before they join the total.
pub(super) const SPAN: u32 = 8;

/// What a finished sum becomes.
#[derive(Clone, Copy)]
pub(super) enum Finish<'a> {
    /// The output, as it is.
    Store,
    /// Added to the element of another tensor at the same place.
    Add(&'a Handle),
    /// Multiplied with the activation of another tensor's element at the same place.
    Gated(Activation, &'a Handle),
    /// `cap · tanh(sum / cap)`.
    Cap(f32),
}

/// The kernel variant of a [`Finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Variant {
    Store,
    Add,
    Silu,
    Gelu,
    Cap,
}

/// Where the outputs go: row `i`, feature `r` is element `i · stride + first + r`.
pub(super) struct Place<'a> {
    /// An f32 buffer.
    pub(super) out: &'a Handle,
    /// Elements of a row.
    pub(super) stride: usize,
    /// The element of a row that feature 0 is written to.
    pub(super) first: usize,
}

/// Numbers every matrix kernel takes.
#[derive(Clone, Copy, CubeType, CubeLaunch)]
pub(super) struct Extent {
    /// Matrix rows in this buffer.
    pub(super) rows: u32,
    /// The first of them in the whole matrix.
    pub(super) first_row: u32,
    /// Groups of a row.
    pub(super) groups: u32,
    /// Bytes of a row.
    pub(super) row_bytes: u32,
    /// Rows of activations.
    pub(super) n: u32,
    /// Quads of a row of activations.
    pub(super) quads: u32,
    /// Elements of an output row.
    pub(super) stride: u32,
    /// The element of an output row that feature 0 is written to.
    pub(super) first: u32,
    /// The soft-cap, where there is one.
    pub(super) cap: f32,
}

/// What distinguishes the variants of a matrix kernel for one layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    /// Bytes of a block.
    pub(super) block_bytes: u32,
    /// Groups of a block.
    pub(super) block_groups: u32,
    /// Whether rows fill their last group partly.
    pub(super) ragged: bool,
    /// Whether there is a bias.
    pub(super) biased: bool,
    /// What a finished sum becomes.
    pub(super) variant: Variant,
}

/// `finish(x · Wᵀ + bias)` for `x[n, cols]`.
pub(super) fn matmul(
    engine: &Engine,
    (x, n): (&Handle, usize),
    matrix: &Matrix,
    bias: Option<&Values>,
    finish: Finish<'_>,
    place: &Place<'_>,
) {
    let (variant, other, cap) = match finish {
        Finish::Store => (Variant::Store, None, 1.0),
        Finish::Add(other) => (Variant::Add, Some(other), 1.0),
        Finish::Gated(Activation::Silu, gate) => (Variant::Silu, Some(gate), 1.0),
        Finish::Gated(Activation::Gelu, gate) => (Variant::Gelu, Some(gate), 1.0),
        Finish::Cap(cap) => (Variant::Cap, None, cap),
    };
    let blocks = matrix.device();
    let layout = blocks.layout;
    let shape = Shape {
        block_bytes: layout.block_bytes() as u32,
        block_groups: layout.groups() as u32,
        ragged: !matrix.cols.is_multiple_of(GROUP),
        biased: bias.is_some(),
        variant,
    };
    let reach = n.saturating_sub(1) * place.stride + place.first + matrix.rows;
    for part in blocks.parts.iter() {
        let words = input(&part.words, part.bytes / 4);
        let x = input(x, n * matrix.cols / 4);
        let bias = match bias {
            Some(bias) => input(bias.device(), bias.len),
            None => engine.nothing(),
        };
        let other = match other {
            Some(other) => input(other, reach),
            None => engine.nothing(),
        };
        let out = output(place.out, reach);
        let extent = ExtentLaunch::new(
            part.rows as u32,
            part.first_row as u32,
            matrix.cols.div_ceil(GROUP) as u32,
            blocks.row_bytes as u32,
            n as u32,
            (matrix.cols / 4) as u32,
            place.stride as u32,
            place.first as u32,
            cap,
        );
        // SAFETY: the arguments give each buffer's true length, every index the kernels form stays
        // below it (rows and tokens are clamped, groups are bounded by the row), and loops end.
        unsafe {
            if let Some(tile) = thin::tile(n) {
                let tiles = part.rows.div_ceil(tile.workgroup_rows());
                with_layout!(layout, L => thin_kernel::launch_unchecked::<L>(
                    engine.client(),
                    grid(engine, tiles, n.div_ceil(tile.tokens as usize)),
                    thin::units(),
                    words, x, bias, other, out, extent, shape, tile,
                ));
            } else {
                let tiles = part.rows.div_ceil(tiled::ROWS as usize);
                with_layout!(layout, L => tiled_kernel::launch_unchecked::<L>(
                    engine.client(),
                    grid(engine, tiles, n.div_ceil(tiled::TOKENS as usize)),
                    tiled::units(),
                    words, x, bias, other, out, extent, shape,
                ));
            }
        }
    }
}

/// One quad of a token's row; zeros past the end of a row that fills its last group partly.
#[cube]
pub(super) fn activation(
    x: &[Quad],
    row: u32,
    quad: u32,
    extent: &Extent,
    #[comptime] ragged: bool,
) -> Quad {
    let mut value = Quad::new(0.0f32);
    if ragged {
        if quad < extent.quads {
            value = x[(row * extent.quads + quad) as usize];
        }
    } else {
        value = x[(row * extent.quads + quad) as usize];
    }
    value
}

/// The byte address of the block that holds a group of a matrix row. Surplus rows repeat the last
/// one, because all units of a workgroup must reach its barriers.
#[cube]
pub(super) fn block_at(row: u32, group: u32, extent: &Extent, #[comptime] shape: Shape) -> u32 {
    min(row, extent.rows - 1) * extent.row_bytes + (group / shape.block_groups) * shape.block_bytes
}

/// The four chains of a group as one number.
#[cube]
pub(super) fn across(sum: Quad) -> f32 {
    let left = sum.extract(0usize) + sum.extract(1usize);
    let right = sum.extract(2usize) + sum.extract(3usize);
    left + right
}

/// `tanh`, safe for arguments whose exponential would overflow.
#[cube]
pub(super) fn bounded_tanh(x: f32) -> f32 {
    clamp(x, -10.0f32, 10.0f32).tanh()
}

/// Writes the output of `cell`, a row of this buffer and a token, whose sum is `total`.
#[cube]
pub(super) fn finish(
    bias: &[f32],
    other: &[f32],
    out: &mut [f32],
    total: f32,
    cell: (u32, u32),
    extent: &Extent,
    #[comptime] shape: Shape,
) {
    let (row, token) = cell;
    if token < extent.n && row < extent.rows {
        let feature = extent.first_row + row;
        let at = (token * extent.stride + extent.first + feature) as usize;
        let mut total = total;
        if comptime!(shape.biased) {
            total += bias[feature as usize];
        }
        let value = match comptime!(shape.variant) {
            Variant::Store => total,
            Variant::Add => total + other[at],
            Variant::Silu => {
                let gate = other[at];
                gate / (1.0f32 + (min(-gate, 80.0f32)).exp()) * total
            }
            Variant::Gelu => {
                let gate = other[at];
                let inner = 0.797_884_6f32 * gate * (1.0f32 + 0.044_715f32 * gate * gate);
                0.5f32 * gate * (1.0f32 + bounded_tanh(inner)) * total
            }
            Variant::Cap => extent.cap * bounded_tanh(total / extent.cap),
        };
        out[at] = value;
    }
}
