//! Quantized matrix times activations on the CPU, for every format: bytes of weights per second.
//!
//! One row is what decoding does and is bound by memory, four are what verifying drafted tokens
//! does, and 32 are a piece of a prompt.

use burn::tensor::Tensor;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pocketlm::kernels::Linear;
use pocketlm::quant::FORMATS;
use pocketlm_benches::{cpu, matrix, rows};

/// A square matrix: 9 MB in Q4_K, more than the caches of a phone.
const SIZE: usize = 4096;

fn matmul(c: &mut Criterion) {
    let compute = cpu();
    for n in [1, 4, 32] {
        let mut group = c.benchmark_group(format!("matmul, {n} rows, {}", compute.describe()));
        group.sample_size(10);
        let residual: Tensor<2> = rows(&compute, n, SIZE);
        let x = rows(&compute, n, SIZE);
        for format in FORMATS {
            let weight = matrix(format, SIZE, SIZE);
            group.throughput(Throughput::Bytes((SIZE * weight.row_bytes()) as u64));
            let linear = Linear { weight, bias: None };
            group.bench_function(BenchmarkId::from_parameter(format.name), |b| {
                b.iter(|| compute.matmul_add(x.clone(), &linear, None, residual.clone()));
            });
        }
    }
}

criterion_group!(benches, matmul);
criterion_main!(benches);
