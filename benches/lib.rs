//! What the kernel benchmarks share: matrices of every block format, and rows to multiply them by.
//!
//! Run them with `cargo bench -p pocketlm-benches`; a filter picks one, as in
//! `cargo bench -p pocketlm-benches --bench matmul -- Q4_K`. They time single kernels; what an app
//! sees is `pocketlm bench`.

use burn::tensor::{DType, Tensor, TensorData};
use pocketlm::gguf::Blob;
use pocketlm::kernels::{Blocks, Compute, Matrix};
use pocketlm::quant::Format;

/// Numbers between -1 and 1, the same on every run.
pub fn noise(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        // The multiplier of Numerical Recipes' linear congruential generator.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// A matrix `[rows, cols]` in host memory; `cols` is a multiple of the format's block length.
pub fn matrix(format: &'static Format, rows: usize, cols: usize) -> Matrix {
    let mut bytes = vec![0; rows * cols / format.block_len * format.block_bytes];
    match format.quantize {
        Some(quantize) => quantize(&noise(rows * cols), &mut bytes),
        // Read as f16, pairs of these bytes are ordinary numbers: scales must not overflow.
        None => bytes
            .iter_mut()
            .zip((0u8..=255).cycle())
            .for_each(|(byte, i)| *byte = i % 0x3c),
    }
    Matrix {
        format,
        rows,
        cols,
        blocks: Blocks::Host(Blob::from_vec(bytes)),
    }
}

/// `n` rows of activations `[n, cols]` on the device.
pub fn rows(compute: &Compute, n: usize, cols: usize) -> Tensor<2> {
    let data = TensorData::new(noise(n * cols), [n, cols]);
    Tensor::from_data(data, (&compute.device(), DType::F32))
}
