//! What follows the q, k and v projections: per-head norms, RoPE, and the append to the cache.
#![allow(unsafe_code)]

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::Engine;
use super::cache::{DeviceKv, Entry, pack};
use super::launch::{input, output};
use super::layout::Quad;
use super::norm::sum_units;
use crate::kernels::rope::{RopePairing, RopeTable};
use crate::kernels::weights::{Attention, Norm};

/// Units that share a head.
const UNITS: u32 = 32;

/// The cosines and sines of a batch on the device, `[n, dims]`: a row's cosines, then its sines.
pub struct DeviceRope {
    pub(super) angles: Handle,
}

/// From `qkv[n, (heads + 2 · kv_heads) · head_dim]`, the turned q `[n, heads · head_dim]`; turned
/// keys and values go to the cache at `position..position + n`.
pub(super) fn rotate(
    engine: &Engine,
    qkv: &Handle,
    layer: &Attention,
    rope: &RopeTable,
    cache: &DeviceKv,
    position: usize,
) -> Handle {
    let slots = layer.heads + 2 * layer.kv_heads;
    let n = rope.n;
    // The kernel writes without bounds checks; sessions refuse what exceeds the context before.
    assert!(
        position + n <= cache.capacity,
        "positions past the cache's capacity"
    );
    let out = engine.floats(n * layer.heads * layer.head_dim);
    let weight = |norm: &Option<Norm>| match norm {
        Some(norm) => input(norm.weight.device(), layer.head_dim),
        None => engine.nothing(),
    };
    let angles = match &rope.device {
        Some(device) => input(&device.angles, n * rope.dims),
        None => unreachable!("a rope table is placed where it is used"),
    };
    // SAFETY: lengths are the buffers' own; slots, rows and elements are bounded by the grid and
    // by `head_dim`, positions by the assertion.
    unsafe {
        rotate_kernel::launch_unchecked(
            engine.client(),
            CubeCount::Static(slots as u32, n as u32, 1),
            CubeDim::new_1d(UNITS),
            input(qkv, n * slots * layer.head_dim / 4),
            angles,
            weight(&layer.q_norm),
            weight(&layer.k_norm),
            output(&cache.keys, cache.entries()),
            output(&cache.values, cache.entries()),
            output(&out, n * layer.heads * layer.head_dim / 4),
            layer.heads as u32,
            layer.kv_heads as u32,
            cache.capacity as u32,
            position as u32,
            layer.q_norm.as_ref().map_or(0.0, |norm| norm.eps),
            layer.k_norm.as_ref().map_or(0.0, |norm| norm.eps),
            layer.head_dim as u32,
            rope.dims as u32,
            rope.pairing == RopePairing::Adjacent,
            layer.q_norm.is_some(),
            layer.k_norm.is_some(),
        );
    }
    out
}

/// Element `d` of a head after the rotation of its row.
#[cube]
fn turned(
    head: &[f32],
    angles: &[f32],
    row: u32,
    d: u32,
    #[comptime] dims: u32,
    #[comptime] adjacent: bool,
) -> f32 {
    let mut value = head[d as usize];
    if d < dims {
        let half = comptime!(dims / 2);
        // The pair's number, its other element, and whether this is its second.
        let (pair, partner, second) = if adjacent {
            (d >> 1, d ^ 1, (d & 1) == 1)
        } else {
            let second = d >= half;
            let pair = select(second, d - half, d);
            (pair, select(second, pair, d + half), second)
        };
        let cos = angles[(row * dims + pair) as usize];
        let sin = angles[(row * dims + half + pair) as usize];
        let sin = select(second, sin, -sin);
        value = fma(value, cos, head[partner as usize] * sin);
    }
    value
}

#[cube(launch_unchecked)]
fn rotate_kernel(
    qkv: &[Quad],
    angles: &[f32],
    q_weight: &[f32],
    k_weight: &[f32],
    keys: &mut [Entry],
    values: &mut [Entry],
    out: &mut [Quad],
    heads: u32,
    kv_heads: u32,
    capacity: u32,
    position: u32,
    q_eps: f32,
    k_eps: f32,
    #[comptime] head_dim: u32,
    #[comptime] dims: u32,
    #[comptime] adjacent: bool,
    #[comptime] q_normed: bool,
    #[comptime] k_normed: bool,
) {
    let slot = CUBE_POS_X;
    let row = CUBE_POS_Y;
    let slots = heads + 2 * kv_heads;
    let is_query = slot < heads;
    let is_key = slot >= heads && slot < heads + kv_heads;
    let quads = comptime!(head_dim / 4);
    let mut head = Shared::<[f32]>::new_slice(comptime!(head_dim as usize));
    let mut squares = Quad::new(0.0f32);
    for quad in range_stepped(UNIT_POS, quads, UNITS) {
        let value = qkv[((row * slots + slot) * quads + quad) as usize];
        squares = fma(value, value, squares);
        #[unroll]
        for i in 0..4u32 {
            head[(quad * 4 + i) as usize] = value.extract(comptime!(i as usize));
        }
    }
    if q_normed || k_normed {
        let left = squares.extract(0usize) + squares.extract(1usize);
        let right = squares.extract(2usize) + squares.extract(3usize);
        let mean = sum_units(left + right, UNITS) / f32::cast_from(head_dim);
        if q_normed && is_query {
            let scale = 1.0f32 / (mean + q_eps).sqrt();
            for d in range_stepped(UNIT_POS, head_dim, UNITS) {
                let value = head[d as usize] * scale;
                head[d as usize] = value * q_weight[d as usize];
            }
        }
        if k_normed && is_key {
            let scale = 1.0f32 / (mean + k_eps).sqrt();
            for d in range_stepped(UNIT_POS, head_dim, UNITS) {
                let value = head[d as usize] * scale;
                head[d as usize] = value * k_weight[d as usize];
            }
        }
    }
    sync_cube();
    let at = position + row;
    for quad in range_stepped(UNIT_POS, quads, UNITS) {
        let mut value = Quad::new(0.0f32);
        #[unroll]
        for i in 0..4u32 {
            let d = quad * 4 + i;
            let index = comptime!(i as usize);
            if is_query || is_key {
                value.insert(index, turned(&head, angles, row, d, dims, adjacent));
            } else {
                value.insert(index, head[d as usize]);
            }
        }
        if is_query {
            out[((row * heads + slot) * quads + quad) as usize] = value;
        } else if is_key {
            let kv = slot - heads;
            keys[((kv * quads + quad) * capacity + at) as usize] = pack(value);
        } else {
            let kv = slot - heads - kv_heads;
            values[((kv * capacity + at) * quads + quad) as usize] = pack(value);
        }
    }
}
