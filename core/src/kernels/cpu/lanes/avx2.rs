//! The lanes as two AVX2 registers, with or without AVX-VNNI's byte products.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use half::f16;

use super::{Kernel, LANES, Lanes, Rows};

/// AVX2, F16C and FMA, which came to CPUs together, and AVX-VNNI if `VNNI`: a value proves that
/// the CPU has them.
#[derive(Clone, Copy)]
pub struct Avx2<const VNNI: bool>(());

/// Whether this CPU has what [`Avx2`] needs.
pub fn available(vnni: bool) -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("fma")
        && (!vnni || is_x86_feature_detected!("avxvnni"))
}

/// Runs a kernel, compiled for AVX2.
///
/// # Safety
/// [`available`]`(false)` must have said yes.
#[target_feature(enable = "avx2,f16c,fma")]
pub unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2::<false>(()))
}

/// Runs a kernel, compiled for AVX2 with AVX-VNNI.
///
/// # Safety
/// [`available`]`(true)` must have said yes.
#[target_feature(enable = "avx2,f16c,fma,avxvnni")]
pub unsafe fn run_vnni<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2::<true>(()))
}

/// Calls an intrinsic on registers or on an array of the size of one.
macro_rules! op {
    ($call:expr) => {
        // SAFETY: the CPU has the instructions, since `self` exists; memory is that of a reference.
        unsafe { $call }
    };
}

/// The same intrinsic on both halves.
macro_rules! both {
    (|$a:ident| $call:expr, $x:expr) => {{
        let [low, high] = $x;
        op!([
            {
                let $a = low;
                $call
            },
            {
                let $a = high;
                $call
            }
        ])
    }};
    (|$a:ident, $b:ident| $call:expr, $x:expr, $y:expr) => {{
        let ([x0, x1], [y0, y1]) = ($x, $y);
        op!([
            {
                let ($a, $b) = (x0, y0);
                $call
            },
            {
                let ($a, $b) = (x1, y1);
                $call
            }
        ])
    }};
}

/// Four vectors of four words a 128-bit half, transposed within each half.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn transpose(a: __m256i, b: __m256i, c: __m256i, d: __m256i) -> [__m256i; 4] {
    // SAFETY: passed on to the caller.
    unsafe {
        let (ab, ab2) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
        let (cd, cd2) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
        [
            _mm256_unpacklo_epi64(ab, cd),
            _mm256_unpackhi_epi64(ab, cd),
            _mm256_unpacklo_epi64(ab2, cd2),
            _mm256_unpackhi_epi64(ab2, cd2),
        ]
    }
}

impl<const VNNI: bool> Avx2<VNNI> {
    /// 16 bytes of rows `i` and `i + 4`.
    #[inline(always)]
    fn two_rows(self, rows: &Rows<'_>, i: usize, at: usize) -> __m256i {
        // SAFETY: `window` gives addresses of 16 readable bytes; see also `op`.
        unsafe {
            let v = _mm256_castsi128_si256(_mm_loadu_si128(rows.window(i, at).cast()));
            _mm256_inserti128_si256::<1>(v, _mm_loadu_si128(rows.window(i + 4, at).cast()))
        }
    }
}

impl<const VNNI: bool> Lanes for Avx2<VNNI> {
    type I = [__m256i; 2];
    type F = [__m256; 2];

    const BIAS: u8 = if VNNI { 0x80 } else { 0 };
    const TOKENS: usize = if VNNI { 4 } else { 2 };
    const QUERIES: usize = 1;

    #[inline(always)]
    fn splat(self, x: i32) -> Self::I {
        op!([_mm256_set1_epi32(x); 2])
    }

    #[inline(always)]
    fn load(self, from: &[i32; LANES]) -> Self::I {
        let at = from.as_ptr().cast::<__m256i>();
        op!([_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))])
    }

    #[inline(always)]
    fn store(self, v: Self::I, to: &mut [i32; LANES]) {
        let at = to.as_mut_ptr().cast::<__m256i>();
        op!({
            _mm256_storeu_si256(at, v[0]);
            _mm256_storeu_si256(at.add(1), v[1]);
        });
    }

    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        both!(|a, b| _mm256_and_si256(a, b), a, b)
    }

    #[inline(always)]
    fn or(self, a: Self::I, b: Self::I) -> Self::I {
        both!(|a, b| _mm256_or_si256(a, b), a, b)
    }

    #[inline(always)]
    fn xor(self, a: Self::I, b: Self::I) -> Self::I {
        both!(|a, b| _mm256_xor_si256(a, b), a, b)
    }

    #[inline(always)]
    fn shr(self, v: Self::I, n: u32) -> Self::I {
        let n = op!(_mm256_set1_epi32(n as i32));
        both!(|v| _mm256_srlv_epi32(v, n), v)
    }

    #[inline(always)]
    fn shl(self, v: Self::I, n: u32) -> Self::I {
        let n = op!(_mm256_set1_epi32(n as i32));
        both!(|v| _mm256_sllv_epi32(v, n), v)
    }

    #[inline(always)]
    fn sar(self, v: Self::I, n: u32) -> Self::I {
        let n = op!(_mm256_set1_epi32(n as i32));
        both!(|v| _mm256_srav_epi32(v, n), v)
    }

    #[inline(always)]
    fn add(self, a: Self::I, b: Self::I) -> Self::I {
        both!(|a, b| _mm256_add_epi32(a, b), a, b)
    }

    #[inline(always)]
    fn mul(self, a: Self::I, b: Self::I) -> Self::I {
        both!(|a, b| _mm256_mullo_epi32(a, b), a, b)
    }

    #[inline(always)]
    fn dot4(self, acc: Self::I, w: Self::I, x: Self::I) -> Self::I {
        if VNNI {
            op!([
                _mm256_dpbusd_avx_epi32(acc[0], w[0], x[0]),
                _mm256_dpbusd_avx_epi32(acc[1], w[1], x[1]),
            ])
        } else {
            // `maddubs` wants one operand unsigned, so the sign of `w` moves to `x`. |w| ≤ 128 and
            // |x| ≤ 127 keep the sum of two products below 32,513: no saturation.
            let sums = both!(
                |w, x| {
                    let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
                    _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
                },
                w,
                x
            );
            self.add(acc, sums)
        }
    }

    #[inline(always)]
    fn dot2(self, acc: Self::I, a: Self::I, b: Self::I) -> Self::I {
        let sums = both!(|a, b| _mm256_madd_epi16(a, b), a, b);
        self.add(acc, sums)
    }

    #[inline(always)]
    fn gather(self, rows: &Rows<'_>, at: usize) -> [Self::I; 4] {
        let (a, b) = (self.two_rows(rows, 0, at), self.two_rows(rows, 1, at));
        let (c, d) = (self.two_rows(rows, 2, at), self.two_rows(rows, 3, at));
        let low = op!(transpose(a, b, c, d));
        let (a, b) = (self.two_rows(rows, 8, at), self.two_rows(rows, 9, at));
        let (c, d) = (self.two_rows(rows, 10, at), self.two_rows(rows, 11, at));
        let high = op!(transpose(a, b, c, d));
        [
            [low[0], high[0]],
            [low[1], high[1]],
            [low[2], high[2]],
            [low[3], high[3]],
        ]
    }

    #[inline(always)]
    fn to_f32(self, v: Self::I) -> Self::F {
        both!(|v| _mm256_cvtepi32_ps(v), v)
    }

    #[inline(always)]
    fn to_i32(self, v: Self::F) -> Self::I {
        both!(|v| _mm256_cvtps_epi32(v), v)
    }

    #[inline(always)]
    fn half(self, v: Self::I) -> Self::F {
        both!(
            |v| {
                // Low halves to the low 8 bytes of each 128-bit half, then those together.
                let pick = _mm256_set1_epi64x(0x0d0c_0908_0504_0100);
                let halves = _mm256_shuffle_epi8(v, pick);
                let joined = _mm256_permute4x64_epi64::<0b00_00_10_00>(halves);
                _mm256_cvtph_ps(_mm256_castsi256_si128(joined))
            },
            v
        )
    }

    #[inline(always)]
    fn load_half(self, from: &[f16; LANES]) -> Self::F {
        let at = from.as_ptr().cast::<__m128i>();
        op!([
            _mm256_cvtph_ps(_mm_loadu_si128(at)),
            _mm256_cvtph_ps(_mm_loadu_si128(at.add(1))),
        ])
    }

    #[inline(always)]
    fn as_f32(self, v: Self::I) -> Self::F {
        both!(|v| _mm256_castsi256_ps(v), v)
    }

    #[inline(always)]
    fn splat_f(self, x: f32) -> Self::F {
        op!([_mm256_set1_ps(x); 2])
    }

    #[inline(always)]
    fn load_f(self, from: &[f32; LANES]) -> Self::F {
        let at = from.as_ptr();
        op!([_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(8))])
    }

    #[inline(always)]
    fn store_f(self, v: Self::F, to: &mut [f32; LANES]) {
        let at = to.as_mut_ptr();
        op!({
            _mm256_storeu_ps(at, v[0]);
            _mm256_storeu_ps(at.add(8), v[1]);
        });
    }

    #[inline(always)]
    fn add_f(self, a: Self::F, b: Self::F) -> Self::F {
        both!(|a, b| _mm256_add_ps(a, b), a, b)
    }

    #[inline(always)]
    fn sub_f(self, a: Self::F, b: Self::F) -> Self::F {
        both!(|a, b| _mm256_sub_ps(a, b), a, b)
    }

    #[inline(always)]
    fn mul_f(self, a: Self::F, b: Self::F) -> Self::F {
        both!(|a, b| _mm256_mul_ps(a, b), a, b)
    }

    #[inline(always)]
    fn div_f(self, a: Self::F, b: Self::F) -> Self::F {
        both!(|a, b| _mm256_div_ps(a, b), a, b)
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        op!([
            _mm256_fmadd_ps(a[0], b[0], c[0]),
            _mm256_fmadd_ps(a[1], b[1], c[1]),
        ])
    }

    #[inline(always)]
    fn max_f(self, a: Self::F, b: Self::F) -> Self::F {
        both!(|a, b| _mm256_max_ps(a, b), a, b)
    }

    #[inline(always)]
    fn min_f(self, a: Self::F, b: Self::F) -> Self::F {
        both!(|a, b| _mm256_min_ps(a, b), a, b)
    }

    #[inline(always)]
    fn prefetch(self, at: *const u8) {
        op!(_mm_prefetch::<_MM_HINT_T1>(at.cast()));
    }
}
