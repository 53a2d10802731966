//! Few rows of activations: lanes share a matrix row.
//!
//! Each of 32 lanes takes every 32nd group of a few matrix rows, dequantizes it into registers, and
//! multiplies it with that group of every token. The lanes' sums then meet in workgroup memory,
//! where one lane per token adds them up.

use cubecl::prelude::*;

use super::layout::{BlockLayout, Quad};
use super::matmul::{Extent, SPAN, Shape, across, activation, block_at, finish};

/// Lanes that share matrix rows.
const LANES: u32 = 32;

/// Sets of lanes in a workgroup.
const SETS: u32 = 4;

/// Matrix rows and tokens of one set of lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tile {
    pub(super) rows: u32,
    pub(super) tokens: u32,
}

/// One token leaves registers for four matrix rows, which share the activations a lane has read.
const ONE: Tile = Tile { rows: 4, tokens: 1 };

/// A lane keeps two dequantized rows in registers and reads the tokens one after the other.
const FEW: Tile = Tile { rows: 2, tokens: 8 };

/// The tile for `n` tokens, if they are few enough.
pub(super) fn tile(n: usize) -> Option<Tile> {
    [ONE, FEW]
        .into_iter()
        .find(|tile| n <= tile.tokens as usize)
}

/// The shape of a workgroup.
pub(super) fn units() -> CubeDim {
    CubeDim::new_2d(LANES, SETS)
}

impl Tile {
    /// Matrix rows of a workgroup.
    pub(super) fn workgroup_rows(self) -> usize {
        (self.rows * SETS) as usize
    }
}

#[cube(launch_unchecked)]
pub(super) fn thin_kernel<L: BlockLayout>(
    words: &[u32],
    x: &[Quad],
    bias: &[f32],
    other: &[f32],
    out: &mut [f32],
    extent: Extent,
    #[comptime] shape: Shape,
    #[comptime] tile: Tile,
) {
    let tokens = comptime!(tile.tokens);
    let rows = comptime!(tile.rows);
    // One more slot than lanes, so that the adding lanes read from different memory banks.
    let pitch = comptime!(LANES + 1);
    let slots = comptime!(SETS * rows * tokens * pitch);
    let mut sums = Shared::<[f32]>::new_slice(comptime!(slots as usize));
    let lane = UNIT_POS_X;
    let set = UNIT_POS_Y;
    let first_row = ((CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) * SETS + set) * rows;
    let first_token = CUBE_POS_Z * tokens;
    let slot = set * rows * tokens;
    // The lane adds up one output in the end: its row and token in the tile.
    let adds = lane < comptime!(rows * tokens);
    let mut total = 0.0f32;
    let rounds = extent.groups.div_ceil(LANES);
    for round in 0..rounds {
        let group = round * LANES + lane;
        if group < extent.groups {
            if comptime!(tokens == 1) {
                let mut values = Sequence::<Quad>::new();
                #[unroll]
                for i in 0..8u32 {
                    values.push(activation(
                        x,
                        first_token,
                        group * 8 + i,
                        &extent,
                        shape.ragged,
                    ));
                }
                #[unroll]
                for r in 0..rows {
                    let weights = L::quads(
                        words,
                        block_at(first_row + r, group, &extent, shape),
                        group % shape.block_groups,
                    );
                    let mut sum = Quad::new(0.0f32);
                    #[unroll]
                    for i in 0..8usize {
                        sum = fma(weights[i], values[i], sum);
                    }
                    sums[((slot + r) * pitch + lane) as usize] = across(sum);
                }
            } else {
                let mut weights = Sequence::<Quad>::new();
                #[unroll]
                for r in 0..rows {
                    let block = block_at(first_row + r, group, &extent, shape);
                    for quad in L::quads(words, block, group % shape.block_groups) {
                        weights.push(quad);
                    }
                }
                // Slots of tokens that are not there stay as they are; no one uses their sums.
                for t in 0..min(tokens.runtime(), extent.n - first_token) {
                    let mut values = Sequence::<Quad>::new();
                    #[unroll]
                    for i in 0..8u32 {
                        let quad = group * 8 + i;
                        values.push(activation(x, first_token + t, quad, &extent, shape.ragged));
                    }
                    #[unroll]
                    for r in 0..rows {
                        let mut sum = Quad::new(0.0f32);
                        #[unroll]
                        for i in 0..8usize {
                            sum = fma(weights[comptime!(r as usize * 8 + i)], values[i], sum);
                        }
                        let at = slot + comptime!(r * tokens) + t;
                        sums[(at * pitch + lane) as usize] = across(sum);
                    }
                }
            }
        } else {
            #[unroll]
            for i in 0..comptime!(rows * tokens) {
                sums[((slot + i) * pitch + lane) as usize] = 0.0f32;
            }
        }
        sync_cube();
        if adds {
            let at = (slot + lane) * pitch;
            #[unroll]
            for span in 0..comptime!(LANES / SPAN) {
                let mut sum = sums[(at + span * SPAN) as usize];
                #[unroll]
                for i in 1..SPAN {
                    sum += sums[(at + span * SPAN + i) as usize];
                }
                total += sum;
            }
        }
        sync_cube();
    }
    if adds {
        let place = (first_row + lane / tokens, first_token + lane % tokens);
        finish(bias, other, out, total, place, &extent, shape);
    }
}
