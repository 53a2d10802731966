//! Every row of the format table against an independent implementation; the quantizers are in the
//! module below.

mod quantize;

use std::fs;
use std::path::PathBuf;

use pocketlm::PocketError;
use pocketlm::gguf::TensorType;
use pocketlm::quant::{FORMATS, Format, Ints, SimpleBlock, SuperBlock, dot_f64, format};

/// A file of `tests/data/quant`, written by `make_vectors.py` there.
fn vectors(format: &Format, kind: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/quant")
        .join(format!("{}.{kind}.bin", format.name));
    fs::read(path).ok()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (words, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    words.iter().map(|&w| f32::from_le_bytes(w)).collect()
}

/// The number of blocks in a vector file of blocks and weights.
fn block_count(format: &Format, file: &[u8]) -> usize {
    let pair = format.block_bytes + 4 * format.block_len;
    assert!(
        !file.is_empty() && file.len().is_multiple_of(pair),
        "{}: the vector file has another layout",
        format.name
    );
    file.len() / pair
}

/// The blocks and the expected weights of a format.
fn dequantize_vectors(format: &Format) -> (Vec<u8>, Vec<f32>) {
    let mut blocks = vectors(format, "dequantize").unwrap_or_else(|| {
        panic!("{}: no vectors; add it to make_vectors.py", format.name);
    });
    let count = block_count(format, &blocks);
    let weights = blocks.split_off(count * format.block_bytes);
    (blocks, floats(&weights))
}

fn dequantize(format: &Format, blocks: &[u8]) -> Vec<f32> {
    let mut weights = vec![f32::NAN; blocks.len() / format.block_bytes * format.block_len];
    (format.dequantize)(blocks, &mut weights);
    weights
}

/// Numbers that look normally distributed (a sum of uniform ones), the same on every run.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f32 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }

    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }

    fn row(&mut self, len: usize, scale: f32) -> Vec<f32> {
        (0..len).map(|_| scale * self.normal()).collect()
    }
}

#[test]
fn the_table_agrees_with_the_tensor_types() {
    for (i, f) in FORMATS.iter().enumerate() {
        assert_eq!(f.name, f.ty.name());
        assert_eq!(f.block_len, f.ty.block_len(), "{}", f.name);
        assert_eq!(f.block_bytes, f.ty.block_bytes(), "{}", f.name);
        let again = FORMATS[i + 1..].iter().any(|other| other.ty == f.ty);
        assert!(!again, "{} is there twice", f.name);
        let shape = match f.ints {
            Ints::Float => 1,
            Ints::Simple(_) => 32,
            Ints::Super(_) => 256,
        };
        assert_eq!(f.block_len, shape, "{}", f.name);
    }
    for &ty in TensorType::ALL {
        match format(ty) {
            Ok(f) => assert_eq!(f.ty, ty),
            Err(PocketError::UnsupportedModel { what }) => {
                assert!(what.contains(ty.name()), "{what}");
                assert!(FORMATS.iter().all(|f| f.ty != ty));
            }
            Err(other) => panic!("{}: {other}", ty.name()),
        }
    }
}

/// No tolerance: each weight is a product of at most three factors and at most one subtraction, and
/// both sides evaluate them in f32 in the same order, as ggml does.
#[test]
fn dequantize_is_bitwise_that_of_the_python_package() {
    for f in FORMATS {
        let (blocks, expected) = dequantize_vectors(f);
        let found = dequantize(f, &blocks);
        assert_eq!(found.len(), expected.len());
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(
                found.to_bits(),
                expected.to_bits(),
                "{} weight {i} (block {}): {found} instead of {expected}",
                f.name,
                i / f.block_len
            );
        }
    }
}

/// One block at a time, at an odd address, is the same as a whole row.
#[test]
fn blocks_may_lie_at_any_address() {
    for f in FORMATS {
        let (blocks, expected) = dequantize_vectors(f);
        let mut shifted = vec![0];
        shifted.extend(&blocks);
        for (i, block) in shifted[1..].chunks(f.block_bytes).enumerate() {
            let weights = dequantize(f, block);
            let expected = &expected[i * f.block_len..][..f.block_len];
            assert!(
                weights
                    .iter()
                    .zip(expected)
                    .all(|(a, b)| a.to_bits() == b.to_bits()),
                "{} block {i}",
                f.name
            );
        }
    }
}

/// The integers, multiplied out in f64, against the expected weights. The expected ones differ by
/// their f32 roundings: `scale·d` is exact (11 + 8 bits), the product with `q` rounds once and the
/// subtraction once more, each by at most 2⁻²⁴ of a value no larger than the sum of both terms; and
/// results below the normal range by at most half of the smallest subnormal.
#[test]
fn integers_reproduce_the_weights_within_two_roundings() {
    for f in FORMATS {
        let (blocks, expected) = dequantize_vectors(f);
        let blocks = blocks.chunks(f.block_bytes);
        for (b, (block, expected)) in blocks.zip(expected.chunks(f.block_len)).enumerate() {
            for (i, (scaled, min)) in terms(f, block).into_iter().enumerate() {
                let bound =
                    (scaled.abs() + min.abs()) * 2f64.powi(-23) + f64::from(f32::from_bits(1));
                let error = (scaled - min - f64::from(expected[i])).abs();
                assert!(
                    error <= bound,
                    "{} block {b} weight {i}: off by {error:e}, bound {bound:e}",
                    f.name
                );
            }
        }
    }
}

/// Scaled integer and minimum of each weight of a block: the weight is their difference. None for
/// formats without integers.
fn terms(f: &Format, block: &[u8]) -> Vec<(f64, f64)> {
    match f.ints {
        Ints::Float => Vec::new(),
        Ints::Simple(unpack) => {
            // Stale contents must not show through.
            let mut ints = SimpleBlock {
                q: [77; 32],
                d: f32::NAN,
                m: f32::NAN,
            };
            unpack(block, &mut ints);
            let (d, m) = (f64::from(ints.d), f64::from(ints.m));
            ints.q.iter().map(|&q| (d * f64::from(q), -m)).collect()
        }
        Ints::Super(unpack) => {
            let mut ints = SuperBlock {
                q: [77; 256],
                scale: [777; 16],
                min: [777; 16],
                d: f32::NAN,
                dmin: f32::NAN,
            };
            unpack(block, &mut ints);
            let (d, dmin) = (f64::from(ints.d), f64::from(ints.dmin));
            let term = |(i, &q): (usize, &i8)| {
                let (scale, min) = (ints.scale[i / 16], ints.min[i / 16]);
                (d * f64::from(scale) * f64::from(q), dmin * f64::from(min))
            };
            ints.q.iter().enumerate().map(term).collect()
        }
    }
}

/// Kernels multiply `q` by 8-bit activations in 16-bit lanes and sums of them by `scale` in 32-bit
/// lanes; these ranges are what keeps that from overflowing.
#[test]
fn integers_stay_in_the_ranges_that_kernels_rely_on() {
    for f in FORMATS {
        let (blocks, _) = dequantize_vectors(f);
        let mut seen = (i8::MAX, i8::MIN);
        for block in blocks.chunks(f.block_bytes) {
            match f.ints {
                Ints::Float => {}
                Ints::Simple(unpack) => {
                    let mut ints = SimpleBlock::default();
                    unpack(block, &mut ints);
                    seen = ints.q.iter().fold(seen, |(a, b), &q| (a.min(q), b.max(q)));
                }
                Ints::Super(unpack) => {
                    let mut ints = SuperBlock::default();
                    unpack(block, &mut ints);
                    seen = ints.q.iter().fold(seen, |(a, b), &q| (a.min(q), b.max(q)));
                    let in_range = |v: &i16| (-128..=127).contains(v);
                    assert!(ints.scale.iter().all(in_range), "{}", f.name);
                    assert!(ints.min.iter().all(|m| (0..64).contains(m)), "{}", f.name);
                }
            }
        }
        let expected = match f.ty {
            TensorType::F32 | TensorType::F16 | TensorType::BF16 => (i8::MAX, i8::MIN),
            TensorType::Q4_0 => (-8, 7),
            TensorType::Q4_1 | TensorType::Q4K => (0, 15),
            TensorType::Q5_0 => (-16, 15),
            TensorType::Q5_1 | TensorType::Q5K => (0, 31),
            TensorType::Q2K => (0, 3),
            TensorType::Q3K => (-4, 3),
            TensorType::Q6K => (-32, 31),
            TensorType::IQ4NL | TensorType::IQ4XS => (-127, 113),
            // Random bytes of Q8_0 need not reach both ends.
            _ => seen,
        };
        assert_eq!(seen, expected, "{}", f.name);
    }
}

#[test]
fn dot_f64_is_the_sum_of_the_expected_products() {
    let mut noise = Noise(3);
    for f in FORMATS {
        let (blocks, expected) = dequantize_vectors(f);
        // Only finite products: the largest scales are tested above.
        for (block, weights) in blocks
            .chunks(f.block_bytes)
            .zip(expected.chunks(f.block_len))
        {
            if weights.iter().any(|w| !w.is_finite()) {
                continue;
            }
            let x = noise.row(f.block_len, 1.0);
            let mut sum = 0.0;
            for (&w, &x) in weights.iter().zip(&x) {
                sum += f64::from(w) * f64::from(x);
            }
            assert_eq!(dot_f64(f, block, &x), sum, "{}", f.name);
        }
    }
}
