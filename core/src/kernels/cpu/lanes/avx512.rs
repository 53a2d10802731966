//! The lanes as one AVX-512 register, with VNNI's byte products.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use half::f16;

use super::{Kernel, LANES, Lanes, Rows};

/// AVX-512 F, BW, VL, DQ and VNNI: a value proves that the CPU has them.
#[derive(Clone, Copy)]
pub struct Avx512(());

/// Whether this CPU has what [`Avx512`] needs.
pub fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("fma")
}

/// Runs a kernel, compiled for these instructions.
///
/// # Safety
/// [`available`] must have said yes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,f16c,fma")]
pub unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512(()))
}

/// Calls an intrinsic on registers or on an array of the size of one.
macro_rules! op {
    ($call:expr) => {
        // SAFETY: the CPU has the instructions, since `self` exists; memory is that of a reference.
        unsafe { $call }
    };
}

impl Avx512 {
    /// 16 bytes of rows `i`, `i + 4`, `i + 8` and `i + 12`. Two halves are joined: insertions from
    /// memory cost less in shorter registers.
    #[inline(always)]
    fn four_rows(self, rows: &Rows<'_>, i: usize, at: usize) -> __m512i {
        // SAFETY: `window` gives addresses of 16 readable bytes; see also `op`.
        unsafe {
            let low = _mm256_castsi128_si256(_mm_loadu_si128(rows.window(i, at).cast()));
            let low =
                _mm256_inserti128_si256::<1>(low, _mm_loadu_si128(rows.window(i + 4, at).cast()));
            let high = _mm256_castsi128_si256(_mm_loadu_si128(rows.window(i + 8, at).cast()));
            let high =
                _mm256_inserti128_si256::<1>(high, _mm_loadu_si128(rows.window(i + 12, at).cast()));
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
        }
    }
}

impl Lanes for Avx512 {
    type I = __m512i;
    type F = __m512;

    const BIAS: u8 = 0x80;
    const TOKENS: usize = 8;
    const QUERIES: usize = 4;

    #[inline(always)]
    fn splat(self, x: i32) -> Self::I {
        op!(_mm512_set1_epi32(x))
    }

    #[inline(always)]
    fn load(self, from: &[i32; LANES]) -> Self::I {
        op!(_mm512_loadu_si512(from.as_ptr().cast()))
    }

    #[inline(always)]
    fn store(self, v: Self::I, to: &mut [i32; LANES]) {
        op!(_mm512_storeu_si512(to.as_mut_ptr().cast(), v));
    }

    #[inline(always)]
    fn and(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_and_si512(a, b))
    }

    #[inline(always)]
    fn or(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_or_si512(a, b))
    }

    #[inline(always)]
    fn xor(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_xor_si512(a, b))
    }

    #[inline(always)]
    fn shr(self, v: Self::I, n: u32) -> Self::I {
        op!(_mm512_srlv_epi32(v, _mm512_set1_epi32(n as i32)))
    }

    #[inline(always)]
    fn shl(self, v: Self::I, n: u32) -> Self::I {
        op!(_mm512_sllv_epi32(v, _mm512_set1_epi32(n as i32)))
    }

    #[inline(always)]
    fn sar(self, v: Self::I, n: u32) -> Self::I {
        op!(_mm512_srav_epi32(v, _mm512_set1_epi32(n as i32)))
    }

    #[inline(always)]
    fn add(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_add_epi32(a, b))
    }

    #[inline(always)]
    fn mul(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_mullo_epi32(a, b))
    }

    #[inline(always)]
    fn dot4(self, acc: Self::I, w: Self::I, x: Self::I) -> Self::I {
        op!(_mm512_dpbusd_epi32(acc, w, x))
    }

    #[inline(always)]
    fn dot2(self, acc: Self::I, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_dpwssd_epi32(acc, a, b))
    }

    #[inline(always)]
    fn gather(self, rows: &Rows<'_>, at: usize) -> [Self::I; 4] {
        let (a, b) = (self.four_rows(rows, 0, at), self.four_rows(rows, 1, at));
        let (c, d) = (self.four_rows(rows, 2, at), self.four_rows(rows, 3, at));
        op!({
            let (ab, ab2) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
            let (cd, cd2) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
            [
                _mm512_unpacklo_epi64(ab, cd),
                _mm512_unpackhi_epi64(ab, cd),
                _mm512_unpacklo_epi64(ab2, cd2),
                _mm512_unpackhi_epi64(ab2, cd2),
            ]
        })
    }

    #[inline(always)]
    fn to_f32(self, v: Self::I) -> Self::F {
        op!(_mm512_cvtepi32_ps(v))
    }

    #[inline(always)]
    fn to_i32(self, v: Self::F) -> Self::I {
        op!(_mm512_cvtps_epi32(v))
    }

    #[inline(always)]
    fn half(self, v: Self::I) -> Self::F {
        op!(_mm512_cvtph_ps(_mm512_cvtepi32_epi16(v)))
    }

    #[inline(always)]
    fn load_half(self, from: &[f16; LANES]) -> Self::F {
        op!(_mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())))
    }

    #[inline(always)]
    fn as_f32(self, v: Self::I) -> Self::F {
        op!(_mm512_castsi512_ps(v))
    }

    #[inline(always)]
    fn splat_f(self, x: f32) -> Self::F {
        op!(_mm512_set1_ps(x))
    }

    #[inline(always)]
    fn load_f(self, from: &[f32; LANES]) -> Self::F {
        op!(_mm512_loadu_ps(from.as_ptr()))
    }

    #[inline(always)]
    fn store_f(self, v: Self::F, to: &mut [f32; LANES]) {
        op!(_mm512_storeu_ps(to.as_mut_ptr(), v));
    }

    #[inline(always)]
    fn add_f(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub_f(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul_f(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn div_f(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        op!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn max_f(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn min_f(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn prefetch(self, at: *const u8) {
        op!(_mm_prefetch::<_MM_HINT_T1>(at.cast()));
    }
}
