//! Causal grouped-query attention over the cache.
//!
//! A workgroup takes one head of one row over one span of the keys, walking it in blocks with a
//! running maximum (arXiv 2205.14135); a row that reaches over several spans is merged by a second
//! kernel (arXiv 2311.01282). Blocks and spans begin at fixed positions of the sequence, so a row's
//! result depends on its own position only, never on the batch it is computed in.
#![allow(unsafe_code)]

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::Engine;
use super::cache::{DeviceKv, Entry, unpack};
use super::launch::{input, output};
use super::layout::Quad;
use super::matmul::bounded_tanh;
use crate::kernels::weights::Attention;

/// Keys of a block: one for each unit of the workgroup.
const BLOCK: u32 = 64;

/// Blocks of a span.
const SPAN: u32 = 8;

/// Bytes that the unmerged results of one launch may take.
const PARTIAL_BYTES: usize = 32 << 20;

/// What no score reaches; infinities are not portable in shaders.
const LOWEST: f32 = -1.0e30;

/// `a[n, heads · head_dim]` for `q` of the same shape, row `i` at `position + i`.
pub(super) fn attend(
    engine: &Engine,
    q: &Handle,
    n: usize,
    layer: &Attention,
    cache: &DeviceKv,
    position: usize,
) -> Handle {
    let width = layer.heads * layer.head_dim;
    let out = engine.floats(n * width);
    let span = (BLOCK * SPAN) as usize;
    // The spans that any of these rows sees.
    let lowest = layer
        .window
        .map_or(0, |window| (position + 1).saturating_sub(window));
    let first_span = lowest / span;
    let spans = (position + n - 1) / span + 1 - first_span;
    let row_bytes = layer.heads * spans * (layer.head_dim + 2) * 4;
    let chunk = if spans == 1 {
        n
    } else {
        (PARTIAL_BYTES / row_bytes).clamp(1, n)
    };
    let (sums, states) = if spans == 1 {
        (None, None)
    } else {
        let parts = chunk * layer.heads * spans;
        (
            Some(engine.floats(parts * layer.head_dim)),
            Some(engine.floats(parts * 2)),
        )
    };
    for first_row in (0..n).step_by(chunk) {
        let rows = chunk.min(n - first_row);
        // SAFETY: lengths are the buffers' own; keys are clamped to the row's position, which is
        // below the cache's capacity.
        unsafe {
            attend_kernel::launch_unchecked(
                engine.client(),
                CubeCount::Static(layer.heads as u32, rows as u32, spans as u32),
                CubeDim::new_1d(BLOCK),
                input(q, n * width / 4),
                input(&cache.keys, cache.entries()),
                input(&cache.values, cache.entries()),
                match &sums {
                    Some(sums) => output(sums, chunk * spans * width / 4),
                    None => output(&out, n * width / 4),
                },
                match &states {
                    Some(states) => output(states, chunk * spans * layer.heads * 2),
                    None => engine.nothing(),
                },
                (layer.heads / layer.kv_heads) as u32,
                cache.capacity as u32,
                first_row as u32,
                position as u32,
                first_span as u32,
                layer.window.map_or(u32::MAX, |window| window as u32),
                layer.scale,
                layer.softcap.unwrap_or(0.0),
                (layer.head_dim / 4) as u32,
                layer.softcap.is_some(),
                spans == 1,
            );
        }
        if let (Some(sums), Some(states)) = (&sums, &states) {
            // SAFETY: as above; the grid is the first `rows · heads` of the parts.
            unsafe {
                merge_kernel::launch_unchecked(
                    engine.client(),
                    CubeCount::Static(layer.heads as u32, rows as u32, 1),
                    CubeDim::new_1d(BLOCK),
                    input(sums, chunk * spans * width / 4),
                    input(states, chunk * spans * layer.heads * 2),
                    output(&out, n * width / 4),
                    first_row as u32,
                    spans as u32,
                    (layer.head_dim / 4) as u32,
                );
            }
        }
    }
    out
}

#[cube(launch_unchecked)]
fn attend_kernel(
    q: &[Quad],
    keys: &[Entry],
    values: &[Entry],
    out: &mut [Quad],
    states: &mut [f32],
    group: u32,
    capacity: u32,
    first_row: u32,
    position: u32,
    first_span: u32,
    window: u32,
    scale: f32,
    cap: f32,
    #[comptime] quads: u32,
    #[comptime] capped: bool,
    #[comptime] whole: bool,
) {
    let head = CUBE_POS_X;
    let kv = head / group;
    let heads = CUBE_COUNT_X;
    let row = first_row + CUBE_POS_Y;
    let at = position + row;
    let span = first_span + CUBE_POS_Z;
    let unit = UNIT_POS_X;
    // The row sees positions `from..=at`.
    let from = select(at >= window, at + 1 - window, 0u32);
    let first_block = max(from / BLOCK, span * SPAN);
    let past_block = min(at / BLOCK + 1, (span + 1) * SPAN);

    let mut query = Shared::<[Quad]>::new_slice(comptime!(quads as usize));
    let mut scores = Shared::<[f32]>::new_slice(comptime!(BLOCK as usize));
    let mut peaks = Shared::<[f32]>::new_slice(8usize);
    let mut weights = Shared::<[f32]>::new_slice(comptime!(BLOCK as usize));
    for quad in range_stepped(unit, quads, BLOCK) {
        query[quad as usize] = q[((row * heads + head) * quads + quad) as usize];
    }
    sync_cube();

    // Small heads leave units over: they share the keys of a block.
    let shares = comptime!(shares_of(quads));
    let columns = comptime!(quads.div_ceil(BLOCK));
    let share_keys = comptime!(BLOCK / shares);
    let share = unit / comptime!(if columns == 1 { quads } else { BLOCK });
    let column = unit % comptime!(if columns == 1 { quads } else { BLOCK });

    let mut peak = LOWEST.runtime();
    let mut total = 0.0f32;
    let mut sums = Array::<Quad>::new(comptime!(columns as usize));
    for block in first_block..past_block {
        let key = block * BLOCK + unit;
        let seen = key >= from && key <= at;
        let place = min(key, at);
        let mut dots = Quad::new(0.0f32);
        for quad in 0..quads {
            let entry = keys[((kv * quads + quad) * capacity + place) as usize];
            dots = fma(unpack(entry), query[quad as usize], dots);
        }
        let left = dots.extract(0usize) + dots.extract(1usize);
        let right = dots.extract(2usize) + dots.extract(3usize);
        let mut score = (left + right) * scale;
        if capped {
            score = cap * bounded_tanh(score / cap);
        }
        score = select(seen, score, LOWEST.runtime());
        scores[unit as usize] = score;
        sync_cube();
        if unit < 8 {
            let mut most = scores[(unit * 8) as usize];
            #[unroll]
            for i in 1..8u32 {
                most = max(most, scores[(unit * 8 + i) as usize]);
            }
            peaks[unit as usize] = most;
        }
        sync_cube();
        let mut highest = peak;
        #[unroll]
        for i in 0..8usize {
            highest = max(highest, peaks[i]);
        }
        let shrink = (peak - highest).exp();
        let weight = select(seen, (score - highest).exp(), 0.0f32);
        weights[unit as usize] = weight;
        total = fma(total, shrink, weight);
        peak = highest;
        sync_cube();
        if share < shares {
            #[unroll]
            for c in 0..columns {
                let quad = column + c * BLOCK;
                if quad < quads {
                    let mut sum = sums[comptime!(c as usize)] * Quad::new(shrink);
                    for i in 0..share_keys {
                        let slot = share * share_keys + i;
                        let place = min(block * BLOCK + slot, at);
                        let entry = values[((kv * capacity + place) * quads + quad) as usize];
                        sum = fma(unpack(entry), Quad::new(weights[slot as usize]), sum);
                    }
                    sums[comptime!(c as usize)] = sum;
                }
            }
        }
    }

    // The units' parts of the sum of weights, then the shares' parts of the weighted values.
    sync_cube();
    scores[unit as usize] = total;
    let mut parts = Shared::<[Quad]>::new_slice(comptime!((BLOCK * columns) as usize));
    if share < shares {
        #[unroll]
        for c in 0..columns {
            let quad = column + c * BLOCK;
            if quad < quads {
                parts[(share * quads + quad) as usize] = sums[comptime!(c as usize)];
            }
        }
    }
    sync_cube();
    let mut norm = 0.0f32;
    for i in 0..BLOCK {
        norm += scores[i as usize];
    }
    let cell = (CUBE_POS_Y * heads + head) * CUBE_COUNT_Z + CUBE_POS_Z;
    for quad in range_stepped(unit, quads, BLOCK) {
        let mut sum = parts[quad as usize];
        #[unroll]
        for i in 1..shares {
            sum += parts[(i * quads + quad) as usize];
        }
        if whole {
            out[((row * heads + head) * quads + quad) as usize] = sum * Quad::new(1.0f32 / norm);
        } else {
            out[(cell * quads + quad) as usize] = sum;
        }
    }
    if !whole && unit == 0 {
        states[(cell * 2) as usize] = peak;
        states[(cell * 2 + 1) as usize] = norm;
    }
}

/// How many units work on one quad of the output: a power of two, so that it divides a block.
fn shares_of(quads: u32) -> u32 {
    let most = (BLOCK / quads.max(1)).max(1);
    1 << most.ilog2()
}

/// Adds the spans of a row up, in order. A row that lies in one span comes out as it went in.
#[cube(launch_unchecked)]
fn merge_kernel(
    sums: &[Quad],
    states: &[f32],
    out: &mut [Quad],
    first_row: u32,
    spans: u32,
    #[comptime] quads: u32,
) {
    let head = CUBE_POS_X;
    let heads = CUBE_COUNT_X;
    let cell = (CUBE_POS_Y * heads + head) * spans;
    let mut peak = LOWEST.runtime();
    for i in 0..spans {
        peak = max(peak, states[((cell + i) * 2) as usize]);
    }
    for quad in range_stepped(UNIT_POS_X, quads, BLOCK) {
        let mut sum = Quad::new(0.0f32);
        let mut norm = 0.0f32;
        for i in 0..spans {
            let part = states[((cell + i) * 2 + 1) as usize];
            if part > 0.0f32 {
                let own = states[((cell + i) * 2) as usize];
                let weight = select(own == peak, 1.0f32, (own - peak).exp());
                norm = fma(part, weight, norm);
                sum = fma(
                    sums[((cell + i) * quads + quad) as usize],
                    Quad::new(weight),
                    sum,
                );
            }
        }
        let row = first_row + CUBE_POS_Y;
        out[((row * heads + head) * quads + quad) as usize] = sum * Quad::new(1.0f32 / norm);
    }
}
