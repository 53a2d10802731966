//! Every other operation of a layer on the CPU, in the shapes and formats of a real model: bytes of
//! weights per second, for one row (generating), four (verifying) and 32 (a piece of a prompt).

use burn::tensor::Tensor;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pocketlm::kernels::{Compute, Matrix};
use pocketlm_benches::{SHAPE_1_5B, cpu, rows};

/// Rows at once.
const ROWS: [usize; 3] = [1, 4, 32];

/// Fewer tokens than the model has, but more bytes than a cache (40 MB).
const VOCAB: usize = 32_768;

/// Tokens in the cache before those that `qkv` appends.
const DEPTH: usize = 128;

fn qkv(c: &mut Criterion) {
    let (compute, shape) = (cpu(), SHAPE_1_5B);
    let layer = shape.attention();
    let weights = [&layer.q.weight, &layer.k.weight, &layer.v.weight];
    bench(c, &compute, "qkv", &weights, |n| {
        let mut cache = shape.filled_cache(&compute, &layer, DEPTH + n);
        let rope = compute.rope_table(&shape.rope(), DEPTH, n);
        let x = rows(&compute, n, shape.dim);
        let (compute, layer) = (&compute, &layer);
        // Each call writes the same positions again.
        move || compute.qkv(&x, layer, &rope, &mut cache, DEPTH)
    });
}

fn gated_mlp(c: &mut Criterion) {
    let (compute, shape) = (cpu(), SHAPE_1_5B);
    let mlp = shape.mlp();
    bench(c, &compute, "gated_mlp", &[&mlp.gate, &mlp.up], |n| {
        let x = rows(&compute, n, shape.dim);
        let (compute, mlp) = (&compute, &mlp);
        move || compute.gated_mlp(&x, mlp)
    });
}

fn matmul_add(c: &mut Criterion) {
    let (compute, shape) = (cpu(), SHAPE_1_5B);
    let down = shape.mlp().down;
    bench(c, &compute, "matmul_add", &[&down.weight], |n| {
        let h = rows(&compute, n, shape.hidden);
        let x = rows(&compute, n, shape.dim);
        let (compute, down) = (&compute, &down);
        move || compute.matmul_add(h.clone(), down, None, x.clone())
    });
}

fn head(c: &mut Criterion) {
    let (compute, shape) = (cpu(), SHAPE_1_5B);
    let head = shape.head(VOCAB);
    bench(c, &compute, "head", &[&head.output.weight], |n| {
        let x = rows(&compute, n, shape.dim);
        let (compute, head) = (&compute, &head);
        move || compute.head(x.clone(), 0, n, head)
    });
}

/// Times what `prepare` returns for each number of rows, as reading `weights`.
fn bench<Run: FnMut() -> Tensor<2>>(
    c: &mut Criterion,
    compute: &Compute,
    name: &str,
    weights: &[&Matrix],
    prepare: impl Fn(usize) -> Run,
) {
    let mut group = c.benchmark_group(format!("{name}, {}", compute.describe()));
    group.sample_size(20);
    let bytes: u64 = weights.iter().map(|w| w.bytes()).sum();
    group.throughput(Throughput::Bytes(bytes));
    for n in ROWS {
        let mut run = prepare(n);
        group.bench_function(BenchmarkId::from_parameter(n), |b| b.iter(&mut run));
    }
}

criterion_group!(benches, qkv, gated_mlp, matmul_add, head);
criterion_main!(benches);
