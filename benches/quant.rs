//! Blocks to weights, for every format: bytes of blocks per second on one thread.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pocketlm::quant::{FORMATS, dot_f64};
use pocketlm_benches::{matrix, noise};

/// Weights of a row, as in a model of a few billion parameters.
const COLS: usize = 4096;

fn dequantize(c: &mut Criterion) {
    let mut group = c.benchmark_group("dequantize");
    let mut weights = vec![0.0; COLS];
    for format in FORMATS {
        let matrix = matrix(format, 1, COLS);
        group.throughput(Throughput::Bytes(matrix.row_bytes() as u64));
        group.bench_function(BenchmarkId::from_parameter(format.name), |b| {
            b.iter(|| (format.dequantize)(black_box(matrix.host()), &mut weights));
        });
    }
}

fn reference_dot(c: &mut Criterion) {
    let mut group = c.benchmark_group("reference dot");
    let x = noise(COLS);
    for format in FORMATS {
        let matrix = matrix(format, 1, COLS);
        group.throughput(Throughput::Elements(COLS as u64));
        group.bench_function(BenchmarkId::from_parameter(format.name), |b| {
            b.iter(|| dot_f64(format, black_box(matrix.host()), &x));
        });
    }
}

criterion_group!(benches, dequantize, reference_dot);
criterion_main!(benches);
