//! Attention on the GPU: projections, RoPE, cache and softmax of several shapes, in any chunking.

use std::ops::Range;

use half::f16;
use pocketlm::gguf::TensorType;
use pocketlm::kernels::{
    Attention, Compute, KvLayer, Linear, Norm, RopePairing, RopeScaling, RopeSpec, Vector,
};

use super::{
    Random, close, gpu, place_linear, place_norm, project, read, rms_norm, rows_of, same_bits,
    upload, wide,
};

/// The shape of one attention test.
struct Shape {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    dims: usize,
    pairing: RopePairing,
    normed: bool,
    window: Option<usize>,
    softcap: Option<f32>,
}

const SHAPES: &[Shape] = &[
    Shape {
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        dims: 64,
        pairing: RopePairing::Halves,
        normed: false,
        window: None,
        softcap: None,
    },
    Shape {
        heads: 3,
        kv_heads: 1,
        head_dim: 80,
        dims: 20,
        pairing: RopePairing::Halves,
        normed: true,
        window: Some(100),
        softcap: None,
    },
    Shape {
        heads: 2,
        kv_heads: 2,
        head_dim: 256,
        dims: 256,
        pairing: RopePairing::Adjacent,
        normed: false,
        window: Some(520),
        softcap: Some(1.5),
    },
    Shape {
        heads: 4,
        kv_heads: 4,
        head_dim: 12,
        dims: 8,
        pairing: RopePairing::Adjacent,
        normed: true,
        window: None,
        softcap: Some(0.8),
    },
    Shape {
        heads: 1,
        kv_heads: 1,
        head_dim: 320,
        dims: 320,
        pairing: RopePairing::Halves,
        normed: false,
        window: None,
        softcap: None,
    },
];

/// What the host computes for all rows of a sequence: turned q, and keys and values as stored.
struct Rows {
    q: Vec<f64>,
    k: Vec<f64>,
    v: Vec<f64>,
}

fn turn(spec: &RopeSpec, position: usize, head: &mut [f64]) {
    let (frequencies, _) = spec.frequencies();
    let half = spec.dims / 2;
    for (i, f) in frequencies.iter().enumerate() {
        let (sin, cos) = (position as f64 * f).sin_cos();
        let (a, b) = match spec.pairing {
            RopePairing::Adjacent => (2 * i, 2 * i + 1),
            RopePairing::Halves => (i, i + half),
        };
        (head[a], head[b]) = (head[a] * cos - head[b] * sin, head[a] * sin + head[b] * cos);
    }
}

fn host_rows(x: &[f64], layer: &Attention, spec: &RopeSpec) -> Rows {
    let x = rms_norm(x, &layer.norm);
    let stored = |x: f64| f64::from(f16::from_f64(x).to_f32());
    let heads = |linear: &Linear, norm: &Option<Norm>| {
        let (mut rows, _) = project(&x, &linear.weight, linear.bias.as_ref());
        let width = linear.weight.rows;
        for (position, row) in rows.chunks_exact_mut(width).enumerate() {
            for head in row.chunks_exact_mut(layer.head_dim) {
                if let Some(norm) = norm {
                    head.copy_from_slice(&rms_norm(head, norm));
                }
                turn(spec, position, head);
            }
        }
        rows
    };
    let (v, _) = project(&x, &layer.v.weight, layer.v.bias.as_ref());
    Rows {
        q: heads(&layer.q, &layer.q_norm),
        k: heads(&layer.k, &layer.k_norm)
            .into_iter()
            .map(stored)
            .collect(),
        v: v.into_iter().map(stored).collect(),
    }
}

fn host_attention(rows: &Rows, layer: &Attention, position: usize) -> Vec<f64> {
    let d = layer.head_dim;
    let first = layer
        .window
        .map_or(0, |window| (position + 1).saturating_sub(window));
    let mut out = Vec::new();
    for head in 0..layer.heads {
        let kv = head / (layer.heads / layer.kv_heads);
        let q = &rows.q[(position * layer.heads + head) * d..][..d];
        let at = |x: &'_ [f64], p: usize| x[(p * layer.kv_heads + kv) * d..][..d].to_vec();
        let scores: Vec<f64> = (first..=position)
            .map(|p| {
                let dot: f64 = at(&rows.k, p).iter().zip(q).map(|(k, q)| k * q).sum();
                let score = dot * f64::from(layer.scale);
                match layer.softcap.map(f64::from) {
                    Some(cap) => cap * (score / cap).tanh(),
                    None => score,
                }
            })
            .collect();
        let most = scores.iter().fold(f64::MIN, |a, b| a.max(*b));
        let weights: Vec<f64> = scores.iter().map(|s| (s - most).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut sum = vec![0.0; d];
        for (weight, p) in weights.iter().zip(first..) {
            for (s, v) in sum.iter_mut().zip(at(&rows.v, p)) {
                *s += weight / total * v;
            }
        }
        out.extend(sum);
    }
    out
}

#[test]
fn attention_of_every_shape_like_f64_in_any_chunking() {
    let Some(engine) = gpu() else { return };
    let compute = Compute::Gpu(engine);
    for (index, shape) in SHAPES.iter().enumerate() {
        let name = format!("shape {index}");
        let mut random = Random(21 + index as u64);
        let (dim, d) = (64, shape.head_dim);
        // Over the end of the second span of keys.
        let n = 1030;
        let mut linear = |rows: usize| Linear {
            weight: random.mild(TensorType::Q8_0, rows, dim),
            bias: (index % 2 == 0).then(|| Vector::new(random.floats(rows))),
        };
        let (q, k, v) = (
            linear(shape.heads * d),
            linear(shape.kv_heads * d),
            linear(shape.kv_heads * d),
        );
        let output = linear(dim);
        let layer = Attention {
            norm: random.norm(dim),
            q,
            k,
            v,
            q_norm: shape.normed.then(|| random.norm(d)),
            k_norm: shape.normed.then(|| random.norm(d)),
            output,
            post_norm: None,
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            head_dim: d,
            scale: 2.0 / (d as f32).sqrt(),
            softcap: shape.softcap,
            window: shape.window,
            rope: 0,
        };
        let placed = Attention {
            norm: place_norm(&compute, &layer.norm),
            q: place_linear(&compute, &layer.q),
            k: place_linear(&compute, &layer.k),
            v: place_linear(&compute, &layer.v),
            q_norm: layer.q_norm.as_ref().map(|norm| place_norm(&compute, norm)),
            k_norm: layer.k_norm.as_ref().map(|norm| place_norm(&compute, norm)),
            output: place_linear(&compute, &layer.output),
            post_norm: None,
            ..layer
        };
        let spec = RopeSpec {
            dims: shape.dims,
            base: 10_000.0,
            pairing: shape.pairing,
            scaling: RopeScaling::None,
        };
        let x = random.floats(n * dim);
        let run = |cache: &mut KvLayer, rows: Range<usize>| {
            let rope = compute.rope_table(&spec, rows.start, rows.len());
            let rows_in = upload(&compute, rows_of(&x, dim, rows.clone()), dim);
            let q = compute.qkv(&rows_in, &placed, &rope, cache, rows.start);
            let a = compute.attend(q.clone(), &placed, cache, rows.start);
            (read(&compute, q), read(&compute, a))
        };
        let mut cache = compute.kv_layer(shape.kv_heads, d, n).unwrap();
        let (q, a) = run(&mut cache, 0..n);

        let host = host_rows(&wide(&x), &layer, &spec);
        close(&name, &q, &host.q, &vec![4.0; q.len()], 5e-6);
        let width = shape.heads * d;
        for p in [
            0, 1, 62, 63, 64, 65, 127, 511, 512, 513, 700, 1023, 1024, 1029,
        ] {
            let want = host_attention(&host, &layer, p);
            // A key or value may round to the half next to the host's.
            let name = format!("{name}, position {p}");
            close(
                &name,
                rows_of(&a, width, p..p + 1),
                &want,
                &vec![2.0; width],
                5e-4,
            );
        }

        // The same rows in other batches, on top of a cache that already held other things.
        let mut other = compute.kv_layer(shape.kv_heads, d, n).unwrap();
        run(&mut other, 5..40);
        for rows in [
            0..1,
            1..9,
            9..64,
            64..500,
            500..511,
            511..512,
            512..513,
            513..1029,
            1029..1030,
        ] {
            // On another thread each time, as a session's turns are.
            let turn = std::thread::scope(|scope| {
                let turn = scope.spawn(|| run(&mut other, rows.clone()));
                turn.join().unwrap()
            });
            let (q2, a2) = turn;
            let name = format!("{name}, rows {rows:?}");
            same_bits(&format!("{name}, q"), &q2, rows_of(&q, width, rows.clone()));
            same_bits(&name, &a2, rows_of(&a, width, rows));
        }
    }
}
