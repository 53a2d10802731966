//! Attention over the cache on the CPU: generating at a depth, and a piece of a prompt.
//!
//! Generating reads every key and value once and is bound by memory: bytes of cache per second. A
//! piece of a prompt uses each many times and is bound by arithmetic: rows per second.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pocketlm_benches::{SHAPE_1_5B, SHAPE_7B, Shape, cpu, rows};

/// Tokens in the cache before the one that is generated.
const DECODE_DEPTH: usize = 4096;

/// Tokens in the cache before the piece of a prompt, and its length.
const PREFILL_DEPTH: usize = 1024;
const PREFILL_ROWS: usize = 64;

/// Bytes of an element of the cache (f16).
const KV_BYTES: usize = 2;

const SHAPES: [&Shape; 2] = [&SHAPE_1_5B, &SHAPE_7B];

fn decode(c: &mut Criterion) {
    attend(c, "decode", DECODE_DEPTH, 1);
}

fn prefill(c: &mut Criterion) {
    attend(c, "prefill", PREFILL_DEPTH, PREFILL_ROWS);
}

fn attend(c: &mut Criterion, what: &str, depth: usize, n: usize) {
    let compute = cpu();
    let name = format!("attention, {what}: {n} rows at depth {depth}");
    let mut group = c.benchmark_group(name);
    group.sample_size(20);
    for shape in SHAPES {
        let layer = shape.attention();
        let cache = shape.filled_cache(&compute, &layer, depth + n);
        let q = rows(&compute, n, shape.heads * shape.head_dim);
        let elements = (depth + n) * 2 * shape.kv_heads * shape.head_dim;
        group.throughput(match n {
            1 => Throughput::Bytes((elements * KV_BYTES) as u64),
            _ => Throughput::Elements(n as u64),
        });
        group.bench_function(BenchmarkId::from_parameter(shape.name), |b| {
            b.iter(|| compute.attend(q.clone(), &layer, &cache, depth));
        });
    }
}

criterion_group!(benches, decode, prefill);
criterion_main!(benches);
