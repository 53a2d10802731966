//! The oracle: the seam's operations as their formulas say, on dequantized weights and
//! unquantized activations, with sums in f64. Slow and plain on purpose; it shares no arithmetic
//! with the fast paths, so that they can be measured against it.

use super::cpu::Pool;
use super::kv::FloatPage;
use super::{Attention, Head, HostKv, Linear, Matrix, Mlp, Norm, PAGE, RopeTable};

/// Weight rows a thread takes at a time.
const CHUNK: usize = 16;

/// See [`super::Kernels::embed`].
pub fn embed(ids: &[i32], table: &Matrix, scale: f32) -> Vec<f32> {
    let mut out = vec![0.0; ids.len() * table.cols];
    for (row, id) in out.chunks_exact_mut(table.cols).zip(ids) {
        (table.format.dequantize)(table.host_row(*id as usize), row);
        row.iter_mut().for_each(|x| *x *= scale);
    }
    out
}

/// See [`super::Kernels::qkv`].
pub fn qkv(
    pool: &Pool,
    x: &[f32],
    layer: &Attention,
    rope: &RopeTable,
    cache: &mut HostKv<FloatPage>,
    position: usize,
) -> Vec<f32> {
    let x = rms_norm(x, &layer.norm);
    let mut q = project(pool, &x, &layer.q);
    let mut k = project(pool, &x, &layer.k);
    let v = project(pool, &x, &layer.v);
    if let Some(norm) = &layer.q_norm {
        q = rms_norm(&q, norm);
    }
    if let Some(norm) = &layer.k_norm {
        k = rms_norm(&k, norm);
    }
    for (rows, heads) in [(&mut q, layer.heads), (&mut k, layer.kv_heads)] {
        for (i, head) in rows.chunks_exact_mut(layer.head_dim).enumerate() {
            rope.turn(i / heads, head);
        }
    }
    let width = layer.kv_heads * layer.head_dim;
    let rows = k.chunks_exact(width).zip(v.chunks_exact(width));
    for (i, (k, v)) in rows.enumerate() {
        cache.write(position + i, k, v);
    }
    q
}

/// See [`super::Kernels::attend`].
pub fn attend(
    pool: &Pool,
    q: &[f32],
    layer: &Attention,
    cache: &HostKv<FloatPage>,
    position: usize,
) -> Vec<f32> {
    let hd = layer.head_dim;
    let mut out = vec![0.0; q.len()];
    pool.for_each_piece(&mut out, hd, |i, out| {
        let (row, head) = (i / layer.heads, i % layer.heads);
        let kv_head = head / (layer.heads / layer.kv_heads);
        let last = position + row;
        let first = layer.window.map_or(0, |w| (last + 1).saturating_sub(w));
        let q = &q[i * hd..(i + 1) * hd];
        let scores: Vec<f64> = (first..=last)
            .map(|j| {
                let page = &cache.pages()[j / PAGE];
                let k = |d| f64::from(page.key(kv_head, j % PAGE, d));
                let dot: f64 = (0..hd).map(|d| f64::from(q[d]) * k(d)).sum();
                let score = dot * f64::from(layer.scale);
                layer.softcap.map_or(score, |cap| {
                    let cap = f64::from(cap);
                    cap * (score / cap).tanh()
                })
            })
            .collect();
        let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut acc = vec![0f64; hd];
        for (j, w) in (first..=last).zip(&weights) {
            let v = cache.pages()[j / PAGE].value(kv_head, j % PAGE);
            for (acc, v) in acc.iter_mut().zip(v) {
                *acc += w / total * f64::from(*v);
            }
        }
        for (out, x) in out.iter_mut().zip(&acc) {
            *out = *x as f32;
        }
    });
    out
}

/// See [`super::Kernels::matmul_add`].
pub fn matmul_add(
    pool: &Pool,
    a: &[f32],
    linear: &Linear,
    post_norm: Option<&Norm>,
    residual: &[f32],
) -> Vec<f32> {
    let mut out = project(pool, a, linear);
    if let Some(norm) = post_norm {
        out = rms_norm(&out, norm);
    }
    out.iter().zip(residual).map(|(x, r)| x + r).collect()
}

/// See [`super::Kernels::gated_mlp`].
pub fn gated_mlp(pool: &Pool, x: &[f32], mlp: &Mlp) -> Vec<f32> {
    let x = rms_norm(x, &mlp.norm);
    let gate = matmul(pool, &x, &mlp.gate);
    let up = matmul(pool, &x, &mlp.up);
    gate.iter()
        .zip(&up)
        .map(|(g, u)| mlp.activation.apply(*g) * u)
        .collect()
}

/// See [`super::Kernels::head`]; `x` holds only the rows asked for.
pub fn head(pool: &Pool, x: &[f32], head: &Head) -> Vec<f32> {
    let x = rms_norm(x, &head.norm);
    let mut logits = project(pool, &x, &head.output);
    if let Some(cap) = head.softcap {
        logits.iter_mut().for_each(|x| *x = cap * (*x / cap).tanh());
    }
    logits
}

/// Norms every run of `norm.weight.len` elements.
fn rms_norm(x: &[f32], norm: &Norm) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(norm.weight.len) {
        let squares: f64 = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
        let scale = 1.0 / (squares / row.len() as f64 + f64::from(norm.eps)).sqrt();
        let weight = norm.weight.host().iter();
        out.extend(
            row.iter()
                .zip(weight)
                .map(|(x, w)| (f64::from(*x) * scale * f64::from(*w)) as f32),
        );
    }
    out
}

fn project(pool: &Pool, x: &[f32], linear: &Linear) -> Vec<f32> {
    let mut out = matmul(pool, x, &linear.weight);
    if let Some(bias) = &linear.bias {
        for row in out.chunks_exact_mut(linear.weight.rows) {
            row.iter_mut().zip(bias.host()).for_each(|(x, b)| *x += b);
        }
    }
    out
}

/// `x[n, cols] · w[rows, cols]ᵀ → [n, rows]`, a row of `w` dequantized at a time.
fn matmul(pool: &Pool, x: &[f32], w: &Matrix) -> Vec<f32> {
    let n = x.len() / w.cols;
    let mut by_row = vec![0f32; w.rows * n];
    pool.for_each_piece(&mut by_row, CHUNK * n, |chunk, out| {
        let mut weights = vec![0f32; w.cols];
        for (i, out) in out.chunks_exact_mut(n).enumerate() {
            (w.format.dequantize)(w.host_row(chunk * CHUNK + i), &mut weights);
            for (out, x) in out.iter_mut().zip(x.chunks_exact(w.cols)) {
                *out = dot(&weights, x) as f32;
            }
        }
    });
    let mut out = vec![0f32; by_row.len()];
    pool.for_each_piece(&mut out, w.rows, |t, out| {
        for (r, x) in out.iter_mut().enumerate() {
            *x = by_row[r * n + t];
        }
    });
    out
}

/// A dot product in f64, in eight interleaved sums so that it does not take all day.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0f64; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += f64::from(*a) * f64::from(*b);
        }
    }
    lanes.iter().sum()
}
