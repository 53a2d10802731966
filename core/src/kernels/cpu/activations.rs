//! Activations as the integer kernels read them: 8-bit blocks, quantized once per operation, with
//! the norm before them taken in the same pass.

use crate::kernels::Norm;
use crate::quant::{Format, Ints};

use super::Engine;
use super::lanes::{Kernel, LANES, Lanes};
use super::tile::FLOAT_COLS;

/// 32 activations: `x[i] ≈ d · q[i]`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Block32 {
    /// Quants in -127..=127, four to a word.
    pub q: [i32; 8],
    /// What [`Lanes::dot4`] starts at: `-128 · Σ q` where weights are biased, else 0.
    pub start: i32,
    /// Step.
    pub d: f32,
    /// `d · Σ q`: what a weight block's additive constant multiplies.
    pub sum: f32,
}

/// 256 activations: `x[i] ≈ d · q[i]`.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Block256 {
    /// Quants in -127..=127, four to a word.
    pub q: [i32; 64],
    /// What [`Lanes::dot4`] starts at for each run of 16: `-128 · Σ q` where weights are biased,
    /// else 0.
    pub start16: [i32; 16],
    /// The same for each run of 32.
    pub start32: [i32; 8],
    /// `Σ q` of each run of 16, two i16 to a word: what a weight block's minimums multiply.
    pub sums16: [i32; 8],
    /// The same for each run of 32.
    pub sums32: [i32; 4],
    /// Step.
    pub d: f32,
}

impl Block256 {
    /// What the dot product of group `g` of `group` weights starts at.
    #[inline(always)]
    pub fn start(&self, group: usize, g: usize) -> i32 {
        match group {
            32 => self.start32[g],
            _ => self.start16[g],
        }
    }

    /// The sums of a pair of groups of `group` weights.
    #[inline(always)]
    pub fn sums(&self, group: usize, pair: usize) -> i32 {
        match group {
            32 => self.sums32[pair],
            _ => self.sums16[pair],
        }
    }
}

impl Default for Block256 {
    fn default() -> Self {
        Self {
            q: [0; 64],
            start16: [0; 16],
            start32: [0; 8],
            sums16: [0; 8],
            sums32: [0; 4],
            d: 0.0,
        }
    }
}

/// `n` rows of activations in every representation that the weights at hand need.
pub struct Activations {
    /// Rows.
    pub n: usize,
    /// Elements of a row.
    pub cols: usize,
    /// `[n, cols / 32]`, when a 32-weight format takes part.
    pub blocks32: Vec<Block32>,
    /// `[n, cols / 256]`, when a 256-weight format takes part.
    pub blocks256: Vec<Block256>,
    /// `[n, cols]`, each row filled up with zeros to whole tiles, when a float format takes part.
    pub floats: Vec<f32>,
}

impl Activations {
    /// Normalizes (if there is a norm) and quantizes `x[n, cols]` for products with weights of
    /// `formats`. Rows are independent, so their number changes nothing.
    pub fn new(
        engine: &Engine,
        x: &[f32],
        cols: usize,
        norm: Option<&Norm>,
        formats: &[&'static Format],
    ) -> Self {
        let n = x.len() / cols;
        let needs = |wanted: fn(&Ints) -> bool| formats.iter().any(|f| wanted(&f.ints));
        let scales: Vec<Option<f32>> = x
            .chunks_exact(cols)
            .map(|row| norm.map(|norm| engine.level.run(NormScale { row, eps: norm.eps })))
            .collect();
        let row = |i: usize| Row {
            x: &x[i * cols..(i + 1) * cols],
            norm: norm.zip(scales[i]).map(|(n, s)| (n.weight.host(), s)),
        };
        let mut out = Self {
            n,
            cols,
            blocks32: Vec::new(),
            blocks256: Vec::new(),
            floats: Vec::new(),
        };
        let (pool, level) = (&engine.pool, engine.level);
        if needs(|ints| matches!(ints, Ints::Simple(_))) {
            out.blocks32 = vec![Block32::default(); n * (cols / 32)];
            pool.for_each_piece(&mut out.blocks32, cols / 32, |i, blocks| {
                level.run(Quantize32(row(i), blocks));
            });
        }
        if needs(|ints| matches!(ints, Ints::Super(_))) {
            out.blocks256 = vec![Block256::default(); n * (cols / 256)];
            pool.for_each_piece(&mut out.blocks256, cols / 256, |i, blocks| {
                level.run(Quantize256(row(i), blocks));
            });
        }
        if needs(|ints| matches!(ints, Ints::Float)) {
            let width = cols.next_multiple_of(FLOAT_COLS);
            out.floats = vec![0.0; n * width];
            pool.for_each_piece(&mut out.floats, width, |i, out| {
                let row = row(i);
                match row.norm {
                    None => out[..cols].copy_from_slice(row.x),
                    Some((weight, scale)) => {
                        for ((out, x), w) in out.iter_mut().zip(row.x).zip(weight) {
                            *out = x * scale * w;
                        }
                    }
                }
            });
        }
        out
    }
}

/// A row before it is quantized: elements, and what a norm multiplies them by.
#[derive(Clone, Copy)]
struct Row<'a> {
    x: &'a [f32],
    norm: Option<(&'a [f32], f32)>,
}

impl Row<'_> {
    /// The 16 elements from `at` on, normalized.
    #[inline(always)]
    fn load<S: Lanes>(&self, s: S, at: usize) -> S::F {
        let x = s.load_f(sixteen(self.x, at));
        match self.norm {
            None => x,
            Some((weight, scale)) => {
                let x = s.mul_f(x, s.splat_f(scale));
                s.mul_f(x, s.load_f(sixteen(weight, at)))
            }
        }
    }
}

/// The elements `at..at + 16`.
#[inline(always)]
fn sixteen<T>(x: &[T], at: usize) -> &[T; LANES] {
    x[at..at + LANES].first_chunk().expect("sixteen elements")
}

/// `1 / sqrt(mean(x²) + eps)`, the mean's sum taken in sixteen interleaved lanes.
pub struct NormScale<'a> {
    /// The elements.
    pub row: &'a [f32],
    /// Added to the mean square.
    pub eps: f32,
}

impl Kernel for NormScale<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) -> f32 {
        let (body, tail) = self.row.as_chunks::<LANES>();
        let mut squares = s.splat_f(0.0);
        for x in body {
            let x = s.load_f(x);
            squares = s.fma(x, x, squares);
        }
        if !tail.is_empty() {
            let mut last = [0.0; LANES];
            last[..tail.len()].copy_from_slice(tail);
            let x = s.load_f(&last);
            squares = s.fma(x, x, squares);
        }
        1.0 / (s.sum(squares) / self.row.len() as f32 + self.eps).sqrt()
    }
}

/// The step of a block whose greatest magnitude is `peak`, and the step's inverse. A block of
/// numbers too small for their inverse to be one counts as zeros.
#[inline(always)]
pub fn step(peak: f32) -> (f32, f32) {
    let d = peak / 127.0;
    let inverse = 1.0 / d;
    if inverse.is_finite() {
        (d, inverse)
    } else {
        (0.0, 0.0)
    }
}

/// Quantizes `16 · N` elements from `at` on: bytes, the sum of each 16, and the step.
#[inline(always)]
fn quantize<S: Lanes, const N: usize>(
    s: S,
    row: Row<'_>,
    at: usize,
    bytes: &mut [[u8; LANES]],
) -> ([i32; N], f32) {
    let mut x = [s.splat_f(0.0); N];
    let mut peak = s.splat_f(0.0);
    for i in 0..N {
        x[i] = row.load(s, at + LANES * i);
        peak = s.max_f(peak, s.abs_f(x[i]));
    }
    let (d, inverse) = step(s.peak(peak));
    let inverse = s.splat_f(inverse);
    let mut sums = [0; N];
    for i in 0..N {
        let mut q = [0; LANES];
        s.store(s.to_i32(s.mul_f(x[i], inverse)), &mut q);
        bytes[i] = q.map(|q| q as u8);
        sums[i] = q.iter().fold(0i32, |sum, q| sum.wrapping_add(*q));
    }
    (sums, d)
}

/// Two sums of at most 32 quants as the halves of a word.
#[inline(always)]
fn pair(low: i32, high: i32) -> i32 {
    (low & 0xffff) | (high << 16)
}

/// What a biased product starts at, for quants with this sum.
#[inline(always)]
fn start<S: Lanes>(sum: i32) -> i32 {
    if S::BIAS == 0 {
        0
    } else {
        sum.wrapping_mul(-128)
    }
}

struct Quantize32<'a>(Row<'a>, &'a mut [Block32]);

impl Kernel for Quantize32<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let Self(row, blocks) = self;
        for (i, block) in blocks.iter_mut().enumerate() {
            let bytes = bytemuck::cast_slice_mut(&mut block.q);
            let ([a, b], d) = quantize::<S, 2>(s, row, 32 * i, bytes);
            block.d = d;
            block.sum = d * (a + b) as f32;
            block.start = start::<S>(a + b);
        }
    }
}

struct Quantize256<'a>(Row<'a>, &'a mut [Block256]);

impl Kernel for Quantize256<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let Self(row, blocks) = self;
        for (i, block) in blocks.iter_mut().enumerate() {
            let bytes = bytemuck::cast_slice_mut(&mut block.q);
            let (sums, d) = quantize::<S, 16>(s, row, 256 * i, bytes);
            block.d = d;
            let sums32: [i32; 8] = std::array::from_fn(|j| sums[2 * j] + sums[2 * j + 1]);
            block.start16 = sums.map(start::<S>);
            block.start32 = sums32.map(start::<S>);
            block.sums16 = std::array::from_fn(|j| pair(sums[2 * j], sums[2 * j + 1]));
            block.sums32 = std::array::from_fn(|j| pair(sums32[2 * j], sums32[2 * j + 1]));
        }
    }
}
