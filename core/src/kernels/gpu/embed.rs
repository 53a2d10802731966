//! Rows of a quantized table.
#![allow(unsafe_code)]

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::Engine;
use super::launch::{grid, input, output};
use super::layout::{BlockLayout, GROUP, Quad, with_layout};
use crate::kernels::weights::Matrix;

/// Units of a workgroup, each with one group of one row.
const UNITS: u32 = 64;

/// `scale · table[ids]`, `[n, cols]`. Each part of a split table writes the rows it holds.
pub(super) fn embed(engine: &Engine, ids: &Handle, n: usize, table: &Matrix, scale: f32) -> Handle {
    let blocks = table.device();
    let layout = blocks.layout;
    let out = engine.floats(n * table.cols);
    let groups = table.cols.div_ceil(GROUP);
    for part in blocks.parts.iter() {
        // SAFETY: lengths are the buffers' own; the kernel leaves out ids outside the part and
        // quads past the end of a row.
        unsafe {
            with_layout!(layout, L => embed_kernel::launch_unchecked::<L>(
                engine.client(),
                grid(engine, (n * groups).div_ceil(UNITS as usize), 1),
                CubeDim::new_1d(UNITS),
                input(&part.words, part.bytes / 4),
                input(ids, n),
                output(&out, n * table.cols / 4),
                part.first_row as u32,
                part.rows as u32,
                groups as u32,
                blocks.row_bytes as u32,
                n as u32,
                (table.cols / 4) as u32,
                scale,
                layout.block_bytes() as u32,
                layout.groups() as u32,
            ));
        }
    }
    out
}

#[cube(launch_unchecked)]
fn embed_kernel<L: BlockLayout>(
    words: &[u32],
    ids: &[u32],
    out: &mut [Quad],
    first_row: u32,
    rows: u32,
    groups: u32,
    row_bytes: u32,
    n: u32,
    quads: u32,
    scale: f32,
    #[comptime] block_bytes: u32,
    #[comptime] block_groups: u32,
) {
    let task = (CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) * UNITS + UNIT_POS_X;
    let token = task / groups;
    if token < n {
        let group = task % groups;
        let id = ids[token as usize];
        if id >= first_row && id < first_row + rows {
            let block = (id - first_row) * row_bytes + (group / block_groups) * block_bytes;
            let weights = L::quads(words, block, group % block_groups);
            #[unroll]
            for i in 0..8u32 {
                let quad = group * 8 + i;
                if quad < quads {
                    out[(token * quads + quad) as usize] =
                        weights[comptime!(i as usize)] * Quad::new(scale);
                }
            }
        }
    }
}
