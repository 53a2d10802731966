//! Many rows of activations: a workgroup dequantizes a tile of weights once for all its tokens.
//!
//! Column group by column group, half of the units dequantize one group of a matrix row each into
//! workgroup memory and the other half bring the tokens' activations there; then every unit
//! multiplies four rows with four tokens out of workgroup memory into registers.

use cubecl::prelude::*;

use super::layout::{BlockLayout, Quad};
use super::matmul::{Extent, SPAN, Shape, across, activation, block_at, finish};

/// Matrix rows of a workgroup: one for each unit of the dequantizing half.
pub(super) const ROWS: u32 = 64;

/// Tokens of a workgroup.
pub(super) const TOKENS: u32 = 32;

/// Rows of a unit, and tokens of a unit.
const SIDE: u32 = 4;

/// Units over the rows, and over the tokens.
const ROW_UNITS: u32 = ROWS / SIDE;
const TOKEN_UNITS: u32 = TOKENS / SIDE;

/// Quads of a group, and one more so that neighbouring rows start in different memory banks.
const PITCH: u32 = 9;

/// The shape of a workgroup: 128 units.
pub(super) fn units() -> CubeDim {
    CubeDim::new_2d(ROW_UNITS, TOKEN_UNITS)
}

#[cube(launch_unchecked)]
pub(super) fn tiled_kernel<L: BlockLayout>(
    words: &[u32],
    x: &[Quad],
    bias: &[f32],
    other: &[f32],
    out: &mut [f32],
    extent: Extent,
    #[comptime] shape: Shape,
) {
    let mut weights = Shared::<[Quad]>::new_slice(comptime!((ROWS * PITCH) as usize));
    let mut values = Shared::<[Quad]>::new_slice(comptime!((TOKENS * PITCH) as usize));
    let first_row = (CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) * ROWS;
    let first_token = CUBE_POS_Z * TOKENS;
    let unit = UNIT_POS;
    let (row_unit, token_unit) = (UNIT_POS_X, UNIT_POS_Y);
    let outputs = comptime!((SIDE * SIDE) as usize);
    let mut totals = Array::<f32>::new(outputs);
    let mut spans = Array::<f32>::new(outputs);
    for group in 0..extent.groups {
        sync_cube();
        if unit < ROWS {
            let block = block_at(first_row + unit, group, &extent, shape);
            let quads = L::quads(words, block, group % shape.block_groups);
            #[unroll]
            for i in 0..8usize {
                weights[unit as usize * comptime!(PITCH as usize) + i] = quads[i];
            }
        } else {
            // Eight neighbouring units bring a token's group.
            let other_unit = unit - ROWS;
            let quad = other_unit & 7;
            #[unroll]
            for i in 0..comptime!(TOKENS / 8) {
                let token = (other_unit >> 3) + comptime!(i * 8);
                let row = min(first_token + token, extent.n - 1);
                let value = activation(x, row, group * 8 + quad, &extent, shape.ragged);
                values[(token * PITCH + quad) as usize] = value;
            }
        }
        sync_cube();
        let mut sums = Array::<Quad>::new(outputs);
        for i in 0..8u32 {
            let mut columns = Sequence::<Quad>::new();
            #[unroll]
            for t in 0..SIDE {
                columns.push(values[((t * TOKEN_UNITS + token_unit) * PITCH + i) as usize]);
            }
            #[unroll]
            for r in 0..SIDE {
                let weight = weights[((r * ROW_UNITS + row_unit) * PITCH + i) as usize];
                #[unroll]
                for t in 0..SIDE {
                    let at = comptime!((r * SIDE + t) as usize);
                    sums[at] = fma(weight, columns[comptime!(t as usize)], sums[at]);
                }
            }
        }
        let starts = group % SPAN == 0;
        let ends = group % SPAN == SPAN - 1 || group + 1 == extent.groups;
        #[unroll]
        for at in 0..outputs {
            let dot = across(sums[at]);
            spans[at] = select(starts, dot, spans[at] + dot);
            totals[at] = select(ends, totals[at] + spans[at], totals[at]);
        }
    }
    #[unroll]
    for r in 0..SIDE {
        #[unroll]
        for t in 0..SIDE {
            let row = first_row + r * ROW_UNITS + row_unit;
            let token = first_token + t * TOKEN_UNITS + token_unit;
            let total = totals[comptime!((r * SIDE + t) as usize)];
            finish(bias, other, out, total, (row, token), &extent, shape);
        }
    }
}
