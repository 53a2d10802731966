//! Attention over an f16 cache, page by page with a running softmax (arXiv 2205.14135).

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::kernels::{Attention, HostKv, PAGE};

use super::{Engine, dot};

/// Query rows a task handles together: they share a page's conversion to f32.
const ROWS: usize = 16;

/// The running softmax of one query head of one row.
struct Running {
    max: f32,
    sum: f32,
}

/// See [`crate::kernels::Kernels::attend`].
pub fn attend(
    engine: &Engine,
    q: &[f32],
    layer: &Attention,
    cache: &HostKv<f16>,
    position: usize,
) -> Vec<f32> {
    let width = layer.heads * layer.head_dim;
    let n = q.len() / width;
    let group = layer.heads / layer.kv_heads;
    // Computed as [row block, kv head, row, head of the group, head_dim]: a task's results lie
    // together. For one row this already is the wanted order.
    let piece = group * layer.head_dim;
    let blocks = n.div_ceil(ROWS);
    let mut parts: Vec<Vec<f32>> = (0..blocks * layer.kv_heads)
        .map(|i| vec![0f32; rows_of(i / layer.kv_heads, n) * piece])
        .collect();
    engine.pool.for_each_piece(&mut parts, 1, |i, part| {
        let (block, kv_head) = (i / layer.kv_heads, i % layer.kv_heads);
        let rows = Rows {
            q,
            first: block * ROWS,
            position,
            kv_head,
        };
        attend_rows(engine, &rows, layer, cache, &mut part[0]);
    });
    let mut out = vec![0f32; q.len()];
    for (i, part) in parts.iter().enumerate() {
        let (block, kv_head) = (i / layer.kv_heads, i % layer.kv_heads);
        for (r, heads) in part.chunks_exact(piece).enumerate() {
            let at = (block * ROWS + r) * width + kv_head * piece;
            out[at..at + piece].copy_from_slice(heads);
        }
    }
    out
}

fn rows_of(block: usize, n: usize) -> usize {
    ROWS.min(n - block * ROWS)
}

/// Which query rows a task handles, and for which key/value head.
struct Rows<'a> {
    q: &'a [f32],
    first: usize,
    position: usize,
    kv_head: usize,
}

/// All query heads that share `kv_head`, for some rows: `out[rows, group, head_dim]`.
fn attend_rows(
    engine: &Engine,
    rows: &Rows<'_>,
    layer: &Attention,
    cache: &HostKv<f16>,
    out: &mut [f32],
) {
    let hd = layer.head_dim;
    let group = layer.heads / layer.kv_heads;
    let n = out.len() / (group * hd);
    let mut running: Vec<Running> = (0..n * group)
        .map(|_| Running {
            max: f32::NEG_INFINITY,
            sum: 0.0,
        })
        .collect();
    let mut keys = vec![0f32; PAGE * hd];
    let mut values = vec![0f32; PAGE * hd];
    // Positions row `r` sees: `low(r)..=high(r)`.
    let high = |r: usize| rows.position + rows.first + r;
    let low = |r: usize| layer.window.map_or(0, |w| (high(r) + 1).saturating_sub(w));
    for (p, page) in cache.pages().iter().enumerate() {
        let start = p * PAGE;
        if start > high(n - 1) {
            break;
        }
        if start + PAGE <= low(0) {
            continue;
        }
        let head = rows.kv_head * PAGE * hd..(rows.kv_head + 1) * PAGE * hd;
        page.keys[head.clone()].convert_to_f32_slice(&mut keys);
        page.values[head].convert_to_f32_slice(&mut values);
        for r in 0..n {
            let from = low(r).max(start) - start;
            let to = (high(r) + 1).clamp(start, start + PAGE) - start;
            if from >= to {
                continue;
            }
            for g in 0..group {
                let head = rows.kv_head * group + g;
                let at = ((rows.first + r) * layer.heads + head) * hd;
                let state = &mut running[r * group + g];
                let acc = &mut out[(r * group + g) * hd..][..hd];
                attend_page(
                    engine,
                    &rows.q[at..at + hd],
                    layer,
                    &keys,
                    &values,
                    from..to,
                    state,
                    acc,
                );
            }
        }
    }
    for (state, acc) in running.iter().zip(out.chunks_exact_mut(hd)) {
        acc.iter_mut().for_each(|x| *x /= state.sum);
    }
}

/// Adds the keys and values `seen` of one page to one head's running softmax.
#[allow(clippy::too_many_arguments)] // the state of one loop, split out to be readable
fn attend_page(
    engine: &Engine,
    q: &[f32],
    layer: &Attention,
    keys: &[f32],
    values: &[f32],
    seen: std::ops::Range<usize>,
    state: &mut Running,
    acc: &mut [f32],
) {
    let hd = layer.head_dim;
    let mut scores = [f32::NEG_INFINITY; PAGE];
    let mut max = state.max;
    for j in seen.clone() {
        let mut score = dot::floats(engine.level, q, &keys[j * hd..][..hd]) * layer.scale;
        if let Some(cap) = layer.softcap {
            score = cap * (score / cap).tanh();
        }
        scores[j] = score;
        max = max.max(score);
    }
    if max > state.max {
        let shrink = (state.max - max).exp();
        state.sum *= shrink;
        acc.iter_mut().for_each(|x| *x *= shrink);
        state.max = max;
    }
    for j in seen {
        let p = (scores[j] - max).exp();
        state.sum += p;
        dot::accumulate(engine.level, acc, p, &values[j * hd..][..hd]);
    }
}
