//! The CPU kernels: every block format and every kind of cache, on every instruction set that this
//! CPU has. What is exact is compared with `==`, what is rounded with a bound that follows from the
//! rounding.

use burn::tensor::{DType, Tensor, TensorData};
use pocketlm::gguf::{Blob, TensorType};
use pocketlm::kernels::cpu::{Engine, Level};
use pocketlm::kernels::{
    Activation, Attention, Blocks, Compute, KvLayer, KvType, Linear, Matrix, Mlp, Norm, Vector,
};
use pocketlm::quant::{self, FORMATS, Format, Ints};

use super::nano::builder::weights::{self, Noise};

/// Numbers of activation rows: each way they are grouped, and ways that leave some over.
const ROWS: &[usize] = &[1, 2, 3, 4, 5, 8, 9, 15, 16, 27];

/// An engine on each level of this CPU, plain Rust first.
fn engines(kv: KvType) -> Vec<(Level, Compute)> {
    let compute = |level| Compute::Cpu(Engine::with_level(2, level).with_kv(kv));
    Level::all().map(|level| (level, compute(level))).collect()
}

fn tensor(compute: &Compute, rows: &[f32], width: usize) -> Tensor<2> {
    let data = TensorData::new(rows.to_vec(), [rows.len() / width, width]);
    Tensor::from_data(data, (&compute.device(), DType::F32))
}

fn matrix(noise: &mut Noise, format: &'static Format, rows: usize, cols: usize) -> Matrix {
    let bytes = weights::matrix(noise, format, rows * cols, 0.05);
    Matrix {
        format,
        rows,
        cols,
        blocks: Blocks::Host(Blob::from_vec(bytes)),
    }
}

/// `x · Wᵀ`.
fn product(compute: &Compute, w: &Linear, x: &[f32]) -> Vec<f32> {
    let n = x.len() / w.weight.cols;
    let zeros = tensor(compute, &vec![0.0; n * w.weight.rows], w.weight.rows);
    let out = compute.matmul_add(tensor(compute, x, w.weight.cols), w, None, zeros);
    compute.read(out).expect("reads")
}

#[track_caller]
fn assert_same(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let differs = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
    if let Some(i) = found.iter().zip(expected).position(differs) {
        panic!(
            "{what}: element {i} is {} and not {}",
            found[i], expected[i]
        );
    }
}

/// How far a product may be from the exact one: an activation is off by half a step of its block at
/// most, whose largest is 127 steps, so the sum by as much of every weight. Floats add a few ulps of
/// the terms.
fn bound(format: &Format, weights: &[f32], x: &[f32]) -> f64 {
    let block = match format.ints {
        Ints::Float => None,
        _ => Some(format.block_len),
    };
    let terms: f64 = weights
        .iter()
        .zip(x)
        .map(|(w, x)| f64::from((w * x).abs()))
        .sum();
    let rounding: f64 = block.map_or(0.0, |len| {
        let blocks = weights.chunks(len).zip(x.chunks(len));
        blocks
            .map(|(w, x)| {
                let peak = x.iter().fold(0f32, |peak, x| peak.max(x.abs()));
                let magnitude: f64 = w.iter().map(|w| f64::from(w.abs())).sum();
                f64::from(peak) / 127.0 / 2.0 * magnitude
            })
            .sum()
    });
    // The minimums of a K block are subtracted from larger products than what is left.
    rounding * 1.001 + terms * 16.0 * f64::from(f32::EPSILON) + 1e-6
}

#[test]
fn every_format_is_as_exact_as_8_bit_activations_allow_and_the_same_on_every_level() {
    let mut checked = 0;
    for format in FORMATS {
        let mut noise = Noise::new(format.name);
        // A whole number of panels, and not; several stretches of tiles in the second.
        for (rows, cols) in [(48, 256), (19, 2560)] {
            let weight = matrix(&mut noise, format, rows, cols);
            let mut dense = vec![0.0; rows * cols];
            (format.dequantize)(weight.host(), &mut dense);
            let linear = Linear { weight, bias: None };
            let most = *ROWS.iter().max().expect("rows");
            let x = noise.normals(most * cols, 1.0);
            let mut expected: Option<Vec<f32>> = None;
            for (level, compute) in engines(KvType::F16) {
                let alone: Vec<f32> = x
                    .chunks_exact(cols)
                    .flat_map(|x| product(&compute, &linear, x))
                    .collect();
                for (i, found) in alone.iter().enumerate() {
                    let (t, r) = (i / rows, i % rows);
                    let x = &x[t * cols..(t + 1) * cols];
                    let exact = quant::dot_f64(format, linear.weight.host_row(r), x);
                    let bound = bound(format, &dense[r * cols..(r + 1) * cols], x);
                    let error = (f64::from(*found) - exact).abs();
                    assert!(
                        error <= bound,
                        "{}, {level}, row {r} of {rows}: {found}, exactly {exact}, may be off by {bound:e}",
                        format.name
                    );
                }
                for &n in ROWS {
                    let found = product(&compute, &linear, &x[..n * cols]);
                    let what = format!("{}, {level}, {n} rows together", format.name);
                    assert_same(&found, &alone[..n * rows], &what);
                    checked += 1;
                }
                match &expected {
                    None => expected = Some(alone),
                    Some(expected) => {
                        let what = format!("{}, {level} against plain Rust", format.name);
                        assert_same(&alone, expected, &what);
                    }
                }
            }
        }
    }
    assert_eq!(
        checked,
        FORMATS.len() * 2 * ROWS.len() * Level::all().count()
    );
}

/// Columns that are no whole tile of plain numbers.
#[test]
fn plain_numbers_may_end_anywhere() {
    for ty in [TensorType::F32, TensorType::F16, TensorType::BF16] {
        let format = quant::format(ty).expect("a format");
        let mut noise = Noise::new(format.name);
        for cols in [1, 7, 20, 257] {
            let linear = Linear {
                weight: matrix(&mut noise, format, 17, cols),
                bias: None,
            };
            let x = noise.normals(9 * cols, 1.0);
            for (level, compute) in engines(KvType::F16) {
                let found = product(&compute, &linear, &x);
                for (i, found) in found.iter().enumerate() {
                    let row = linear.weight.host_row(i % 17);
                    let x = &x[i / 17 * cols..][..cols];
                    let exact = quant::dot_f64(format, row, x);
                    let error = (f64::from(*found) - exact).abs();
                    assert!(error < 1e-5, "{}, {level}, {cols} columns", format.name);
                }
            }
        }
    }
}

#[test]
fn gates_are_the_same_on_every_level_and_close_to_the_reference() {
    let mut noise = Noise::new("gates");
    let (dim, hidden) = (256, 100);
    let f32s = quant::format(TensorType::F32).expect("a format");
    for activation in [Activation::Silu, Activation::Gelu] {
        let mlp = Mlp {
            norm: Norm {
                weight: Vector::new(noise.normals(dim, 1.0)),
                eps: 1e-6,
            },
            gate: matrix(&mut noise, f32s, hidden, dim),
            up: matrix(&mut noise, f32s, hidden, dim),
            down: Linear {
                weight: matrix(&mut noise, f32s, dim, hidden),
                bias: None,
            },
            activation,
            post_norm: None,
        };
        // Large activations reach the flat ends of both functions.
        let x = noise.normals(13 * dim, 3.0);
        let run = |compute: &Compute| {
            let out = compute.gated_mlp(&tensor(compute, &x, dim), &mlp);
            compute.read(out).expect("reads")
        };
        let reference = run(&Compute::Reference(Engine::new(2)));
        let engines = engines(KvType::F16);
        let plain = run(&engines[0].1);
        for (found, expected) in plain.iter().zip(&reference) {
            let error = (found - expected).abs();
            assert!(error <= 2e-5 * (1.0 + expected.abs()), "{found} {expected}");
        }
        for (level, compute) in &engines[1..] {
            assert_same(&run(compute), &plain, &format!("{activation:?}, {level}"));
        }
    }
}

/// Attention of some shape; its matrices play no part in `attend`.
fn attention(heads: usize, kv_heads: usize, head_dim: usize) -> Attention {
    let f32s = quant::format(TensorType::F32).expect("a format");
    let linear = || Linear {
        weight: matrix(&mut Noise::new("unused"), f32s, 1, 1),
        bias: None,
    };
    Attention {
        norm: Norm {
            weight: Vector::new(vec![1.0]),
            eps: 1e-6,
        },
        q: linear(),
        k: linear(),
        v: linear(),
        q_norm: None,
        k_norm: None,
        output: linear(),
        post_norm: None,
        heads,
        kv_heads,
        head_dim,
        scale: 1.0 / (head_dim as f32).sqrt(),
        softcap: None,
        window: None,
        rope: 0,
    }
}

/// Writes keys and values (`[n, kv_heads · head_dim]`) at the first positions of a new cache.
fn cache(compute: &Compute, layer: &Attention, keys: &[f32], values: &[f32]) -> KvLayer {
    let width = layer.kv_heads * layer.head_dim;
    let n = keys.len() / width;
    let made = compute.kv_layer(layer.kv_heads, layer.head_dim, n);
    let mut cache = made.expect("host memory");
    for i in 0..n {
        let (k, v) = (&keys[i * width..][..width], &values[i * width..][..width]);
        match &mut cache {
            KvLayer::F16(kv) => kv.write(i, k, v),
            KvLayer::Q8_0(kv) => kv.write(i, k, v),
            KvLayer::F32(kv) => kv.write(i, k, v),
            #[cfg(feature = "gpu")]
            KvLayer::Device(_) => panic!("a cache of a CPU engine is in host memory"),
        }
    }
    cache
}

/// Every kind of attention over sequences that cross pages (64 positions) and splits (512): one row
/// at a time, a few rows, all rows; on every level; against the reference.
#[test]
fn attention_is_the_same_in_every_batch_and_on_every_level() {
    let shapes = [(4, 2, 64), (6, 1, 48), (3, 3, 20), (7, 1, 128)];
    let kinds: [(Option<usize>, Option<f32>); 4] = [
        (None, None),
        (Some(70), None),
        (None, Some(5.0)),
        (Some(1), None),
    ];
    for (i, (heads, kv_heads, head_dim)) in shapes.into_iter().enumerate() {
        for (window, softcap) in kinds {
            let mut layer = attention(heads, kv_heads, head_dim);
            (layer.window, layer.softcap) = (window, softcap);
            let mut noise = Noise::new(&format!("attention {i}"));
            let (total, batch) = (1100, 21);
            let width = heads * head_dim;
            let keys = noise.normals(total * kv_heads * head_dim, 1.0);
            let values = noise.normals(total * kv_heads * head_dim, 1.0);
            let q = noise.normals(batch * width, 2.0);
            let position = total - batch;
            let run = |compute: &Compute, sizes: &[usize]| {
                let cache = cache(compute, &layer, &keys, &values);
                let (mut out, mut at) = (Vec::new(), 0);
                for n in sizes {
                    let q = tensor(compute, &q[at * width..(at + n) * width], width);
                    let a = compute.attend(q, &layer, &cache, position + at);
                    out.extend(compute.read(a).expect("reads"));
                    at += n;
                }
                out
            };
            let exact = run(&Compute::Reference(Engine::new(2)), &[batch]);
            // Scores of some units, from keys rounded to 11 bits, or to 127 steps of the largest of
            // 32: a weight is off by about that much of a score, and the means by less.
            for (kv, error) in [
                (KvType::F32, 2e-6),
                (KvType::F16, 4e-3),
                (KvType::Q8_0, 8e-2),
            ] {
                let mut plain: Option<Vec<f32>> = None;
                for (level, compute) in engines(kv) {
                    let what =
                        format!("{heads}/{kv_heads}/{head_dim}, {window:?}, {kv:?}, {level}");
                    let alone = run(&compute, &[1; 21]);
                    assert_same(&run(&compute, &[21]), &alone, &format!("{what}, all"));
                    assert_same(
                        &run(&compute, &[2, 8, 3, 8]),
                        &alone,
                        &format!("{what}, few"),
                    );
                    let far = alone.iter().zip(&exact).map(|(a, b)| (a - b).abs());
                    let far = far.fold(0.0, f32::max);
                    assert!(far <= error, "{what}: off by {far}");
                    let plain = plain.get_or_insert_with(|| alone.clone());
                    assert_same(&alone, plain, &what);
                }
            }
        }
    }
}

#[test]
fn a_level_has_a_name_and_only_those_of_this_cpu_are_taken() {
    for level in Level::all() {
        assert_eq!(level.name().parse::<Level>().expect("a level"), level);
    }
    let error = "mmx".parse::<Level>().expect_err("no level");
    assert!(error.to_string().contains("mmx"), "{error}");
    assert!(error.to_string().contains("portable"), "{error}");
}
