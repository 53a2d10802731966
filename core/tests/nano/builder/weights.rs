//! Random weights that are the same on every machine: integers from a generator, turned into f32 by
//! one exact conversion and one multiplication, then into blocks of a format.

use half::f16;
use pocketlm::gguf::TensorType;
use pocketlm::quant::{self, FORMATS, Format};

/// SplitMix64 (Steele, Lea and Flood 2014).
pub struct Noise(u64);

impl Noise {
    /// The stream that belongs to `name`.
    pub fn new(name: &str) -> Self {
        // FNV-1a.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(hash)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An integer below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    /// A number in 0..1.
    pub fn uniform(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// A number of mean 0 and the given standard deviation, roughly normal: the sum of the
    /// four 16-bit quarters of the bits, an integer that f32 holds exactly.
    pub fn normal(&mut self, deviation: f32) -> f32 {
        let bits = self.bits();
        let sum: u64 = (0..4).map(|i| bits >> (16 * i) & 0xffff).sum();
        // One of the four is uniform over 0..=65535, with deviation 65536 / sqrt(12).
        (sum as i32 - 2 * 65535) as f32 * (deviation / 37_837.2)
    }

    /// `len` numbers from [`Noise::normal`].
    pub fn normals(&mut self, len: usize, deviation: f32) -> Vec<f32> {
        (0..len).map(|_| self.normal(deviation)).collect()
    }
}

/// In which formats a model's matrices are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// All in one.
    All(TensorType),
    /// Each matrix in the next of the formats that have a quantizer, in order of the table: what a
    /// file with mixed precision is, and worse.
    Mixed,
}

impl Weights {
    /// The format of the `i`th matrix of a model.
    pub fn of(self, i: usize) -> &'static Format {
        match self {
            Self::All(ty) => quant::format(ty).expect("a format of the table"),
            Self::Mixed => {
                let with_quantizer: Vec<&Format> =
                    FORMATS.iter().filter(|f| f.quantize.is_some()).collect();
                with_quantizer[i % with_quantizer.len()]
            }
        }
    }
}

/// A vector in f32.
pub fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// `len` random weights of the standard deviation `deviation`, as blocks of `format`.
///
/// # Panics
/// For a format without a quantizer that [`random_block`] does not know: a new row of the table
/// has to be added there.
pub fn matrix(noise: &mut Noise, format: &Format, len: usize, deviation: f32) -> Vec<u8> {
    let mut bytes = vec![0; len / format.block_len * format.block_bytes];
    match format.quantize {
        Some(quantize) => quantize(&noise.normals(len, deviation), &mut bytes),
        None => {
            for block in bytes.chunks_exact_mut(format.block_bytes) {
                random_block(noise, format, deviation, block);
            }
        }
    }
    bytes
}

/// Any bits are a valid block as long as its scales are sane.
fn random_block(noise: &mut Noise, format: &Format, deviation: f32, block: &mut [u8]) {
    block.fill_with(|| noise.bits() as u8);
    // The root mean square of the sixteen levels of the IQ4 formats.
    let levels = 66.5;
    let d = match format.ty {
        TensorType::IQ4NL => deviation / levels,
        TensorType::IQ4XS => {
            // Scales of 6 bits, offset by 32: the root mean square of -32..=31 is 18.5.
            deviation / levels / 18.5
        }
        other => panic!("no recipe for random blocks of {}", other.name()),
    };
    block[..2].copy_from_slice(&f16::from_f32(d).to_le_bytes());
}
