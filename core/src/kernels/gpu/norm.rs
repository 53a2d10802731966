//! Root mean square norm of rows, with or without a residual.
#![allow(unsafe_code)]

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::Engine;
use super::launch::{grid, input, output};
use super::layout::Quad;
use crate::kernels::weights::Norm;

/// Units that share a row.
const UNITS: u32 = 128;

/// `residual + norm(x)` of rows `first..first + n` of `x[.., cols]`; the residual has `n` rows.
pub(super) fn norm(
    engine: &Engine,
    x: &Handle,
    (first, n): (usize, usize),
    norm: &Norm,
    residual: Option<&Handle>,
) -> Handle {
    let cols = norm.weight.len;
    let out = engine.floats(n * cols);
    // SAFETY: lengths are the buffers' own, and every index lies in a row below `first + n`.
    unsafe {
        norm_kernel::launch_unchecked(
            engine.client(),
            grid(engine, n, 1),
            CubeDim::new_1d(UNITS),
            input(x, (first + n) * cols / 4),
            input(norm.weight.device(), cols / 4),
            match residual {
                Some(residual) => input(residual, n * cols / 4),
                None => engine.nothing(),
            },
            output(&out, n * cols / 4),
            first as u32,
            n as u32,
            (cols / 4) as u32,
            norm.eps,
            residual.is_some(),
        );
    }
    out
}

/// The sum of one number of each of `units` units (a power of two), the same in all of them.
#[cube]
pub(super) fn sum_units(value: f32, #[comptime] units: u32) -> f32 {
    let mut sums = Shared::<[f32]>::new_slice(comptime!(units as usize));
    sums[UNIT_POS as usize] = value;
    sync_cube();
    #[unroll]
    for step in 1..comptime!(units.ilog2() + 1) {
        let half = comptime!(units >> step);
        if UNIT_POS < half {
            let other = sums[(UNIT_POS + half) as usize];
            sums[UNIT_POS as usize] += other;
        }
        sync_cube();
    }
    sums[0]
}

#[cube(launch_unchecked)]
fn norm_kernel(
    x: &[Quad],
    weight: &[Quad],
    residual: &[Quad],
    out: &mut [Quad],
    first: u32,
    n: u32,
    quads: u32,
    eps: f32,
    #[comptime] add: bool,
) {
    let row = min(CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X, n - 1);
    let from = (first + row) * quads;
    let to = row * quads;
    let mut squares = Quad::new(0.0f32);
    for quad in range_stepped(UNIT_POS, quads, UNITS) {
        let value = x[(from + quad) as usize];
        squares = fma(value, value, squares);
    }
    let left = squares.extract(0usize) + squares.extract(1usize);
    let right = squares.extract(2usize) + squares.extract(3usize);
    let sum = sum_units(left + right, UNITS);
    let mean = sum / f32::cast_from(quads * 4);
    let scale = Quad::new(1.0f32 / (mean + eps).sqrt());
    for quad in range_stepped(UNIT_POS, quads, UNITS) {
        let mut value = x[(from + quad) as usize] * scale * weight[quad as usize];
        if add {
            value += residual[(to + quad) as usize];
        }
        out[(to + quad) as usize] = value;
    }
}
