//! Quantizers: the same bytes as an independent implementation where there is one, and errors within
//! bounds that follow from the formats' step sizes.

use pocketlm::gguf::TensorType;
use pocketlm::quant::{FORMATS, Format, Ints, SuperBlock, format};

use super::{Noise, block_count, dequantize, floats, vectors};

/// Bytes equal to the package's quantizer, which follows ggml's reference, where it has one.
#[test]
fn quantize_is_bytewise_that_of_the_python_package() {
    let mut compared = Vec::new();
    for f in FORMATS {
        let Some(mut file) = vectors(f, "quantize") else {
            continue;
        };
        let quantize = f
            .quantize
            .unwrap_or_else(|| panic!("{} has vectors", f.name));
        let count = block_count(f, &file);
        let expected = file.split_off(count * 4 * f.block_len);
        let weights = floats(&file);
        let mut found = vec![0xaa; expected.len()];
        quantize(&weights, &mut found);
        for (i, (found, expected)) in found
            .chunks(f.block_bytes)
            .zip(expected.chunks(f.block_bytes))
            .enumerate()
        {
            assert_eq!(found, expected, "{} block {i}", f.name);
        }
        compared.push(f.name);
    }
    let expected = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"];
    assert_eq!(compared, expected);
}

/// Rows that quantizers meet: noise of several sizes, one sign only, constants, an outlier, zeros.
fn sample_rows() -> Vec<(&'static str, Vec<f32>)> {
    let mut noise = Noise(7);
    let positive: Vec<f32> = noise.row(256, 0.3).iter().map(|x| x.abs()).collect();
    let negative: Vec<f32> = positive.iter().map(|x| -x).collect();
    let mut outlier = noise.row(256, 0.01);
    outlier[100] = -3.0;
    let varied: Vec<f32> = (0..256)
        .map(|i| noise.normal() * 2f32.powi(i / 32 - 4))
        .collect();
    vec![
        ("noise", noise.row(256, 1.0)),
        ("small noise", noise.row(256, 1e-3)),
        ("large noise", noise.row(256, 300.0)),
        ("positive", positive),
        ("negative", negative),
        ("outlier", outlier),
        ("varied groups", varied),
        ("constant", vec![0.7; 256]),
        ("negative constant", vec![-0.7; 256]),
        ("zero", vec![0.0; 256]),
    ]
}

/// Upper bound of the root mean square error over one group of weights, from how a format stores
/// them. `ints` is the block that was written (super-blocks only).
fn error_bound(f: &Format, group: &[f32], ints: Option<&SuperBlock>) -> f64 {
    let max = f64::from(group.iter().copied().fold(f32::MIN, f32::max));
    let min = f64::from(group.iter().copied().fold(f32::MAX, f32::min));
    let extreme = max.abs().max(min.abs());
    // Rounding a scale to f16 shifts every weight by up to 2⁻¹¹ of it (or half a subnormal step).
    let f16 = extreme * 2f64.powi(-11);
    let subnormal = 2f64.powi(-25);
    match f.ty {
        TensorType::F32 => 0.0,
        TensorType::F16 => f16 + subnormal,
        TensorType::BF16 => extreme * 2f64.powi(-8),
        // The extreme is -n steps, so the opposite end may be cut by a whole step.
        TensorType::Q4_0 => extreme / 8.0 + f16 + 8.0 * subnormal,
        TensorType::Q5_0 => extreme / 16.0 + f16 + 16.0 * subnormal,
        // Half a step; scale and minimum are rounded to f16.
        TensorType::Q4_1 => (max - min) / 30.0 + 3.0 * f16 + 16.0 * subnormal,
        TensorType::Q5_1 => (max - min) / 62.0 + 3.0 * f16 + 32.0 * subnormal,
        TensorType::Q8_0 => extreme / 254.0 + f16 + 127.0 * subnormal,
        // Super-blocks: the search is never worse than the plain mapping of the range, which is off
        // by half a step. Then the group's scale moves by up to half a `d` (times the largest q)
        // and its minimum by up to half a `dmin`; f16 adds its part to both.
        TensorType::Q2K => affine_bound(ints, max, min, 3.0, 15.0),
        TensorType::Q4K => affine_bound(ints, max, min, 15.0, 63.0),
        TensorType::Q5K => affine_bound(ints, max, min, 31.0, 63.0),
        TensorType::Q3K => symmetric_bound(ints, extreme, 3.0, 4.0, 32.0),
        TensorType::Q6K => symmetric_bound(ints, extreme, 31.0, 32.0, 128.0),
        other => panic!("state the error bound of {}", other.name()),
    }
}

fn affine_bound(ints: Option<&SuperBlock>, max: f64, min: f64, q: f64, scales: f64) -> f64 {
    let ints = ints.expect("a super-block");
    let half_step = (max.max(0.0) - min.min(0.0)) / q / 2.0;
    let (d, dmin) = (f64::from(ints.d), f64::from(ints.dmin));
    // The f16 rounding of `d` matters only where the largest scale is cut at the largest integer.
    let cut = scales * (d * 2f64.powi(-11) + 2f64.powi(-25));
    let cut_min = scales * (dmin * 2f64.powi(-11) + 2f64.powi(-25));
    half_step + q * (d / 2.0 + cut) + dmin / 2.0 + cut_min
}

fn symmetric_bound(
    ints: Option<&SuperBlock>,
    extreme: f64,
    high: f64,
    low: f64,
    scales: f64,
) -> f64 {
    let d = f64::from(ints.expect("a super-block").d).abs();
    // The largest scale is `low` times `d`; one of the other sign may be cut by a whole `d`.
    let cut = scales * (d * 2f64.powi(-11) + 2f64.powi(-25));
    extreme / high / 2.0 + low * (d + cut)
}

#[test]
fn a_round_trip_stays_within_the_step_size() {
    for f in FORMATS {
        let Some(quantize) = f.quantize else { continue };
        for (case, x) in sample_rows() {
            let mut blocks = vec![0xaa; x.len() / f.block_len * f.block_bytes];
            quantize(&x, &mut blocks);
            let y = dequantize(f, &blocks);
            let mut ints = None;
            if let Ints::Super(unpack) = f.ints {
                unpack(&blocks, ints.insert(SuperBlock::default()));
            }
            let group_len = match f.ty {
                TensorType::Q2K | TensorType::Q3K | TensorType::Q6K => 16,
                _ => f.block_len.min(32),
            };
            for (g, (x, y)) in x.chunks(group_len).zip(y.chunks(group_len)).enumerate() {
                let errors = x.iter().zip(y).map(|(x, y)| f64::from(x - y).powi(2));
                let rms = (errors.sum::<f64>() / group_len as f64).sqrt();
                let bound = error_bound(f, x, ints.as_ref());
                // Room for the f32 arithmetic of the check and of dequantization.
                assert!(
                    rms <= bound * 1.001,
                    "{} {case} group {g}: {rms:e} > {bound:e}",
                    f.name
                );
            }
        }
    }
}

/// The scale of the scales must stay near the largest scale, or the bounds above mean nothing.
#[test]
fn the_search_keeps_scales_near_the_range_of_their_groups() {
    for f in FORMATS {
        let (Some(quantize), Ints::Super(unpack)) = (f.quantize, f.ints) else {
            continue;
        };
        let mut ints = SuperBlock::default();
        for (case, x) in sample_rows() {
            let mut block = vec![0; f.block_bytes];
            quantize(&x, &mut block);
            unpack(&block, &mut ints);
            let extreme = x.iter().fold(0f32, |m, x| m.max(x.abs()));
            let reach = (0..256)
                .map(|i| (ints.d * f32::from(ints.scale[i / 16]) * f32::from(ints.q[i])).abs())
                .fold(0.0, f32::max);
            // Mapping a group's range to the integers reaches twice the extreme at most; a fitted
            // scale is at most a few tenths larger.
            assert!(
                reach <= 2.6 * extreme,
                "{} {case}: {reach} of {extreme}",
                f.name
            );
        }
    }
}

#[test]
fn more_bits_mean_less_error() {
    let mut noise = Noise(11);
    let x = noise.row(64 * 256, 1.0);
    let rms = |ty| {
        let f = format(ty).expect("in the table");
        let mut blocks = vec![0; x.len() / f.block_len * f.block_bytes];
        (f.quantize.expect("can be written"))(&x, &mut blocks);
        let y = dequantize(f, &blocks);
        let errors = x.iter().zip(&y).map(|(x, y)| f64::from(x - y).powi(2));
        (errors.sum::<f64>() / x.len() as f64).sqrt()
    };
    let k = [
        TensorType::Q2K,
        TensorType::Q3K,
        TensorType::Q4K,
        TensorType::Q5K,
        TensorType::Q6K,
    ];
    let errors = k.map(rms);
    for (pair, ty) in errors.windows(2).zip(k) {
        // A bit more halves the step. Symmetric and affine formats differ, so not all of it shows.
        assert!(pair[1] < 0.75 * pair[0], "after {}: {errors:?}", ty.name());
    }

    // The search pays. Q4_1 and Q5_1 map the range of each 32 weights plainly, with scales that are
    // finer than those of Q4_K and Q5_K; the other numbers are what the formats gave when the search
    // was made to stop at the plain mapping.
    let plain = [
        0.326,
        0.196,
        rms(TensorType::Q4_1),
        rms(TensorType::Q5_1),
        0.0192,
    ];
    for ((error, plain), ty) in errors.into_iter().zip(plain).zip(k) {
        assert!(
            error < 0.96 * plain,
            "{}: {error}, plain {plain}",
            ty.name()
        );
    }
}

#[test]
fn quantize_survives_any_numbers() {
    let odd = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        f32::from_bits(1),
        -0.0,
        1.0,
    ];
    for f in FORMATS {
        let Some(quantize) = f.quantize else { continue };
        let mut block = vec![0; 256 / f.block_len * f.block_bytes];
        for a in odd {
            for b in odd {
                let x: Vec<f32> = (0..256).map(|i| if i % 3 == 0 { a } else { b }).collect();
                quantize(&x, &mut block);
                dequantize(f, &block);
            }
        }
        // What vanishes in f16 becomes zero, not noise.
        quantize(&[1e-30; 256], &mut block);
        let weights = dequantize(f, &block);
        assert!(
            weights.iter().all(|w| w.abs() < 1e-6),
            "{}: {weights:?}",
            f.name
        );
    }
}
