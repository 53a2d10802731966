//! Agreement with llama.cpp, which recorded the log-probabilities in `data/nano/golden` (see the
//! `README.md` there).

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::builder::Setting;
use super::*;

/// Positions whose next-token distribution is recorded.
const POSITIONS: &[usize] = &[0, 9, 33, 64, 79];

fn golden_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/nano/golden")
        .join(format!("{name}.json"))
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// By model, keys of the file that llama.cpp reads for some architectures only, as the arguments
/// that set the same.
fn arguments() -> Value {
    let of = |recipe: &Recipe| -> Value {
        let keys = recipe
            .settings
            .iter()
            .filter_map(|(key, value)| match value {
                Setting::Number(x) => Some((key.strip_prefix("rope.scaling.")?, *x)),
                _ => None,
            });
        let yarn = keys.filter(|(key, _)| key.starts_with("yarn_beta"));
        yarn.map(|(key, x)| (key.to_string(), json!(x))).collect()
    };
    RECIPES
        .iter()
        .map(|r| (r.name.to_string(), of(r)))
        .collect()
}

/// Writes the models and the token ids for `make_golden.py`.
#[test]
#[ignore = "writes files, for make_golden.py"]
fn export() {
    let dir = std::env::var_os("POCKETLM_NANO_EXPORT").expect("POCKETLM_NANO_EXPORT=DIR");
    let dir = PathBuf::from(dir);
    fs::create_dir_all(&dir).expect("a folder");
    for subject in every_recipe().iter().chain(&every_format()) {
        let path = dir.join(format!("{}.gguf", subject.name));
        fs::write(path, subject.bytes()).expect("writes");
    }
    let sequence = json!({
        "ids": ids(TOKENS),
        "positions": POSITIONS,
        "vocab": builder::VOCAB,
        "arguments": arguments(),
    });
    fs::write(dir.join("sequence.json"), sequence.to_string()).expect("writes");
}

/// The recorded log-probabilities of a subject, `[positions, vocab]`.
fn golden(subject: &Subject) -> Vec<Vec<f64>> {
    let path = golden_file(&subject.name);
    let again = "see core/tests/data/nano/README.md for how to record it";
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|_| panic!("{}: no golden file; {again}", subject.name));
    let golden: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        golden["sha256"].as_str(),
        Some(sha256(&subject.bytes()).as_str()),
        "{}: the model is not the one that was recorded (its recipe, the quantizer or the writer \
         changed); {again}",
        subject.name
    );
    assert_eq!(
        golden["ids"],
        json!(ids(TOKENS)),
        "{}: other ids; {again}",
        subject.name
    );
    assert_eq!(
        golden["positions"],
        json!(POSITIONS),
        "{}: other positions",
        subject.name
    );
    let rows = golden["log_probabilities"].as_array().expect("rows").iter();
    let numbers = |row: &Value| {
        let row = row.as_array().expect("a row").iter();
        row.map(|x| x.as_f64().expect("a number")).collect()
    };
    rows.map(numbers).collect()
}

/// Our log-probabilities at [`POSITIONS`].
fn ours(subject: &Subject, compute: &Compute) -> Vec<Vec<f64>> {
    let decoder = subject.load(compute);
    let mut cache = empty_cache(&decoder, compute);
    let logits = run(&decoder, compute, &ids(TOKENS), &mut cache);
    let rows: Vec<&[f32]> = logits.chunks_exact(decoder.vocab()).collect();
    POSITIONS.iter().map(|&p| log_softmax(rows[p])).collect()
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|x| f64::from(x - max).exp()).sum();
    let ln_sum = sum.ln();
    logits.iter().map(|x| f64::from(x - max) - ln_sum).collect()
}

/// How far two evaluations of a model are apart.
#[derive(Clone, Copy, Debug)]
struct Deviation {
    /// Largest difference of two log-probabilities.
    max: f64,
    /// Root mean square of the differences.
    rms: f64,
    /// `rms` over the standard deviation of a position's log-probabilities.
    relative: f64,
}

fn deviation(found: &[Vec<f64>], expected: &[Vec<f64>]) -> Deviation {
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let (sum, n) = values.fold((0.0, 0), |(sum, n), x| (sum + x, n + 1));
        sum / f64::from(n)
    };
    let pairs = || found.iter().flatten().zip(expected.iter().flatten());
    let rms = mean(&mut pairs().map(|(a, b)| (a - b).powi(2))).sqrt();
    let variance = |row: &Vec<f64>| {
        let centre = mean(&mut row.iter().copied());
        mean(&mut row.iter().map(|x| (x - centre).powi(2)))
    };
    Deviation {
        max: pairs().map(|(a, b)| (a - b).abs()).fold(0.0, f64::max),
        rms,
        relative: rms / mean(&mut expected.iter().map(variance)).sqrt(),
    }
}

/// The relative error, root mean square, of rounding a number to f16: half a step of 2⁻¹⁰, evenly
/// spread (√3), of numbers 1.4 times the power of two they follow.
const F16: f64 = 1.0 / 2048.0 / 1.732 / 1.4;

/// The same for bf16, with steps of 2⁻⁷.
const BF16: f64 = 1.0 / 256.0 / 1.732 / 1.4;

/// The same for a block rounded to 127 steps of a largest element of 3 standard deviations.
const EIGHT_BITS: f64 = 3.0 / 127.0 / 3.464;

/// How much larger than the rounding of each activation the relative deviation of logits may be.
/// Some ten roundings follow one another in two layers, and attention scores amplify theirs: the
/// models here measure 3 to 8.
const GAIN: f64 = 10.0;

/// Largest over root mean square of some thousand differences that are roughly normal: 3.4 to 6
/// measured.
const PEAK: f64 = 8.0;

/// Asserts that a deviation is what roundings of relative size `rounding` explain.
fn assert_explained(d: Deviation, rounding: f64, what: &str) {
    eprintln!(
        "{what}: max {:.1e}, rms {:.1e}, relative rms {:.1e}",
        d.max, d.rms, d.relative
    );
    assert!(d.relative <= GAIN * rounding, "{what}: {d:?}");
    assert!(d.max <= PEAK * d.rms.max(1e-5), "{what}: {d:?}");
}

#[test]
fn no_golden_file_is_left_over() {
    let folder = golden_file("any").parent().expect("a folder").to_owned();
    let subjects: Vec<Subject> = every_recipe().into_iter().chain(every_format()).collect();
    for entry in fs::read_dir(folder).expect("the golden folder") {
        let file = entry.expect("an entry").file_name();
        let known = |s: &Subject| file.to_str() == Some(&format!("{}.json", s.name));
        assert!(subjects.iter().any(known), "{file:?} belongs to no model");
    }
}

/// Every way a model may be wired, in f32, where llama.cpp rounds next to nothing: its sums are f32
/// (ours f64), its results recorded to five decimals. Measured: 2.5e-5 at most.
///
/// The Gemmas are the exception. ggml looks GELU up in a table of f16 by f16; an evaluation of ours
/// that rounds in the same two places agrees to 6e-5 (Gemma 2).
#[test]
fn every_recipe_agrees_in_f32() {
    for subject in every_recipe() {
        let expected = golden(&subject);
        let reference = deviation(&ours(&subject, &reference()), &expected);
        let name = &subject.name;
        if subject.recipe.post_norms {
            assert_explained(reference, F16 / 2.0, &format!("{name}, reference"));
        } else {
            assert!(reference.max < 6e-5, "{name}, reference: {reference:?}");
        }
        // The cache of the CPU path is f16.
        let cpu = deviation(&ours(&subject, &cpu()), &expected);
        assert_explained(cpu, F16, &format!("{name}, cpu"));
    }
}

/// Every block format. llama.cpp multiplies with activations rounded to what fits the weights (8
/// bits in blocks, f16, bf16); the reference rounds nothing, so their difference is llama.cpp's own
/// deviation, and the CPU path, which rounds to 8 bits too, may be no further off than that.
#[test]
fn every_format_agrees() {
    for subject in every_format() {
        let name = &subject.name;
        let rounding = match subject.weights {
            Weights::All(TensorType::F16) => F16,
            Weights::All(TensorType::BF16) => BF16,
            _ => EIGHT_BITS,
        };
        let expected = golden(&subject);
        let (reference, cpu) = (ours(&subject, &reference()), ours(&subject, &cpu()));
        let theirs = deviation(&reference, &expected);
        assert_explained(theirs, rounding, &format!("{name}, reference"));
        assert_explained(
            deviation(&cpu, &expected),
            rounding,
            &format!("{name}, cpu"),
        );

        let our_rounding = match subject.weights {
            Weights::All(TensorType::F16 | TensorType::BF16) => F16, // the cache's
            _ => EIGHT_BITS,
        };
        let ours = deviation(&cpu, &reference);
        assert_explained(
            ours,
            our_rounding,
            &format!("{name}, cpu against reference"),
        );
        if rounding == EIGHT_BITS {
            // Two draws of the same noise: measured ratios are 0.84 to 1.08.
            assert!(
                ours.rms <= 1.25 * theirs.rms,
                "{name}: {ours:?}, llama.cpp {theirs:?}"
            );
        }
    }
}
