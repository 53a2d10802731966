//! Plain numbers: F32, F16 and BF16. A block is one element.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::{DequantizeRows, Format, Ints, QuantizeRows};
use crate::gguf::TensorType;

pub(super) const F32: Format = row(
    TensorType::F32,
    |bytes, out| decode(bytes, out, f32::from_le_bytes),
    |x, out| encode(x, out, f32::to_le_bytes),
);

pub(super) const F16: Format = row(TensorType::F16, decode_f16, |x, out| {
    encode(x, out, |x| f16::from_f32(x).to_le_bytes());
});

pub(super) const BF16: Format = row(
    TensorType::BF16,
    |bytes, out| decode(bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
    |x, out| encode(x, out, |x| bf16::from_f32(x).to_le_bytes()),
);

const fn row(ty: TensorType, dequantize: DequantizeRows, quantize: QuantizeRows) -> Format {
    Format {
        ty,
        name: ty.name(),
        block_len: ty.block_len(),
        block_bytes: ty.block_bytes(),
        dequantize,
        quantize: Some(quantize),
        ints: Ints::Float,
    }
}

/// The elements of `bytes`, of which there must be `weights`.
fn elements<const N: usize>(bytes: &[u8], weights: usize) -> &[[u8; N]] {
    let (elements, rest) = bytes.as_chunks::<N>();
    assert!(rest.is_empty(), "a row must be whole elements");
    assert_eq!(elements.len(), weights, "as many weights as elements");
    elements
}

fn decode<const N: usize>(bytes: &[u8], out: &mut [f32], read: impl Fn([u8; N]) -> f32) {
    let elements = elements(bytes, out.len());
    for (w, &element) in out.iter_mut().zip(elements) {
        *w = read(element);
    }
}

/// `half` looks for the conversion instructions once a slice, so elements are converted some at a
/// time, over a buffer because the bytes may lie at any address.
fn decode_f16(bytes: &[u8], out: &mut [f32]) {
    let mut buffer = [f16::ZERO; 64];
    let elements = elements(bytes, out.len());
    for (elements, out) in elements.chunks(64).zip(out.chunks_mut(64)) {
        for (half, &element) in buffer.iter_mut().zip(elements) {
            *half = f16::from_le_bytes(element);
        }
        buffer[..out.len()].convert_to_f32_slice(out);
    }
}

/// Rounds to nearest even where the format is narrower.
fn encode<const N: usize>(x: &[f32], out: &mut [u8], write: impl Fn(f32) -> [u8; N]) {
    let (elements, rest) = out.as_chunks_mut::<N>();
    assert!(rest.is_empty(), "a row must be whole elements");
    assert_eq!(elements.len(), x.len(), "as many elements as weights");
    for (element, &x) in elements.iter_mut().zip(x) {
        *element = write(x);
    }
}
