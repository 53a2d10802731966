//! Sixteen 32-bit lanes: the vector that every CPU kernel is written in, once for all instruction sets.
//!
//! A kernel is generic code over [`Lanes`]; a value of an implementing type is the proof that the
//! CPU has the instructions. [`super::Level::run`] hands one to a [`Kernel`] inside a function that
//! is compiled for them, so everything that is to use them must be inlined into it: kernels and the
//! functions they call are `#[inline(always)]`, and closures, which cannot be, do not touch lanes.
//!
//! **Every implementation gives the same bits.** Integers are exact. Float operations are the
//! correctly rounded ones of IEEE 754, the fused multiply-add included, on lanes that never meet:
//! what is added across lanes is added in the order that [`Lanes::sum`] defines. So a phone and a
//! server agree, and a test compares levels with `==`.

use std::marker::PhantomData;

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
#[cfg(target_arch = "aarch64")]
pub mod neon;
pub mod portable;

/// Lanes of a vector, and weight rows that are multiplied together.
pub const LANES: usize = 16;

/// What a level runs: see [`super::Level::run`].
pub trait Kernel {
    /// What it gives back.
    type Output;

    /// The work. Implementations are `#[inline(always)]`.
    fn run<S: Lanes>(self, s: S) -> Self::Output;
}

/// Sixteen runs of bytes at equal distances: the rows of a panel.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    start: *const u8,
    len: usize,
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> Rows<'a> {
    /// Sixteen rows of `len` bytes, one after the other.
    ///
    /// # Panics
    /// When there are fewer bytes.
    pub fn new(bytes: &'a [u8], len: usize) -> Self {
        assert!(bytes.len() / LANES >= len);
        Self {
            start: bytes.as_ptr(),
            len,
            bytes: PhantomData,
        }
    }

    /// Sixteen arrays, each a row.
    pub fn from_arrays<T: bytemuck::NoUninit>(rows: &'a [T; LANES]) -> Self {
        Self::new(bytemuck::cast_slice(rows), size_of::<T>())
    }

    /// Bytes of a row.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The bytes of row `i`, which is less than 16.
    #[allow(unsafe_code)]
    pub fn row(&self, i: usize) -> &'a [u8] {
        assert!(i < LANES);
        // SAFETY: `new` saw sixteen rows of this many bytes.
        unsafe { std::slice::from_raw_parts(self.start.add(i * self.len), self.len) }
    }

    /// Where byte `at` of row `i` would be, in these rows or not.
    #[inline(always)]
    pub fn address(&self, i: usize, at: usize) -> *const u8 {
        self.start.wrapping_add(i * self.len + at)
    }

    /// The address of byte `at` of row `i`, from which 16 bytes can be read.
    #[allow(unsafe_code)]
    #[inline(always)]
    fn window(&self, i: usize, at: usize) -> *const u8 {
        debug_assert!(i < LANES && at + 16 <= self.len);
        // SAFETY: callers keep `at + 16` within the row (asserted where a panel is taken up).
        unsafe { self.start.add(i * self.len + at) }
    }
}

/// Sixteen lanes of an instruction set that this CPU has.
pub trait Lanes: Copy {
    /// Sixteen 32-bit integers.
    type I: Copy;
    /// Sixteen f32.
    type F: Copy;

    /// What the bytes of a weight are XORed with before [`Lanes::dot4`]: an instruction that takes
    /// weights as unsigned bytes wants them shifted by 128.
    const BIAS: u8;
    /// Activation rows that are multiplied with a tile at the same time, as registers allow.
    const TOKENS: usize;
    /// Query vectors that attention takes at the same time.
    const QUERIES: usize;

    /// `x` in every lane.
    fn splat(self, x: i32) -> Self::I;
    /// The lanes from memory.
    fn load(self, from: &[i32; LANES]) -> Self::I;
    /// The lanes to memory.
    fn store(self, v: Self::I, to: &mut [i32; LANES]);
    /// Bitwise and.
    fn and(self, a: Self::I, b: Self::I) -> Self::I;
    /// Bitwise or.
    fn or(self, a: Self::I, b: Self::I) -> Self::I;
    /// Bitwise exclusive or.
    fn xor(self, a: Self::I, b: Self::I) -> Self::I;
    /// Shifts in zeros from above; `n < 32`, a constant after unrolling.
    fn shr(self, v: Self::I, n: u32) -> Self::I;
    /// Shifts in zeros from below; `n < 32`, a constant after unrolling.
    fn shl(self, v: Self::I, n: u32) -> Self::I;
    /// Shifts in the sign from above; `n < 32`, a constant after unrolling.
    fn sar(self, v: Self::I, n: u32) -> Self::I;
    /// Wrapping sum.
    fn add(self, a: Self::I, b: Self::I) -> Self::I;
    /// The low half of the product.
    fn mul(self, a: Self::I, b: Self::I) -> Self::I;

    /// In each lane, `acc` and four products of signed bytes: of a weight, stored as
    /// [`Lanes::BIAS`] says, and of an activation in -127..=127. Where the bias is not 0, `acc`
    /// starts at `-128 · Σ x` to make up for it.
    fn dot4(self, acc: Self::I, w: Self::I, x: Self::I) -> Self::I;
    /// In each lane, `acc` and two products of signed 16-bit integers.
    fn dot2(self, acc: Self::I, a: Self::I, b: Self::I) -> Self::I;

    /// Bytes `at..at + 16` of each row, transposed: lane `i` of vector `k` is the `k`-th word of
    /// row `i`.
    fn gather(self, rows: &Rows<'_>, at: usize) -> [Self::I; 4];

    /// Integers to floats, to nearest.
    fn to_f32(self, v: Self::I) -> Self::F;
    /// Floats to integers, to nearest even; lanes are within the range of an i32.
    fn to_i32(self, v: Self::F) -> Self::I;
    /// The low half of each lane, an f16, as f32.
    fn half(self, v: Self::I) -> Self::F;
    /// Sixteen f16 as f32.
    fn load_half(self, from: &[half::f16; LANES]) -> Self::F;
    /// The bits of integers, taken as floats.
    fn as_f32(self, v: Self::I) -> Self::F;

    /// `x` in every lane.
    fn splat_f(self, x: f32) -> Self::F;
    /// The lanes from memory.
    fn load_f(self, from: &[f32; LANES]) -> Self::F;
    /// The lanes to memory.
    fn store_f(self, v: Self::F, to: &mut [f32; LANES]);
    /// `a + b`.
    fn add_f(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a − b`.
    fn sub_f(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a · b`.
    fn mul_f(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a / b`.
    fn div_f(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a · b + c`, rounded once.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The greater of two numbers that are no NaN.
    fn max_f(self, a: Self::F, b: Self::F) -> Self::F;
    /// The lesser of two numbers that are no NaN.
    fn min_f(self, a: Self::F, b: Self::F) -> Self::F;
    /// The magnitudes.
    #[inline(always)]
    fn abs_f(self, a: Self::F) -> Self::F {
        self.max_f(a, self.sub_f(self.splat_f(0.0), a))
    }

    /// The sum of all lanes: halves are added until one lane is left.
    #[inline(always)]
    fn sum(self, v: Self::F) -> f32 {
        let mut lanes = [0.0; LANES];
        self.store_f(v, &mut lanes);
        for width in [8, 4, 2, 1] {
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
        }
        lanes[0]
    }

    /// The greatest lane.
    #[inline(always)]
    fn peak(self, v: Self::F) -> f32 {
        let mut lanes = [0.0; LANES];
        self.store_f(v, &mut lanes);
        for width in [8, 4, 2, 1] {
            for i in 0..width {
                lanes[i] = if lanes[i + width] > lanes[i] {
                    lanes[i + width]
                } else {
                    lanes[i]
                };
            }
        }
        lanes[0]
    }

    /// One group of a tile times the same group of `T` activation rows: for each row `t` its
    /// `init[t]` and, over all steps, [`Lanes::dot4`].
    #[inline(always)]
    fn dot_group<const T: usize>(
        self,
        w: &[[i32; LANES]],
        x: [&[i32]; T],
        init: [i32; T],
    ) -> [Self::I; T] {
        dot_steps(self, w, x, init)
    }

    /// Asks for the cache line at `at` before it is needed. Any address will do.
    fn prefetch(self, at: *const u8);
}

/// [`Lanes::dot_group`] one step after the other.
#[inline(always)]
fn dot_steps<S: Lanes, const T: usize>(
    s: S,
    w: &[[i32; LANES]],
    x: [&[i32]; T],
    init: [i32; T],
) -> [S::I; T] {
    let mut dot = [s.splat(0); T];
    for t in 0..T {
        dot[t] = s.splat(init[t]);
    }
    for (step, w) in w.iter().enumerate() {
        let w = s.load(w);
        for t in 0..T {
            dot[t] = s.dot4(dot[t], w, s.splat(x[t][step]));
        }
    }
    dot
}
